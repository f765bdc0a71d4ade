//! What is adopted: rows of an earlier definition that agree get a receipt of this one; all others stay as they were.

use std::sync::Arc;

use rollfit_job::adopt::{Adoption, adopt};
use rollfit_job::check::CheckOutcome;
use rollfit_job::panel::Panel;
use rollfit_job::partition::Partition;
use rollfit_job::plan::assess;
use rollfit_job::receipt::{DEFINITION_VERSION, Receipt};
use rollfit_job::run::RunOptions;
use rollfit_job::state::{EarlierDefinition, State};
use rollfit_job::store::{FeatureTile, Grouping, StoreError};
use rollfit_job::verify::{Depth, Verified, verify};
use rollfit_testkit::market::{config, partition};
use rollfit_testkit::memory::StoredPartition;

use crate::bench::{Bench, MONTHS, outcomes};

/// The input digest of definition 2, as docs/format.md describes it.
fn digest_of_definition_2(panel: &Panel) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut words = |words: &mut dyn Iterator<Item = u64>| {
        for word in words {
            hasher.update(&word.to_le_bytes());
        }
    };
    words(&mut [panel.lookback_rows as u64, panel.instants_us.len() as u64].into_iter());
    words(&mut panel.instants_us.iter().map(|instant| instant.cast_unsigned()));
    for column in &panel.columns {
        words(&mut std::iter::once(column.len() as u64));
        words(&mut column.iter().map(|value| value.to_bits()));
    }
    hasher.finalize().to_hex().to_string()
}

/// A partition that definition 2 wrote, and what a run of now makes of it.
struct Earlier {
    bench: Bench,
    partition: Partition,
    of_run: StoredPartition,
}

impl Earlier {
    fn new(values: &[(&str, &str)], grouping: Grouping) -> Self {
        let mut bench = Bench::new(values, &["a"], &MONTHS[..2], 500);
        bench.source.table("m1_a").values[700] = f64::NAN;
        bench.source.retain("bqx_a", |row| row != 900);
        bench.sink.grouping = Some(grouping);
        bench.run();
        let partition = partition("a", MONTHS[1]);
        bench.config = config(&[values, &[("PARTITIONS__FROM", MONTHS[1])]].concat());
        let of_run = bench.sink.stored(&partition);
        let earlier = Self { bench, partition, of_run };
        let panel = Panel::read(&earlier.bench.source, &earlier.bench.config, &earlier.partition).unwrap();
        earlier.change(|stored| {
            Arc::make_mut(&mut stored.receipt.definition).version = 2;
            stored.receipt.input.digest = digest_of_definition_2(&panel);
        });
        earlier
    }

    fn stored(&self) -> StoredPartition {
        self.bench.sink.stored(&self.partition)
    }

    fn change(&self, change: impl FnOnce(&mut StoredPartition)) {
        let mut all = self.bench.sink.stored.lock().unwrap();
        change(all.get_mut("a/2017-02").unwrap());
    }

    /// Moves a stored value that is not 0 to the next double, or by more; returns what the receipt has to say then.
    fn nudge(&self, ulps: u64) -> String {
        let mut checksum = String::new();
        self.change(|stored| {
            stored.rows[123][1] += ulps;
            let columns = 0..stored.rows[0].len();
            let values =
                columns.flat_map(|column| stored.rows.iter().map(move |row| f64::from_bits(row[column])));
            let values: Vec<f64> = values.collect();
            let mut sum = rollfit_job::features::Checksum::new(stored.rows[0].len());
            sum.add(0, FeatureTile { instants_us: &stored.instants_us, first_column: 0, values: &values });
            checksum = sum.to_string();
        });
        checksum
    }

    fn adopt(&self) -> CheckOutcome<Adoption> {
        let partitions = self.bench.partitions();
        adopt(&self.bench.job(), &partitions, &self.bench.stop, &|_, _| ()).remove(0)
    }

    /// Adopts, and checks that nothing changes.
    #[track_caller]
    fn is_not_adopted(&self) -> String {
        let before = self.stored();
        let why = match self.adopt() {
            CheckOutcome::Checked(Adoption::NotAdopted(why)) => why,
            CheckOutcome::Checked(Adoption::Differs(differences)) => {
                format!("differs: {}", differences.join("; "))
            }
            CheckOutcome::Failed(error) => format!("failed: {error}"),
            CheckOutcome::Newer(what) => what,
            other => panic!("{other:?}"),
        };
        assert!(self.stored() == before, "{why}");
        why
    }

    #[track_caller]
    fn is_moved(&self) -> Receipt {
        let before = self.stored();
        let outcome = self.adopt();
        assert!(matches!(outcome, CheckOutcome::Checked(Adoption::Moved { rows: 499 })), "{outcome:?}");
        let StoredPartition { receipt, instants_us, rows } = self.stored();
        assert!(instants_us == before.instants_us && rows == before.rows, "the rows stay as they are");
        assert_eq!(outcomes(&self.bench.run()), ["already done"]);
        assert!(matches!(self.adopt(), CheckOutcome::Checked(Adoption::AlreadyOurs)));
        receipt
    }
}

fn earlier() -> Earlier {
    Earlier::new(&[], Grouping::Together)
}

#[test]
fn rows_of_the_same_bits_get_the_receipt_of_a_run() {
    for boundary in ["reset", "carry"] {
        for grouping in [Grouping::Together, Grouping::Apart] {
            let earlier = Earlier::new(&[("RUN__BOUNDARY", boundary)], grouping);
            assert_eq!(outcomes(&earlier.bench.run()), ["left alone: definition-changed"]);
            assert_eq!(earlier.is_moved(), earlier.of_run.receipt);
        }
    }
}

#[test]
fn rows_that_agree_without_the_same_bits_are_adopted() {
    let earlier = earlier();
    let checksum = earlier.nudge(1);
    earlier.change(|stored| stored.receipt.stored.checksum = checksum.clone());
    let receipt = earlier.is_moved();
    assert!(receipt.stored.adopted && receipt.stored.checksum == checksum);
    assert_eq!(receipt.input, earlier.of_run.receipt.input);
    assert_eq!(receipt.stored.no_value, earlier.of_run.receipt.stored.no_value);
    // Bits that are not the kernel's are not counted as compared with it.
    let cells = 499 * receipt.definition.series.iter().map(|series| series.columns.len() as u64).sum::<u64>();
    let counts = |depth| {
        let verified = verify_one(&earlier, depth);
        assert_eq!((verified.rows, verified.difference), (499, None));
        (verified.cells, verified.adopted_cells, verified.reference_cells)
    };
    assert_eq!(counts(Depth::Full), (0, cells, 0));
    assert_eq!(counts(Depth::Sampled(3)), (0, cells, 0));
    assert_eq!(counts(Depth::Quick), (cells, 0, 0));
    earlier
        .bench
        .run_with(&RunOptions { force: true, ..RunOptions::default() }, &crate::bench::Record::default());
    assert_eq!(counts(Depth::Full), (cells, 0, cells));
}

fn verify_one(earlier: &Earlier, depth: Depth) -> Verified {
    let partitions = earlier.bench.partitions();
    let outcome = verify(&earlier.bench.job(), &partitions, depth, &earlier.bench.stop, &|_, _| ()).remove(0);
    let CheckOutcome::Checked(verified) = outcome else { panic!("{outcome:?}") };
    verified
}

#[test]
fn rows_that_differ_or_are_not_those_of_their_receipt_are_not_adopted() {
    let outside = earlier();
    let checksum = outside.nudge(1 << 40);
    outside.change(|stored| stored.receipt.stored.checksum = checksum);
    let why = outside.is_not_adopted();
    assert!(why.starts_with("differs: a1_idx_w5") || why.starts_with("differs: r2_idx_w5"), "{why}");

    let changed_since = earlier();
    changed_since.nudge(1);
    let why = changed_since.is_not_adopted();
    assert!(why.contains("the receipt says"), "{why}");
    // Within the bounds, and its receipt has never had these bits.
    let unlike = earlier();
    unlike.nudge(1);
    unlike.change(|stored| stored.receipt.stored.checksum = "0".repeat(16));
    assert!(unlike.is_not_adopted().contains("the receipt says 0000000000000000"));

    let shortened = earlier();
    shortened.change(|stored| {
        stored.rows.pop();
        stored.instants_us.pop();
    });
    assert!(shortened.is_not_adopted().contains("498 rows are stored, the receipt says 499"));
}

#[test]
fn rows_of_another_input_are_not_adopted_whatever_they_are() {
    let changes: [fn(&mut Bench); 3] = [
        |bench| bench.source.table("m1_a").values[600] += 1.0,
        // So little that every feature would still be within its bound.
        |bench| bench.source.table("m1_a").values[600] += 1e-13,
        |bench| bench.source.retain("bqx_a", |row| row != 950),
    ];
    for change in changes {
        let mut earlier = earlier();
        change(&mut earlier.bench);
        let why = earlier.is_not_adopted();
        assert_eq!(
            why,
            "the source has changed since the features were stored; `rollfit run --replace definition-changed --only \
             a:2017-02` rewrites the partition"
        );
        assert_eq!(outcomes(&earlier.bench.run()), ["left alone: definition-changed"]);
        rewrites(&earlier, &[State::DefinitionChanged]);
    }
    // What has lost rows is replaced only when told both, and what is empty never.
    let mut shrunk = earlier();
    shrunk.bench.source.retain("bqx_a", |row| row < 600);
    assert_eq!(
        shrunk.is_not_adopted(),
        "the source has changed since the features were stored; `rollfit run --replace shrunk --replace \
         definition-changed --only a:2017-02` rewrites the partition"
    );
    rewrites(&shrunk, &[State::Shrunk, State::DefinitionChanged]);
    let mut empty = earlier();
    empty.bench.source.retain("bqx_a", |row| row < 500);
    assert_eq!(
        empty.is_not_adopted(),
        "the source has changed since the features were stored; it is empty now: `rollfit drop a:2017-02` removes them"
    );
    let mut elsewhere = earlier();
    elsewhere.bench.source.table("m1_a").values[3] += 1.0;
    elsewhere.is_moved();
    // A row that no feature is computed from.
    let mut unjoined = earlier();
    unjoined.bench.source.retain("m1_a", |row| row != 900);
    unjoined.is_moved();
}

/// Checks that a run that is told to replace these states writes the partition.
#[track_caller]
fn rewrites(earlier: &Earlier, replace: &[State]) {
    let options = RunOptions { replace: replace.to_vec(), ..RunOptions::default() };
    let written = earlier.bench.run_with(&options, &crate::bench::Record::default());
    assert_eq!(earlier.stored().receipt.definition.version, DEFINITION_VERSION, "{:?}", outcomes(&written));
}

#[test]
fn rows_of_another_definition_are_not_adopted() {
    let earlier = earlier();
    let other = |earlier: &mut Earlier, value: (&str, &str)| {
        earlier.bench.config = config(&[("PARTITIONS__FROM", MONTHS[1]), value]);
    };
    let mut carry = earlier;
    other(&mut carry, ("RUN__BOUNDARY", "carry"));
    let why = carry.is_not_adopted();
    assert!(why.starts_with("definition version 2 became 3, and boundary reset became carry; "), "{why}");
    carry.change(|stored| Arc::make_mut(&mut stored.receipt.definition).version = DEFINITION_VERSION);
    let why = carry.is_not_adopted();
    assert!(
        why.starts_with(
            "boundary reset became carry; `rollfit run --replace definition-changed --only a:2017-02`"
        ),
        "{why}"
    );
}

#[test]
fn what_a_later_version_wrote_is_not_adopted() {
    let earlier = earlier();
    earlier.bench.sink.newer.lock().unwrap().push("a/2017-02".to_owned());
    assert!(earlier.is_not_adopted().contains("a later version"));
    let all = RunOptions { replace: State::ALL.to_vec(), force: true, ..RunOptions::default() };
    let before = earlier.stored();
    let report = earlier.bench.run_with(&all, &crate::bench::Record::default());
    assert_eq!(outcomes(&report), ["left alone: newer"]);
    assert!(earlier.stored() == before);
}

#[test]
fn a_partition_that_is_held_or_changes_or_cannot_be_committed_stays_as_it_is() {
    let mut earlier = earlier();
    earlier.bench.sink.held.lock().unwrap().insert("a/2017-02".to_owned(), 1);
    assert!(matches!(earlier.adopt(), CheckOutcome::Checked(Adoption::Held(_))));
    *earlier.bench.sink.meanwhile.lock().unwrap() = Some(earlier.of_run.clone());
    assert!(matches!(earlier.adopt(), CheckOutcome::Checked(Adoption::AlreadyOurs)));
    assert!(earlier.stored() == earlier.of_run);
    earlier.change(|stored| Arc::make_mut(&mut stored.receipt.definition).version = 2);
    earlier.bench.sink.commit_fault = Some(Box::new(|_| Err(StoreError::permanent("no space"))));
    assert_eq!(earlier.is_not_adopted(), "failed: no space");
}

#[test]
fn the_plan_tells_what_can_be_adopted_from_what_has_to_be_written_again() {
    let mut earlier = earlier();
    let planned = |earlier: &Earlier| {
        let planned = assess(&earlier.bench.job(), &earlier.bench.partitions()).remove(0);
        assert_eq!(planned.state, Some(State::DefinitionChanged));
        (planned.cause, planned.earlier)
    };
    let moved = EarlierDefinition { version: 2, rows: 499 };
    let new = "definition version 2 became 3";
    assert_eq!(planned(&earlier), (new.to_owned(), Some(moved)));
    // Of another source nothing can be adopted.
    earlier.bench.source.table("m1_a").values[600] += 1.0;
    assert_eq!(planned(&earlier), (format!("{new}; and the source has changed"), None));
    earlier.bench.source.table("m1_a").values[600] -= 1.0;
    assert_eq!(planned(&earlier).1, Some(moved));
    earlier.bench.config = config(&[("PARTITIONS__FROM", MONTHS[1]), ("RUN__BOUNDARY", "carry")]);
    assert_eq!(planned(&earlier), (format!("{new}, and boundary reset became carry"), None));
}
