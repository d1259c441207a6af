//! The kernel's locks as a table, from the places that declare them.

use std::fmt::Write;
use std::path::Path;

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprLit, ItemStatic, ItemStruct, ItemType, Lit, Meta, Type, TypePath};

use super::source::Parsed;

/// Kinds of locks, in the order in which they may be taken, and what that means.
const KINDS: [(&str, &str); 8] = [
    ("SleepRwLock", "Sleeping, shared or alone: taken first, and held over anything that can sleep"),
    ("SleepMutex", "Sleeping"),
    ("SleepLock", "Sleeping, of the file systems: parents before children"),
    ("ArcTable", "Tables that are read without a lock and changed under a spin lock"),
    ("SpinLock", "Spinning: nothing sleeps while one is held"),
    ("RwLock", "Spinning, shared or alone, of the file systems"),
    ("Mutex", "Spinning, of the file systems"),
    ("IrqSpinLock", "Spinning with interrupts off: taken last, for what interrupt handlers touch"),
];

/// The crate that has locks beside those of `sync`, and its files that are no part of the kernel or
/// declare the locks themselves.
pub const FILE_SYSTEMS: &str = "fs";
const NOT_THEIRS: [&str; 2] = ["fs/src/sync.rs", "fs/src/testing.rs"];

/// A lock.
pub struct Lock {
    kind: usize,
    name: String,
    place: String,
    words: String,
}

/// The locks of a crate.
pub fn find(parsed: &Parsed, checkout: &Path) -> Vec<Lock> {
    let mut aliases = Aliases(Vec::new());
    parsed.files.iter().for_each(|(_, file)| aliases.visit_file(file));
    let mut seen = Seen { locks: Vec::new(), place: String::new(), aliases };
    for (path, file) in &parsed.files {
        seen.place = path.strip_prefix(checkout).unwrap_or(path).display().to_string();
        seen.visit_file(file);
    }
    seen.locks.retain(|lock| {
        // Crates of the kernel have the standard library's `Mutex` in tests.
        let of_file_systems = lock.place.starts_with("fs/") && !NOT_THEIRS.contains(&lock.place.as_str());
        !lock.place.starts_with("kernel/sync/") && (of_file_systems || !matches!(KINDS[lock.kind].0, "RwLock" | "Mutex"))
    });
    seen.locks
}

/// All locks, those first that are taken first.
pub fn table(locks: &[Lock]) -> String {
    let mut out = String::from(
        "# Locks\n\nWritten by `target/debug/internals --write` from the declarations and what is written beside them. Locks are taken in the\n\
         order of these tables; within one, the words beside a lock say what it comes after. The checked kernel (`cargo kbuild-checked`)\n\
         stops where two are taken in both orders. What holds for all of them is in [policies.md](policies.md).\n",
    );
    for (kind, (name, meaning)) in KINDS.iter().enumerate() {
        let mut rows: Vec<&Lock> = locks.iter().filter(|lock| lock.kind == kind).collect();
        rows.sort_by_key(|lock| (&lock.place, &lock.name));
        if rows.is_empty() {
            continue;
        }
        let _ = write!(out, "\n## `{name}`\n\n{meaning}.\n\n| lock | where | what its declaration says |\n|--|--|--|\n");
        for lock in rows {
            let _ = writeln!(out, "| `{}` | {} | {} |", lock.name, lock.place, lock.words);
        }
    }
    out
}

struct Seen {
    locks: Vec<Lock>,
    place: String,
    aliases: Aliases,
}

impl Seen {
    fn note(&mut self, name: String, of: &Type, attributes: &[Attribute]) {
        for kind in kinds(of, &self.aliases) {
            self.locks.push(Lock { kind, name: name.clone(), place: self.place.clone(), words: words(attributes) });
        }
    }
}

impl<'ast> Visit<'ast> for Seen {
    fn visit_item_static(&mut self, item: &'ast ItemStatic) {
        self.note(item.ident.to_string(), &item.ty, &item.attrs);
        visit::visit_item_static(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        for (index, field) in item.fields.iter().enumerate() {
            let field_name = field.ident.as_ref().map_or(index.to_string(), |name| name.to_string());
            self.note(format!("{}.{field_name}", item.ident), &field.ty, &field.attrs);
        }
    }
}

/// Other names of kinds of locks.
struct Aliases(Vec<(String, usize)>);

impl<'ast> Visit<'ast> for Aliases {
    fn visit_item_type(&mut self, item: &'ast ItemType) {
        let found = kinds(&item.ty, &Aliases(Vec::new()));
        self.0.extend(found.first().map(|kind| (item.ident.to_string(), *kind)));
    }
}

/// The kinds of locks in a type.
fn kinds(of: &Type, aliases: &Aliases) -> Vec<usize> {
    let mut kinds = Kinds(Vec::new(), aliases);
    kinds.visit_type(of);
    kinds.0
}

struct Kinds<'a>(Vec<usize>, &'a Aliases);

impl<'ast> Visit<'ast> for Kinds<'_> {
    fn visit_type_path(&mut self, path: &'ast TypePath) {
        if let Some(last) = path.path.segments.last() {
            self.0.extend(KINDS.iter().position(|(name, _)| last.ident == name));
            self.0.extend(self.1.0.iter().filter(|(name, _)| last.ident == name).map(|(_, kind)| *kind));
        }
        visit::visit_type_path(self, path);
    }
}

/// The comment above, in one line, as a cell of a table.
fn words(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            other => Some(other.to_token_stream().to_string()),
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
