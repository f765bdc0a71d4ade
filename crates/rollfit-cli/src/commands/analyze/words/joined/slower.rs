//! Hosts that were slower than others, and why.

use rollfit_analysis::{SlowReason, SlowerHost};

use crate::format::{factor, quantity, time};

/// A host, by how much, and why.
pub(super) fn host(slower: &SlowerHost) -> String {
    let reasons: Vec<String> = slower.reasons.iter().map(reason).collect();
    let why =
        if reasons.is_empty() { "these records do not show why".to_owned() } else { reasons.join("; ") };
    format!(
        "on {} a row takes a worker {} as long as on the others: {why}",
        slower.host,
        factor(slower.times)
    )
}

fn reason(reason: &SlowReason) -> String {
    let us = |us: f64| time(us / 1e6);
    match reason {
        SlowReason::CpuPath { here, others } => format!("its CPU path is {here}, that of others {others}"),
        SlowReason::Processor { here_us, others_us } => {
            let (here, others) = per_thousand(*here_us, *others_us);
            format!("1,000 rows take {here} of a core instead of {others}")
        }
        SlowReason::Stolen { cores } => {
            format!("its hypervisor gives {} cores to other machines", quantity(*cores))
        }
        SlowReason::CoreWait { here_us, others_us, competing_cores } => {
            let competing = competing_cores
                .filter(|cores| *cores >= 0.1)
                .map(|cores| format!(", other processes keep {} cores busy", quantity(cores)))
                .unwrap_or_default();
            let (here, others) = per_thousand(*here_us, *others_us);
            format!("1,000 rows wait {here} for a core instead of {others}{competing}")
        }
        SlowReason::RoundTrip { here_s, others_s } => {
            format!("a round trip to the store takes {} instead of {}", us(here_s * 1e6), us(others_s * 1e6))
        }
        SlowReason::Source { here_us, others_us } => {
            let (here, others) = per_thousand(*here_us, *others_us);
            format!("1,000 rows wait {here} for the source instead of {others}")
        }
        SlowReason::Store { here_us, others_us } => {
            let (here, others) = per_thousand(*here_us, *others_us);
            format!("1,000 rows wait {here} for the store instead of {others}")
        }
    }
}

fn per_thousand(here_us: f64, others_us: f64) -> (String, String) {
    (time(here_us / 1e3), time(others_us / 1e3))
}
