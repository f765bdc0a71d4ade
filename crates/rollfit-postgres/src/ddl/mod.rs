//! Tables that do not exist yet: what they will be like, the statements that create them, and creating them.

pub(crate) mod creation;
pub(crate) mod model_lookups;
pub(crate) mod optional_index;
pub(crate) mod prospect;
pub(crate) mod provide;
pub(crate) mod schema;
