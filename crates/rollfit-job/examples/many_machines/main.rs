//! How far the claims of several runners on one store carry: a discrete-event simulation of runners that look, read, claim, write and commit,
//! with latencies, a store of limited capacity, machines that die, and help after the own share. Shares are those of
//! [`Shard::owning`](rollfit_job::runners::Shard::owning).
//!
//! `cargo run --release -p rollfit-job --example many_machines` prints the projections of docs/many-machines.md as Markdown. With arguments
//! it simulates one job, to be held against a measured one: `-- postgres partitions=336 machines=4 workers=1 cores=1 compute_s=0.02`. Every
//! field of [`Conditions`](conditions::Conditions) is an argument; times are in seconds.

#![allow(clippy::print_stdout)] // The table is what it is for.

mod conditions;
mod events;
mod report;
mod simulation;

use conditions::Conditions;
use report::{HEADER, Report};

/// Reference partitions (30,900 rows x 180 features): the reference workload, and two jobs that outgrow a machine.
const JOBS: [(u32, &[u32]); 3] =
    [(336, &[1, 2, 4, 8, 16, 64]), (100_000, &[1, 4, 16, 64, 256]), (10_000_000, &[16, 64, 256])];

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((store, changes)) = arguments.split_first() else { return print_projections() };
    let conditions = changes.iter().try_fold(Conditions::of_store(store)?, |conditions, change| {
        let (name, value) = change.split_once('=').ok_or_else(|| format!("`{change}` is not NAME=VALUE"))?;
        conditions.with(name, value)
    })?;
    println!("{HEADER}\n{}", Report::new(&conditions)?);
    Ok(())
}

/// What docs/many-machines.md shows: both stores, each size on more and more machines; then no shards, and a machine that dies.
fn print_projections() -> Result<(), String> {
    for store in ["parquet", "postgres"] {
        println!("\n### {store}\n\n{HEADER}");
        for (partitions, machines) in JOBS {
            for &machines in machines {
                let base = Conditions { partitions, machines, ..Conditions::of_store(store)? };
                println!("{}", Report::new(&base)?);
            }
        }
        for machines in [4, 64] {
            let base = Conditions { partitions: 100_000, machines, ..Conditions::of_store(store)? };
            println!("{}", Report::new(&Conditions { shards: false, ..base.clone() })?);
            println!("{}", Report::new(&Conditions { deaths: 1, ..base })?);
        }
    }
    Ok(())
}
