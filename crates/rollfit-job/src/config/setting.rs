//! [`Setting`]: a setting that decides how fast a run can be, and where it came from: an analysis names both.

use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use super::RunConfig;
use super::config_file::Override;

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A flag of the command line.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A line of the configuration file, from 1.
    Line(usize),
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Section and key, `run.workers`.
    pub name: String,
    /// Its value as it would be written; none for a limit that is not set.
    pub value: Option<String>,
    /// Where it came from.
    pub origin: Origin,
}

/// The sections with settings.
const SECTIONS: [&str; 3] = ["run", "store", "sink"];

/// Where each key of the sections with settings was set, as far as it was; by `SECTION.KEY`.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<(String, Origin)>);

impl Origins {
    pub(super) fn parse(text: &str, overrides: &[Override]) -> Self {
        let in_environment = overrides.iter().filter_map(|given| {
            let named = |section: &str| Some(format!("{section}.{}", given.key_in(section)?));
            let name = SECTIONS.into_iter().find_map(named)?;
            Some((name, Origin::Variable(given.variable().to_owned())))
        });
        // The environment overrides the file.
        Self(in_environment.chain(lines(text)).collect())
    }

    /// Where a key of a section was set.
    pub fn of_key_in(&self, section: &str, key: &str) -> Origin {
        let name = format!("{section}.{key}");
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map_or(Origin::Default, |(_, origin)| origin.clone())
    }
}

fn lines(text: &str) -> Vec<(String, Origin)> {
    let Ok(table) = DeTable::parse(text) else { return Vec::new() };
    let table = table.into_inner();
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let lines_of = |section: &'static str| {
        let keys = table.get(section).and_then(|section| section.get_ref().as_table());
        let keys = keys.into_iter().flat_map(|keys| keys.keys());
        keys.map(move |key| (format!("{section}.{}", key.get_ref()), Origin::Line(line(key.span().start))))
    };
    SECTIONS.into_iter().flat_map(lines_of).collect()
}

impl RunConfig {
    /// The settings that decide how fast a run can be.
    pub fn settings(&self, origins: &Origins) -> Vec<Setting> {
        let setting = |key: &str, value: Option<String>| Setting {
            name: format!("run.{key}"),
            value,
            origin: origins.of_key_in("run", key),
        };
        vec![
            setting("workers", Some(self.workers.to_string())),
            setting("order", Some(self.order.to_string())),
            setting("cpu_max", self.cpu_max.map(|cores| cores.to_string())),
            setting("store_sessions_max", self.store_sessions_max.map(|sessions| sessions.to_string())),
            setting("store_write_mb_per_s_max", self.store_write_mb_per_s_max.map(|mb| mb.to_string())),
            setting("attempts", Some(self.attempts.to_string())),
            setting("retry_for_s", Some(self.retry_for.as_secs_f64().to_string())),
            setting("lock_wait_s", Some(self.lock_wait.as_secs_f64().to_string())),
        ]
    }
}
