//! Times as files write them, and the zones that make instants of them. Knows no format.

pub(crate) mod epoch;
pub(crate) mod stamp;
pub(crate) mod stamp_reader;
pub(crate) mod zone;
