//! Bars that look like a currency market's, made from a seed: weekends, missing minutes, quiet nights, prices in ticks.

use rollfit_job::month::{MICROS_PER_SECOND, Month};

/// A pair as the demo trades it.
pub(super) struct Pair {
    pub(super) key: &'static str,
    first_close: f64,
    decimals: i32,
}

/// The pairs of the demo.
pub(super) const PAIRS: [Pair; 3] = [
    Pair { key: "eurusd", first_close: 1.0521, decimals: 5 },
    Pair { key: "gbpusd", first_close: 1.2336, decimals: 5 },
    Pair { key: "usdjpy", first_close: 116.95, decimals: 3 },
];

const MINUTE_US: i64 = 60 * MICROS_PER_SECOND;

/// The bars of a pair over some months: instants in microseconds since 1970 and closes.
pub(super) fn bars(pair: &Pair, months: &[Month]) -> Vec<(i64, f64)> {
    let mut random =
        fastrand::Rng::with_seed(pair.key.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte)));
    let tick = 10f64.powi(-pair.decimals);
    let mut ticks = (pair.first_close / tick).round();
    let mut unrest = 1.0;
    let mut bars = Vec::new();
    for minute_us in months.iter().flat_map(|month| month.span_us().step_by(MINUTE_US as usize)) {
        unrest = next_unrest(unrest, &mut random);
        ticks = (ticks + normal(&mut random) * 9.0 * unrest * day_rhythm(minute_us)).round();
        // Vendors leave out minutes without a trade, more of them at night.
        let is_missing = random.f64() < 0.004 / day_rhythm(minute_us);
        if is_open(minute_us) && !is_missing {
            bars.push((minute_us, ticks / 10f64.powi(pair.decimals)));
        }
    }
    bars
}

/// From Sunday 22:00 to Friday 22:00 UTC.
fn is_open(instant_us: i64) -> bool {
    const HOUR_US: i64 = 60 * MINUTE_US;
    const WEEK_US: i64 = 7 * 24 * HOUR_US;
    // 1970 began on a Thursday: the week is counted from the Sunday before, 22:00.
    let since_opening_us = (instant_us + 4 * 24 * HOUR_US - 22 * HOUR_US).rem_euclid(WEEK_US);
    since_opening_us < 5 * 24 * HOUR_US
}

/// How lively the hour is: 0.4 at night, 1.6 when London and New York are both awake.
fn day_rhythm(instant_us: i64) -> f64 {
    let hour = instant_us.rem_euclid(24 * 60 * MINUTE_US) as f64 / (60 * MINUTE_US) as f64;
    1.0 - 0.6 * ((hour - 2.0) / 12.0 * std::f64::consts::PI).cos()
}

/// Volatility comes in clusters.
fn next_unrest(unrest: f64, random: &mut fastrand::Rng) -> f64 {
    (1.0 + 0.98 * (unrest - 1.0) + 0.08 * normal(random)).clamp(0.3, 3.0)
}

/// About normal: twelve uniform numbers less their mean.
fn normal(random: &mut fastrand::Rng) -> f64 {
    (0..12).map(|_| random.f64()).sum::<f64>() - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_market_is_the_same_each_time_and_closes_on_weekends() {
        let months = ["2017-01".parse().unwrap()];
        let made = bars(&PAIRS[0], &months);
        assert_eq!(made, bars(&PAIRS[0], &months));
        assert!((28_000..32_000).contains(&made.len()), "{}", made.len());
        let saturday_us = 1_483_790_400_000_000..1_483_876_800_000_000;
        assert!(made.iter().all(|(instant, close)| !saturday_us.contains(instant) && *close > 0.5));
        assert!(made.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
