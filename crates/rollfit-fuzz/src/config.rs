//! Configurations.

use rollfit_job::config::{EXAMPLE, JobConfig};
use rollfit_job::error_chain;
use rollfit_job::receipt::Definition;

use crate::Seed;

/// Between the text and the value that a variable has.
const MARK: &str = "\n---\n";
const VARIABLES: [&str; 4] = ["WINDOWS", "PARTITIONS__KEYS", "FEATURES__METRICS", "RUN__WORKERS"];

pub(crate) fn hold(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (text, value) = text.split_once(MARK).map_or((text, None), |(text, value)| (text, Some(value)));
    let variables =
        value.iter().flat_map(|value| VARIABLES.map(|name| (format!("ROLLFIT_{name}"), (*value).to_owned())));
    match JobConfig::parse(text, variables) {
        Err(error) => assert!(!error_chain(&error).is_empty()),
        Ok(config) => {
            let definition = Definition::from_config(&config);
            assert_eq!(definition.difference(&definition), None);
            for key in ["eurusd", "BTC-USD"] {
                assert_eq!(config.series_of_key(key).len(), config.series.len());
            }
        }
    }
}

pub(crate) fn seeds() -> Vec<Seed> {
    let minimal = "[store]\nurl = \"parquet:./fx\"\n[partitions]\nkeys = [\"k\"]\nfrom = \"2017-01\"\nto = \"latest\"\n\
         [series.y]\ntable = \"t_{key}\"\ntime = \"time\"\nvalue = \"close\"\nfeatures = \"f_{key}_{yyyy}_{mm}\"\n\
         [windows]\nw3 = 3\n";
    vec![
        ("example".to_owned(), EXAMPLE.as_bytes().to_vec()),
        ("minimal".to_owned(), minimal.as_bytes().to_vec()),
        ("variable".to_owned(), [minimal, MARK, "{ w5 = 5 }"].concat().into_bytes()),
        ("keys".to_owned(), [minimal, MARK, "[\"a\", \"b\"]"].concat().into_bytes()),
    ]
}
