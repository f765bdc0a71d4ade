//! Sizes that fit into a reader's head: of files and of functions. Every file opens with what it is for.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, Signature};

use crate::source::{SourceFile, assert_none};

const SOURCE_LINES_MAX: usize = 500;
const TEST_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 60;

#[test]
fn every_file_says_what_it_is_for() {
    let says =
        |file: &SourceFile| file.text.starts_with(if file.path.ends_with(".rs") { "//! " } else { "\"\"\"" });
    let files = SourceFile::read_all().into_iter().chain(SourceFile::read_python());
    let violations: Vec<String> = files.filter(|file| !says(file)).map(|file| file.path).collect();
    assert_none("every file opens with `//!`, or with a docstring", &violations);
}

#[test]
fn files_are_short() {
    let mut violations = Vec::new();
    for file in SourceFile::read_all().into_iter().chain(SourceFile::read_python()) {
        let lines = file.text.lines().count();
        let most = if file.is_source() { SOURCE_LINES_MAX } else { TEST_LINES_MAX };
        if lines > most {
            violations.push(format!("{}: {lines} lines, more than {most}", file.path));
        }
    }
    assert_none("files are short", &violations);
}

/// The functions that are too long.
#[derive(Default)]
struct LongFunctions(Vec<String>);

impl LongFunctions {
    fn measure(&mut self, signature: &Signature, block: &Block) {
        let (first, last) = (signature.span().start().line, block.span().end().line);
        let lines = last + 1 - first;
        if lines > FUNCTION_LINES_MAX {
            self.0.push(format!("{first}: `{}` has {lines} lines", signature.ident));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        item.default.iter().for_each(|block| self.measure(&item.sig, block));
        visit::visit_trait_item_fn(self, item);
    }
}

#[test]
fn functions_are_short() {
    let mut violations = Vec::new();
    for file in SourceFile::read_all() {
        let mut long = LongFunctions::default();
        long.visit_file(&file.parse());
        violations.extend(long.0.into_iter().map(|long| format!("{}:{long}", file.path)));
    }
    assert_none(&format!("functions have at most {FUNCTION_LINES_MAX} lines"), &violations);
}
