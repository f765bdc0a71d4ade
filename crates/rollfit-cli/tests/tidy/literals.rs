//! The string literals of the crates' source: what is printed comes from them. Tests, documentation and file names given to
//! `include_str!` are left out.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, ItemFn, ItemMod, Lit, LitStr, Macro};

use crate::source::{SourceFile, is_test};

/// The string literals of each crate.
pub(crate) fn by_crate() -> BTreeMap<String, BTreeSet<String>> {
    let mut crates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in SourceFile::read_all().into_iter().filter(SourceFile::is_source) {
        let is_for_tests = file.path.ends_with("/tests.rs") || file.crate_name() == "rollfit-testkit";
        if !is_for_tests {
            let mut literals = Literals::default();
            literals.visit_file(&file.parse());
            crates.entry(file.crate_name().to_owned()).or_default().extend(literals.0);
        }
    }
    crates
}

#[derive(Default)]
struct Literals(Vec<String>);

impl Literals {
    /// Adds what is in the tokens of a macro or of an attribute.
    fn add_tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
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
