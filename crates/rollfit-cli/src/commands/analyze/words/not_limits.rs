//! The resources that are known not to limit a run, each with its figure.

use rollfit_analysis::{Analysis, NotLimit};

use crate::format::{byte_rate, bytes, count, percent, quantity};

/// `memory 412.3 MB of 33.6 GB; sessions 5 of 97; disk 12 % busy`; none where none is known. Cores have a line of their own.
pub(super) fn not_limits(analysis: &Analysis) -> Option<String> {
    let told: Vec<String> = analysis.not_limits.iter().filter_map(not_limit).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn not_limit(known: &NotLimit) -> Option<String> {
    Some(match known {
        NotLimit::Memory { used_bytes, available_bytes, .. } => {
            format!("memory {} of {}", bytes(*used_bytes), bytes(*available_bytes as u64))
        }
        NotLimit::Sessions { used, available } => {
            format!("sessions {} of {}", count(*used as u64), count(*available))
        }
        NotLimit::Disk { busy, .. } => format!("disk {} busy", percent(*busy)),
        NotLimit::Network { bytes_per_s, waiting } => {
            format!("network {}, waited for {} of the time", byte_rate(*bytes_per_s), percent(*waiting))
        }
        NotLimit::Cores { .. } => return None,
        NotLimit::ServerCores { busy, available } => {
            format!("the server's cores {} of {} busy", quantity(*busy), quantity(*available))
        }
    })
}
