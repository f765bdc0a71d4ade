//! What is promised of the mathematics: the reference against exact answers, the kernel and the stream against the
//! reference, and the same bits for the same window whatever surrounds it.

mod agreement;
mod analysis;
mod any_bytes;
mod api;
mod bad_arguments;
mod digits;
mod documents;
mod exactness;
mod golden_answers;
mod merged_residuals;
mod no_value;
mod same_bits;
mod stored_fits;
mod support;
mod theorems;
mod tolerances;

use fastrand::Rng;
use proptest::prelude::*;
use rollfit::bounds::{self, Bounds, Part};
use rollfit::reference::{DoubleDouble, Grid, Number, Terms};
use rollfit::{
    Cpu, Fit, FitNumbers, Kernel, KernelError, Metric, MetricColumns, MissingValues, Stream, Tile, Window,
};
use support::cases::{Hard, HardSeries, cases, hard_series, hard_window, some_windows};
use support::paths::{self, Written, bits, window, windows};
use support::{golden, hard};

/// Where the worst errors are collected and distinguished.
const LENGTHS: [(usize, usize); 3] = [(3, 100), (101, 1000), (1001, 10_000)];
