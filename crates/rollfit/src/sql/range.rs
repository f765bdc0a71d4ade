//! [`Range`]: which doubles an expression can be, given which ones its inputs can be. PostgreSQL refuses a result of 0 from
//! operands that are not (underflow), an infinite one from finite operands, division by zero and roots of negative numbers;
//! an expression that has a range does none of that, whatever the inputs within theirs.
//!
//! Rounding is monotone: the result of an operation lies between its results at the ends, all of them rounded alike.

use super::expression::{Binary, Expression, Input, Unary};

/// A set of finite doubles: those in `low..=high` that are 0 or of a magnitude of `least` or more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) least: f64,
    pub(super) has_zero: bool,
}

/// The least double above 0.
pub(super) const TINIEST: f64 = f64::from_bits(1);
/// A sum of two doubles is 0 or at least this share of the larger one: where they do not differ by a factor of 2, both are
/// multiples of the last place of the smaller one.
const CANCELLATION: f64 = 1.0 / (1u64 << 54) as f64;

impl Range {
    fn new(low: f64, high: f64, least: f64, has_zero: bool) -> Option<Self> {
        let has_zero = has_zero && low <= 0.0 && high >= 0.0;
        let least = if low > 0.0 {
            low.max(least)
        } else if high < 0.0 {
            least.max(-high)
        } else {
            least
        };
        (low.is_finite() && high.is_finite() && least > 0.0).then_some(Self { low, high, least, has_zero })
    }

    /// 0, and the magnitudes of `least` to `largest` with both signs.
    pub(super) fn of_both_signs(least: f64, largest: f64) -> Self {
        Self { low: -largest, high: largest, least, has_zero: true }
    }

    /// 0, and `least` to `largest`.
    pub(super) fn not_negative(least: f64, largest: f64) -> Self {
        Self { low: 0.0, high: largest, least, has_zero: true }
    }

    fn largest(&self) -> f64 {
        self.high.max(-self.low)
    }

    fn has_one_sign_with(&self, other: &Self) -> bool {
        (self.low >= 0.0 && other.low >= 0.0) || (self.high <= 0.0 && other.high <= 0.0)
    }

    fn constant(value: f64) -> Option<Self> {
        let least = if value == 0.0 { f64::MAX } else { value.abs() };
        Self::new(value, value, least, value == 0.0)
    }

    fn negated(self) -> Self {
        Self { low: -self.high, high: -self.low, ..self }
    }

    fn magnitude(self) -> Option<Self> {
        let low = if self.low > 0.0 { self.low } else { (-self.high).max(0.0) };
        Self::new(low, self.largest(), self.least, self.has_zero)
    }

    fn sqrt(self) -> Option<Self> {
        let roots =
            |range: Self| Self::new(range.low.sqrt(), range.high.sqrt(), range.least.sqrt(), range.has_zero);
        (self.low >= 0.0).then_some(self).and_then(roots)
    }

    fn add(self, other: Self) -> Option<Self> {
        let one_sign = self.has_one_sign_with(&other);
        let kept = if one_sign { 1.0 } else { CANCELLATION };
        let mut least = kept * self.least.max(other.least);
        if self.has_zero {
            least = least.min(other.least);
        }
        if other.has_zero {
            least = least.min(self.least);
        }
        let has_zero = !one_sign || (self.has_zero && other.has_zero);
        // Where cancellation leaves less than a double can be, it leaves the least one.
        Self::new(self.low + other.low, self.high + other.high, least.max(TINIEST), has_zero)
    }

    fn mul(self, other: Self) -> Option<Self> {
        let ends =
            [self.low * other.low, self.low * other.high, self.high * other.low, self.high * other.high];
        let (low, high) = bounds(ends);
        Self::new(low, high, self.least * other.least, self.has_zero || other.has_zero)
    }

    /// The quotients where the divisor is not 0.
    fn div(self, other: Self) -> Option<Self> {
        let largest = self.largest() / other.least;
        let (low, high) = match (self.low >= 0.0, other.low >= 0.0) {
            (true, true) => (self.low / other.high, largest),
            _ => (-largest, largest),
        };
        Self::new(low, high, self.least / other.largest(), self.has_zero)
    }
}

fn bounds(ends: [f64; 4]) -> (f64, f64) {
    ends.into_iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), end| (low.min(end), high.max(end)))
}

/// What is known of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Proof<'e> {
    /// What it can be while no divisor is 0.
    pub(super) range: Range,
    /// The divisors that can be 0. Where one of them is, the expression is not finite.
    pub(super) divisors: Vec<&'e Expression>,
}

/// The proof that `expression` raises no error while `inputs` are within their ranges; none where it may.
pub(super) fn proof<'e>(expression: &'e Expression, inputs: &impl Fn(Input) -> Range) -> Option<Proof<'e>> {
    match expression {
        Expression::Constant(value) => Some(Proof { range: Range::constant(*value)?, divisors: Vec::new() }),
        Expression::Input(input) => Some(Proof { range: inputs(*input), divisors: Vec::new() }),
        Expression::Unary(operation, of) => {
            let Proof { range, divisors } = proof(of, inputs)?;
            let range = match operation {
                Unary::Neg => range.negated(),
                Unary::Abs => range.magnitude()?,
                Unary::Sqrt => range.sqrt()?,
            };
            Some(Proof { range, divisors })
        }
        Expression::Binary(operation, left, right) => {
            let (left, divisor) = (proof(left, inputs)?, (right.as_ref(), proof(right, inputs)?));
            binary(*operation, left, divisor)
        }
    }
}

fn binary<'e>(operation: Binary, left: Proof<'e>, right: (&'e Expression, Proof<'e>)) -> Option<Proof<'e>> {
    let (right_expression, right) = right;
    let range = match operation {
        Binary::Add => left.range.add(right.range)?,
        Binary::Sub => left.range.add(right.range.negated())?,
        Binary::Mul => left.range.mul(right.range)?,
        // A number that is not finite stays so, but for a divisor: dividing by infinity gives 0.
        Binary::Div if !right.divisors.is_empty() => return None,
        Binary::Div => left.range.div(right.range)?,
    };
    let is_divisor = operation == Binary::Div && right.range.has_zero;
    let mut divisors = left.divisors;
    for divisor in right.divisors.into_iter().chain(is_divisor.then_some(right_expression)) {
        if !divisors.contains(&divisor) {
            divisors.push(divisor);
        }
    }
    Some(Proof { range, divisors })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::postgres::Moderate;
    use super::*;
    use crate::metric::Metric;

    /// The expression as PostgreSQL computes it; none where it raises an error. Division by zero, which is asked for before,
    /// gives NaN.
    fn computed(expression: &Expression, inputs: &impl Fn(Input) -> f64) -> Option<f64> {
        match expression {
            Expression::Constant(value) => Some(*value),
            Expression::Input(input) => Some(inputs(*input)),
            Expression::Unary(operation, of) => {
                let of = computed(of, inputs)?;
                match operation {
                    Unary::Neg => Some(-of),
                    Unary::Abs => Some(of.abs()),
                    Unary::Sqrt => (of >= 0.0 || of.is_nan()).then(|| of.sqrt()),
                }
            }
            Expression::Binary(operation, left, right) => {
                let (left, right) = (computed(left, inputs)?, computed(right, inputs)?);
                let value = match operation {
                    Binary::Add => left + right,
                    Binary::Sub => left - right,
                    Binary::Mul => left * right,
                    Binary::Div if right == 0.0 => f64::NAN,
                    Binary::Div => left / right,
                };
                let underflows = match operation {
                    Binary::Add | Binary::Sub => false,
                    Binary::Mul => value == 0.0 && left != 0.0 && right != 0.0,
                    Binary::Div => value == 0.0 && left != 0.0,
                };
                (!value.is_infinite() && !underflows).then_some(value)
            }
        }
    }

    /// A number in a range, mostly near its ends.
    fn member(range: &Range, rng: &mut fastrand::Rng) -> f64 {
        let (low, high) = (range.least.max(range.low), range.high);
        let between = (low.ln() + rng.f64() * (high.ln() - low.ln())).exp().clamp(low, high);
        let magnitude = match rng.u8(0..6) {
            0 if range.has_zero => 0.0,
            1 => high,
            2 => between,
            3 => 5e-11f64.clamp(low, high),
            _ => low,
        };
        if range.low < 0.0 && rng.bool() { -magnitude } else { magnitude }
    }

    #[test]
    fn no_formula_of_the_catalogue_raises_an_error_for_moderate_numbers() {
        let mut rng = fastrand::Rng::with_seed(5);
        for metric in Metric::ALL {
            let expression = Expression::new(*metric);
            let moderate = Moderate::new(&expression).unwrap();
            for _ in 0..3000 {
                let of = |(input, range): &(Input, Range)| match input {
                    Input::Rows => (*input, member(range, &mut rng).floor()),
                    _ => (*input, member(range, &mut rng)),
                };
                let inputs: Vec<(Input, f64)> = moderate.ranges.iter().map(of).collect();
                let value = computed(&expression, &|wanted| {
                    inputs.iter().find(|(input, _)| *input == wanted).unwrap().1
                });
                assert!(value.is_some(), "{metric} of {inputs:?}");
            }
        }
    }

    #[test]
    fn what_may_raise_an_error_has_no_proof() {
        let input = |input: Input| Box::new(Expression::Input(input));
        let binary = |operation, left, right| Box::new(Expression::Binary(operation, left, right));
        let (a2, a1, ss_res) = (input(Input::A2), input(Input::A1), input(Input::SsRes));
        let signed = Range::of_both_signs(1e-60, 1e60);
        let ranges = |input: Input| match input {
            Input::SsRes => Range::not_negative(1e-120, 1e120),
            _ => signed,
        };
        let is_proven = |expression: &Expression| proof(expression, &ranges).is_some();
        let square = binary(Binary::Mul, ss_res.clone(), ss_res.clone());
        assert!(is_proven(&square));
        assert!(!is_proven(&binary(Binary::Mul, square.clone(), ss_res.clone())), "1e360");
        assert!(!is_proven(&binary(Binary::Div, square.clone(), square.clone())), "1e480");
        assert!(is_proven(&Expression::Unary(Unary::Sqrt, ss_res.clone())));
        assert!(!is_proven(&Expression::Unary(Unary::Sqrt, a2.clone())), "of a negative number");
        let quotient = binary(Binary::Div, a1.clone(), a2.clone());
        assert_eq!(proof(&quotient, &ranges).unwrap().divisors, [&*a2], "where it is not 0");
        assert!(is_proven(&binary(Binary::Mul, a1.clone(), quotient.clone())));
        assert!(!is_proven(&binary(Binary::Div, a1.clone(), quotient)), "an infinite divisor gives 0");
        let wide = |_: Input| Range::of_both_signs(TINIEST, 1e60);
        assert!(proof(&binary(Binary::Mul, a2.clone(), a1.clone()), &wide).is_none(), "underflow");
        let difference = binary(Binary::Sub, a2, a1);
        let Range { least, has_zero, .. } = proof(&difference, &ranges).unwrap().range;
        assert!(has_zero && least < 1e-60 * f64::EPSILON, "digits cancel");
    }
}
