//! Simulated runs: each is played once, for all tests that ask for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use rollfit_job::config::Workers;
use rollfit_testkit::simulation::{Simulated, World, simulate};

type Played = Arc<OnceLock<Simulated>>;

static PLAYED: Mutex<Option<HashMap<String, Played>>> = Mutex::new(None);

/// What a world does with this number of workers, and hands to `look`.
pub(super) fn played<T>(world: &World, workers: Workers, look: impl FnOnce(&Simulated) -> T) -> T {
    let key = format!("{workers} {world:?}");
    let run = PLAYED.lock().unwrap().get_or_insert_default().entry(key).or_default().clone();
    look(run.get_or_init(|| simulate(world, workers)))
}
