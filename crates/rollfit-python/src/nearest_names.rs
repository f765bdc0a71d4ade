//! Names that nothing has, and those that were probably meant.

/// How many names are suggested at most.
const SHOWN: usize = 3;
/// What a name must have in common with another, from 0 to 1, to pass for a slip of it.
const LEAST_LIKENESS: f64 = 0.6;

/// "did you mean ...?" with the names in `known` that are most like `wanted`; none where none is alike.
pub(crate) fn suggestion<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let wanted = wanted.to_lowercase();
    let likeness =
        |name: &'a str| (strsim::normalized_damerau_levenshtein(&wanted, &name.to_lowercase()), name);
    let mut near: Vec<(f64, &str)> =
        known.into_iter().map(likeness).filter(|(likeness, _)| *likeness >= LEAST_LIKENESS).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<String> = near.iter().take(SHOWN).map(|(_, name)| format!("\"{name}\"")).collect();
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")))
}
