//! [`Cpu`]: the instruction sets that the kernel is compiled for, and the choice between them at run time. The only
//! file with `unsafe` code. Every path gives the same bits: they run the same operations, on more lanes at once.
#![allow(unsafe_code)]

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
            _ => work.run(),
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
    fn run(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<W: Work>(work: W) -> W::Output {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn avx512<W: Work>(work: W) -> W::Output {
    work.run()
}
