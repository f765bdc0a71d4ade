//! The string literals of the crates' source: what is printed comes from them. Tests, documentation and file names given to
//! `include_str!` are left out.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Group, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, ItemFn, ItemMod, Lit, LitStr, Macro};

use crate::source::{SourceFile, is_test};

/// The string literals of each crate.
pub(crate) fn by_crate() -> BTreeMap<String, BTreeSet<String>> {
    let mut crates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let files: Vec<(SourceFile, syn::File)> = SourceFile::read_all()
        .into_iter()
        .filter(|file| file.is_source() && !["rollfit-testkit", "rollfit-fuzz"].contains(&file.crate_name()))
        .map(|file| {
            let syntax = file.parse();
            (file, syntax)
        })
        .collect();
    let for_tests: Vec<String> =
        files.iter().flat_map(|(file, syntax)| modules_for_tests(&file.path, syntax)).collect();
    for (file, syntax) in files {
        let stem = file.path.trim_end_matches(".rs");
        if !for_tests.iter().any(|module| stem == module || stem.starts_with(&format!("{module}/"))) {
            let mut literals = Literals::default();
            literals.visit_file(&syntax);
            crates.entry(file.crate_name().to_owned()).or_default().extend(literals.0);
        }
    }
    crates
}

/// The paths, without `.rs`, of the modules that the file at `path` has for its tests alone.
fn modules_for_tests(path: &str, syntax: &syn::File) -> Vec<String> {
    let stem = path.trim_end_matches(".rs");
    let dir = match stem.rsplit_once('/') {
        Some((dir, "mod" | "lib" | "main")) => dir,
        _ => stem,
    };
    let modules = syntax.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) if module.content.is_none() && is_test(&module.attrs) => Some(module),
        _ => None,
    });
    modules.map(|module| format!("{dir}/{}", module.ident)).collect()
}

#[derive(Default)]
struct Literals(Vec<String>);

impl Literals {
    /// Adds what is in the tokens of a macro or of an attribute.
    fn add_tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) if is_documentation(&group) => {}
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    if let Lit::Str(text) = Lit::new(literal) {
                        self.0.push(text.value());
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

/// Whether a group is that of `#[doc = "..."]`, which a comment within a macro is.
fn is_documentation(group: &Group) -> bool {
    matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(name)) if name == "doc")
}

impl<'ast> Visit<'ast> for Literals {
    fn visit_lit_str(&mut self, text: &'ast LitStr) {
        self.0.push(text.value());
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        let name = item.path.segments.last().map(|segment| segment.ident.to_string());
        if !name.is_some_and(|name| name.starts_with("include") || name == "env") {
            self.add_tokens(item.tokens.clone());
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let syn::Meta::List(list) = &attribute.meta
            && !list.path.is_ident("doc")
        {
            self.add_tokens(list.tokens.clone());
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }
}
