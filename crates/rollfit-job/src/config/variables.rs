//! [`nearest_variable`]: which variable of the environment was probably meant by one that sets no key.

use serde::de::value::Error;
use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::config_file::{
    CheckSection, FeaturesSection, PartitionsSection, RunSection, SeriesSection, SourceSection, StoreSection,
};

const PREFIX: &str = "ROLLFIT_";

/// How many letters may be wrong in a name that is taken for a slip of another.
const SLIPS_MAX: usize = 2;

/// Whether a variable sets a key of the configuration, be it a known one or not: all with a double underscore, and the table of windows.
pub fn sets_key(variable: &str) -> bool {
    variable.strip_prefix(PREFIX).is_some_and(|key| key.contains("__") || key == "WINDOWS")
}

/// Returns the variable that `variable` is a slip of: one of a key (`ROLLFIT_RUN_WORKERS` was meant as `ROLLFIT_RUN__WORKERS`) or one of
/// `others`; none if it is like no other.
pub fn nearest_variable(variable: &str, others: &[&str]) -> Option<String> {
    let known =
        || others.iter().map(|other| (*other).to_owned()).chain(of_keys()).chain(with_own_names(variable));
    let squashed = squash(variable);
    let same_letters = known().find(|name| squash(name) == squashed);
    let distance = |name: &String| strsim::damerau_levenshtein(variable, name);
    let slip = || known().filter(|name| distance(name) <= SLIPS_MAX).min_by_key(distance);
    same_letters.or_else(slip).or_else(|| without_section(variable))
}

/// The variable of the only key that has the name of `variable`, which lacks its section: `ROLLFIT_WORKERS` is of `[run]`. The store is
/// meant by what the source and the sink have too.
fn without_section(variable: &str) -> Option<String> {
    let key = variable.strip_prefix(PREFIX)?;
    let has_key = |name: &String| name.rsplit_once("__").is_some_and(|(_, last)| last == key);
    of_keys().find(has_key)
}

/// The letters without what parts them.
fn squash(name: &str) -> String {
    name.chars().filter(|&c| c != '_').map(|c| c.to_ascii_uppercase()).collect()
}

/// The variables of all keys whose names are ours.
fn of_keys() -> impl Iterator<Item = String> {
    let sections = [
        ("STORE", keys_of::<StoreSection>()),
        ("SOURCE", keys_of::<SourceSection>()),
        ("SINK", keys_of::<StoreSection>()),
        ("PARTITIONS", keys_of::<PartitionsSection>()),
        ("FEATURES", keys_of::<FeaturesSection>()),
        ("RUN", keys_of::<RunSection>()),
        ("CHECK", keys_of::<CheckSection>()),
    ];
    let of_sections = sections.into_iter().flat_map(|(section, keys)| {
        keys.iter().map(move |key| format!("{PREFIX}{section}__{}", key.to_uppercase()))
    });
    of_sections.chain([format!("{PREFIX}WINDOWS")])
}

/// The variables with the letters of `variable` where the user chose a part of the name, that of a series or a window.
fn with_own_names(variable: &str) -> Vec<String> {
    let after = |section: &str| variable.strip_prefix(PREFIX)?.strip_prefix(section)?.strip_prefix('_');
    let window = after("WINDOWS").map(|label| format!("{PREFIX}WINDOWS__{label}"));
    let of_series = |key: &&str| {
        let name = after("SERIES")?.strip_suffix(&format!("_{}", key.to_uppercase()))?;
        Some(format!("{PREFIX}SERIES__{name}__{}", key.to_uppercase()))
    };
    window.into_iter().chain(keys_of::<SeriesSection>().iter().find_map(of_series)).collect()
}

/// The keys that a section of the configuration may have, as its type declares them.
fn keys_of<T: Deserialize<'static>>() -> &'static [&'static str] {
    let mut keys: &[&str] = &[];
    // Always an error: there is nothing to read.
    let _ = T::deserialize(KeysOnly(&mut keys));
    keys
}

/// Notes which fields a type asks for, and gives it none.
struct KeysOnly<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for KeysOnly<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("only the names of the keys are wanted"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_a_variable_finds_the_one_that_was_meant() {
        let others = ["ROLLFIT_CONFIG", "ROLLFIT_SHARD"];
        for (slip, meant) in [
            ("ROLLFIT_RUN_WORKERS", "ROLLFIT_RUN__WORKERS"),
            ("ROLLFIT_STORE_URL", "ROLLFIT_STORE__URL"),
            ("ROLLFIT_SINK_SERVER_CORES", "ROLLFIT_SINK__SERVER_CORES"),
            ("ROLLFIT_CHECK_MAX_LAG_S", "ROLLFIT_CHECK__MAX_LAG_S"),
            ("ROLLFIT_SERIES_IDX_TABLE", "ROLLFIT_SERIES__IDX__TABLE"),
            ("ROLLFIT_WINDOWS_W15", "ROLLFIT_WINDOWS__W15"),
            ("ROLLFIT_WINDOW", "ROLLFIT_WINDOWS"),
            ("ROLLFIT_CONFG", "ROLLFIT_CONFIG"),
            ("ROLLFIT_SHRAD", "ROLLFIT_SHARD"),
            ("ROLLFIT_WORKERS", "ROLLFIT_RUN__WORKERS"),
            ("ROLLFIT_URL", "ROLLFIT_STORE__URL"),
            ("ROLLFIT_BOUNDARY", "ROLLFIT_RUN__BOUNDARY"),
        ] {
            assert_eq!(nearest_variable(slip, &others).as_deref(), Some(meant), "{slip}");
        }
        assert_eq!(nearest_variable("ROLLFIT_IMAGE_TAG", &others), None);
        assert!(sets_key("ROLLFIT_RUN__WORKER") && sets_key("ROLLFIT_WINDOWS") && !sets_key("ROLLFIT_RUN"));
    }

    #[test]
    fn every_section_knows_its_keys() {
        assert!(
            keys_of::<RunSection>().contains(&"workers") && keys_of::<CheckSection>().contains(&"closed")
        );
        assert!(keys_of::<StoreSection>().contains(&"url") && !keys_of::<StoreSection>().contains(&"dirs"));
        assert!(of_keys().count() > 40, "{}", of_keys().count());
    }
}
