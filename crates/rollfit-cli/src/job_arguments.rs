//! [`JobArguments`]: which job a command is about; [`SwitchArguments`]: which takes its place.

use clap::Args;
use rollfit_files::path::shell_word;

use crate::args::ConfigArguments;

/// A job: its configuration, and the name that it has in its store.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct JobArguments {
    #[command(flatten)]
    pub(crate) file: ConfigArguments,
    /// Name of the job, in place of that in [store] or [sink]: its features lie in features.NAME, beside those of others
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SwitchArguments {
    #[command(flatten)]
    pub(crate) job: JobArguments,
    /// The job whose features take the place: the name given to `run --name`; in PostgreSQL the views_schema
    #[arg(value_name = "NEXT")]
    pub(crate) next: String,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Also switch where NEXT lacks partitions, or has some that do not fit the configuration
    #[arg(long)]
    pub(crate) incomplete: bool,
    /// In PostgreSQL, print the reverse alone: what takes the switch back
    #[arg(long)]
    pub(crate) back: bool,
}

impl JobArguments {
    /// The job of a configuration, with the name that it has there.
    pub(crate) fn of_config(file: ConfigArguments) -> Self {
        Self { file, name: None }
    }

    /// The same job with another name.
    pub(crate) fn with_name(&self, name: &str) -> Self {
        Self { file: self.file.clone(), name: Some(name.to_owned()) }
    }

    /// A command that somebody who typed these arguments may type next: `rollfit run --name next`.
    pub(crate) fn command(&self, words: &str) -> String {
        let config = self.file.config.as_ref().map(|config| config.display().to_string());
        let options = [("-c", config.as_ref()), ("--name", self.name.as_ref())];
        let mut command = format!("rollfit {words}");
        for (option, value) in options {
            command.extend(value.map(|value| format!(" {option} {}", shell_word(value))));
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_to_type_names_the_same_job() {
        let job = JobArguments::default();
        assert_eq!(job.command("run"), "rollfit run");
        let file = ConfigArguments { config: Some("my job.toml".into()) };
        let job = JobArguments::of_config(file).with_name("next");
        assert_eq!(job.command("plan"), "rollfit plan -c 'my job.toml' --name next");
    }
}
