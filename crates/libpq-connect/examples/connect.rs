//! Connects to the URL given, or to what the `PG*` variables say, and prints the version of the server:
//! `cargo run --example connect -- 'postgres://me@db.example/app?sslmode=verify-full'`

use std::error::Error;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use libpq_connect::{ConnectOptions, Environment};

fn main() -> Result<ExitCode, std::io::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "postgres://".to_owned());
    let Err(error) = print_version(&url) else { return Ok(ExitCode::SUCCESS) };
    write!(stderr(), "error: {error}")?;
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        write!(stderr(), ": {cause}")?;
    }
    writeln!(stderr())?;
    Ok(ExitCode::FAILURE)
}

fn print_version(url: &str) -> Result<(), Box<dyn Error>> {
    let environment = Environment::from_process().with_fallback_application_name("connect example");
    let options = ConnectOptions::parse(url, &environment)?;
    for warning in options.warnings() {
        writeln!(stderr(), "warning: {warning}")?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let version = runtime.block_on(server_version(&options))?;
    writeln!(stdout(), "{options}: PostgreSQL {version}")?;
    Ok(())
}

async fn server_version(options: &ConnectOptions) -> Result<String, Box<dyn Error>> {
    let (client, connection) = options.connect().await?;
    tokio::spawn(connection);
    Ok(client.query_one("SHOW server_version", &[]).await?.get(0))
}
