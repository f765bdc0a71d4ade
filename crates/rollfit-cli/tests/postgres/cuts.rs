//! A connection that is cut at statements from the first to the last: before the server sees it, while it runs, before its answer
//! arrives. What is there afterwards is all of the old or all of the new, and the same command finishes.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::checker::{Contents, Undisturbed};
use crate::faults::{Fault, When};
use crate::import::ImportSandbox;
use crate::proxy::Proxy;
use crate::workload::Workload;

/// Held by the test that counts.
static COUNTING: Mutex<()> = Mutex::new(());
/// The statements so far, and the one that is meant.
static SEEN: AtomicUsize = AtomicUsize::new(0);
static MEANT: AtomicUsize = AtomicUsize::new(0);

fn is_meant(_: &str) -> bool {
    SEEN.fetch_add(1, Ordering::SeqCst) + 1 == MEANT.load(Ordering::SeqCst)
}

/// Calls `cut` with a proxy that cuts a connection at one of every `stride` statements, one after the other, until there are no
/// more. All of them would take minutes.
pub(crate) fn at_statements(stride: usize, socket: &Path, cut: impl Fn(&Proxy, usize)) {
    let _counting = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let moments = [When::Comes(is_meant), When::Sent(is_meant), When::Answered(is_meant)];
    for (at, meant) in (1..).step_by(stride).enumerate() {
        SEEN.store(0, Ordering::SeqCst);
        MEANT.store(meant, Ordering::SeqCst);
        let proxy = Proxy::before(socket);
        proxy.arm(moments[at % moments.len()], Fault::Cut);
        cut(&proxy, meant);
        if SEEN.load(Ordering::SeqCst) < meant {
            assert!(at >= moments.len(), "{meant} statements");
            return;
        }
    }
}

#[test]
fn a_run_whose_connection_is_cut_at_any_statement_leaves_the_old_or_the_new() {
    let (workload, undisturbed) = (Workload::small(), Undisturbed::small());
    at_statements(17, &workload.database.server().socket(), |proxy, _| {
        let url = proxy.url(workload.database.name());
        let variables = [("ROLLFIT_STORE__URL", url.as_str()), ("ROLLFIT_RUN__ATTEMPTS", "1")];
        workload.run_with(&variables, &["run", "--quiet"]);
        workload.each_partition_is_old_or_new(&Contents::none(), &undisturbed.usual);
        workload.run(&["run", "--quiet"]).exits(0);
        workload.is_as_undisturbed();
        workload.forget();
    });
}

#[test]
fn an_import_whose_connection_is_cut_at_any_statement_writes_all_keys_or_none() {
    let undisturbed = ImportSandbox::new();
    let files = |target: &ImportSandbox| target.files(&["eurusd", "usdjpy"], &["2017-01"]);
    undisturbed.import(&[], &files(&undisturbed)).exits(0);
    let tables = |target: &ImportSandbox| ["eurusd", "usdjpy"].map(|key| target.tables(key));
    let wanted = tables(&undisturbed);
    at_statements(11, &undisturbed.database.server().socket(), |proxy, meant| {
        let target = ImportSandbox::new();
        let import = target.import_into(&proxy.url(target.database.name()), &[], &files(&target));
        target.wait_until_alone();
        assert!(target.has_no_tables() || tables(&target) == wanted, "{meant}: {import}");
        assert!(!import.status.success() || tables(&target) == wanted, "{meant}: {import}");
        target.import(&[], &files(&target)).exits(0);
        assert!(tables(&target) == wanted, "{meant}");
    });
}
