//! Directory entries: found by name, read in the order of creation.

use super::node::TmpNode;
use crate::inode::Inode;
use crate::sync::RwLock;
use crate::types::*;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hashbrown::HashMap;
use syscall_shim::{Errno, SysResult};

/// What Linux's tmpfs counts for one entry in a directory's size (`BOGO_DIRENT_SIZE`).
const ENTRY_SIZE: u64 = 20;
/// The first cookie; 0 and 1 are `.` and `..`.
const FIRST_COOKIE: u64 = 2;

struct Entries {
    by_name: HashMap<Arc<[u8]>, u64>,
    /// Cookies only grow, so one that was handed out stays valid whatever comes and goes.
    by_cookie: BTreeMap<u64, (Arc<[u8]>, Arc<TmpNode>)>,
    next: u64,
    /// Removed: nothing can be created here any more.
    dead: bool,
}

/// The entries of one directory. A leaf lock; two are held at a time only under `Super::tree`.
pub(super) struct Dir {
    entries: RwLock<Entries>,
}

impl Default for Dir {
    fn default() -> Dir {
        let entries = Entries { by_name: HashMap::new(), by_cookie: BTreeMap::new(), next: FIRST_COOKIE, dead: false };
        Dir { entries: RwLock::new(entries) }
    }
}

impl Entries {
    fn get(&self, name: &[u8]) -> Option<&Arc<TmpNode>> {
        self.by_cookie.get(self.by_name.get(name)?).map(|(_, node)| node)
    }

    /// `ENOSPC`
    fn insert(&mut self, name: &[u8], node: Arc<TmpNode>) -> SysResult<()> {
        self.by_name.try_reserve(1).map_err(|_| Errno::ENOSPC)?;
        let name: Arc<[u8]> = Arc::from(name);
        let cookie = self.next;
        self.next += 1;
        self.by_name.insert(name.clone(), cookie);
        self.by_cookie.insert(cookie, (name, node));
        Ok(())
    }

    fn remove(&mut self, name: &[u8]) -> Option<Arc<TmpNode>> {
        let cookie = self.by_name.remove(name)?;
        self.by_cookie.remove(&cookie).map(|(_, node)| node)
    }

    /// Puts another node under an existing name.
    fn replace(&mut self, name: &[u8], node: Arc<TmpNode>) -> Option<Arc<TmpNode>> {
        let cookie = self.by_name.get(name)?;
        let slot = self.by_cookie.get_mut(cookie)?;
        Some(core::mem::replace(&mut slot.1, node))
    }
}

impl Dir {
    pub(super) fn size(&self) -> u64 {
        (self.entries.read().by_name.len() as u64 + 2) * ENTRY_SIZE
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Arc<TmpNode>> {
        self.entries.read().get(name).cloned()
    }

    pub(super) fn insert(&self, name: &[u8], node: Arc<TmpNode>) -> SysResult<()> {
        let mut entries = self.entries.write();
        if entries.dead {
            return Err(Errno::ENOENT);
        }
        if entries.by_name.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        entries.insert(name, node)
    }

    /// Removes an entry that `check` lets go.
    pub(super) fn remove(&self, name: &[u8], check: impl FnOnce(&TmpNode) -> SysResult<()>) -> SysResult<Arc<TmpNode>> {
        let mut entries = self.entries.write();
        check(entries.get(name).ok_or(Errno::ENOENT)?)?;
        entries.remove(name).ok_or(Errno::ENOENT)
    }

    /// Marks an empty directory as removed; `ENOTEMPTY`.
    pub(super) fn kill(&self) -> SysResult<()> {
        let mut entries = self.entries.write();
        if !entries.by_name.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        entries.dead = true;
        Ok(())
    }

    pub(super) fn take_all(&self) -> Vec<Arc<TmpNode>> {
        let mut entries = self.entries.write();
        entries.by_name.clear();
        core::mem::take(&mut entries.by_cookie).into_values().map(|(_, node)| node).collect()
    }

    pub(super) fn read(&self, cookie: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> u64 {
        let entries = self.entries.read();
        let mut next = cookie;
        for (at, (name, node)) in entries.by_cookie.range(cookie..) {
            let entry = DirEntry { name, ino: node.ino, file_type: node.file_type(), next: at + 1 };
            if !emit(entry) {
                return *at;
            }
            next = at + 1;
        }
        next
    }
}

/// rename(2) between two directories of one tmpfs.
pub(super) fn rename(
    old_dir: &TmpNode,
    old_name: &[u8],
    new_dir: &TmpNode,
    new_name: &[u8],
    flags: RenameFlags,
) -> SysResult<()> {
    let (from, to) = (old_dir.dir()?, new_dir.dir()?);
    let same = core::ptr::eq(old_dir, new_dir);
    let tree = old_dir.sup.tree.lock();
    let mut from_entries = from.entries.write();
    let mut to_entries = if same { None } else { Some(to.entries.write()) };
    let source = from_entries.get(old_name).cloned().ok_or(Errno::ENOENT)?;
    let there = to_entries.as_deref().unwrap_or(&from_entries);
    if there.dead {
        return Err(Errno::ENOENT);
    }
    let target = there.get(new_name).cloned();
    let swap = flags.contains(RenameFlags::EXCHANGE);
    // The caller checks this on the names it walked; a directory that moved meanwhile must not
    // become its own ancestor, nor be locked twice below.
    if core::ptr::eq(&*source, new_dir) {
        return Err(Errno::EINVAL);
    }
    if target.as_deref().is_some_and(|target| core::ptr::eq(target, old_dir)) {
        return Err(if swap { Errno::EINVAL } else { Errno::ENOTEMPTY });
    }
    // From here on nothing can fail for want of memory.
    let there = to_entries.as_deref_mut().unwrap_or(&mut from_entries);
    there.by_name.try_reserve(1).map_err(|_| Errno::ENOSPC)?;
    match &target {
        None if swap => return Err(Errno::ENOENT),
        Some(_) if flags.contains(RenameFlags::NOREPLACE) => return Err(Errno::EEXIST),
        Some(node) if !swap => may_replace(&source, node)?,
        _ => {}
    }
    if let (true, Some(target)) = (swap, &target) {
        from_entries.replace(old_name, target.clone());
        to_entries.as_deref_mut().unwrap_or(&mut from_entries).replace(new_name, source.clone());
    } else {
        from_entries.remove(old_name);
        let there = to_entries.as_deref_mut().unwrap_or(&mut from_entries);
        there.remove(new_name);
        there.insert(new_name, source.clone())?;
    }
    drop((to_entries, from_entries, tree));
    count_links(old_dir, new_dir, &source, target.as_deref(), swap);
    Ok(())
}

/// The target of a plain rename must be of the same kind, and empty if a directory, which is dead
/// from then on.
fn may_replace(source: &TmpNode, target: &TmpNode) -> SysResult<()> {
    match (source.is_dir(), target.is_dir()) {
        (true, true) => target.dir()?.kill(),
        (true, false) => Err(Errno::ENOTDIR),
        (false, true) => Err(Errno::EISDIR),
        (false, false) => Ok(()),
    }
}

/// Link counts and times after a rename.
fn count_links(old_dir: &TmpNode, new_dir: &TmpNode, source: &TmpNode, target: Option<&TmpNode>, swap: bool) {
    let target_dir = target.is_some_and(TmpNode::is_dir);
    let (leave, arrive) = if swap {
        (i32::from(source.is_dir()) - i32::from(target_dir), i32::from(source.is_dir()) - i32::from(target_dir))
    } else {
        (i32::from(source.is_dir()), i32::from(source.is_dir()) - i32::from(target_dir))
    };
    old_dir.add_links(-leave);
    new_dir.add_links(arrive);
    source.add_links(0);
    match target {
        Some(target) if swap => target.add_links(0),
        Some(target) if target_dir => target.add_links(-2),
        Some(target) => target.lose_name(),
        None => {}
    }
    old_dir.touch();
    new_dir.touch();
}
