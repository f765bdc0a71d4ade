#!/usr/bin/env bash
# The Python package as its users get it: the sdist, and the wheel that is made of it, each installed into an environment, tested, and
# held against the stubs. Needs Rust, the network and python3 3.11 or later; skips with a printed line without python3.
# PROFILE=release makes what is released; the development profile is tested otherwise, which shares what `cargo test` has compiled.
# With arguments: neither sdist nor wheel, but the module built in place, and pytest with these arguments.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "$0")/../.."

here=crates/rollfit-python
made=$PWD/target/python
newest=$made/newest/bin
oldest=$made/oldest/bin
profile=${PROFILE:-dev}
started=$SECONDS
export CARGO_TARGET_DIR=$PWD/target PYO3_NO_PYTHON=1
# The sdist is no checkout: what is released is told the commit. Else each commit would be compiled anew.
if [ "$profile" = release ]; then
    ROLLFIT_BUILD_COMMIT=${ROLLFIT_BUILD_COMMIT:-$(git describe --always --exclude='*' --abbrev=12 --dirty=+changes 2>/dev/null || true)}
    export ROLLFIT_BUILD_COMMIT
fi

step() { printf '\n-- %s (after %d s)\n' "$*" $((SECONDS - started)); }
pip() { "$1/pip" --quiet --disable-pip-version-check "${@:2}"; }
pytest() { "$1/python" -m pytest -c $here/pyproject.toml --rootdir $here "${@:2}"; }

# Makes a directory like another one. Files that have not changed keep their time, and with it what was compiled of them.
update() {
    local from=$1 to=$2 file
    mkdir -p "$to"
    (cd "$to" && find . -type f) | while IFS= read -r file; do [ -e "$from/$file" ] || rm "$to/$file"; done
    (cd "$from" && find . -type f) | while IFS= read -r file; do
        cmp -s "$from/$file" "$to/$file" || install -D -m 644 "$from/$file" "$to/$file"
    done
}

# Cargo takes packages that have the same place in their workspace for the same: after the sdist's were compiled, changes of the checkout's
# would not be seen.
forget_sdist() { rm -rf target/{debug,release}/.fingerprint/{rollfit,libpq-connect}*; }

step "environments, with the newest and the oldest Polars"
$here/environment.sh newest || {
    [ $? = 77 ] || exit 1
    echo "skipped: the Python package"
    exit
}
export PATH=$newest:$PATH

step "Ray, Dask and numba, for the tests that need them"
engines=$here/tests/requirements/engines.txt
if ! cmp -s $engines "$made/newest/engines.txt"; then
    if pip "$newest" install --no-compile --no-deps --requirement $engines; then
        cp $engines "$made/newest/engines.txt"
    else
        echo "skipped: tests on Ray and Dask, and with numba, which cannot be installed here"
    fi
fi

# For those who work on it.
if [ $# -gt 0 ]; then
    cd $here
    VIRTUAL_ENV=$made/newest maturin develop --quiet
    exec "$newest/python" -m pytest "$@"
fi
$here/environment.sh oldest

step "sdist"
rm -rf "$made/dist" "$made/unpacked"
maturin sdist --manifest-path $here/Cargo.toml --out "$made/dist" >"$made/sdist.log" 2>&1 || { cat "$made/sdist.log"; exit 1; }
ROLLFIT_SDIST=$(echo "$made"/dist/rollfit-*.tar.gz)
mkdir -p "$made/unpacked"
tar -xzf "$ROLLFIT_SDIST" -C "$made/unpacked" --strip-components 1
update "$made/unpacked" "$made/source"
rm -rf "$made/unpacked"

step "wheel, made of the sdist"
trap forget_sdist EXIT
(cd "$made/source" && maturin build --profile "$profile" --quiet --out "$made/dist")
ROLLFIT_WHEEL=$(echo "$made"/dist/rollfit-*.whl)
export ROLLFIT_WHEEL ROLLFIT_SDIST
ls -l "$ROLLFIT_SDIST" "$ROLLFIT_WHEEL"

step "the wheel alone, where no other package is installed and no Rust is found"
rm -rf "$made/alone"
"$newest/python" -m venv --without-pip "$made/alone"
pip "$newest" --python "$made/alone/bin/python" install --no-index "$ROLLFIT_WHEEL"
env -i "$made/alone/bin/rollfit" --version
env -i "$made/alone/bin/python" -c 'import rollfit; print("rollfit", rollfit.__version__, "is imported")'

step "the wheel with the newest Polars: all tests, and the stubs"
pip "$newest" install --force-reinstall --no-deps --no-index "$ROLLFIT_WHEEL"
pytest "$newest" $here/tests --durations 25
"$newest/python" -m mypy.stubtest rollfit --mypy-config-file $here/pyproject.toml --allowlist $here/tests/stubtest-allowlist.txt

step "the sdist, built by pip, with the oldest Polars"
PATH=$oldest:$PATH MATURIN_PEP517_ARGS="--profile $profile" pip "$oldest" install --force-reinstall --no-deps --no-build-isolation --no-index "$made/source"
pytest "$oldest" $here/tests/test_package.py $here/tests/test_polars*.py

step "done"
