//! How far the reference's metrics may be from the exact ones, to first order, given what it says of its parts.

use rollfit::Metric;
use rollfit::reference::{DoubleDouble, Terms};

/// The reference's own accuracy, in units of the spread.
pub(crate) const SPREAD: f64 = 1e-30;
/// The same for what contains the level, in units of the largest magnitude.
pub(crate) const MAGNITUDE: f64 = 1e-31;
/// The same for r2.
pub(crate) const R2: f64 = 1e-29;

/// The errors allowed to the parts of one window's metrics, and those parts.
#[derive(Clone, Debug)]
pub(crate) struct Slack {
    terms: Terms<DoubleDouble>,
    spread: f64,
    level: f64,
}

impl Slack {
    /// The slack of the window `values`.
    pub(crate) fn new(values: &[f64], terms: &Terms<DoubleDouble>) -> Self {
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let spread = SPREAD * (highest - lowest);
        Self { terms: *terms, spread, level: spread + MAGNITUDE * highest.abs().max(lowest.abs()) }
    }

    /// The slack of one metric.
    pub(crate) fn of_metric(&self, metric: Metric) -> f64 {
        let Self { terms, spread, level } = self;
        let [a2, v, prediction, scale, u_last] =
            [terms.a2, terms.vertex_x, terms.prediction, terms.scale, terms.u_last].map(DoubleDouble::to_f64);
        let vertex_x = spread * (1.0 + 2.0 * v.abs()) / (2.0 * a2 + 1e-10).abs();
        let steps = 2.0 * u_last / scale;
        match metric {
            Metric::ResidualMean => 0.0,
            Metric::A2 | Metric::A1 | Metric::Curvature | Metric::Rmse | Metric::ResidualStd => *spread,
            Metric::B | Metric::Prediction | Metric::Residual => *level,
            Metric::R2 | Metric::FitQuality => R2,
            Metric::PredIntervalLower | Metric::PredIntervalUpper => level + 1.96 * spread,
            Metric::VertexX => vertex_x,
            // The parabola's slope at the vertex would be 0 but for the 1e-10 in the vertex's denominator.
            Metric::VertexY => level + spread * (v * v + v.abs()) + 1e-10 * v.abs() * vertex_x,
            Metric::ExtrapolationError => {
                let denominator = prediction.abs() + 1e-10;
                (spread + level * terms.rmse.to_f64() / denominator) / denominator
            }
            Metric::QuadraticTerm | Metric::LinearTerm | Metric::ConstantTerm => {
                level + spread * steps * (1.0 + steps)
            }
            unknown => panic!("no slack of {unknown}: derive it here"),
        }
    }
}
