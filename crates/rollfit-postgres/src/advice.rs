//! [`advice`]: remedies on a PostgreSQL server for what limits a run.

use rollfit_job::store::{Advice, AppliesWhen, Bottleneck};

const ROLE: &str = "for the role that rollfit connects as";
const SERVER: &str = "on the server";

/// Returns the remedies for a bottleneck. Queries no server.
pub(crate) fn advice(bottleneck: Bottleneck) -> Vec<Advice> {
    match bottleneck {
        Bottleneck::SlowCommits => vec![asynchronous_commit(), log_disk()],
        Bottleneck::Statements => vec![maintenance_memory(), log_size()],
        Bottleneck::WriteBandwidth => vec![log_size(), narrower_columns()],
        Bottleneck::RoundTrips => vec![plain(
            "Run rollfit in the network of the server, and connect without a pooler or proxy",
            "the url in the configuration",
            AppliesWhen::NextRun,
        )],
        Bottleneck::SourceReads => vec![Advice {
            statement: Some("CREATE INDEX CONCURRENTLY ON source_table (time_column)".to_owned()),
            roll_back: "`DROP INDEX`".to_owned(),
            ..plain(
                "Add an index on the time column of tables without one, on key_column and time of tables of several keys",
                "in the source's database",
                AppliesWhen::AtOnce,
            )
        }],
        Bottleneck::ServerCpu => {
            vec![plain("Use a server with more processors", SERVER, AppliesWhen::StoreRestart)]
        }
        Bottleneck::LockWaits => vec![Advice {
            statement: Some("SELECT pg_terminate_backend(pid)".to_owned()),
            risk: "what that session has not committed is lost".to_owned(),
            ..plain("End the session that holds the lock", SERVER, AppliesWhen::AtOnce)
        }],
        Bottleneck::TooFewSessions => vec![Advice {
            statement: Some("ALTER SYSTEM SET max_connections = <number>".to_owned()),
            roll_back: "`ALTER SYSTEM RESET max_connections`".to_owned(),
            risk: "each session takes memory of the server".to_owned(),
            ..plain("Allow more sessions", SERVER, AppliesWhen::StoreRestart)
        }],
    }
}

fn plain(action: &str, place: &str, applies: AppliesWhen) -> Advice {
    Advice {
        action: action.to_owned(),
        statement: None,
        trial: None,
        place: place.to_owned(),
        roll_back: String::new(),
        risk: String::new(),
        applies,
    }
}

fn maintenance_memory() -> Advice {
    Advice {
        statement: Some("ALTER ROLE rollfit SET maintenance_work_mem = '256MB'".to_owned()),
        roll_back: "`ALTER ROLE rollfit RESET maintenance_work_mem`".to_owned(),
        risk: "each session that makes keys or cleans up takes that much memory of the server".to_owned(),
        ..plain("Give keys and cleaning more memory", ROLE, AppliesWhen::NewSessions)
    }
}

fn asynchronous_commit() -> Advice {
    Advice {
        statement: Some("ALTER ROLE rollfit SET synchronous_commit = off".to_owned()),
        trial: Some("PGOPTIONS='-c synchronous_commit=off'".to_owned()),
        roll_back: "`ALTER ROLE rollfit RESET synchronous_commit`".to_owned(),
        risk: "a server crash loses the last partitions, receipts included; the next run writes them again"
            .to_owned(),
        ..plain("Do not wait for the log at commit", ROLE, AppliesWhen::NewSessions)
    }
}

fn log_disk() -> Advice {
    plain("Put pg_wal on a disk that syncs faster", SERVER, AppliesWhen::StoreRestart)
}

/// A server creates and syncs each new file of its log while all that write wait; files that it may keep are reused.
fn log_size() -> Advice {
    let sizes = "ALTER SYSTEM SET max_wal_size = '16GB'; ALTER SYSTEM SET min_wal_size = '16GB'";
    Advice {
        statement: Some(format!("{sizes}; SELECT pg_reload_conf()")),
        roll_back: "`ALTER SYSTEM RESET max_wal_size; ALTER SYSTEM RESET min_wal_size`".to_owned(),
        risk: "the log keeps as much of its disk, and recovery after a crash takes longer".to_owned(),
        ..plain(
            "Make checkpoints less frequent, and keep the files of the log for use again",
            SERVER,
            AppliesWhen::AtOnce,
        )
    }
}

fn narrower_columns() -> Advice {
    Advice {
        statement: Some("numbers = \"real\"".to_owned()),
        risk: "columns of new tables hold about 7 digits; existing tables keep theirs".to_owned(),
        roll_back: "remove it and drop the tables".to_owned(),
        ..plain("Store narrower numbers", "in [store]", AppliesWhen::NextRun)
    }
}
