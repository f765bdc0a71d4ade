//! The documents: links lead to files and headings that are there, and the pages for users stay short.

use std::path::{Path, PathBuf};

use crate::source::{SourceFile, assert_none, root};

/// The words that README.md and the pages in docs have together, without code blocks.
const USER_WORDS_MAX: usize = 10_000;
/// Reference pages, which may be as long as they have to be.
const REFERENCE: [&str; 2] = ["docs/formulas.md", "docs/format.md"];

/// A document without its code blocks.
fn prose(text: &str) -> String {
    let mut in_code = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    };
    text.lines().filter(is_prose).map(|line| format!("{line}\n")).collect()
}

/// The targets of the links in `prose`, as they are written.
fn targets(prose: &str) -> impl Iterator<Item = &str> {
    let ends = prose.match_indices("](").map(|(at, _)| &prose[at + 2..]);
    ends.filter_map(|rest| rest.split([')', ' ', '\n']).next())
}

/// The anchor that a heading gets on GitHub.
fn anchor(heading: &str) -> String {
    let keep = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(keep).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// What is wrong with a link, if anything is.
fn problem(page: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, wanted) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { page.to_owned() } else { page.with_file_name("").join(file) };
    if !path.exists() {
        return Some(format!("{target}: there is no such file"));
    }
    let wanted = wanted?;
    let text = prose(&std::fs::read_to_string(&path).unwrap());
    let mut headings = text.lines().filter(|line| line.starts_with('#'));
    let is_there = headings.any(|line| anchor(line.trim_start_matches('#')) == wanted);
    (!is_there).then(|| format!("{target}: there is no such heading"))
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut violations = Vec::new();
    for SourceFile { path, text } in SourceFile::read_documents() {
        let page: PathBuf = root().join(&path);
        let wrong = targets(&prose(&text)).filter_map(|target| problem(&page, target)).collect::<Vec<_>>();
        violations.extend(wrong.into_iter().map(|wrong| format!("{path}: {wrong}")));
    }
    assert_none("links of the documents lead somewhere", &violations);
}

#[test]
fn links_and_anchors_are_found_in_prose_alone() {
    let page = "# A `b`: c\n\n[x](a.md#b) ![y](c.svg)\n\n```sh\necho [z](d.md)\n```\n";
    assert_eq!(targets(&prose(page)).collect::<Vec<_>>(), ["a.md#b", "c.svg"]);
    assert_eq!(anchor(" A `b`: c_d-e"), "a-b-c_d-e");
    let here = root().join("docs/runs.md");
    assert_eq!(problem(&here, "#states"), None);
    assert!(problem(&here, "#no-such-heading").is_some() && problem(&here, "no-such-page.md").is_some());
}

#[test]
fn the_pages_for_users_are_short() {
    let is_for_users = |path: &str| {
        (path == "README.md" || path.starts_with("docs/") && path.matches('/').count() == 1)
            && !REFERENCE.contains(&path)
    };
    let pages = SourceFile::read_documents().into_iter().filter(|file| is_for_users(&file.path));
    let words: Vec<(String, usize)> =
        pages.map(|page| (page.path, prose(&page.text).split_whitespace().count())).collect();
    let all: usize = words.iter().map(|(_, words)| words).sum();
    assert!(words.len() > 10 && all <= USER_WORDS_MAX, "{all} words, more than {USER_WORDS_MAX}: {words:?}");
}
