//! [`Cpu`]: the instruction sets that the kernel is compiled for, and the choice between them at run time. The only
//! file with `unsafe` code. Every path gives the same bits: they run the same operations, on more lanes at once.
#![allow(unsafe_code)]

use crate::lanes::Lanes;
use crate::runs::Eight;

/// One compilation of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cpu {
    /// What every machine of the architecture has: SSE2 on x86-64, NEON on AArch64.
    Portable,
    /// 256-bit vectors of x86-64.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512-bit vectors of x86-64.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Cpu {
    /// The fastest path of this machine.
    #[must_use]
    pub fn detect() -> Self {
        *Self::available().last().unwrap_or(&Cpu::Portable)
    }

    /// Every path that this machine can run, slowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let paths = [
            Cpu::Portable,
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2,
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512,
        ];
        paths.into_iter().filter(|path| path.is_available()).collect()
    }

    #[inline]
    fn is_available(self) -> bool {
        match self {
            Cpu::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2 => std::arch::is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512 => {
                std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512dq")
            }
        }
    }

    /// The path's name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Cpu::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512 => "AVX-512",
        }
    }

    /// Does `work` compiled for this path, or for the portable one where the machine lacks the path.
    #[inline]
    pub(crate) fn run<W: Work>(self, work: W) -> W::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the features that `avx2` enables were just detected.
            Cpu::Avx2 if self.is_available() => unsafe { avx2(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the features that `avx512` enables were just detected.
            Cpu::Avx512 if self.is_available() => unsafe { avx512(work) },
            _ => work.run::<16>(),
        }
    }
}

impl std::fmt::Display for Cpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl Default for Cpu {
    /// The fastest path of this machine.
    fn default() -> Self {
        Self::detect()
    }
}

/// A piece of work that is compiled once for each path.
pub(crate) trait Work {
    type Output;
    /// Implementations are `#[inline(always)]`, and so is all they call, or the path's instructions are not used.
    /// `BYTES` is the size of the path's vectors.
    fn run<const BYTES: usize>(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<W: Work>(work: W) -> W::Output {
    work.run::<32>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn avx512<W: Work>(work: W) -> W::Output {
    work.run::<64>()
}

/// Stores eight values past the caches if `to` begins at a cache line, which takes less time where nobody reads them soon. Another
/// thread may see them only after [`end_stores_past_caches`]. To be called in work on the path whose vectors have so many `BYTES`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn store_past_caches<const BYTES: usize>(to: &mut Eight, values: Lanes) {
    use std::arch::x86_64::{__m256d, __m512d, _mm256_stream_pd, _mm512_stream_pd};
    if BYTES < size_of::<__m256d>() || !to.as_ptr().addr().is_multiple_of(size_of::<Eight>()) {
        *to = values.to_array();
        return;
    }
    let to = to.as_mut_ptr();
    // SAFETY: only code for a path calls this with the size of its vectors, after its features were detected. `to` is a whole
    // cache line, and `Lanes` are eight doubles without anything between them.
    unsafe {
        if BYTES == size_of::<__m512d>() {
            _mm512_stream_pd(to, std::mem::transmute::<Lanes, __m512d>(values));
        } else {
            let [low, high] = std::mem::transmute::<Lanes, [__m256d; 2]>(values);
            _mm256_stream_pd(to, low);
            _mm256_stream_pd(to.add(Lanes::COUNT / 2), high);
        }
    }
}

/// Puts stores past the caches in order with those that follow.
#[cfg(target_arch = "x86_64")]
pub(crate) fn end_stores_past_caches() {
    // SAFETY: every x86-64 has SSE.
    unsafe { std::arch::x86_64::_mm_sfence() };
}

/// A plain store: only x86-64 has others here.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn store_past_caches<const BYTES: usize>(to: &mut Eight, values: Lanes) {
    *to = values.to_array();
}

/// Nothing to do after plain stores.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn end_stores_past_caches() {}
