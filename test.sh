#!/usr/bin/env bash
# Everything that must hold, in one command: format, lints, licences, docs, tests. Needs Rust and the network; where
# python3 is, the features are also read with DuckDB and Polars. Tests that need ../shared skip with a printed line
# where it is missing.
set -euo pipefail
cd "$(dirname "$0")"

step() { printf '\n== %s\n' "$*"; }

step "format"
cargo fmt --all --check

step "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings

step "licences and sources of dependencies"
tools=$PWD/target/tools
if ! command -v cargo-deny >/dev/null && [ ! -x "$tools/bin/cargo-deny" ]; then
    cargo install cargo-deny --version 0.20.2 --locked --quiet --root "$tools"
fi
PATH="$PATH:$tools/bin" cargo deny --locked check licenses bans sources

step "readers"
venv=$PWD/target/readers
if [ ! -x "$venv/bin/python" ] && command -v python3 >/dev/null; then
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet duckdb==2.0.0 polars==2.1.0 || rm -rf "$venv"
fi
if [ -x "$venv/bin/python" ]; then
    export ROLLFIT_PYTHON=$venv/bin/python
else
    echo "skipped: python3 with DuckDB and Polars is not to be had here"
fi

step "tests"
cargo test --workspace --locked

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

step "all of it passed"
