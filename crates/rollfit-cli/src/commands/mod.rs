//! The commands, one file each.

mod adopt;
pub(crate) mod analyze;
pub(crate) mod before_work;
pub(crate) mod cause_groups;
pub(crate) mod check;
mod checks;
mod compare;
mod completions;
mod continued;
mod demo;
mod doctor;
mod drop;
mod follow;
mod help_summary;
mod import;
mod init;
mod man;
mod metrics;
mod new_definition;
mod next_step;
mod plan;
mod question;
mod remaining;
pub(crate) mod run;
mod runs;
mod schema;
mod status;
mod switch;
mod undone;
mod unfilled;
mod verify;
mod ways_out;

use crate::args::{Arguments, Command};
use crate::exit::{Exit, Failure};

/// Does what the arguments ask for.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let global = &arguments.global;
    match &arguments.command {
        Command::Demo(demo) => demo::run(global, demo),
        Command::Init(init) => init::run(global, init),
        Command::Import(import) => import::run(global, import),
        Command::Doctor(doctor) => doctor::run(global, doctor),
        Command::Schema(schema) => schema::run(global, schema),
        Command::Plan(select) => plan::run(global, select),
        Command::Run(run) => run::run(global, run),
        Command::Status(status) => status::run(global, status),
        Command::Runs(runs) => runs::run(global, runs),
        Command::Analyze(analyze) => analyze::run(global, analyze),
        Command::Verify(verify) => verify::run(global, verify),
        Command::Check(check) => check::run(global, check),
        Command::Compare(compare) => compare::run(global, compare),
        Command::Adopt(adopt) => adopt::run(global, adopt),
        Command::Drop(drop) => drop::run(global, drop),
        Command::Switch(switch) => switch::run(global, switch),
        Command::Metrics(metrics) => metrics::run(global, metrics),
        Command::Completions(completions) => completions::run(completions),
        Command::Man(man) => man::run(man),
    }
}
