#!/usr/bin/env bash
# Everything that must hold, in one command: format, lints, licences, docs, tests. Needs Rust, the network and PostgreSQL's
# server programs, which it installs where it is root on a Debian, as it does Chromium; where python3 is, the features are also
# read with DuckDB and Polars, and compared with those of a numpy job. Tests that need ../shared or Chromium skip with a
# printed line where it is missing. Where python3 is not, nor is the Python package built and tested.
set -euo pipefail
cd "$(dirname "$0")"

# The checks of the Rust code link no Python and ask none about itself: they need none.
export PYO3_NO_PYTHON=1 PYO3_BUILD_EXTENSION_MODULE=1

step() { printf '\n== %s\n' "$*"; }

# PostgreSQL's server programs and pgbouncer, which the tests start by themselves: from Debian's packages where this is
# root, without a cluster or a service that runs afterwards.
has_postgres() {
    local directory
    for directory in "$(pg_config --bindir 2>/dev/null)" /usr/lib/postgresql/*/bin ${PATH//:/ }; do
        [ -x "$directory/initdb" ] && { [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null; } && return
    done
    return 1
}

get_postgres() {
    has_postgres && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "PostgreSQL's server programs are not installed: apt-get install postgresql-15 pgbouncer, or run ./test.sh as root" >&2
        exit 1
    fi
    local no_cluster=/etc/postgresql-common/createcluster.d/rollfit-test.conf no_services=/usr/sbin/policy-rc.d
    mkdir -p "${no_cluster%/*}"
    echo "create_main_cluster = false" >"$no_cluster"
    [ -e "$no_services" ] && no_services=
    [ -z "$no_services" ] || { printf '#!/bin/sh\nexit 101\n' >"$no_services" && chmod +x "$no_services"; }
    local installed=0
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        postgresql postgresql-client pgbouncer || installed=$?
    rm -f "$no_cluster" ${no_services:+"$no_services"}
    [ "$installed" = 0 ] && has_postgres
}

# A browser, in which the page of `rollfit analyze --html` is looked at: from Debian's packages where this is root.
get_chromium() {
    [ -n "${ROLLFIT_CHROMIUM:-}" ] && return
    command -v chromium chromium-browser google-chrome >/dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core || true
    fi
    command -v chromium >/dev/null || echo "skipped: there is no Chromium to be had here, and ROLLFIT_CHROMIUM names none"
}

step "PostgreSQL"
get_postgres

step "Chromium"
get_chromium

step "format"
cargo fmt --all --check

step "lints"
cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
cargo check --workspace --locked
# The fuzz targets are apart from the workspace, with a lock file of their own.
cargo metadata --locked --manifest-path fuzz/Cargo.toml --format-version 1 >/dev/null
# The kernel for NEON: compiled and linted, not run.
if rustup target add aarch64-unknown-linux-gnu; then
    cargo clippy -p rollfit --lib --target aarch64-unknown-linux-gnu --locked -- -D warnings
else
    echo "skipped: the kernel for NEON, whose target is not to be had here"
fi

# The library for the oldest Rust that it names, from its package.
cargo package -p rollfit --locked --no-verify --allow-dirty --quiet
oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' crates/rollfit/Cargo.toml)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' crates/rollfit/Cargo.toml)
if rustup run "$oldest" rustc --version 2>/dev/null || rustup toolchain install "$oldest" --profile minimal --no-self-update; then
    # Not below this directory, where it would pass for a part of the workspace.
    unpacked=$(mktemp -d)
    tar -xzf "target/package/rollfit-$version.crate" -C "$unpacked"
    CARGO_TARGET_DIR=$PWD/target/oldest cargo "+$oldest" check --lib --manifest-path "$unpacked/rollfit-$version/Cargo.toml"
    rm -rf "$unpacked"
else
    echo "skipped: Rust $oldest, the oldest for the library, is not to be had here"
fi

step "licences and sources of dependencies"
tools=$PWD/target/tools
if ! command -v cargo-deny >/dev/null && [ ! -x "$tools/bin/cargo-deny" ]; then
    cargo install cargo-deny --version 0.20.2 --locked --quiet --root "$tools"
fi
PATH="$PATH:$tools/bin" cargo deny --locked check licenses bans sources

step "readers"
found=0
crates/rollfit-python/environment.sh newest || found=$?
case $found in
0) export ROLLFIT_PYTHON=$PWD/target/python/newest/bin/python ;;
77) echo "skipped: tests with DuckDB, Polars, numpy and psycopg" ;;
*) exit 1 ;;
esac

step "tests"
cargo test --workspace --all-features --locked

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

step "Python package"
crates/rollfit-python/test.sh

step "all of it passed"
