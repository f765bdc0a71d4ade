//! [`NamedValues`]: the argument of an option that has a few values, which shells complete and their own type reads.

use std::error::Error;
use std::ffi::OsStr;
use std::marker::PhantomData;
use std::str::FromStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command};

/// Reads a value of type `T` from its name; `T` has the words for a name that it doesn't know.
#[derive(Clone)]
pub(crate) struct NamedValues<T> {
    names: Vec<&'static str>,
    kind: PhantomData<fn() -> T>,
}

impl<T> NamedValues<T> {
    pub(crate) fn new(names: impl IntoIterator<Item = &'static str>) -> Self {
        Self { names: names.into_iter().collect(), kind: PhantomData }
    }
}

impl<T> TypedValueParser for NamedValues<T>
where
    T: FromStr + Clone + Send + Sync + 'static,
    T::Err: Into<Box<dyn Error + Send + Sync + 'static>>,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        (|text: &str| text.parse::<T>()).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.names.iter().map(|name| PossibleValue::new(*name))))
    }
}
