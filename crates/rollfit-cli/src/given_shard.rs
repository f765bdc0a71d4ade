//! [`GivenShard`]: the share of a job that this machine is given: by `--shard`, by `ROLLFIT_SHARD`, or by the array job that it is a task of.
//!
//! Invariants: an array job that says which task this is, and not of how many, is an error and never the whole job. `0/1` is the whole
//! job, whatever the environment says. A variable that is empty is not set.

use rollfit_job::foreign;
use rollfit_job::runners::{Shard, ShardError};

use crate::exit::Failure;
use crate::format;

const SHARD: &str = "ROLLFIT_SHARD";
/// Each engine of array jobs, with the variable that says which of its tasks this is.
const ENGINES: [Engine; 3] = [
    Engine { name: "Kubernetes", index: "JOB_COMPLETION_INDEX", count: "spec.completions", task: kubernetes },
    Engine {
        name: "AWS Batch",
        index: "AWS_BATCH_JOB_ARRAY_INDEX",
        count: "the size of the array",
        task: aws_batch,
    },
    Engine { name: "Slurm", index: "SLURM_ARRAY_TASK_ID", count: "the size of the array", task: slurm },
];
const WAYS_OUT: &str = "; set ROLLFIT_SHARD=I/N (0/4 is the first of four), or 0/1 for the whole job";
/// The most characters of a variable that a message repeats.
const VALUE_CHARS_MAX: usize = 80;

/// The share of a job that this machine is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GivenShard {
    /// Which; `0/1` where it is the whole job.
    pub(crate) shard: Shard,
    /// Who says so, for people: `--shard`, `AWS Batch`.
    pub(crate) origin: &'static str,
    /// Whether it is an array job that says so, of which each task may be on another machine.
    pub(crate) is_of_array_job: bool,
    /// What is overridden and says something else, for people: `2/8 from AWS Batch`.
    pub(crate) instead_of: Option<String>,
}

/// An engine of array jobs.
struct Engine {
    name: &'static str,
    /// The variable that is set in each task, and nowhere else.
    index: &'static str,
    /// Where its users write how many tasks there are, for people.
    count: &'static str,
    task: fn(&Variables<'_>, &str) -> Result<Task, String>,
}

/// Which task of an array job this is, from 0, and of how many where the engine says that.
struct Task {
    index: u64,
    count: Option<u64>,
}

impl GivenShard {
    /// The share by the flag or the environment; none where nothing says that there are shares.
    ///
    /// # Errors
    /// Where a variable has no meaning, naming it and what to write.
    pub(crate) fn find(flag: Option<Shard>) -> Result<Option<Self>, Failure> {
        let value = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        given(flag, &Variables(&value)).map_err(Failure::usage)
    }

    /// The variables that are set and say which shard this is, whether or not they have a meaning.
    pub(crate) fn variables() -> Vec<&'static str> {
        let names = std::iter::once(SHARD).chain(ENGINES.map(|engine| engine.index));
        names.filter(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())).collect()
    }

    /// The share; none where it is the whole job.
    pub(crate) fn share(&self) -> Option<Shard> {
        (self.shard.count() > 1).then_some(self.shard)
    }

    fn new(shard: Shard, origin: &'static str, overridden: Result<Option<Self>, String>) -> Self {
        let instead_of = match overridden {
            Ok(Some(other)) if other.shard != shard => Some(format!("{} from {}", other.shard, other.origin)),
            _ => None,
        };
        Self { shard, origin, is_of_array_job: false, instead_of }
    }
}

impl std::fmt::Display for GivenShard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { shard, origin, instead_of, .. } = self;
        write!(f, "shard {} of {}, from {origin}", shard.index(), shard.count())?;
        instead_of.as_ref().map_or(Ok(()), |other| write!(f, " and not {other}"))
    }
}

/// The environment.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    /// The value of a variable that is set.
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// A variable with a number, 0 or more.
    fn number(&self, name: &str) -> Result<u64, String> {
        let value = self.get(name).ok_or_else(|| format!("{name} is not set"))?;
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        let number = value.parse().ok().filter(|_| is_number);
        number.ok_or_else(|| format!("{} is not a number", assigned(name, &value)))
    }
}

/// A variable with its value, for people.
fn assigned(name: &str, value: &str) -> String {
    format!("{name} = \"{}\"", foreign::printable(value, VALUE_CHARS_MAX))
}

fn given(flag: Option<Shard>, variables: &Variables<'_>) -> Result<Option<GivenShard>, String> {
    match flag {
        Some(shard) => Ok(Some(GivenShard::new(shard, "--shard", in_environment(variables)))),
        None => in_environment(variables),
    }
}

fn in_environment(variables: &Variables<'_>) -> Result<Option<GivenShard>, String> {
    let Some(value) = variables.get(SHARD) else { return of_array_job(variables, None) };
    if let Some(count) = value.strip_prefix('/') {
        let count = shard_count(count).map_err(|why| format!("{}: {why}", assigned(SHARD, &value)))?;
        let of_task = of_array_job(variables, Some(count))?;
        return of_task.map(Some).ok_or_else(|| no_index(&value));
    }
    match value.parse() {
        Ok(shard) => Ok(Some(GivenShard::new(shard, SHARD, of_array_job(variables, None)))),
        Err(ShardError::Text(_)) => Err(format!(
            "{} is not a shard: write I/N, the first of four is 0/4, or /N in a task of an array job",
            assigned(SHARD, &value)
        )),
        Err(error) => Err(format!("{}: {error}", assigned(SHARD, &value))),
    }
}

fn shard_count(text: &str) -> Result<u64, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let count = text.parse().ok().filter(|_| is_number);
    let count = count.ok_or("write /N, where N is the number of shards, or I/N")?;
    Shard::new(0, count).map(|_| count).map_err(|error| error.to_string())
}

fn no_index(value: &str) -> String {
    let [kubernetes, aws, slurm] = ENGINES.map(|engine| engine.index);
    format!(
        "{} says how many shards there are, and nothing says which one this is: {kubernetes}, {aws} and {slurm} are not set; write I/N, \
         the first of four is 0/4",
        assigned(SHARD, value)
    )
}

/// The shard that is this task's of an array job, of `count` shards where that is given; none where it is no such task.
fn of_array_job(variables: &Variables<'_>, count: Option<u64>) -> Result<Option<GivenShard>, String> {
    let mut engines = ENGINES.iter().filter(|engine| variables.get(engine.index).is_some());
    let Some(engine) = engines.next() else { return Ok(None) };
    if let Some(other) = engines.next() {
        return Err(format!(
            "found two array jobs, {} ({}) and {} ({}); unset one, or set {SHARD}=I/N",
            engine.name, engine.index, other.name, other.index
        ));
    }
    let task = (engine.task)(variables, engine.index).map_err(|why| format!("{why}{WAYS_OUT}"))?;
    let known = match (count, task.count) {
        (Some(given), Some(count)) if given != count => {
            return Err(format!(
                "{SHARD}=/{given}, but {} runs {}; set /{count} or unset it",
                engine.name,
                format::plural(usize::try_from(count).unwrap_or(usize::MAX), "task")
            ));
        }
        (given, count) => given.or(count),
    };
    let known = known.ok_or_else(|| without_count(engine, task.index))?;
    let shard = Shard::new(task.index, known).map_err(|error| match error {
        ShardError::Index { index, count: shards } if count.is_some() => format!(
            "{} is {index}, but {} numbered 0 to {}; is {SHARD}=/N smaller than {}?",
            engine.index,
            if shards == 1 { "1 shard is".to_owned() } else { format!("{shards} shards are") },
            shards - 1,
            engine.count
        ),
        error => format!("{} = {}: {error}{WAYS_OUT}", engine.index, task.index),
    })?;
    Ok(Some(GivenShard { shard, origin: engine.name, is_of_array_job: true, instead_of: None }))
}

/// Of how many shards this is one is not known: it is not the whole job.
fn without_count(engine: &Engine, index: u64) -> String {
    format!(
        "task {index} of an array job ({}), but the number of tasks is unknown; set {SHARD}=/N, N = {}, or 0/1 for the whole job",
        engine.index, engine.count
    )
}

/// An Indexed Job says in its tasks which one it is, and nothing else.
fn kubernetes(variables: &Variables<'_>, index: &str) -> Result<Task, String> {
    Ok(Task { index: variables.number(index)?, count: None })
}

fn aws_batch(variables: &Variables<'_>, index: &str) -> Result<Task, String> {
    const SIZE: &str = "AWS_BATCH_JOB_ARRAY_SIZE";
    let count = variables.get(SIZE).map(|_| variables.number(SIZE)).transpose()?;
    Ok(Task { index: variables.number(index)?, count })
}

/// `--array=3-17:2` has the tasks 3, 5 ... 17, which are the shards 0 to 7. The greatest number of a range may be one that no task has.
fn slurm(variables: &Variables<'_>, index: &str) -> Result<Task, String> {
    let number = |name: &str| variables.number(&format!("SLURM_ARRAY_TASK_{name}"));
    let id = variables.number(index)?;
    let (min, max, count) = (number("MIN")?, number("MAX")?, number("COUNT")?);
    // An array of one task needs no step.
    let step = if min == max { 1 } else { number("STEP")? };
    let is_in_range = (min..=max).contains(&id) && step > 0;
    if !is_in_range || !(id - min).is_multiple_of(step) || count.checked_sub(1) != Some((max - min) / step) {
        return Err(format!(
            "the tasks of this array are not evenly spaced (Slurm says: {count} tasks from {min} to {max} in steps of {step}, this is {id}), so \
             they do not say which shard this is"
        ));
    }
    Ok(Task { index: (id - min) / step, count: Some(count) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(flag: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<GivenShard>, String> {
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        given(flag.map(|flag| flag.parse().unwrap()), &Variables(&value))
    }

    /// The variables of a task of a Slurm array.
    fn slurm_task([id, min, max, step, count]: [&'static str; 5]) -> [(&'static str, &'static str); 5] {
        [
            ("SLURM_ARRAY_TASK_ID", id),
            ("SLURM_ARRAY_TASK_MIN", min),
            ("SLURM_ARRAY_TASK_MAX", max),
            ("SLURM_ARRAY_TASK_STEP", step),
            ("SLURM_ARRAY_TASK_COUNT", count),
        ]
    }

    #[track_caller]
    fn says(flag: Option<&str>, variables: &[(&str, &str)], line: &str) {
        assert_eq!(found(flag, variables).unwrap().unwrap().to_string(), line, "{variables:?}");
    }

    #[track_caller]
    fn fails(variables: &[(&str, &str)], parts: &[&str]) {
        let error = found(None, variables).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{variables:?}: {error}");
        }
    }

    #[test]
    fn a_shard_is_that_of_the_flag_the_variable_or_the_array_job() {
        let aws = [("AWS_BATCH_JOB_ARRAY_INDEX", "3"), ("AWS_BATCH_JOB_ARRAY_SIZE", "8")];
        says(Some("3/8"), &[], "shard 3 of 8, from --shard");
        says(None, &[("ROLLFIT_SHARD", "3/8")], "shard 3 of 8, from ROLLFIT_SHARD");
        says(None, &aws, "shard 3 of 8, from AWS Batch");
        let kubernetes = [("JOB_COMPLETION_INDEX", "0"), ("ROLLFIT_SHARD", "/8")];
        says(None, &kubernetes, "shard 0 of 8, from Kubernetes");
        says(None, &[aws[0], ("ROLLFIT_SHARD", "/8")], "shard 3 of 8, from AWS Batch");
        says(None, &[aws[0], aws[1], ("ROLLFIT_SHARD", "/8")], "shard 3 of 8, from AWS Batch");
    }

    #[test]
    fn without_any_of_them_there_is_no_shard() {
        let unset =
            ["ROLLFIT_SHARD", "JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX"].map(|name| (name, ""));
        for variables in
            [&[][..], &unset, &[("AWS_BATCH_JOB_ARRAY_SIZE", "8"), ("SLURM_ARRAY_TASK_COUNT", "x")]]
        {
            assert_eq!(found(None, variables), Ok(None));
        }
    }

    #[test]
    fn tasks_of_slurm_are_counted_from_the_first_in_their_steps() {
        for (task, shard) in [
            (["0", "0", "7", "1", "8"], "0 of 8"),
            (["3", "3", "17", "2", "8"], "0 of 8"),
            (["9", "3", "17", "2", "8"], "3 of 8"),
            (["17", "3", "17", "2", "8"], "7 of 8"),
            // --array=0-15:4, where the greatest number may be 12 or 15.
            (["12", "0", "15", "4", "4"], "3 of 4"),
            (["5", "5", "5", "0", "1"], "0 of 1"),
            (["5", "5", "5", "1", "1"], "0 of 1"),
        ] {
            says(None, &slurm_task(task), &format!("shard {shard}, from Slurm"));
        }
        let one = slurm_task(["5", "5", "5", "1", "1"]);
        let without_step = [&one[..3], &one[4..]].concat();
        says(None, &without_step, "shard 0 of 1, from Slurm");
        let sized = [&slurm_task(["9", "3", "17", "2", "8"])[..], &[("ROLLFIT_SHARD", "/8")]].concat();
        says(None, &sized, "shard 3 of 8, from Slurm");
    }

    #[test]
    fn uneven_arrays_of_slurm_are_refused() {
        for task in [
            // --array=1,5,9,100
            ["5", "1", "100", "1", "4"],
            ["5", "1", "100", "4", "4"],
            // Numbers that no array has.
            ["4", "3", "17", "2", "8"],
            ["2", "3", "17", "2", "8"],
            ["19", "3", "17", "2", "8"],
            ["0", "0", "7", "0", "8"],
            ["3", "7", "0", "1", "8"],
            ["0", "0", "0", "1", "0"],
            ["0", "0", "0", "1", "2"],
            ["0", "0", "18446744073709551615", "1", "18446744073709551615"],
        ] {
            fails(
                &slurm_task(task),
                &["not evenly spaced", "; set ROLLFIT_SHARD=I/N", "0/1 for the whole job"],
            );
        }
        let incomplete = [("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_ARRAY_TASK_MIN", "3")];
        fails(&incomplete, &["SLURM_ARRAY_TASK_MAX is not set; set ROLLFIT_SHARD=I/N"]);
    }

    #[test]
    fn an_index_without_a_size_is_never_the_whole_job() {
        fails(
            &[("JOB_COMPLETION_INDEX", "3")],
            &[
                "task 3 of an array job (JOB_COMPLETION_INDEX), but the number of tasks is unknown; ",
                "set ROLLFIT_SHARD=/N, N = spec.completions, or 0/1 for the whole job",
            ],
        );
        fails(
            &[("AWS_BATCH_JOB_ARRAY_INDEX", "3")],
            &["task 3 of an array job (AWS_BATCH_JOB_ARRAY_INDEX)", "N = the size of the array"],
        );
        fails(&[("ROLLFIT_SHARD", "/8")], &["ROLLFIT_SHARD = \"/8\"", "JOB_COMPLETION_INDEX", "write I/N"]);
    }

    #[test]
    fn the_whole_job_is_had_in_an_array_job_too() {
        for (flag, variables) in [
            (Some("0/1"), &[("JOB_COMPLETION_INDEX", "3")][..]),
            (None, &[("JOB_COMPLETION_INDEX", "3"), ("ROLLFIT_SHARD", "0/1")]),
            (None, &[("AWS_BATCH_JOB_ARRAY_INDEX", "x"), ("ROLLFIT_SHARD", "0/1")]),
            (None, &slurm_task(["5", "5", "5", "1", "1"])),
        ] {
            assert_eq!(found(flag, variables).unwrap().unwrap().share(), None, "{variables:?}");
        }
    }

    #[test]
    fn what_is_overridden_is_told_where_it_says_something_else() {
        let aws = [("AWS_BATCH_JOB_ARRAY_INDEX", "2"), ("AWS_BATCH_JOB_ARRAY_SIZE", "8")];
        says(Some("2/8"), &aws, "shard 2 of 8, from --shard");
        says(Some("3/8"), &aws, "shard 3 of 8, from --shard and not 2/8 from AWS Batch");
        says(
            Some("3/8"),
            &[("ROLLFIT_SHARD", "2/8")],
            "shard 3 of 8, from --shard and not 2/8 from ROLLFIT_SHARD",
        );
        let both = [aws[0], aws[1], ("ROLLFIT_SHARD", "0/1")];
        says(None, &both, "shard 0 of 1, from ROLLFIT_SHARD and not 2/8 from AWS Batch");
        // The flag is what a message asks for where there is an index alone.
        says(Some("2/8"), &[aws[0]], "shard 2 of 8, from --shard");
    }

    #[test]
    fn a_wrong_value_is_named_with_what_to_write() {
        for (name, value, part) in [
            ("ROLLFIT_SHARD", "4/4", "\"4/4\": there is no shard 4 of 4: they are counted from 0 to 3"),
            ("ROLLFIT_SHARD", "0/0", "1 to 100000 shards, not 0"),
            ("ROLLFIT_SHARD", "3", "write I/N, the first of four is 0/4"),
            ("ROLLFIT_SHARD", "-1/4", "write I/N"),
            ("ROLLFIT_SHARD", " ", "write I/N"),
            ("ROLLFIT_SHARD", " 1/4", "\" 1/4\" is not a shard"),
            ("ROLLFIT_SHARD", "1/4 ", "write I/N"),
            ("ROLLFIT_SHARD", "/0", "not 0"),
            ("ROLLFIT_SHARD", "/", "write /N"),
            ("ROLLFIT_SHARD", "/+8", "write /N"),
            ("ROLLFIT_SHARD", "/100001", "not 100001"),
            ("ROLLFIT_SHARD", "a\u{1b}[2J\nb", "\"a\\u{1b}[2J\\nb\""),
            ("JOB_COMPLETION_INDEX", "-1", "\"-1\" is not a number; set ROLLFIT_SHARD=I/N"),
            ("JOB_COMPLETION_INDEX", "99999999999999999999", "is not a number"),
            ("AWS_BATCH_JOB_ARRAY_INDEX", "x", "is not a number"),
            ("SLURM_ARRAY_TASK_ID", "x", "is not a number"),
        ] {
            fails(&[(name, value)], &[name, part]);
        }
        let long = "x".repeat(100_000);
        let error = found(None, &[("ROLLFIT_SHARD", &long)]).unwrap_err();
        assert!(error.len() < 300, "{}", error.len());
        let aws = |index, size| [("AWS_BATCH_JOB_ARRAY_INDEX", index), ("AWS_BATCH_JOB_ARRAY_SIZE", size)];
        fails(&aws("8", "8"), &["AWS_BATCH_JOB_ARRAY_INDEX = 8: there is no shard 8 of 8"]);
        fails(&aws("0", "eight"), &["AWS_BATCH_JOB_ARRAY_SIZE = \"eight\" is not a number"]);
        fails(&aws("0", "0"), &["1 to 100000 shards, not 0"]);
        let sized = [&aws("0", "8")[..], &[("ROLLFIT_SHARD", "/4")]].concat();
        fails(&sized, &["ROLLFIT_SHARD=/4, but AWS Batch runs 8 tasks; set /8 or unset it"]);
        let two = [&aws("0", "8")[..], &[("JOB_COMPLETION_INDEX", "0")]].concat();
        fails(
            &two,
            &[
                "found two array jobs, Kubernetes (JOB_COMPLETION_INDEX) and AWS Batch (AWS_BATCH_JOB_ARRAY_INDEX); unset",
            ],
        );
        let beyond = [("JOB_COMPLETION_INDEX", "16"), ("ROLLFIT_SHARD", "/16")];
        fails(
            &beyond,
            &[
                "JOB_COMPLETION_INDEX is 16, but 16 shards are numbered 0 to 15; is ROLLFIT_SHARD=/N smaller than spec.completions?",
            ],
        );
    }
}
