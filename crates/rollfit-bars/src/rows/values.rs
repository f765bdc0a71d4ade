//! Values of further columns, where a bar is there twice: NaN is no value, which agrees with any.

/// Whether two values may be of one bar.
pub(crate) fn agree(kept: f64, other: f64) -> bool {
    kept == other || kept.is_nan() || other.is_nan()
}

/// Takes a value where there is none.
pub(crate) fn fill(kept: &mut f64, other: f64) {
    if kept.is_nan() {
        *kept = other;
    }
}
