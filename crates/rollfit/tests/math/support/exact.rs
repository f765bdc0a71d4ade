//! Fits and metrics in rational numbers, written down once more from their definitions.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use rollfit::reference::{DoubleDouble, Grid, Number, Terms};
use rollfit::{FitNumbers, Metric, Window};

/// Bits kept of a finished quantity.
const BITS: u64 = 300;

/// The double's exact value. Panics on a value that is not finite.
pub(crate) fn of_f64(value: f64) -> BigRational {
    BigRational::from_float(value).expect("a finite value")
}

/// The number's exact value. Panics on a number that is not finite.
pub(crate) fn of_double_double(value: DoubleDouble) -> BigRational {
    let (hi, lo) = value.parts();
    of_f64(hi) + of_f64(lo)
}

/// The number of two doubles that is nearest to the value, to a bit or two.
fn to_double_double(value: &BigRational) -> DoubleDouble {
    let high = to_f64(value);
    DoubleDouble::sum_of(high, to_f64(&(value - of_f64(high))))
}

/// The exact value of a decimal such as `-1.25e-17`.
pub(crate) fn of_decimal(text: &str) -> BigRational {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: BigInt = format!("{whole}{fraction}").parse().expect("decimal digits");
    let exponent = exponent.parse::<i32>().expect("an exponent") - fraction.len() as i32;
    BigRational::from_integer(digits) * BigRational::from_integer(BigInt::from(10)).pow(exponent)
}

/// The nearest double or one beside it; good enough to print and to compare with a tolerance.
pub(crate) fn to_f64(value: &BigRational) -> f64 {
    value.to_f64().expect("rationals are finite")
}

/// The ratio of two magnitudes, 0 where both are 0.
pub(crate) fn ratio(error: &BigRational, unit: &BigRational) -> f64 {
    match (error.is_zero(), unit.is_zero()) {
        (true, _) => 0.0,
        (false, true) => f64::INFINITY,
        _ => to_f64(&rounded(&(error / unit))).abs(),
    }
}

/// The square root of a rational that is not negative, to 300 bits.
pub(crate) fn sqrt(value: &BigRational) -> BigRational {
    let radicand = value.numer() * value.denom();
    let shift = (2 * BITS).saturating_sub(radicand.bits()).div_ceil(2);
    BigRational::new((radicand << (2 * shift)).sqrt(), value.denom() << shift)
}

/// The value to 300 bits, so that numbers stay short.
pub(crate) fn rounded(value: &BigRational) -> BigRational {
    let shift = (BITS + value.denom().bits()).saturating_sub(value.numer().bits());
    BigRational::new((value.numer() << shift) / value.denom(), BigInt::one() << shift)
}

/// The exact fit of one window.
#[derive(Clone, Debug)]
pub(crate) struct ExactFit {
    pub(crate) a2: BigRational,
    pub(crate) a1: BigRational,
    pub(crate) b: BigRational,
    pub(crate) ss_res: BigRational,
    pub(crate) ss_tot: BigRational,
    pub(crate) y_last: BigRational,
    pub(crate) scale: BigRational,
    pub(crate) u_last: BigRational,
    rows: BigRational,
    /// Largest value minus smallest.
    pub(crate) spread: BigRational,
    /// Largest magnitude.
    pub(crate) magnitude: BigRational,
}

/// The sums of a window's values with the weights 1, t and 3t^2 - (w^2-1), which with t = 2u are orthogonal integers.
struct Sums {
    /// What the integers below are to be divided by.
    denominator: BigInt,
    weighted: [BigInt; 3],
    /// To be divided by the denominator twice.
    squares: BigInt,
    /// Sums of the squared weights.
    norms: [BigInt; 3],
}

impl Sums {
    fn new(exact: &[BigRational]) -> Self {
        let rows = exact.len() as i64;
        // All denominators are powers of two, so the largest is a multiple of each.
        let denominator = exact.iter().map(BigRational::denom).max().expect("a window has rows").clone();
        let (weighted, squares, norms) = Default::default();
        let mut sums = Self { denominator, weighted, squares, norms };
        for (i, y) in (0..rows).zip(exact) {
            let y = y.numer() * (&sums.denominator / y.denom());
            let t = 2 * i - (rows - 1);
            for (k, weight) in [1, t, 3 * t * t - (rows * rows - 1)].into_iter().enumerate() {
                sums.weighted[k] += &y * weight;
                sums.norms[k] += i128::from(weight) * i128::from(weight);
            }
            sums.squares += &y * &y;
        }
        sums
    }

    /// The coefficient of the weights `k` in the least-squares parabola.
    fn coefficient(&self, k: usize) -> BigRational {
        BigRational::new(self.weighted[k].clone(), &self.denominator * &self.norms[k])
    }

    /// The sum of squares that those weights account for.
    fn explained(&self, k: usize) -> BigRational {
        self.coefficient(k).pow(2) * &self.norms[k]
    }

    fn squares(&self) -> BigRational {
        BigRational::new(self.squares.clone(), self.denominator.pow(2))
    }
}

impl ExactFit {
    /// Fits `values`, oldest first, which must be finite.
    pub(crate) fn new(values: &[f64]) -> Self {
        let exact: Vec<_> = values.iter().map(|&value| of_f64(value)).collect();
        let sums = Sums::new(&exact);
        let rows = BigRational::from_integer(BigInt::from(values.len()));
        let one = BigRational::one();
        let variance = (&rows * &rows - &one) / BigRational::from_integer(12.into());
        let scale = rounded(&(sqrt(&variance) + of_f64(1e-10)));
        // The weights are 1, 2u and 12(u^2 - variance).
        let (slope, bend) = (sums.coefficient(1) * of_f64(2.0), sums.coefficient(2) * of_f64(12.0));
        let ss_tot = sums.squares() - sums.explained(0);
        let lowest = exact.iter().min().expect("a window has rows");
        let highest = exact.iter().max().expect("a window has rows");
        Self {
            a2: rounded(&(&bend * &scale * &scale)),
            a1: rounded(&(slope * &scale)),
            b: rounded(&(sums.coefficient(0) - bend * variance)),
            ss_res: rounded(&(&ss_tot - sums.explained(1) - sums.explained(2))),
            ss_tot: rounded(&ss_tot),
            y_last: exact[exact.len() - 1].clone(),
            scale,
            u_last: (&rows - one) / of_f64(2.0),
            rows,
            spread: highest - lowest,
            magnitude: highest.abs().max(lowest.abs()),
        }
    }

    /// The exact terms, to as many digits as the bounds are evaluated in. Without a vertex its x is NaN.
    pub(crate) fn terms(&self) -> Terms<DoubleDouble> {
        let r2 = self.metric(Metric::R2).expect("a denominator above 0");
        let prediction = self.at(&(&self.u_last / &self.scale));
        let nearest = to_double_double;
        // Any terms, of which nothing is kept.
        let window = Window::new(Window::MIN_ROWS).expect("a window's length");
        let mut terms = Terms::new(&FitNumbers::default(), &Grid::new(window));
        terms.a2 = nearest(&self.a2);
        terms.a1 = nearest(&self.a1);
        terms.b = nearest(&self.b);
        terms.r2 = nearest(&r2);
        terms.rmse = nearest(&self.rmse());
        terms.prediction = nearest(&prediction);
        terms.vertex_x = self.vertex_x().map_or(DoubleDouble::from_f64(f64::NAN), |x| nearest(&x));
        terms.y_last = nearest(&self.y_last);
        terms.scale = nearest(&self.scale);
        terms.u_last = nearest(&self.u_last);
        terms
    }

    /// The metric's exact value; `None` where a denominator is 0.
    pub(crate) fn metric(&self, metric: Metric) -> Option<BigRational> {
        let Self { a2, a1, b, .. } = self;
        let guard = of_f64(1e-10);
        let interval = || of_f64(1.96) * self.rmse();
        let x_last = &self.u_last / &self.scale;
        let steps = &x_last + &x_last;
        let value = match metric {
            Metric::A2 => a2.clone(),
            Metric::A1 => a1.clone(),
            Metric::B => b.clone(),
            Metric::R2 | Metric::FitQuality => BigRational::one() - &self.ss_res / (&self.ss_tot + guard),
            Metric::Rmse | Metric::ResidualStd => self.rmse(),
            Metric::ResidualMean => BigRational::zero(),
            Metric::Prediction => self.at(&x_last),
            Metric::PredIntervalLower => self.at(&x_last) - interval(),
            Metric::PredIntervalUpper => self.at(&x_last) + interval(),
            Metric::VertexX => self.vertex_x()?,
            Metric::VertexY => self.at(&self.vertex_x()?),
            Metric::Curvature => a2.abs(),
            Metric::ExtrapolationError => self.rmse() / (self.at(&x_last).abs() + guard),
            Metric::QuadraticTerm => a2 * &steps * &steps,
            Metric::LinearTerm => a1 * &steps - a2 * &steps * &steps,
            Metric::ConstantTerm => self.at(&-x_last),
            Metric::Residual => &self.y_last - self.at(&x_last),
            unknown => panic!("no exact formula of {unknown}: write it down here"),
        };
        Some(rounded(&value))
    }

    /// Root mean square of the residuals.
    pub(crate) fn rmse(&self) -> BigRational {
        sqrt(&rounded(&(&self.ss_res / &self.rows)))
    }

    fn vertex_x(&self) -> Option<BigRational> {
        let denominator = &self.a2 + &self.a2 + of_f64(1e-10);
        (!denominator.is_zero()).then(|| rounded(&(-&self.a1 / denominator)))
    }

    fn at(&self, x: &BigRational) -> BigRational {
        rounded(&((&self.a2 * x + &self.a1) * x + &self.b))
    }
}
