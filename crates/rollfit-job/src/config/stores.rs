//! Where series come from and features go: [`StoreConfig`] and [`SinkConfig`], from `[store]`, `[source]` and `[sink]`.

use std::path::{Path, PathBuf};

use super::config_file::{ConfigFile, Override, SourceSection, SourceSections, StoreSection};
use super::server::{ServerConfig, resolve_server};
use super::{ConfigError, Layout};
use crate::key::check_name;

/// Where a store is.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// `parquet:DIR` or `postgres://...`. May hold secrets: never printed.
    pub url: String,
    /// The directory that relative paths in `url` start from: that of the configuration, or empty, the working directory,
    /// where a variable or a flag gives the URL.
    pub url_dir: PathBuf,
    /// The schema of the tables, where a store has schemas; none for the one that the server looks into first.
    pub schema: Option<String>,
    /// The command that prints the password, run at each connect.
    pub password_command: Option<String>,
    /// The directory that the command is run in, see [`StoreConfig::url_dir`].
    pub password_command_dir: PathBuf,
    /// What happens where the server would hide rows from the role.
    pub row_security: RowSecurity,
}

impl StoreConfig {
    /// The store of a URL that is not from a configuration.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            url_dir: PathBuf::new(),
            schema: None,
            password_command: None,
            password_command_dir: PathBuf::new(),
            row_security: RowSecurity::default(),
        }
    }

    /// The store of the series of a configuration, of which nothing else is read: an import needs no more, and may come
    /// before the rest is written. Relative paths of the text start from `dir`.
    ///
    /// # Errors
    /// [`ConfigError`] when the text is not TOML, or the store is missing or makes no sense.
    pub fn parse_source(
        dir: &Path,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let sections = SourceSections::parse(dir, text, &Override::all(variables))?;
        resolve_source(sections.source.as_ref(), sections.store.as_ref())
    }
}

/// What happens where row-level security of the server would hide rows from the role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowSecurity {
    /// Reading or writing such a table is an error.
    #[default]
    Refuse,
    /// The policies apply: what they hide is not read.
    Apply,
}

impl std::str::FromStr for RowSecurity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "apply" => Ok(Self::Apply),
            _ => Err(()),
        }
    }
}

impl RowSecurity {
    /// The name in the configuration and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Apply => "apply",
        }
    }
}

impl std::fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreConfig").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Where features go, and how.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    /// The store.
    pub store: StoreConfig,
    /// What is said of its server.
    pub server: ServerConfig,
    /// Sets the features of one job apart from those of another in the same store.
    pub name: Option<String>,
    /// How features are compressed, in a store of files.
    pub compression: Compression,
    /// Whether files of features may be written past the page cache, in a store of files.
    pub direct_io: DirectIo,
    /// The type of the feature columns of tables that have no sibling to take it from.
    pub numbers: NumberType,
    /// What is kept of each fit.
    pub layout: Layout,
    /// The schema of the views through which features are read, in the layout of fits; none for that of the tables.
    pub views_schema: Option<String>,
}

/// The type of a feature column, in a store of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberType {
    /// `DOUBLE PRECISION`.
    Double,
    /// `REAL`.
    Single,
    /// `NUMERIC`, which holds the shortest decimal that reads back as the same double.
    Decimal,
}

impl std::str::FromStr for NumberType {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "double precision" => Ok(Self::Double),
            "real" => Ok(Self::Single),
            "numeric" => Ok(Self::Decimal),
            _ => Err(()),
        }
    }
}

/// How features are compressed, in a store of files. `docs/performance.md` has the bytes and times of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Plain doubles.
    None,
    /// LZ4, fast.
    Lz4,
    /// Zstandard, a little smaller.
    Zstd,
}

/// Whether files of features may be written past the page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectIo {
    /// Where that is faster.
    Auto,
    /// Never.
    Off,
}

/// `[store]` is both; `[source]` and `[sink]` replace it.
pub(super) fn resolve_stores(file: &ConfigFile) -> Result<(StoreConfig, SinkConfig), ConfigError> {
    let store = file.store.as_ref();
    let source = resolve_source(file.source.as_ref(), store)?;
    let (section, sink) = match &file.sink {
        Some(sink) => ("sink", sink),
        None => ("store", store.ok_or_else(|| missing("sink"))?),
    };
    let server = resolve_server(file, section, sink)?;
    Ok((source, resolve_sink(section, sink, server)?))
}

fn resolve_source(
    source: Option<&SourceSection>,
    store: Option<&StoreSection>,
) -> Result<StoreConfig, ConfigError> {
    match (source, store) {
        (Some(source), _) => resolve_store("source", source.clone()),
        (None, Some(store)) => resolve_store("store", of_store(store)),
        (None, None) => Err(missing("source")),
    }
}

fn missing(section: &str) -> ConfigError {
    ConfigError::new(format!(
        "there is no [{section}] and no [store] section: say where, such as url = \"parquet:./fx\""
    ))
}

fn of_store(store: &StoreSection) -> SourceSection {
    SourceSection {
        url: store.url.clone(),
        schema: store.schema.clone(),
        password_command: store.password_command.clone(),
        row_security: store.row_security.clone(),
        dirs: store.dirs.clone(),
    }
}

fn resolve_store(section: &str, store: SourceSection) -> Result<StoreConfig, ConfigError> {
    let row_security = match store.row_security.as_deref() {
        None => RowSecurity::default(),
        Some(text) => text.parse().map_err(|()| {
            ConfigError::new(format!("[{section}] row_security = \"{text}\": write \"apply\" or \"refuse\""))
        })?,
    };
    Ok(StoreConfig {
        schema: store.schema,
        url_dir: store.dirs.url,
        password_command: store.password_command,
        password_command_dir: store.dirs.password_command,
        row_security,
        ..StoreConfig::new(store.url)
    })
}

fn resolve_sink(section: &str, sink: &StoreSection, server: ServerConfig) -> Result<SinkConfig, ConfigError> {
    if let Some(name) = &sink.name {
        check_name(name).map_err(|error| ConfigError::new(format!("[{section}] name: {error}")))?;
    }
    let numbers = sink.numbers.parse().map_err(|()| {
        ConfigError::new(format!(
            "[{section}] numbers = \"{}\": write \"double precision\", \"numeric\" or \"real\"",
            sink.numbers
        ))
    })?;
    Ok(SinkConfig {
        store: resolve_store(section, of_store(sink))?,
        server,
        name: sink.name.clone(),
        compression: resolve_compression(section, &sink.compression)?,
        direct_io: resolve_direct_io(section, &sink.direct_io)?,
        numbers,
        layout: resolve_layout(section, sink, numbers)?,
        views_schema: sink.views_schema.clone(),
    })
}

fn resolve_layout(section: &str, sink: &StoreSection, numbers: NumberType) -> Result<Layout, ConfigError> {
    let layout = sink.layout.parse().map_err(|()| {
        ConfigError::new(format!("[{section}] layout = \"{}\": write \"metrics\" or \"fits\"", sink.layout))
    })?;
    let why = match (layout, &sink.views_schema) {
        (Layout::Metrics, Some(schema)) => {
            format!("views_schema = \"{schema}\": only layout = \"fits\" has views; add it, or remove views_schema")
        }
        (Layout::Fits, Some(schema)) if schema.is_empty() => {
            "views_schema is empty: name a schema, or remove it to have the views beside the tables".to_owned()
        }
        (Layout::Fits, _) if numbers == NumberType::Single => {
            "numbers = \"real\": layout = \"fits\" computes features as doubles when they are read; write \"double precision\" \
             or \"numeric\", or keep layout = \"metrics\""
                .to_owned()
        }
        _ => return Ok(layout),
    };
    Err(ConfigError::new(format!("[{section}] {why}")))
}

fn resolve_compression(section: &str, text: &str) -> Result<Compression, ConfigError> {
    match text {
        "none" => Ok(Compression::None),
        "lz4" => Ok(Compression::Lz4),
        "zstd" => Ok(Compression::Zstd),
        _ => Err(ConfigError::new(format!(
            "[{section}] compression = \"{text}\": write \"none\", \"lz4\" or \"zstd\""
        ))),
    }
}

fn resolve_direct_io(section: &str, text: &str) -> Result<DirectIo, ConfigError> {
    match text {
        "auto" => Ok(DirectIo::Auto),
        "off" => Ok(DirectIo::Off),
        _ => Err(ConfigError::new(format!("[{section}] direct_io = \"{text}\": write \"auto\" or \"off\""))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{EXAMPLE, JobConfig};

    #[test]
    fn paths_start_from_the_configuration_but_for_those_of_variables() {
        let text = EXAMPLE.replace("# password_command", "password_command");
        let parse = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            JobConfig::parse_in(Path::new("conf"), &text, variables).unwrap()
        };
        let config = parse(&[]);
        assert_eq!(
            (config.source.url_dir.as_path(), config.source.password_command_dir.as_path()),
            (Path::new("conf"), Path::new("conf"))
        );
        assert_eq!(config.source, config.sink.store);
        let config = parse(&[("ROLLFIT_STORE__URL", "parquet:b")]);
        assert_eq!(
            (config.source.url_dir.as_path(), config.source.password_command_dir.as_path()),
            (Path::new(""), Path::new("conf"))
        );
        let config = parse(&[("ROLLFIT_SINK__URL", "parquet:b")]);
        assert_eq!(
            (config.source.url_dir.as_path(), config.sink.store.url_dir.as_path()),
            (Path::new("conf"), Path::new(""))
        );
    }
}
