//! [`detail_once`]: what a server says in detail, such as the row that it refuses, is printed for the first partition of many
//! and not for each.

use std::collections::BTreeSet;
use std::sync::Mutex;

use rollfit_job::lock::lock;

/// The details that this process has printed.
static PRINTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A cause for people, which ends with `detail` unless that was printed before. Reports for programs repeat it.
pub(crate) fn detail_once(cause: &str, detail: Option<&str>) -> String {
    let Some(detail) = detail else { return cause.to_owned() };
    let is_new = lock(&PRINTED).insert(detail.to_owned());
    let brief = cause.strip_suffix(detail).and_then(|brief| brief.strip_suffix("; "));
    match brief.filter(|_| !is_new) {
        Some(brief) => brief.to_owned(),
        None => cause.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::detail_once;

    #[test]
    fn a_detail_is_printed_once() {
        let detail = Some("Failing row contains (1)");
        assert_eq!(
            detail_once("cannot a; Failing row contains (1)", detail),
            "cannot a; Failing row contains (1)"
        );
        assert_eq!(detail_once("cannot b; Failing row contains (1)", detail), "cannot b");
        assert_eq!(detail_once("cannot c", None), "cannot c");
    }
}
