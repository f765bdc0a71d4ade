//! The examples below the help of each command.

/// The examples of a command, a line each.
pub(crate) fn of(command: &str) -> &'static [&'static str] {
    match command {
        "demo" => &["rollfit demo", "rollfit demo --dir try"],
        "init" => &["rollfit init", "rollfit init bars/ --config fx.toml"],
        "import" => &[
            "rollfit import --format csv --timezone UTC --into parquet:./fx bars/",
            "rollfit import --format csv --key eurusd --timezone UTC eurusd.csv.gz",
            "zcat eurusd.gz | rollfit import --format csv --key eurusd --timezone UTC -",
        ],
        "doctor" => &["rollfit doctor", "rollfit doctor --only eurusd", "rollfit doctor --json"],
        "schema" => {
            &["rollfit schema | psql \"$DATABASE_URL\"", "rollfit schema --only eurusd --months-ahead 12"]
        }
        "plan" => &["rollfit plan", "rollfit plan --only eurusd", "rollfit plan --json | jq .partitions"],
        "run" => &[
            "rollfit run",
            "rollfit run --only eurusd:2017-01 --workers 4",
            "rollfit run --replace definition-changed",
            "rollfit run --follow --poll-interval 1s",
        ],
        "runs" => &["rollfit runs", "rollfit runs --all"],
        "status" => &["rollfit status", "rollfit status --watch", "rollfit status --store --watch"],
        "analyze" => &["rollfit analyze", "rollfit analyze --html run.html", "rollfit analyze --markdown"],
        "verify" => {
            &["rollfit verify", "rollfit verify --quick", "rollfit verify --only eurusd --sample 1000"]
        }
        "check" => &["rollfit check", "rollfit check --max-lag 5m", "rollfit check --counts --json"],
        "compare" => &["rollfit compare", "rollfit compare --only eurusd:2017-01 --sample 1000"],
        "adopt" => &["rollfit adopt --only eurusd:2017-01", "rollfit adopt"],
        "drop" => &["rollfit drop eurusd:2017-01", "rollfit drop eurusd:2017-01 eurusd:2017-02"],
        "switch" => {
            &["rollfit switch next --dry-run", "rollfit switch next", "rollfit switch bqx_next > switch.sql"]
        }
        "metrics" => &[
            "rollfit metrics",
            "rollfit metrics --sql postgres | psql \"$DATABASE_URL\"",
            "rollfit metrics --sql duckdb > metrics.sql",
        ],
        "completions" => &[
            "rollfit completions bash > ~/.local/share/bash-completion/completions/rollfit",
            "rollfit completions zsh > ~/.zfunc/_rollfit",
            "rollfit completions fish > ~/.config/fish/completions/rollfit.fish",
        ],
        "man" => &["rollfit man | man -l -", "rollfit man --dir ~/.local/share/man/man1"],
        _ => &[],
    }
}

/// The words of each `rollfit` in an example, which may be part of a pipe or write to a file.
#[cfg(test)]
pub(crate) fn commands(example: &str) -> Vec<Vec<String>> {
    let words = |part: &str| {
        part.split('>').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    example
        .split('|')
        .map(words)
        .filter(|words: &Vec<String>| words.first().is_some_and(|word| word == "rollfit"))
        .collect()
}
