//! The edges between the crates: which may depend on which, held against `cargo metadata`.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// The crates of ours that each crate may depend on.
const ALLOWED: [(&str, &[&str]); 7] = [
    ("rollfit", &[]),
    ("rollfit-job", &["rollfit"]),
    ("rollfit-files", &[]),
    ("rollfit-bars", &["rollfit-files", "rollfit-job"]),
    ("rollfit-parquet", &["rollfit-files", "rollfit-job"]),
    ("rollfit-postgres", &["rollfit-job"]),
    (
        "rollfit-cli",
        &["rollfit", "rollfit-bars", "rollfit-files", "rollfit-job", "rollfit-parquet", "rollfit-postgres"],
    ),
];

fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    metadata.packages
}

/// What a crate needs to be built, optional or not; not what its tests need.
fn needs(package: &Package) -> BTreeSet<&str> {
    let needed = package.dependencies.iter().filter(|needed| needed.kind != DependencyKind::Development);
    needed.map(|needed| needed.name.as_str()).collect()
}

#[test]
fn crates_of_ours_depend_on_each_other_only_as_allowed() {
    let packages = packages();
    for (name, allowed) in ALLOWED {
        let package = packages.iter().find(|package| package.name.as_str() == name).unwrap();
        let ours: Vec<&str> = needs(package).into_iter().filter(|need| need.starts_with("rollfit")).collect();
        assert!(ours.iter().all(|need| allowed.contains(need)), "{name} depends on {ours:?}");
    }
    let known: BTreeSet<&str> = ALLOWED.map(|(name, _)| name).into();
    let found: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(found, known, "a new crate needs its edges written down here");
}

#[test]
fn the_mathematics_depends_on_nothing() {
    let packages = packages();
    let rollfit = packages.iter().find(|package| package.name.as_str() == "rollfit").unwrap();
    assert_eq!(needs(rollfit), BTreeSet::new());
}

#[test]
fn the_job_knows_no_store() {
    let packages = packages();
    let job = packages.iter().find(|package| package.name.as_str() == "rollfit-job").unwrap();
    let stores = ["parquet", "arrow-array", "arrow-schema", "tokio", "tokio-postgres"];
    let needed = needs(job);
    assert!(stores.iter().all(|store| !needed.contains(store)), "{needed:?}");
}
