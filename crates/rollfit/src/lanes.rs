//! [`Lanes`]: eight rows side by side. Every operation is the plain IEEE operation on each lane, so a lane's bits are
//! those that scalar code gives; the compiler turns the loops into the vector instructions of the CPU path in use.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::number::{Number, Sealed};

/// Eight doubles: one AVX-512 register, two of AVX2, four of SSE2 or NEON.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Lanes([f64; Lanes::COUNT]);

impl Lanes {
    /// Rows handled at once.
    pub(crate) const COUNT: usize = 8;

    #[inline(always)]
    pub(crate) fn from_array(lanes: [f64; Self::COUNT]) -> Self {
        Self(lanes)
    }

    /// The value in one lane.
    #[inline(always)]
    pub(crate) fn get(&self, lane: usize) -> f64 {
        self.0[lane]
    }

    /// The lanes in order.
    #[inline(always)]
    pub(crate) fn to_array(self) -> [f64; Self::COUNT] {
        self.0
    }

    /// The lesser number in each lane, and that of `self` where one is NaN.
    #[inline(always)]
    pub(crate) fn lesser(self, other: Self) -> Self {
        Self(std::array::from_fn(
            |lane| if other.0[lane] < self.0[lane] { other.0[lane] } else { self.0[lane] },
        ))
    }

    #[inline(always)]
    fn map(self, operation: impl Fn(f64) -> f64) -> Self {
        let mut lanes = self.0;
        for lane in &mut lanes {
            *lane = operation(*lane);
        }
        Self(lanes)
    }
}

impl Sealed for Lanes {}

impl Number for Lanes {
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        Self([value; Self::COUNT])
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.map(f64::abs)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.map(f64::sqrt)
    }
}

impl Neg for Lanes {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.map(|lane| -lane)
    }
}

macro_rules! lanewise {
    ($($operation:ident, $method:ident;)*) => {$(
        impl $operation for Lanes {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                let mut lanes = [0.0; Self::COUNT];
                for (lane, (a, b)) in lanes.iter_mut().zip(self.0.iter().zip(other.0.iter())) {
                    *lane = a.$method(b);
                }
                Self(lanes)
            }
        }
    )*};
}

lanewise! {
    Add, add;
    Sub, sub;
    Mul, mul;
    Div, div;
}
