//! What people see of a follower: the same lines on its own terminal and in `rollfit status`.
//!
//! Invariants: there are no more lines, and no longer ones, than the terminal has room for.

use rollfit_job::record::Header;

use super::follow_state::{FollowState, KeyNow};
use crate::format::{self, UNKNOWN, count, duration, plural};
use crate::live::Live;
use crate::view::{self, ScreenSize};

/// A follower as it is now: what it has done, then the keys that are behind, and those that are not where there is room.
pub(crate) fn lines(header: &Header, live: &Live, state: &FollowState, size: ScreenSize) -> Vec<String> {
    let mut lines = vec![
        format!("follows {}", work(state)),
        freshness(state),
        view::machine(header, &live.moment.machine),
    ];
    lines.extend(state.store_lost.as_ref().map(|cause| format!("a store does not answer: {cause}")));
    lines.extend(state.behind.iter().map(|behind| format!("{}: behind: {}", behind.what, behind.cause)));
    let left = size.rows.saturating_sub(lines.len());
    lines.extend(key_lines(&state.keys, left));
    lines.truncate(size.rows);
    lines.iter().map(|line| line.chars().take(size.columns).collect()).collect()
}

/// `28 keys for 3:02:11: 12,345 rows added in 12,000 additions, 2 partitions rewritten`
pub(crate) fn work(state: &FollowState) -> String {
    format!(
        "{} for {}: {} added in {}, {} rewritten",
        number(state.keys_followed, "key"),
        duration(state.seconds),
        number(state.appended_rows, "row"),
        number(state.appends, "addition"),
        number(state.rewritten, "partition"),
    )
}

/// `lag at most 1:00 (eurusd), 2 partitions behind; source asked 0.4 s ago`
fn freshness(state: &FollowState) -> String {
    let furthest = state.keys.iter().find_map(|key| Some((key, key.lag_s?)));
    let lag = match furthest {
        Some((_, 0.0)) => "no lag".to_owned(),
        Some((key, lag_s)) => format!("lag at most {} ({})", duration(lag_s), key.key),
        None => "lag not known yet".to_owned(),
    };
    let asked = match state.asked_s {
        Some(asked_s) => format!("source asked {} ago", format::time(asked_s)),
        None => "source not asked yet".to_owned(),
    };
    format!("{lag}, {} behind; {asked}", number(state.partitions_behind, "partition"))
}

/// The keys, at most `room` lines of them with the heading.
fn key_lines(keys: &[KeyNow], room: usize) -> Vec<String> {
    if keys.is_empty() || room < 2 {
        return Vec::new();
    }
    let shown = if keys.len() < room { keys.len() } else { room - 2 };
    let width = keys[..shown].iter().map(|key| key.key.chars().count()).max().unwrap_or(0).max(3);
    let heading =
        format!("{:<width$}  {:>9}  {:<20}  {:<20}  pending since", "key", "lag", "features to", "source to");
    let mut lines = vec![heading];
    lines.extend(keys[..shown].iter().map(|key| key_line(key, width)));
    if shown < keys.len() {
        lines.push(format!("and {} more", count((keys.len() - shown) as u64)));
    }
    lines
}

fn key_line(key: &KeyNow, width: usize) -> String {
    let instant = |instant: &Option<String>| instant.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    format!(
        "{:<width$}  {:>9}  {:<20}  {:<20}  {}",
        key.key,
        key.lag_s.map_or_else(|| UNKNOWN.to_owned(), duration),
        instant(&key.features),
        instant(&key.source),
        key.pending.clone().unwrap_or_default()
    )
    .trim_end()
    .to_owned()
}

fn number(number: u64, noun: &str) -> String {
    plural(usize::try_from(number).unwrap_or(usize::MAX), noun)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(keys: usize) -> FollowState {
        let key = |at: usize| KeyNow {
            key: format!("key{at}"),
            features: Some("2017-01-04T10:31:00Z".to_owned()),
            source: Some("2017-01-04T10:32:00Z".to_owned()),
            lag_s: Some(60.0),
            pending: (at == 0).then(|| "2017-01-04T10:32:00Z".to_owned()),
            pending_s: (at == 0).then_some(0.0),
        };
        FollowState {
            seconds: 10_931.0,
            asked_s: Some(0.4),
            appends: 12_000,
            appended_rows: 12_345,
            rewritten: 1,
            keys_followed: keys as u64,
            keys: (0..keys).map(key).collect(),
            ..FollowState::default()
        }
    }

    #[test]
    fn a_follower_is_shown_with_its_lag_and_its_keys() {
        let lines = lines(&Header::default(), &Live::default(), &state(2), ScreenSize::ENOUGH);
        let expected = [
            "follows 2 keys for 3:02:11: 12,345 rows added in 12,000 additions, 1 partition rewritten",
            "lag at most 1:00 (key0), 0 partitions behind; source asked 400 ms ago",
            "CPU unavailable; load unavailable; memory unavailable",
            "key         lag  features to           source to             pending since",
            "key0       1:00  2017-01-04T10:31:00Z  2017-01-04T10:32:00Z  2017-01-04T10:32:00Z",
            "key1       1:00  2017-01-04T10:31:00Z  2017-01-04T10:32:00Z",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_follower_fits_the_room_there_is() {
        for (rows, columns) in [(1, 10), (4, 80), (5, 80), (24, 80), (29, 200), (40, 20)] {
            for keys in [0, 1, 24, 25, 26, 28, 1000] {
                let lines =
                    lines(&Header::default(), &Live::default(), &state(keys), ScreenSize { columns, rows });
                assert!(lines.len() <= rows && lines.len() >= rows.min(3), "{rows} {keys}: {lines:?}");
                assert!(lines.iter().all(|line| line.chars().count() <= columns));
            }
        }
        let lines =
            lines(&Header::default(), &Live::default(), &state(28), ScreenSize { columns: 80, rows: 10 });
        assert_eq!((lines.len(), lines[9].as_str()), (10, "and 23 more"));
    }
}
