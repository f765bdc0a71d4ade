//! A server whose tables are on a small disk of their own, so that a test can fill it. The disk is mounted where only the
//! server sees it, and goes away with the server; catalogs and the log of changes are not on it.

use std::process::Command;

use crate::programs::{postgres_program, server_user};
use crate::server::{Server, Setup};
use crate::sql::Database;

/// Mounts the disk at `$0`, of `$1` megabytes for the user `$2` of the group `$3`, and becomes that user.
const MOUNT_AND_BECOME: &str = r#"mount -t tmpfs -o size="$1m,uid=$2,gid=$3,mode=0700" rollfit-test "$0" && user="$2" &&
    group="$3" && shift 3 && exec setpriv --reuid "$user" --regid "$group" --clear-groups "$@""#;

impl Server {
    /// One with a disk of so many megabytes, where the test may mount it; it is not to be stopped and started again.
    pub(crate) fn with_small_disk(megabytes: u32) -> Option<Self> {
        let setup = Setup::default().set("default_tablespace", "small").set("autovacuum", "off");
        let server = setup.make();
        if !server.start_with_disk(megabytes) {
            println!("skipped: mounting a small disk is not permitted here");
            return None;
        }
        let disk = server.data().with_file_name("disk");
        server.sql(&format!("create tablespace small location '{}'", disk.display()));
        Some(server)
    }

    fn start_with_disk(&self, megabytes: u32) -> bool {
        let Some((uid, gid)) = server_user() else { return false };
        let disk = self.data().with_file_name("disk");
        std::fs::create_dir(&disk).unwrap();
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", MOUNT_AND_BECOME]).arg(disk).current_dir("/");
        command.args([megabytes, uid, gid].map(|number| number.to_string()));
        command.arg(postgres_program("pg_ctl")).args(["start", "-w", "-D"]).arg(self.data());
        command.arg("-l").arg(self.log_file()).output().is_ok_and(|output| output.status.success())
    }
}

impl Database<'_> {
    /// Fills the disk. To drop the table `ballast` frees it.
    pub(crate) fn fill_disk(&self) {
        self.sql("create table ballast (bytes text); alter table ballast alter bytes set storage external");
        let mut client = self.connect();
        // An insert that fails keeps the pages it got, so that not one is left.
        while client.batch_execute("insert into ballast values (repeat('x', 1000000))").is_ok() {}
    }
}
