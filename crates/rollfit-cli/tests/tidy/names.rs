//! Names: one public type, one name; and what constructors are called.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{ImplItemFn, ItemImpl, ReturnType, Visibility};

use crate::source::{SourceFile, assert_none};

/// The public types of a file, whatever the modules around them are.
#[derive(Default)]
struct PublicTypes(Vec<String>);

impl PublicTypes {
    fn add(&mut self, visibility: &Visibility, name: &syn::Ident) {
        if matches!(visibility, Visibility::Public(_)) {
            self.0.push(name.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for PublicTypes {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.add(&item.vis, &item.ident);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.add(&item.vis, &item.ident);
    }

    fn visit_item_union(&mut self, item: &'ast syn::ItemUnion) {
        self.add(&item.vis, &item.ident);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.add(&item.vis, &item.ident);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.add(&item.vis, &item.ident);
    }
}

#[test]
fn no_two_public_types_share_a_name() {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in SourceFile::read_all().into_iter().filter(SourceFile::is_source) {
        let mut types = PublicTypes::default();
        types.visit_file(&file.parse());
        types.0.into_iter().for_each(|name| owners.entry(name).or_default().push(file.path.clone()));
    }
    owners.retain(|_, paths| paths.len() > 1);
    let violations: Vec<String> =
        owners.iter().map(|(name, paths)| format!("{name}: {}", paths.join(", "))).collect();
    assert_none("each public type has a name of its own in the workspace", &violations);
}

/// The functions `of` that make the type that they belong to.
#[derive(Default)]
struct Constructors {
    owner: Option<String>,
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for Constructors {
    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let owner = match item.self_ty.as_ref() {
            syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
            _ => None,
        };
        let around = std::mem::replace(&mut self.owner, owner);
        visit::visit_item_impl(self, item);
        self.owner = around;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        let made = MadeType::of_output(&item.sig.output);
        let owner = self.owner.as_deref().unwrap_or_default();
        let makes_owner = made.0.iter().any(|name| name == "Self" || name == owner);
        if item.sig.ident == "of" && item.sig.receiver().is_none() && makes_owner {
            self.found.push(owner.to_owned());
        }
        visit::visit_impl_item_fn(self, item);
    }
}

/// The names of types in what a function returns.
#[derive(Default)]
struct MadeType(Vec<String>);

impl MadeType {
    fn of_output(output: &ReturnType) -> Self {
        let mut made = Self::default();
        made.visit_return_type(output);
        made
    }
}

impl<'ast> Visit<'ast> for MadeType {
    fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
        self.0.push(segment.ident.to_string());
        visit::visit_path_segment(self, segment);
    }
}

#[test]
fn no_constructor_is_called_of() {
    let mut violations = Vec::new();
    for file in SourceFile::read_all() {
        let mut constructors = Constructors::default();
        constructors.visit_file(&file.parse());
        violations.extend(constructors.found.iter().map(|owner| format!("{}: {owner}::of", file.path)));
    }
    assert_none("constructors are called `new`, `from_...`, `parse` or `open`", &violations);
}
