//! Names in a directory that several layers have.

use super::layers::{Child, Place};
use super::node::Node;
use crate::types::*;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::sync::Arc;
use alloc::vec::Vec;
use syscall_shim::{Errno, SysResult};

/// The first cookie of a directory.
const FIRST: u64 = 2;

/// The names of a merged directory. A name keeps its cookie as long as it is there, whatever comes
/// and goes beside it.
#[derive(Default)]
pub(super) struct Listing {
    cookies: BTreeMap<Vec<u8>, u64>,
    entries: BTreeMap<u64, (Vec<u8>, u64, FileType)>,
    next: u64,
}

impl Listing {
    /// Has the names be those of `found`, each with its number and type.
    fn renew(&mut self, found: BTreeMap<Vec<u8>, (u64, FileType)>) {
        self.cookies.retain(|name, _| found.contains_key(name));
        self.entries.clear();
        self.next = self.next.max(FIRST);
        for (name, (ino, file_type)) in found {
            let cookie = *self.cookies.entry(name.clone()).or_insert_with(|| {
                self.next += 1;
                self.next - 1
            });
            self.entries.insert(cookie, (name, ino, file_type));
        }
    }

    fn read(&self, cookie: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> u64 {
        let mut next = cookie;
        for (at, (name, ino, file_type)) in self.entries.range(cookie..) {
            if !emit(DirEntry { name, ino: *ino, file_type: *file_type, next: at + 1 }) {
                return *at;
            }
            next = at + 1;
        }
        next
    }
}

impl Node {
    /// The file of that name. `ENOENT`.
    pub(super) fn find(&self, name: &[u8]) -> SysResult<Arc<Node>> {
        let mut upper = None;
        if let Some(dir) = self.upper.get() {
            match self.layers.child(dir, name)? {
                Child::None => {}
                Child::Whiteout => return Err(Errno::ENOENT),
                Child::Found(place) => upper = Some(place),
            }
        }
        let goes_on = upper.as_ref().is_none_or(|place| place.is_dir() && !self.layers.is_opaque(place));
        let lower = if goes_on { self.find_below(name, upper.is_some())? } else { Vec::new() };
        let home = upper.is_none().then(|| self.myself()).transpose()?.map(|dir| (dir, name.to_vec()));
        Node::get(&self.layers, upper, lower, home)
    }

    /// The directories of that name in the layers below, or without one `above` them the file.
    fn find_below(&self, name: &[u8], above: bool) -> SysResult<Vec<Place>> {
        let mut found = Vec::new();
        for dir in self.lower_dirs() {
            match self.layers.child(dir, name)? {
                Child::None => {}
                Child::Whiteout => break,
                Child::Found(place) if !place.is_dir() => {
                    if !above && found.is_empty() {
                        found.push(place);
                    }
                    break;
                }
                Child::Found(place) => {
                    let opaque = self.layers.is_opaque(&place);
                    found.push(place);
                    if opaque {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    fn lower_dirs(&self) -> &[Place] {
        &self.lower
    }

    /// Whether a layer below has something under this name, which would be seen if nothing hid it.
    pub(super) fn is_below(&self, name: &[u8]) -> SysResult<bool> {
        for dir in self.lower_dirs() {
            match self.layers.child(dir, name)? {
                Child::None => {}
                Child::Whiteout => return Ok(false),
                Child::Found(_) => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Whether a whiteout of the writable layer stands where a name is to be.
    pub(super) fn is_hidden(&self, name: &[u8]) -> SysResult<bool> {
        let Some(dir) = self.upper.get() else { return Ok(false) };
        Ok(matches!(self.layers.child(dir, name)?, Child::Whiteout))
    }

    /// The names of all layers, each with its number and type.
    fn merged(&self) -> SysResult<BTreeMap<Vec<u8>, (u64, FileType)>> {
        // `None` is a name that is hidden.
        let mut all: BTreeMap<Vec<u8>, Option<(u64, FileType)>> = BTreeMap::new();
        let mut twice = Vec::new();
        for dir in self.upper.get().into_iter().chain(self.lower_dirs()) {
            for (name, ino, file_type) in entries(dir)? {
                let hides = || matches!(self.layers.child(dir, &name), Ok(Child::Whiteout));
                let shown = !(file_type == FileType::Char && hides());
                match all.entry(name) {
                    Entry::Occupied(slot) => {
                        if slot.get().is_some_and(|(_, there)| there == FileType::Dir) && file_type == FileType::Dir {
                            twice.push(slot.key().clone());
                        }
                    }
                    Entry::Vacant(slot) => {
                        let id = (dir.path.mount.fs.dev(), ino);
                        let origin = self.layers.origins.lock().get(&id).copied().unwrap_or(id);
                        slot.insert(shown.then(|| (self.layers.number(origin), file_type)));
                    }
                }
            }
        }
        // The number of a directory that several layers have is not the topmost one's.
        for name in twice {
            if let (Ok(node), Some(Some(slot))) = (self.find(&name), all.get_mut(&name)) {
                slot.0 = node.number();
            }
        }
        Ok(all.into_iter().filter_map(|(name, found)| Some((name, found?))).collect())
    }

    /// [`crate::Inode::readdir`].
    pub(super) fn list(&self, cookie: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> SysResult<u64> {
        if self.file_type_is_not_dir() {
            return Err(Errno::ENOTDIR);
        }
        if cookie <= FIRST || self.listing.lock().entries.is_empty() {
            let found = self.merged()?;
            self.listing.lock().renew(found);
        }
        Ok(self.listing.lock().read(cookie, emit))
    }

    /// Whether nothing is in the directory.
    pub(super) fn is_empty(&self) -> SysResult<bool> {
        Ok(self.merged()?.is_empty())
    }

    fn file_type_is_not_dir(&self) -> bool {
        !self.real().is_dir()
    }
}

/// The names in a directory of a layer, with numbers and types.
fn entries(dir: &Place) -> SysResult<Vec<(Vec<u8>, u64, FileType)>> {
    let mut all = Vec::new();
    dir.inode.readdir(FIRST, &mut |entry| {
        all.push((entry.name.to_vec(), entry.ino, entry.file_type));
        true
    })?;
    Ok(all)
}
