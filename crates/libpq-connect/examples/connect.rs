//! Connects to the URL given, or to what the `PG*` variables say, and prints the version of the server:
//! `cargo run --example connect -- 'postgres://me@db.example/app?sslmode=verify-full'`

use std::error::Error;
use std::io::{Write, stderr, stdout};

use libpq_connect::{ConnectOptions, Environment};

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "postgres://".to_owned());
    let environment = Environment::from_process().with_fallback_application_name("connect example");
    let options = ConnectOptions::parse(&url, &environment)?;
    for warning in options.warnings() {
        writeln!(stderr(), "warning: {warning}")?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(print_version(&options))
}

async fn print_version(options: &ConnectOptions) -> Result<(), Box<dyn Error>> {
    let (client, connection) = options.connect().await?;
    tokio::spawn(connection);
    let row = client.query_one("SHOW server_version", &[]).await?;
    writeln!(stdout(), "{options}: PostgreSQL {}", row.get::<_, &str>(0))?;
    Ok(())
}
