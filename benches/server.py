"""A throw-away PostgreSQL server with the settings of production but for autovacuum, which can be started under conditions."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

# Autovacuum, which comes once a minute, would work for long runs and not for the short ones that they are compared with.
SETTINGS = "-c listen_addresses= -c wal_level=replica -c shared_buffers=1GB -c max_wal_size=8GB -c min_wal_size=8GB -c autovacuum=off"
# A server that has run for long uses the files of its log again. A new one makes each, and syncs it, while all that write wait: after the
# first gigabytes runs would take a third longer.
LOG_FILES = 512
PORT = 5499


class Server:
    """A server in a directory; it listens on a socket there alone."""

    def __init__(self, directory):
        self.directory = Path(directory).resolve()
        self.data = self.directory / "data"
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.programs = Path(subprocess.check_output(["pg_config", "--bindir"], text=True).strip())
        self.user = []
        if os.getuid() == 0:
            shutil.chown(self.directory, "postgres")
            self.user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
        self.command([], "initdb", "-D", self.data, "-A", "trust", "-U", "postgres")
        self.running = None

    @property
    def socket(self):
        return self.directory / f".s.PGSQL.{PORT}"

    @property
    def url(self):
        return f"postgres://postgres@/postgres?host={self.directory}&port={PORT}"

    def command(self, prefix, name, *arguments, **environment):
        command = [*prefix, *self.user, self.programs / name, *arguments]
        subprocess.run(command, check=True, cwd=self.directory, stdout=subprocess.DEVNULL, env=os.environ | environment)

    def start(self, prefix=(), environment=None):
        """Runs with this prefix and environment; a server that runs with others is started again."""
        wanted = (list(prefix), environment or {})
        if self.running == wanted:
            return
        self.stop()
        options = f"-k {self.directory} -p {PORT} {SETTINGS}"
        self.command(wanted[0], "pg_ctl", "-D", self.data, "-l", self.directory / "log", "-w", "start", "-o", options, **wanted[1])
        self.running = wanted

    def stop(self):
        self.running = None
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        pid = int(lock.read_text().split()[0])
        os.kill(pid, signal.SIGINT)
        for _ in range(1200):
            if not lock.exists():
                return
            time.sleep(0.1)
        raise SystemExit(f"the server {pid} in {self.directory} does not stop")

    def sql(self, statements):
        command = ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.url]
        return subprocess.run(command, input=statements, text=True, check=True, capture_output=True).stdout

    def settle(self):
        """Makes the files of the log that a server has that has run for long."""
        self.sql(f"""do $$ begin for number in 1..{LOG_FILES} loop
            perform pg_logical_emit_message(false, '', ''); perform pg_switch_wal();
        end loop; end $$; checkpoint""")

    def forget(self):
        """Drops all tables, and writes to disk what the server still holds of them, so that the next run does not wait for it."""
        self.sql("set client_min_messages = warning; drop schema public cascade; create schema public; checkpoint")
