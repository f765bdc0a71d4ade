#!/usr/bin/env bash
# Makes the environment target/python/NAME with exactly the packages of tests/requirements/NAME.txt; keeps one that is there until the
# list changes. Ends with code 77 and a line that says so where there is no python3 for it, or the packages cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."

list=crates/rollfit-python/tests/requirements/$1.txt
path=$PWD/target/python/$1
python=${PYTHON:-python3}

cmp -s "$list" "$path/packages.txt" && exit
if ! "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "there is no python3 3.11 or later with venv here"
    exit 77
fi
rm -rf "$path"
"$python" -m venv "$path"
# Python compiles what is imported, which is a small part.
if ! "$path/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps --requirement "$list"; then
    echo "the packages of $list cannot be installed here"
    exit 77
fi
cp "$list" "$path/packages.txt"
