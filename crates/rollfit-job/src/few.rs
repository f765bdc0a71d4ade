//! [`few`]: lists whose length a user, a file or a server decides, shown by their first names.

use std::fmt::Display;

use crate::foreign;

/// The most names that a message lists.
pub const SHOWN_MAX: usize = 10;

/// The first names of a list and how many more there are: `a, b, c and 97 more`. Each name is safe to print.
pub fn few(names: impl IntoIterator<Item = impl Display>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> =
        names.by_ref().take(SHOWN_MAX).map(|name| foreign::name(&name.to_string()).into_owned()).collect();
    let shown = shown.join(", ");
    match names.count() {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// As [`few`]; two names are joined by `and`.
pub fn few_and(names: &[impl Display]) -> String {
    match names {
        [one, other] => format!("{} and {}", few([one]), few([other])),
        names => few(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_list_is_whole_and_a_long_one_says_how_much_is_left_out() {
        assert_eq!(few(["a", "b"]), "a, b");
        assert_eq!(few(1..=10), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10");
        assert_eq!(few(1..=10_000), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 9990 more");
        assert_eq!(few(Vec::<String>::new()), "");
        assert_eq!(
            [few_and(&["a"]), few_and(&["a", "b"]), few_and(&["a", "b", "c"])],
            ["a", "a and b", "a, b, c"]
        );
        assert!(few(["x".repeat(100_000), "\u{1b}[2J".to_owned()]).len() < 300);
    }
}
