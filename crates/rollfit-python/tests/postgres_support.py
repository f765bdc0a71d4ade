"""A PostgreSQL server for a test, from the programs that are installed: made in a second, ended with the tests whatever becomes of them."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

PASSWORD = "sesame-of-the-test"
# Ends the server when the tests' end of the pipe closes, also where they are killed.
WATCHED = '"$0" "$@" & server=$!; cat > /dev/null; kill -QUIT $server; wait $server'


def programs():
    """The directory of `initdb` and `postgres`; skips the test where there is none."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        told = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True).stdout.strip()
        if Path(told, "initdb").exists():
            return Path(told)
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not packaged:
        pytest.skip("no PostgreSQL server programs are installed (pg_config --bindir has no initdb)")
    return packaged[-1].parent


def server_user():
    """Who the server runs as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


@contextlib.contextmanager
def server():
    """Runs a server that asks for a password; gives the directory of its socket, which is its host."""
    psycopg = pytest.importorskip("psycopg")
    bin_dir, user = programs(), server_user()
    # Not pytest's own directory: a socket's path has at most 107 bytes, and another user has to get there.
    directory = Path(tempfile.mkdtemp(prefix="rollfit-pg-"))
    try:
        (directory / "password").write_text(PASSWORD)
        if user:
            for path in (directory, directory / "password"):
                os.chown(path, user["user"], user["group"])
        options = {"cwd": directory, "stdout": subprocess.DEVNULL, **user}
        make = [bin_dir / "initdb", "--username=postgres", "--auth=scram-sha-256", "--pwfile=password", "--encoding=UTF8", "--locale=C", "--no-sync", "-D", "data"]
        subprocess.run(make, check=True, **options)
        settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={directory}", "-c", "fsync=off"]
        serve = ["sh", "-c", WATCHED, bin_dir / "postgres", "-D", "data", *settings]
        with (directory / "log").open("w") as log:
            process = subprocess.Popen(serve, stdin=subprocess.PIPE, stderr=log, **options)
        try:
            wait_for(psycopg, directory, process)
            yield directory
        finally:
            process.stdin.close()
            process.wait(timeout=30)
    finally:
        shutil.rmtree(directory)


def wait_for(psycopg, directory, process):
    for _ in range(300):
        assert process.poll() is None, (directory / "log").read_text()
        with contextlib.suppress(psycopg.OperationalError):
            connect(directory).close()
            return
        time.sleep(0.05)
    raise AssertionError((directory / "log").read_text())


def connect(directory, database="postgres"):
    import psycopg

    return psycopg.connect(host=str(directory), user="postgres", password=PASSWORD, dbname=database, autocommit=True)
