//! Tests of series whose features have no name.

use super::tests::parse;
use super::*;
use crate::partition::Partition;

#[test]
fn features_have_no_name_where_the_store_has_a_place_for_each_partition() {
    let text: String = EXAMPLE
        .lines()
        .filter(|line| !line.starts_with("features = "))
        .map(|line| format!("{line}\n"))
        .collect();
    let config = parse(&text).unwrap();
    let partition = |month: &str| Partition::new("eurusd".to_owned(), month.parse().unwrap());
    assert!(config.series.iter().all(|series| series.features.is_none()));
    assert_eq!(config.series[0].partition_of("reg_rate_eurusd_2017_01"), None);
    config.check_outputs([partition("2017-01"), partition("2017-02")].iter()).unwrap();
}
