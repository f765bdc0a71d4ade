//! docs/live.md, followed to the letter from a server without a database: its files are written, its commands typed, and the
//! features of the bars that its feed inserts are read by its script.

use std::os::unix::fs::symlink;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::programs::postgres_program;
use crate::sandbox::{ROLLFIT, Sandbox};
use crate::server::Server;
use crate::sql::connect;

const LIVE: &str = include_str!("../../../../docs/live.md");

/// A block of code of a document.
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
}

pub(crate) fn blocks(document: &str) -> Vec<Block> {
    let parts = document.split("\n```").skip(1).step_by(2);
    parts
        .map(|part| part.split_once('\n').unwrap())
        .map(|(language, text)| Block { language: language.to_owned(), text: format!("{text}\n") })
        .collect()
}

impl Block {
    /// The file that it is, where a comment in its first lines names one.
    fn file(&self) -> Option<&str> {
        let comments = self.text.lines().take(2).filter_map(|line| {
            line.strip_prefix("-- ").or(line.strip_prefix("# ")).filter(|name| name.contains('.'))
        });
        comments.into_iter().find(|name| !name.contains(' '))
    }

    /// The commands that are to be typed.
    fn commands(&self) -> Vec<&str> {
        if self.language == "sh" && self.file().is_none() { self.text.lines().collect() } else { Vec::new() }
    }
}

/// Who types, and where.
struct Reader<'server> {
    sandbox: Sandbox,
    server: &'server Server,
    /// What does not end by itself.
    running: Vec<Child>,
}

impl Reader<'_> {
    fn command(&self, line: &str) -> Command {
        let mut command = self.sandbox.in_clean_environment("sh");
        let programs = postgres_program("psql").parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        command.args(["-c", &format!("exec {line}")]);
        command.env("PATH", format!("{}:{programs}:{path}", self.sandbox.dir().display()));
        command.env("PGHOST", self.server.host()).env("PGPORT", self.server.port().to_string());
        command.env("PGUSER", "postgres");
        command
    }

    #[track_caller]
    fn types(&mut self, line: &str) {
        if line.starts_with("sh feed.sh") || line.contains("--follow") {
            let child = self.command(line).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            self.running.push(child.unwrap());
            return self.waits_for_the_first_run();
        }
        let output: Output = self.command(line).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{line}: {}\n{said}", output.status);
        if line.starts_with("sh read.sh") {
            self.reads_what_comes(line);
        }
    }

    /// Waits until the follower has done what there was when it started: the two keys.
    #[track_caller]
    fn waits_for_the_first_run(&self) {
        let (mut client, started) = (connect(&self.server.url("fx")), Instant::now());
        let query = "select count(*) = 2 from rollfit_receipts";
        while !client.query_one(query, &[]).is_ok_and(|row| row.get(0)) {
            assert!(started.elapsed() < Duration::from_secs(60), "the first run does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Reads again and again, until the features of a bar are there that has come meanwhile.
    #[track_caller]
    fn reads_what_comes(&self, line: &str) {
        let mut client = connect(&self.server.url("fx"));
        let query = "select to_char(max(time) + interval '1 minute', 'YYYY-MM-DD HH24:MI') from m1_eurusd";
        let next: String = client.query_one(query, &[]).unwrap().get(0);
        let started = Instant::now();
        loop {
            let output = self.command(line).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if said.contains(&next) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "no features of {next}:\n{said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Has systemd check the unit, where it is to be had.
fn check_unit(sandbox: &Sandbox) {
    let unit = std::fs::read_to_string(sandbox.path("rollfit.service")).unwrap();
    let installed = "/usr/local/bin/rollfit";
    assert!(unit.contains(installed));
    let unit = sandbox.write("unit/rollfit.service", unit.replace(installed, ROLLFIT));
    match Command::new("systemd-analyze").arg("verify").arg(unit).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!said.contains("rollfit.service:"), "{said}");
        }
        Err(_) => println!("skipped: systemd-analyze is not to be had here"),
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn live_md_leads_from_an_empty_database_to_features_of_bars_that_come() {
    let (server, sandbox) = (Server::start(), Sandbox::new());
    symlink(ROLLFIT, sandbox.path("rollfit")).unwrap();
    let blocks = blocks(LIVE);
    for (name, block) in blocks.iter().filter_map(|block| Some((block.file()?, block))) {
        sandbox.write(name, &block.text);
    }
    for name in ["tables.sql", "rollfit.toml", "feed.sh", "read.sh", "rollfit.service"] {
        assert!(sandbox.path(name).exists(), "docs/live.md has {name}");
    }
    check_unit(&sandbox);
    let mut reader = Reader { sandbox, server: &server, running: Vec::new() };
    blocks.iter().flat_map(Block::commands).for_each(|line| reader.types(line));
    assert_eq!(reader.running.len(), 2, "a feed and a follower");
    for child in &mut reader.running {
        assert!(child.try_wait().unwrap().is_none(), "still running");
    }
}
