//! Standbys: servers that follow another by streaming, read-only until they are promoted.

use std::time::{Duration, Instant};

use crate::programs::{as_server_user, finish, postgres_program};
use crate::server::Server;
use crate::sql::connect;

/// How long a standby may need to follow on a busy machine before a test gives it up.
const PATIENCE: Duration = Duration::from_secs(60);

impl Server {
    /// A standby of this server, running.
    pub(crate) fn standby(&self) -> Self {
        let standby = Self::unmade();
        let mut command = as_server_user(postgres_program("pg_basebackup"));
        command.args(["--checkpoint=fast", "--no-sync", "--write-recovery-conf", "--username=postgres"]);
        command.args(["--host", &self.host(), "--port", &self.port().to_string()]);
        finish(command.arg("--pgdata").arg(standby.data()));
        standby.configure(&[]);
        standby.start_again();
        standby
    }

    /// Waits until this standby has all that its primary has written so far.
    pub(crate) fn catches_up_with(&self, primary: &Self) {
        let query = "select pg_current_wal_insert_lsn()::text";
        let written: String = connect(&primary.url("postgres")).query_one(query, &[]).unwrap().get(0);
        let mut client = connect(&self.url("postgres"));
        let query = format!("select pg_last_wal_replay_lsn() >= '{written}'");
        let started = Instant::now();
        while !client.query_one(&query, &[]).unwrap().get::<_, bool>(0) {
            assert!(started.elapsed() < PATIENCE, "the standby is still behind {written}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Makes this standby a primary, as a failover does; returns when it can be written.
    pub(crate) fn promote(&self) {
        self.control(&["promote"]);
    }

    /// The way to whichever of two servers suits: this one is asked first.
    pub(crate) fn url_before(&self, next: &Self, database: &str) -> String {
        let address = |server: &Self| format!("{}:{}", server.host().replace('/', "%2F"), server.port());
        format!("postgres://postgres@{},{}/{database}", address(self), address(next))
    }
}
