#!/usr/bin/env bash
# The figures of docs/performance.md and docs/notes: ./bench.sh [kernel|rivals|fuzz|import|files|compression|workload|many|polyfit|python|engines|comparison|
# postgres|layouts|seconds_of_a_run|append|far|production|follow|sampling|causes|workers|eta|auto|machines|walkthrough]..., all by default.
# Needs the reference workload in ../shared/data/m1, or where ROLLFIT_SHARED points, python3 for all that compares, a C++ compiler
# for `fuzz`, a C compiler for `causes`, `workers`, `eta` and `auto`, PostgreSQL's server programs for these, `machines`, `postgres`, `layouts`, `append`,
# `far`, `production`, `follow` and `sampling`, and below ROLLFIT_BENCH_DIR (target/bench) 20 GB of free space for `workload`, `follow`,
# `workers`, `eta` and `auto`, 50 for `production`. ROLLFIT_BENCH_COMMAND is a rollfit to measure in place of the one that is built here.
# `comparison`, `causes`, `workers`, `eta`, `auto` and `machines` take options of their scripts from ROLLFIT_BENCH_ARGS, one of them at a time:
# ROLLFIT_BENCH_ARGS="--rounds 1 --json FILE". `files`, `workload` and `far` also measure an earlier rollfit: the command ROLLFIT_BENCH_BASE,
# or the revision ROLLFIT_BENCH_BASE_REV, which they build. Figures of one machine compare within one call only.
set -euo pipefail
cd "$(dirname "$0")"
shared=$(realpath "${ROLLFIT_SHARED:-../shared}")
dir=$(realpath -m "${ROLLFIT_BENCH_DIR:-target/bench}")
rollfit=$(realpath -m "${ROLLFIT_BENCH_COMMAND:-target/release/rollfit}")
# Records of these runs are no records of the user's.
export ROLLFIT_STATE_DIR=$dir/state
wanted=${*:-kernel rivals fuzz import files compression workload many polyfit python engines comparison postgres layouts seconds_of_a_run append far production follow sampling causes workers eta auto machines walkthrough}

heading() { printf '\n## %s\n\n' "$*"; }

machine() {
    heading "machine"
    echo "$(grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'), $(vectors)"
    echo "$(nproc) cores, $(awk '/MemTotal/ {printf "%.0f GB", $2 / 1e6}' /proc/meminfo), $(uname -sr), $(rustc --version)"
}

# The widest vectors that the kernel can use here.
vectors() {
    if grep -qm1 '^flags.* avx512f' /proc/cpuinfo; then echo AVX-512
    elif grep -qm1 '^flags.* avx2' /proc/cpuinfo; then echo AVX2
    else echo "neither AVX2 nor AVX-512"; fi
}

# Microbenchmarks of the fit kernel: medians as ns a fit (a value pushed, for the stream).
kernel() {
    heading "kernel (ns a fit, median)"
    cargo bench --quiet -p rollfit --bench fit -- --noplot 2>/dev/null | python3 -c '
import re, sys
name = None
for line in sys.stdin:
    found = re.match(r"^(\S.*?)\s+time:", line) or re.match(r"^((?:fits|growth|metrics|threads|stream)/\S.*)$", line)
    if found: name = found.group(1).strip()
    rate = re.search(r"thrpt:\s+\[\S+ \S+ (\S+) (\w)elem/s", line)
    if rate: print("%-44s %6.2f" % (name, 1e9 / (float(rate.group(1)) * {"K": 1e3, "M": 1e6, "G": 1e9}[rate.group(2)])))'
    echo
    cargo bench --quiet -p rollfit --bench metrics
}

# What Python has to offer, on the same series in the same call: speed and digits, as a table and a picture.
rivals() {
    heading "rivals (one thread each)"
    [ -d "$shared/data/m1" ] || { echo "there is no $shared/data/m1: set ROLLFIT_SHARED"; exit 1; }
    rivals_python
    cargo build --quiet --release -p rollfit --example columns
    NUMBA_NUM_THREADS=1 POLARS_MAX_THREADS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$python" -B benches/rivals/rivals.py \
        --closes "$shared/data/m1/pair=eurusd" --rollfit "${CARGO_TARGET_DIR:-target}/release/examples/columns" --picture docs/rivals.svg
}

# Sets `python` to one that has what the rivals need.
rivals_python() {
    local venv=$dir/rivals
    if ! cmp --silent benches/rivals/requirements.txt "$venv/requirements.txt"; then
        rm -rf "$venv" && python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --requirement benches/rivals/requirements.txt
        cp benches/rivals/requirements.txt "$venv"
    fi
    python=$venv/bin/python
}

# A HistData file of 194 MB into a Parquet store, beside a scan of the same two columns by Polars on two threads.
import() {
    heading "import of 3.6 million rows of text (medians of 9, by turns)"
    rivals_python
    mkdir -p "$dir"
    "$python" -B benches/import.py "$rollfit" "$dir"
}

# Searches for a series that breaks a promise, and for bytes of a stranger that a reader cannot take, so long each: executions,
# coverage and findings of each target. What is found stays in fuzz/artifacts.
fuzz() {
    local seconds=${ROLLFIT_FUZZ_SECONDS:-600} target limits log=$dir/fuzz.log found=0
    mkdir -p "$dir"
    command -v cargo-fuzz >/dev/null || [ -x target/tools/bin/cargo-fuzz ] ||
        cargo install cargo-fuzz --version 0.13.2 --locked --quiet --root target/tools
    cargo run --quiet -p rollfit-fuzz --example seeds -- fuzz/corpus
    for target in ${ROLLFIT_FUZZ_TARGETS:-$(sed -n 's/^name = "\(.*\)"/\1/p' fuzz/Cargo.toml | tail -n +2)}; do
        heading "fuzz $target ($seconds s)"
        limits="-timeout=3 -rss_limit_mb=2048 -max_len=65536"
        [ "$target" = any_bytes ] && limits="-max_len=4100 -len_control=0"
        # shellcheck disable=SC2086 # One word an option.
        PATH="$PATH:$PWD/target/tools/bin" cargo fuzz run --sanitizer none "$target" -- \
            -max_total_time="$seconds" $limits -print_final_stats=1 >"$log" 2>&1 || found=1
        grep -E '^(Done|stat::|thread|artifact|SUMMARY)|DONE|panicked' "$log" || tail -5 "$log"
    done
    return $found
}

import_workload() {
    [ -d "$shared/data/m1" ] || { echo "there is no $shared/data/m1: set ROLLFIT_SHARED"; exit 1; }
    mkdir -p "$dir"
    [ -d "$dir/fx/sources" ] || "$rollfit" import --quiet --format parquet --into "parquet:$dir/fx" "$shared"/data/m1/*/*.parquet >/dev/null
    sed -e "s#parquet:./fx#parquet:$dir/fx#" -e 's#^keys = .*#keys = "all"#' crates/rollfit-job/src/config/example.toml >"$dir/rollfit.toml"
}

seconds() { local start=$EPOCHREALTIME; "$@" >/dev/null; awk "BEGIN {printf \"%.2f\", $EPOCHREALTIME - $start}"; }

# Sets `floor` to the program that writes the bytes of a store and does nothing else.
build_floor() {
    cargo build --quiet --release -p rollfit-parquet --example floor
    floor=$(realpath "${CARGO_TARGET_DIR:-target}")/release/examples/floor
}

# Sets `base` to an earlier rollfit: the command ROLLFIT_BENCH_BASE, or one built from the revision ROLLFIT_BENCH_BASE_REV.
find_base() {
    base=${ROLLFIT_BENCH_BASE:-}
    if [ -z "$base" ] && [ -n "${ROLLFIT_BENCH_BASE_REV:-}" ]; then
        local revision below
        revision=$(git rev-parse --short "$ROLLFIT_BENCH_BASE_REV^{commit}")
        below=$dir/base
        base=$below/rollfit-$revision
        if [ ! -x "$base" ]; then
            rm -rf "$below/$revision" && git worktree prune
            git worktree add --quiet --force --detach "$below/$revision" "$revision"
            (cd "$below/$revision" && CARGO_TARGET_DIR=$below/target cargo build --release --quiet --locked)
            cp "$below/target/release/rollfit" "$base"
            git worktree remove --force "$below/$revision"
            rm -rf "$below/target"
        fi
    fi
    [ -n "$base" ] || echo "nothing from before is measured: neither ROLLFIT_BENCH_BASE nor ROLLFIT_BENCH_BASE_REV is set"
}

# An earlier rollfit, this one and the floor, by turns.
files() {
    heading "files: one month of every pair into a Parquet store, beside the floor (28 partitions a block, medians of 5)"
    import_workload
    build_floor
    find_base
    python3 -B benches/files.py "$rollfit" "$floor" "$dir" ${base:+"$base"}
}

# Each compression as a whole: written, and read by those for whom it is written.
compression() {
    heading "compression (28 partitions, medians of 3)"
    import_workload
    rivals_python
    "$python" -B benches/compression.py "$rollfit" "$dir"
}

# All 336 partitions, from import to verification.
workload() {
    heading "reference workload (28 pairs x 12 months)"
    mkdir -p "$dir"
    local free_gb=$(($(df --output=avail -B1 "$dir" | tail -1) / 1000000000))
    [ "$free_gb" -ge 20 ] || { echo "needs 20 GB free at $dir, there are $free_gb"; exit 1; }
    rm -rf "$dir/fx"
    echo "import: $(seconds import_workload) s"
    build_floor
    find_base
    python3 -B benches/workload.py "$rollfit" "$floor" "$dir" ${base:+"$base"}
    "$rollfit" run --quiet --config "$dir/rollfit.toml"
    echo "a further run: $(seconds "$rollfit" run --quiet --config "$dir/rollfit.toml") s"
    "$rollfit" verify --quiet --sample 100 --config "$dir/rollfit.toml"
    rm -rf "$dir/fx/features"
}

# One partition through a least-squares solve a row, the way the Python job does it.
polyfit() {
    heading "the same partition, one numpy.polyfit a row and window"
    import_workload
    rivals_python
    "$python" -B benches/polyfit.py "$dir/fx/sources" eurusd 2017-03
    rm -rf "$dir/fx/features"
    "$rollfit" run --quiet --config "$dir/rollfit.toml" --only eurusd:2017-03 --workers 1
    rm -rf "$dir/fx/features"
}

# rollfit from Python beside numba, Polars and its plugins, by turns in one process.
python() {
    heading "from Python (medians; a fit is one window at one row)"
    python_with_rollfit
    NUMBA_NUM_THREADS=1 POLARS_MAX_THREADS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 RAYON_NUM_THREADS=1 \
        "$python" -B benches/rivals/from_python.py --closes "$shared/data/m1"
}

# docs/many-machines.md: what a task of Ray and Dask costs.
engines() {
    heading "a task of Ray and of Dask that finds its partition done (medians)"
    python_with_rollfit
    "$python" -m pip install --quiet --disable-pip-version-check --requirement crates/rollfit-python/tests/requirements/engines.txt
    "$python" -B benches/engines.py
}

# docs/comparison.md: a numba script and rollfit given the same tasks.
comparison() {
    heading "a numba script and rollfit given the same tasks"
    python_with_rollfit
    # shellcheck disable=SC2086 # One word an option.
    "$python" benches/comparison/comparison.py --rollfit "$rollfit" --directory "$dir/comparison" --shared "$shared" ${ROLLFIT_BENCH_ARGS:-}
    rm -rf "$dir/comparison"
}

# Sets `python` to one that has the rivals and the wheel of this checkout.
python_with_rollfit() {
    rivals_python
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall ./crates/rollfit-python
}

# A throw-away server with the settings of production: wal_level=replica, fsync and synchronous_commit on.
start_server() {
    local settings=$*
    server=$dir/server
    local programs as=()
    programs=$(pg_config --bindir)
    stop_server
    rm -rf "$server" && mkdir -p "$server"
    if [ "$(id -u)" = 0 ]; then
        chown postgres "$server"
        as=(setpriv --reuid postgres --regid postgres --clear-groups)
    fi
    (
        cd "$server"
        "${as[@]}" "$programs/initdb" -D data -A trust -U postgres >/dev/null
        "${as[@]}" "$programs/pg_ctl" -D data -l log -w start >/dev/null \
            -o "-k $server -p 5499 -c listen_addresses= -c wal_level=replica -c shared_buffers=1GB -c max_wal_size=8GB $settings"
    )
    url="postgres://postgres@/postgres?host=$server&port=5499"
    trap stop_server EXIT
}

stop_server() {
    [ ! -f "${server:-/nonexistent}/data/postmaster.pid" ] || kill -QUIT "$(head -1 "$server/data/postmaster.pid")"
}

# Runs into PostgreSQL beside the least that the server itself takes, in blocks of 28 partitions.
postgres() {
    heading "PostgreSQL: rollfit beside the floor (two connections, medians over blocks of 28 partitions)"
    import_workload
    start_server
    ROLLFIT_BENCH_URL=$url ROLLFIT_BENCH_SOURCES=$dir/fx cargo bench --quiet -p rollfit-postgres --bench postgres
    stop_server
}

# A layout of fits beside one of metrics: loading, bytes, reading.
layouts() {
    heading "layouts: fits beside metrics (one connection)"
    import_workload
    start_server
    ROLLFIT_BENCH_URL=$url ROLLFIT_BENCH_SOURCES=$dir/fx cargo bench --quiet -p rollfit-postgres --bench layouts
    stop_server
}

# One bar added to a month of 30,000 rows, beside the plain INSERT of the same rows.
append() {
    heading "one bar added in PostgreSQL (30,000 rows x 2 x 91 NUMERIC)"
    start_server
    python3 benches/append.py "$rollfit" "$url"
    stop_server
}

# A server that is 50 ms away: this rollfit and an earlier one, by turns.
far() {
    heading "36 partitions in PostgreSQL, 50 ms away (medians of 3)"
    find_base
    start_server
    python3 benches/far.py "$url" "$rollfit" ${base:+"$base"}
    stop_server
    rm -rf "$server"
}

# A job that reads files and writes into the server that was started.
to_server() {
    sed -e 's/^\[store\]/[source]/' -e 's/^name = .*//' "$dir/rollfit.toml" >"$dir/stages.toml"
    printf '\n[sink]\nurl = "%s"\n' "$url" >>"$dir/stages.toml"
}

# Where each second of a run goes: what the server says of every statement, for one pair's 12 partitions on one worker.
seconds_of_a_run() {
    heading "where the time goes (12 partitions of eurusd from Parquet into PostgreSQL, one worker)"
    import_workload
    start_server -c log_min_duration_statement=0
    local took own TIMEFORMAT='%R %U %S'
    to_server
    own=$({ time "$rollfit" run --quiet --config "$dir/stages.toml" --only eurusd --workers 1 >/dev/null; } 2>&1)
    took=${own%% *}
    awk -v took="$took" -v own="$own" '
        /duration:/ {
            ms = $0; sub(/.*duration: /, "", ms); sub(/ ms.*/, "", ms)
            kind = "the rest"
            if ($0 ~ /COPY .* FROM STDIN/) kind = "COPY"
            else if ($0 ~ /ADD PRIMARY KEY/) kind = "primary key"
            else if ($0 ~ /ANALYZE/) kind = "ANALYZE"
            else if ($0 ~ /: COMMIT/) kind = "COMMIT"
            sum[kind] += ms / 1000; all += ms / 1000
        }
        END {
            for (kind in sum) printf "%-36s %6.2f s\n", kind, sum[kind]
            printf "%-36s %6.2f s\n", "between statements, and the start", took - all
            printf "%-36s %6.2f s\n", "all of it", took
            split(own, cpu, " ")
            printf "%-36s %6.2f s\n", "of which processor time of rollfit", cpu[2] + cpu[3]
        }' "$server/log"
    stop_server
}

# All 336 partitions from tables to tables of one server, from import to verification.
production() {
    heading "reference workload in PostgreSQL (28 pairs x 12 months, source and features in one server)"
    start_server
    echo "import: $(seconds "$rollfit" import --quiet --format parquet --into "$url" "$shared"/data/m1/*/*.parquet) s"
    # In a replacement `&` would be what was found.
    sed -e "s#parquet:./fx#${url//&/\\&}#" -e 's/^keys = .*/keys = "all"/' crates/rollfit-job/src/config/example.toml >"$dir/postgres.toml"
    "$rollfit" run --quiet --config "$dir/postgres.toml"
    echo "a further run: $(seconds "$rollfit" run --quiet --config "$dir/postgres.toml") s"
    "$rollfit" verify --quiet --quick --config "$dir/postgres.toml"
    stop_server
    rm -rf "$server"
}

# How long after a bar its features come, and what that costs: 28 keys whose closes are INSERTed, one server, two cores for all.
follow() {
    heading "following (28 keys, closes and features in one server)"
    [ -d "$shared/data/m1" ] || { echo "there is no $shared/data/m1: set ROLLFIT_SHARED"; exit 1; }
    [ -x "$dir/psycopg/bin/python" ] || { python3 -m venv "$dir/psycopg"; "$dir/psycopg/bin/pip" install --quiet "psycopg[binary]==3.3.9"; }
    start_server -c track_commit_timestamp=on
    "$rollfit" import --quiet --format parquet --into "$url" "$shared"/data/m1/*/2017-03.parquet >/dev/null
    "$dir/psycopg/bin/python" -B benches/follow.py "$rollfit" "$url" "$dir" "$(head -1 "$server/data/postmaster.pid")"
    stop_server
    rm -rf "$server"
}

# What it costs to watch a run: the processor time of the threads that are no workers, over that of the process.
sampling() {
    heading "what watching a run costs (goal 1 %)"
    import_workload
    echo "336 partitions into Parquet: $(python3 benches/watching.py "$rollfit" run --quiet --config "$dir/rollfit.toml")"
    rm -rf "$dir/fx/features"
    start_server
    to_server
    export ROLLFIT_PARTITIONS__TO=2017-03
    echo "84 partitions into PostgreSQL: $(python3 benches/watching.py "$rollfit" run --quiet --config "$dir/stages.toml")"
    unset ROLLFIT_PARTITIONS__TO
    stop_server
}

# One cause at a time: whether the analysis names it, and whether removing it brings what was told.
causes() { measured_by causes "causes: named, told and removed"; }

# 1 to 4 workers in several set-ups: what each number's analysis says of the others, beside what they gave.
workers() { measured_by predictions "predicted beside observed"; }

# When a run will end, told after a quarter of it.
eta() { measured_by eta "the end of 30 runs, told after a quarter"; }

# Workers that set themselves beside the best fixed number.
auto() { measured_by auto "workers = \"auto\" beside the best fixed number"; }

# Four runners beside one process, with and without shards; one killed half-way; the plan of a share of 100,000 partitions.
machines() { measured_by machines "several runners on one store"; }

# A script that makes stores, servers and conditions of its own.
measured_by() {
    heading "$2"
    import_workload
    # shellcheck disable=SC2086 # One word an option.
    ROLLFIT_SHARED=$shared python3 -B "benches/$1.py" "$rollfit" "$dir" ${ROLLFIT_BENCH_ARGS:-}
}

# The reference workload badly configured, what the analysis says of it, and the same after doing what it says.
walkthrough() {
    heading "docs/analyze.md: one worker and a limit of 20 MB/s, analyzed at 0 partitions and after 30 s, then continued as the analysis says"
    local run typed
    import_workload
    rm -rf "$dir/fx/features"
    sed -e 's/^workers .*/workers = 1\nstore_write_mb_per_s_max = 20/' "$dir/rollfit.toml" >"$dir/walkthrough.toml"
    "$rollfit" run --quiet --config "$dir/walkthrough.toml" &
    run=$!
    sleep 1.5
    analyzed start
    sleep 28.5
    analyzed middle
    # The command that it says, from the lines that it takes.
    typed=$(awk '/^now / {on = 1; sub(/^now +/, "")} on {more = sub(/ \\$/, ""); printf "%s ", $0; if (!more) exit}' "$dir/middle.txt")
    PATH=$(dirname "$rollfit"):$PATH bash -c "$typed"
    wait "$run" || true
    analyzed end
    rm -rf "$dir/fx/features"
}

# The analysis of the newest run of the walkthrough, as text and as a page.
analyzed() {
    heading "$1"
    "$rollfit" analyze --config "$dir/walkthrough.toml" | tee "$dir/$1.txt"
    "$rollfit" analyze --config "$dir/walkthrough.toml" --html "$dir/$1.html" >/dev/null
}

# Stores of many small partitions: what it costs to plan one key and all of them, to run and to run again; memory at 3,360
# partitions and at ten times as many.
many() {
    local keys months store
    for store in 280x12 2800x12 10000x2; do
        keys=${store%x*} months=${store#*x}
        heading "$keys keys x $months months of 20 rows"
        rm -rf "$dir/many" && mkdir -p "$dir/many"
        python3 benches/many.py "$keys" "$months" 20 >"$dir/many/bars.csv"
        "$rollfit" import --quiet --format csv --timezone UTC --key-column key --time-column time --close-column close \
            --into "parquet:$dir/many/fx" "$dir/many/bars.csv" >/dev/null
        sed -e "s#parquet:./fx#parquet:$dir/many/fx#" -e 's#^keys = .*#keys = "all"#' -e 's#^from = .*#from = "first"#' \
            -e 's#^to .*#to = "latest"#' crates/rollfit-job/src/config/example.toml >"$dir/many/rollfit.toml"
        for command in "run --quiet" "run --quiet" "plan --only k00007" plan; do
            # shellcheck disable=SC2086 # One word an option.
            echo "$command: $(python3 benches/usage.py "$rollfit" $command --config "$dir/many/rollfit.toml")"
        done
    done
    rm -rf "$dir/many"
}

machine
for part in $wanted; do
    case $part in kernel | rivals | fuzz) ;; *) [ -n "${ROLLFIT_BENCH_COMMAND:-}" ] || cargo build --release --quiet ;; esac
    "$part"
done
