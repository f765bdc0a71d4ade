//! Windows that are hard to fit, at random: levels of 1e-12 to 1e12 with moves down to the last ulp, and the ends of
//! what rollfit accepts. All within the accuracy promise: a spread of 0 or at least 1e-100, magnitudes up to 1e100.

use fastrand::Rng;

type Shape = fn(&mut Rng, usize) -> Vec<f64>;

const SHAPES: [(&str, Shape); 17] = [
    ("walk", |rng, rows| walk(rng, rows)),
    ("noise", |rng, rows| around(rng, rows, |rng, _| rng.f64() - 0.5)),
    ("ticks", |rng, rows| around(rng, rows, |rng, _| f64::from(rng.i8(-2..3)))),
    ("step", |rng, rows| {
        let at = rng.usize(0..rows);
        around(rng, rows, move |_, i| if i < at { 0.0 } else { 1.0 })
    }),
    ("spike", |rng, rows| {
        let at = rng.usize(0..rows);
        around(rng, rows, move |rng, i| if i == at { 1e6 } else { rng.f64() })
    }),
    ("outlier last", |rng, rows| {
        around(rng, rows, move |rng, i| if i + 1 == rows { 1e9 } else { rng.f64() })
    }),
    ("constant", |rng, rows| around(rng, rows, |_, _| 0.0)),
    ("line", |rng, rows| around(rng, rows, |_, i| i as f64)),
    ("parabola", |rng, rows| {
        let (bend, slope) = (rng.f64() - 0.5, rng.f64() * 100.0);
        around(rng, rows, move |_, i| (bend * i as f64 + slope) * i as f64)
    }),
    ("whole parabola", |rng, rows| {
        let (bend, slope) = (f64::from(rng.i8(-9..9)), f64::from(rng.i8(-99..99)));
        (0..rows).map(|i| (bend * i as f64 + slope) * i as f64).collect()
    }),
    // Either side of where the kernel starts to sum residuals instead of trusting a difference.
    ("nearly a parabola", |rng, rows| {
        let (bend, slope, noise) = (rng.f64() - 0.5, rng.f64() - 0.5, power_of_ten(rng, -4, 0));
        let x = scaled_row(rows);
        around(rng, rows, move |rng, i| (bend * x(i) + slope) * x(i) + noise * (rng.f64() - 0.5))
    }),
    ("outlier last on a trend", |rng, rows| {
        let (rise, noise) = (power_of_ten(rng, -4, 0), power_of_ten(rng, -6, 0));
        let x = scaled_row(rows);
        around(rng, rows, move |rng, i| {
            let outlier = if i + 1 == rows { 1.0 } else { 0.0 };
            outlier + rise * (x(i) + noise * (rng.f64() - 0.5))
        })
    }),
    ("two levels, nearly", |rng, rows| {
        let (at, noise) = (rng.usize(0..rows), power_of_ten(rng, -9, 0));
        around(rng, rows, move |rng, i| {
            let level = if i < at { 0.0 } else { 1.0 };
            level + noise * (rng.f64() - 0.5)
        })
    }),
    ("last ulps", |rng, rows| {
        let level = power_of_ten(rng, -12, 12);
        (0..rows).map(|_| level * f64::from(rng.u8(0..4)).mul_add(f64::EPSILON, 1.0)).collect()
    }),
    ("mixed magnitudes", |rng, rows| {
        (0..rows).map(|_| (rng.f64() - 0.5) * power_of_ten(rng, -12, 12)).collect()
    }),
    ("largest", |rng, rows| (0..rows).map(|_| (rng.f64() * 2.0 - 1.0) * 1e100).collect()),
    ("smallest", |rng, rows| (0..rows).map(|i| if i == 0 { 1e-99 } else { rng.f64() * 1e-99 }).collect()),
];

/// A window of `rows` values, oldest first, with the name of its shape.
pub(crate) fn window(rng: &mut Rng, rows: usize) -> (&'static str, Vec<f64>) {
    let (name, shape) = SHAPES[rng.usize(0..SHAPES.len())];
    (name, shape(rng, rows))
}

/// A length of `least..=most` rows, short ones as often as long ones.
pub(crate) fn rows(rng: &mut Rng, least: usize, most: usize) -> usize {
    let (low, high) = ((least as f64).ln(), (most as f64).ln());
    ((low + rng.f64() * (high - low)).exp().round() as usize).clamp(least, most)
}

/// Moves around a level: the level is 1e-12 to 1e12, a move of 1 is from all of the level down to 1e-15 of it.
fn around(rng: &mut Rng, rows: usize, move_of: impl Fn(&mut Rng, usize) -> f64) -> Vec<f64> {
    let level = power_of_ten(rng, -12, 12) * if rng.bool() { 1.0 } else { -1.0 };
    let unit = level * power_of_ten(rng, -15, 0);
    (0..rows).map(|i| level + unit * move_of(rng, i)).collect()
}

/// The row as a number from -1 to 1.
fn scaled_row(rows: usize) -> impl Fn(usize) -> f64 {
    move |i| 2.0 * i as f64 / (rows as f64 - 1.0) - 1.0
}

fn walk(rng: &mut Rng, rows: usize) -> Vec<f64> {
    let mut value = power_of_ten(rng, -12, 12);
    let step = value * power_of_ten(rng, -8, -1);
    let mut next = || {
        value += step * (rng.f64() - 0.5);
        value
    };
    (0..rows).map(|_| next()).collect()
}

fn power_of_ten(rng: &mut Rng, least: i32, most: i32) -> f64 {
    let (least, most) = (f64::from(least), f64::from(most));
    10f64.powf(least + rng.f64() * (most - least))
}
