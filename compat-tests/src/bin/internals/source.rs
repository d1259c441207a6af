//! The code of a crate: its tree of modules, and what they name.
//!
//! Counted are the paths in `use` declarations, expressions, types and patterns, and those that can
//! be told in macros' arguments (`crate::`, `super::`, the name of another crate). Tests are left
//! out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprLit, File, Item, ItemMod, ItemUse, Lit, Macro, Meta, UseTree};

use super::graph::Graph;
use super::workspace::Package;

/// The module at the top of a crate, in reports.
const ROOT: &str = "(root)";

/// What a crate's code says.
#[derive(Default)]
pub struct Parsed {
    /// Files, parsed, without what is for tests alone.
    pub files: Vec<(PathBuf, File)>,
    /// How often other crates are named, by their names in code.
    pub crates: BTreeMap<String, usize>,
    /// Imports between the top modules.
    pub modules: Graph,
}

/// A module of a crate: where its path in the crate begins, and what it says.
struct Module {
    path: Vec<String>,
    items: Vec<Item>,
    children: BTreeSet<String>,
}

/// Reads a crate. `others` are the names of the workspace's crates in code.
pub fn read(package: &Package, others: &[String]) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    for root in &package.roots {
        let mut modules = Vec::new();
        let folder = root.parent().unwrap_or(Path::new(""));
        open(root, folder, Vec::new(), &mut modules, &mut parsed.files)?;
        let names = Names::of(&modules);
        for module in &modules {
            let mut seen = Seen { module, names: &names, others, own: &package.ident, found: Vec::new() };
            module.items.iter().for_each(|item| seen.visit_item(item));
            let top = module.path.first().map_or(ROOT, String::as_str);
            parsed.modules.node(top);
            for found in seen.found {
                match found {
                    Found::Crate(name) => *parsed.crates.entry(name).or_default() += 1,
                    Found::Module(name) => parsed.modules.add(top, &name, 1),
                }
            }
        }
    }
    Ok(parsed)
}

/// Reads a file and the modules that it declares, which lie in `folder`.
fn open(
    file: &Path,
    folder: &Path,
    path: Vec<String>,
    modules: &mut Vec<Module>,
    files: &mut Vec<(PathBuf, File)>,
) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut parsed = syn::parse_file(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    parsed.items.retain(|item| !is_test(attributes(item)));
    let items = parsed.items.clone();
    files.push((file.to_owned(), parsed));
    enter(items, file.parent().unwrap_or(folder), folder, path, modules, files)
}

/// Takes in the items of a module, whose further modules lie in `folder`, or, where they name their
/// files, below `beside`.
fn enter(
    items: Vec<Item>,
    beside: &Path,
    folder: &Path,
    path: Vec<String>,
    modules: &mut Vec<Module>,
    files: &mut Vec<(PathBuf, File)>,
) -> Result<(), String> {
    let mut children = BTreeSet::new();
    let mut rest = Vec::new();
    for item in items {
        let Item::Mod(module) = item else {
            rest.push(item);
            continue;
        };
        let name = module.ident.to_string();
        children.insert(name.clone());
        let below: Vec<String> = path.iter().cloned().chain([name.clone()]).collect();
        let inner = folder.join(&name);
        match module.content.clone() {
            Some((_, items)) => {
                let items = items.into_iter().filter(|item| !is_test(attributes(item))).collect();
                enter(items, &inner, &inner, below, modules, files)?;
            }
            None => {
                let file = place(&module, beside, folder, &name);
                // A file by another name has its modules beside it, as `mod.rs` has.
                let inner = if named_path(&module).is_some() { file.parent().unwrap_or(folder).to_owned() } else { inner };
                open(&file, &inner, below, modules, files)?;
            }
        }
    }
    modules.push(Module { path, items: rest, children });
    Ok(())
}

/// Where a module's file is.
fn place(module: &ItemMod, beside: &Path, folder: &Path, name: &str) -> PathBuf {
    if let Some(path) = named_path(module) {
        return beside.join(path);
    }
    let file = folder.join(format!("{name}.rs"));
    if file.exists() { file } else { folder.join(name).join("mod.rs") }
}

fn named_path(module: &ItemMod) -> Option<String> {
    module.attrs.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            matches!(list.tokens.clone().into_iter().next(), Some(TokenTree::Ident(name)) if name == "test")
        }
        meta => meta.path().is_ident("test"),
    })
}

/// What the names at the top of a crate stand for.
struct Names {
    top: BTreeSet<String>,
    /// Things that the top module has from one of its modules, and macros, by the module that has
    /// them.
    from: BTreeMap<String, String>,
    /// Other crates that the top module knows by a name.
    crates: BTreeMap<String, String>,
}

impl Names {
    fn of(modules: &[Module]) -> Self {
        let top = modules.iter().find(|module| module.path.is_empty()).map(|root| root.children.clone()).unwrap_or_default();
        let mut from = BTreeMap::new();
        let mut crates = BTreeMap::new();
        for module in modules {
            for item in &module.items {
                match (item, module.path.first()) {
                    (Item::Use(item), None) => flatten(&item.tree, &mut Vec::new(), &mut |path, name| {
                        let first = path.iter().find(|part| !matches!(part.as_str(), "self" | "crate"));
                        match first {
                            Some(first) if top.contains(first) => from.insert(name.to_owned(), first.clone()),
                            Some(first) => crates.insert(name.to_owned(), first.clone()),
                            None => None,
                        };
                    }),
                    (Item::ExternCrate(item), None) => {
                        let known = item.rename.as_ref().map_or(&item.ident, |(_, name)| name);
                        crates.insert(known.to_string(), item.ident.to_string());
                    }
                    (Item::Macro(item), Some(first)) => {
                        from.extend(item.ident.as_ref().map(|name| (name.to_string(), first.clone())));
                    }
                    _ => {}
                }
            }
        }
        Self { top, from, crates }
    }

    /// The top module that a name at the top belongs to.
    fn module(&self, name: &str) -> String {
        if self.top.contains(name) { name.to_owned() } else { self.from.get(name).cloned().unwrap_or(ROOT.to_owned()) }
    }
}

/// Each name that a `use` brings, with its whole path.
fn flatten(tree: &UseTree, path: &mut Vec<String>, each: &mut impl FnMut(&[String], &str)) {
    let mut leaf = |path: &mut Vec<String>, real: String, name: &str| {
        path.push(real);
        each(path, name);
        path.pop();
    };
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            flatten(&inner.tree, path, each);
            path.pop();
        }
        UseTree::Name(name) => leaf(path, name.ident.to_string(), &name.ident.to_string()),
        UseTree::Rename(name) => leaf(path, name.ident.to_string(), &name.rename.to_string()),
        UseTree::Glob(_) => each(path, "*"),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, path, each)),
    }
}

enum Found {
    Crate(String),
    Module(String),
}

/// What a module names.
struct Seen<'a> {
    module: &'a Module,
    names: &'a Names,
    others: &'a [String],
    own: &'a str,
    found: Vec<Found>,
}

impl Seen<'_> {
    fn path(&mut self, parts: &[String]) {
        let (Some(first), rest) = (parts.first(), parts.get(1..).unwrap_or(&[])) else { return };
        match first.as_str() {
            "crate" => self.from_top(rest),
            "self" | "super" => {
                let up = parts.iter().take_while(|part| *part == "super").count();
                let here = self.module.path.get(..self.module.path.len().saturating_sub(up)).unwrap_or(&[]);
                let skip = up.max(1);
                let whole: Vec<String> = here.iter().chain(parts.get(skip..).unwrap_or(&[])).cloned().collect();
                self.from_top(&whole);
            }
            name if self.module.children.contains(name) => {
                let whole: Vec<String> = self.module.path.iter().chain(parts).cloned().collect();
                self.from_top(&whole);
            }
            name if name != self.own && self.others.iter().any(|other| other == name) && !rest.is_empty() => {
                self.found.push(Found::Crate(name.to_owned()));
            }
            _ => {}
        }
    }

    fn from_top(&mut self, path: &[String]) {
        let Some(name) = path.first() else { return };
        match self.names.crates.get(name) {
            Some(other) if self.others.contains(other) => self.found.push(Found::Crate(other.clone())),
            // Of the standard library or of strangers.
            Some(_) => {}
            None => self.found.push(Found::Module(self.names.module(name))),
        }
    }

    /// The paths in a macro's arguments that can be told from other tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if path.is_empty() || colons == 2 => {
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' && !path.is_empty() => colons += 1,
                other => {
                    self.told(&mut path);
                    colons = 0;
                    match other {
                        TokenTree::Ident(name) => path.push(name.to_string()),
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.told(&mut path);
    }

    fn told(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.path(path);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Seen<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut paths = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut |path, _| paths.push(path.to_vec()));
        paths.iter().for_each(|path| self.path(path));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if parts.len() > 1 {
            self.path(&parts);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.visit_path(&called.path);
        self.tokens(called.tokens.clone());
    }
}
