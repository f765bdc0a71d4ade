//! The target `import_list` of `rollfit-fuzz`.
#![no_main]

fuzz::target!("import_list");
