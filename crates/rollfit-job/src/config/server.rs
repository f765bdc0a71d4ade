//! [`ServerConfig`]: what is said of the server of a sink that cannot be seen from here, from `[store]` or `[sink]`.

use std::path::PathBuf;

use super::ConfigError;
use super::config_file::{ConfigFile, StoreSection};
use super::setting::{Origins, Setting};

/// More than any server has.
const CORES_MAX: f64 = 10_000.0;

/// The server of a sink, as configured.
#[derive(Clone, Default, PartialEq)]
pub struct ServerConfig {
    /// Its cores.
    pub cores: Option<f64>,
    /// The command that prints how busy they are. May hold secrets: never printed.
    pub metrics_command: Option<String>,
    /// The directory that the command is run in, see [`StoreConfig::url_dir`](super::StoreConfig::url_dir).
    pub metrics_command_dir: PathBuf,
    /// The section that is meant, `store` or `sink`.
    section: &'static str,
}

impl ServerConfig {
    /// Whether anything is configured.
    pub fn is_set(&self) -> bool {
        self.cores.is_some() || self.metrics_command.is_some()
    }

    /// The settings, with where each came from.
    pub fn settings(&self, origins: &Origins) -> Vec<Setting> {
        let setting = |key: &str, value: Option<String>| Setting {
            name: format!("{}.{key}", self.section),
            value,
            origin: origins.of_key_in(self.section, key),
        };
        let command = self.metrics_command.as_ref().map(|_| "a command".to_owned());
        vec![
            setting("server_cores", self.cores.map(|cores| cores.to_string())),
            setting("server_metrics_command", command),
        ]
    }
}

impl std::fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerConfig").field("cores", &self.cores).finish_non_exhaustive()
    }
}

/// That of the section that features go to.
pub(super) fn resolve_server(
    file: &ConfigFile,
    section: &'static str,
    sink: &StoreSection,
) -> Result<ServerConfig, ConfigError> {
    let error = |text: String| Err(ConfigError::new(format!("[{section}] {text}")));
    if let Some(store) = file.store.as_ref().filter(|_| section != "store") {
        let unused = [
            ("server_cores", store.server_cores.is_some()),
            ("server_metrics_command", store.server_metrics_command.is_some()),
        ];
        if let Some((key, _)) = unused.into_iter().find(|(_, is_set)| *is_set) {
            return Err(ConfigError::new(format!(
                "[store] {key}: features go to the server of [{section}]; move it there"
            )));
        }
    }
    match (sink.server_cores, sink.server_metrics_command.as_deref()) {
        (Some(cores), _) if !(cores > 0.0 && cores <= CORES_MAX) => error(format!(
            "server_cores = {cores}: give the cores of the server, more than 0 and at most {CORES_MAX}; leave it out where they are not known"
        )),
        (_, Some(command)) if command.trim().is_empty() => error(
            "server_metrics_command is empty: give a command that prints {\"cpu_percent\": 0 to 100}, or leave it out".to_owned(),
        ),
        (cores, command) => Ok(ServerConfig {
            cores,
            metrics_command: command.map(str::to_owned),
            metrics_command_dir: sink.dirs.server_metrics_command.clone(),
            section,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::tests::{assert_error, changed, parse};
    use crate::config::{EXAMPLE, JobConfig, Origin, Setting};

    const URL: &str = "url = \"parquet:./fx\"";

    fn with(lines: &str) -> String {
        EXAMPLE.replace(URL, &format!("{URL}\n{lines}"))
    }

    fn settings(config: &JobConfig) -> Vec<Setting> {
        config.sink.server.settings(&config.origins)
    }

    #[test]
    fn a_server_is_described_where_features_go_and_each_setting_knows_its_line() {
        let text = with("server_cores = 7.5\nserver_metrics_command = \"print --token hunter2\"");
        let config = JobConfig::parse_in(Path::new("conf"), &text, []).unwrap();
        let server = &config.sink.server;
        assert_eq!((server.cores, server.is_set()), (Some(7.5), true));
        assert_eq!(server.metrics_command.as_deref(), Some("print --token hunter2"));
        assert_eq!(server.metrics_command_dir, Path::new("conf"));
        let line = text.lines().position(|line| line.starts_with("server_cores")).unwrap() + 1;
        let setting = |key: &str, value: Option<&str>, origin| Setting {
            name: format!("store.{key}"),
            value: value.map(str::to_owned),
            origin,
        };
        let wanted = [
            setting("server_cores", Some("7.5"), Origin::Line(line)),
            setting("server_metrics_command", Some("a command"), Origin::Line(line + 1)),
        ];
        assert_eq!(settings(&config), wanted);
        // The two are one store still, and the command is no secret told.
        assert_eq!(config.source, config.sink.store);
        assert!(!format!("{config:?}").contains("hunter2"));
        let none = parse(EXAMPLE).unwrap();
        assert!(!none.sink.server.is_set());
        assert_eq!(settings(&none)[0], setting("server_cores", None, Origin::Default));
    }

    #[test]
    fn a_sink_of_its_own_has_its_own_server_and_variables_are_named() {
        let text = EXAMPLE
            .replace("[partitions]", "[sink]\nurl = \"parquet:./out\"\nserver_cores = 2\n[partitions]");
        let config = parse(&text).unwrap();
        assert_eq!(
            (settings(&config)[0].name.as_str(), config.sink.server.cores),
            ("sink.server_cores", Some(2.0))
        );
        let variables = [("ROLLFIT_SINK__SERVER_CORES".to_owned(), "4".to_owned())];
        let config = JobConfig::parse_in(Path::new("conf"), &text, variables).unwrap();
        let of_variable = Origin::Variable("ROLLFIT_SINK__SERVER_CORES".to_owned());
        assert_eq!((config.sink.server.cores, &settings(&config)[0].origin), (Some(4.0), &of_variable));
        let variables = [("ROLLFIT_STORE__SERVER_METRICS_COMMAND".to_owned(), "print".to_owned())];
        let error = JobConfig::parse(&text, variables.clone()).unwrap_err().to_string();
        assert!(error.contains("[store] server_metrics_command") && error.contains("[sink]"), "{error}");
        let config = JobConfig::parse_in(Path::new("conf"), EXAMPLE, variables).unwrap();
        assert_eq!(config.sink.server.metrics_command_dir, Path::new(""));
    }

    #[test]
    fn what_no_server_has_is_refused() {
        for wrong in ["0", "-1", "nan", "inf", "10001"] {
            assert_error(
                changed(URL, &format!("{URL}\nserver_cores = {wrong}")),
                &["[store] server_cores", "more than 0"],
            );
        }
        assert_error(changed(URL, &format!("{URL}\nserver_cores = \"8\"")), &["server_cores"]);
        let empty = format!("{URL}\nserver_metrics_command = \" \"");
        assert_error(changed(URL, &empty), &["[store] server_metrics_command is empty", "cpu_percent"]);
        assert_error(changed(URL, &format!("{URL}\nserver_core = 8")), &["unknown field", "server_cores"]);
        // A source's server is not asked about.
        let source = "[source]\nurl = \"parquet:./in\"\nserver_cores = 2\n[partitions]";
        assert_error(changed("[partitions]", source), &["unknown field `server_cores`"]);
    }
}
