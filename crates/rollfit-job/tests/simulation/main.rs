//! Runs on a simulated machine and store with a virtual clock: nothing sleeps, and the same seed gives the same run. What
//! decides the number of workers is the real policy, and what comes out is a record as a real run writes it.

#![allow(clippy::unwrap_used)] // A failed helper fails its test.
#![allow(clippy::print_stderr)] // Tables, for who asks for them with --nocapture.

mod fleet;
mod golden;
mod growth;
mod policy;

#[cfg(test)]
mod tests {
    use rollfit_job::config::Workers;
    use rollfit_testkit::simulation::{World, simulate};

    #[test]
    fn cores_that_are_busy_all_the_time_take_as_long_as_the_work_divided_by_them() {
        let world = World::default();
        let rows: u64 = world.rows().iter().map(|(_, rows)| rows).sum();
        let core_s = rows as f64 * 33e-6;
        let took = |workers| simulate(&world, Workers::Fixed(workers)).took_s;
        assert!(took(1) > core_s && took(1) < core_s * 1.12, "{} {core_s}", took(1));
        assert!(took(24) > core_s / 8.0 && took(24) < core_s / 8.0 * 1.02, "{} {core_s}", took(24));
    }

    #[test]
    fn the_same_seed_gives_the_same_record() {
        let run = || simulate(&World::default(), Workers::Auto).record;
        assert!(run() == run());
    }
}
