//! The rules of the house, held against the source itself: which crates may depend on which, names, sizes, the words
//! that users read, and the links of the documents.
//!
//! The help and the messages are snapshots in `tests/snapshots`: with ROLLFIT_UPDATE_SNAPSHOTS=1 in the environment the
//! tests write them anew, and the change is there to be reviewed.

#![allow(clippy::unwrap_used)] // A failed helper fails its test.

mod documents;
mod edges;
mod help;
mod literals;
mod messages;
mod names;
mod phrases;
mod sizes;
mod snapshots;
mod source;
