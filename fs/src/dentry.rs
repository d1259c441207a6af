//! The dentry cache: names already looked up, found and not found.
//!
//! A dentry is immutable in what it names: creating a file replaces a negative dentry by a positive
//! one. Each directory dentry holds its cached children; children hold their parent. What nobody
//! uses is evicted, least recently used first.

use crate::inode::InodeRef;
use crate::notify::{self, event};
use crate::platform::platform;
use crate::sync::{Mutex, RwLock};
use crate::types::FileType;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use hashbrown::HashMap;

/// Where a dentry hangs.
struct Hook {
    parent: Option<Arc<Dentry>>,
    name: Arc<[u8]>,
}

/// One name in a directory and what it stands for.
pub struct Dentry {
    inode: Option<InodeRef>,
    /// The inode's type, which never changes: walks need it at each step.
    file_type: Option<FileType>,
    /// A leaf lock; writers also hold [`TREE`] for writing.
    hook: RwLock<Hook>,
    /// Cached children. A leaf lock.
    children: RwLock<HashMap<Box<[u8]>, Arc<Dentry>>>,
    /// Counts changes of this directory, so that a lookup that raced with one does not cache what
    /// is no longer true.
    version: AtomicU64,
    /// Mounts on this dentry in any mount of its file system.
    mounts: AtomicU32,
    /// No longer reachable by its name.
    unhashed: AtomicBool,
    /// An object without a directory: its name is shown as it is.
    anonymous: bool,
    /// Used since the evicting hand last passed.
    referenced: AtomicBool,
}

/// Read while a chain of parents must hold still, written while a dentry moves. Taken before any
/// `hook`.
pub(crate) static TREE: RwLock<()> = RwLock::new(());

/// Cached dentries in the order of the evicting hand. A leaf lock.
static LRU: Mutex<VecDeque<Weak<Dentry>>> = Mutex::new(VecDeque::new());
static LIMIT: AtomicUsize = AtomicUsize::new(16384);
/// How many entries of [`LRU`] have lost their dentry since it was last gone through, and still
/// keep its memory.
static DEAD: AtomicUsize = AtomicUsize::new(0);
/// So many are put up with.
const MAX_DEAD: usize = 256;

/// Sets how many names are kept beyond those in use.
pub fn set_cache_limit(dentries: usize) {
    LIMIT.store(dentries, Ordering::Relaxed);
}

impl Dentry {
    fn make(
        inode: Option<InodeRef>,
        parent: Option<Arc<Dentry>>,
        name: &[u8],
        anonymous: bool,
        unhashed: bool,
    ) -> Arc<Dentry> {
        Arc::new(Dentry {
            file_type: inode.as_ref().map(|i| i.file_type()),
            inode,
            hook: RwLock::new(Hook { parent, name: Arc::from(name) }),
            children: RwLock::new(HashMap::new()),
            version: AtomicU64::new(0),
            mounts: AtomicU32::new(0),
            unhashed: AtomicBool::new(unhashed),
            anonymous,
            referenced: AtomicBool::new(false),
        })
    }

    /// The root of a file system.
    pub fn new_root(inode: InodeRef) -> Arc<Dentry> {
        Dentry::make(Some(inode), None, b"/", false, false)
    }

    /// A file without a directory (a pipe, a socket, a memfd), shown as `name`; with `deleted`, as
    /// `name (deleted)`.
    pub fn anonymous(inode: InodeRef, name: &[u8], deleted: bool) -> Arc<Dentry> {
        Dentry::make(Some(inode), None, name, true, deleted)
    }

    /// A file that was never linked (`O_TMPFILE`): in `parent`, but not found there.
    pub fn unlinked(inode: InodeRef, parent: &Arc<Dentry>, name: &[u8]) -> Arc<Dentry> {
        Dentry::make(Some(inode), Some(parent.clone()), name, false, true)
    }

    /// The file; `None` for a name known not to exist.
    pub fn inode(&self) -> Option<&InodeRef> {
        self.inode.as_ref()
    }

    /// True for a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type == Some(FileType::Dir)
    }

    /// True for a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.file_type == Some(FileType::Symlink)
    }

    /// The last component of the name.
    pub fn name(&self) -> Arc<[u8]> {
        self.hook.read().name.clone()
    }

    /// The parent; `None` for the root of a file system and for anonymous files.
    pub fn parent(&self) -> Option<Arc<Dentry>> {
        self.hook.read().parent.clone()
    }

    /// Both at once.
    pub fn parent_and_name(&self) -> (Option<Arc<Dentry>>, Arc<[u8]>) {
        let hook = self.hook.read();
        (hook.parent.clone(), hook.name.clone())
    }

    /// The name from the root of the file system down.
    pub fn name_in_fs(self: &Arc<Self>) -> Vec<u8> {
        let mut names = Vec::new();
        let _still = TREE.read();
        let mut at = self.clone();
        while let (Some(parent), name) = at.parent_and_name() {
            names.push(name);
            at = parent;
        }
        crate::path::join(&names)
    }

    /// True once the name was removed.
    pub fn is_unlinked(&self) -> bool {
        self.unhashed.load(Ordering::Acquire)
    }

    /// True for [`Dentry::anonymous`].
    pub fn is_anonymous(&self) -> bool {
        self.anonymous
    }

    /// True while something is mounted here.
    pub fn is_mountpoint(&self) -> bool {
        self.mounts.load(Ordering::Acquire) > 0
    }

    pub(crate) fn add_mount(&self) {
        self.mounts.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn remove_mount(&self) {
        self.mounts.fetch_sub(1, Ordering::AcqRel);
    }

    /// The cached child.
    pub(crate) fn cached(&self, name: &[u8]) -> Option<Arc<Dentry>> {
        let child = self.children.read().get(name).cloned()?;
        // Not written again and again: every CPU that walks through reads this line.
        if !child.referenced.load(Ordering::Relaxed) {
            child.referenced.store(true, Ordering::Relaxed);
        }
        Some(child)
    }

    /// To be read before asking the file system; see [`Dentry::cache_lookup`].
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Caches the answer of a lookup begun at `version`. Answers the dentry to go on with: another
    /// thread's, if it was first. When the directory changed meanwhile, the new dentry is not
    /// cached.
    pub(crate) fn cache_lookup(self: &Arc<Self>, name: &[u8], inode: Option<InodeRef>, version: u64) -> Arc<Dentry> {
        let keep = self.inode.as_ref().is_some_and(|i| i.cache_children()) && !self.is_unlinked();
        let fresh = Dentry::make(inode, Some(self.clone()), name, false, false);
        if !keep {
            return fresh;
        }
        let mut children = self.children.write();
        if self.version() != version {
            return fresh;
        }
        if let Some(first) = children.get(name) {
            return first.clone();
        }
        children.insert(Box::from(name), fresh.clone());
        drop(children);
        remember(&fresh);
        fresh
    }

    /// Records that `name` now stands for `inode` (it was created) and answers its dentry. The
    /// directory's inode lock is held.
    pub(crate) fn attach(self: &Arc<Self>, name: &[u8], inode: InodeRef) -> Arc<Dentry> {
        let fresh = Dentry::make(Some(inode), Some(self.clone()), name, false, false);
        let old = {
            let mut children = self.children.write();
            self.version.fetch_add(1, Ordering::AcqRel);
            if !self.inode.as_ref().is_some_and(|i| i.cache_children()) {
                return fresh;
            }
            children.insert(Box::from(name), fresh.clone())
        };
        drop(old);
        remember(&fresh);
        fresh
    }

    /// Records that `child` was removed. The directory's inode lock is held.
    pub(crate) fn detach(&self, child: &Arc<Dentry>) {
        let name = child.name();
        child.unhashed.store(true, Ordering::Release);
        let old = {
            let mut children = self.children.write();
            self.version.fetch_add(1, Ordering::AcqRel);
            match children.get(&name[..]) {
                Some(found) if Arc::ptr_eq(found, child) => children.remove(&name[..]),
                _ => None,
            }
        };
        drop(old);
        forget_dead();
    }

    /// Records a rename: `child` of `self` becomes `new_name` of `new_parent`, whose dentry of that
    /// name `replaced` is gone. Both directories' inode locks are held.
    pub(crate) fn move_child(
        &self,
        child: &Arc<Dentry>,
        new_parent: &Arc<Dentry>,
        new_name: &[u8],
        replaced: Option<&Arc<Dentry>>,
    ) {
        if let Some(replaced) = replaced {
            new_parent.detach(replaced);
        }
        let _still = TREE.write();
        self.forget(child);
        *child.hook.write() = Hook { parent: Some(new_parent.clone()), name: Arc::from(new_name) };
        new_parent.adopt(child, new_name);
    }

    /// Records an exchange of two names.
    pub(crate) fn exchange(&self, a: &Arc<Dentry>, other: &Dentry, b: &Arc<Dentry>) {
        let _still = TREE.write();
        self.forget(a);
        other.forget(b);
        {
            let (mut ha, mut hb) = (a.hook.write(), b.hook.write());
            core::mem::swap(&mut *ha, &mut *hb);
        }
        for d in [a, b] {
            let (parent, name) = d.parent_and_name();
            if let Some(parent) = parent {
                parent.adopt(d, &name);
            }
        }
    }

    /// Takes a child that goes on living out of the cache.
    fn forget(&self, child: &Arc<Dentry>) {
        let name = child.name();
        let mut children = self.children.write();
        self.version.fetch_add(1, Ordering::AcqRel);
        if children.get(&name[..]).is_some_and(|c| Arc::ptr_eq(c, child)) {
            children.remove(&name[..]);
        }
    }

    fn adopt(&self, child: &Arc<Dentry>, name: &[u8]) {
        let mut children = self.children.write();
        self.version.fetch_add(1, Ordering::AcqRel);
        if self.inode.as_ref().is_some_and(|i| i.cache_children()) {
            children.insert(Box::from(name), child.clone());
        }
    }

    /// Forgets a child whose file changed behind the cache's back (a device node that the kernel
    /// made or removed), if cached.
    pub fn invalidate(&self, name: &[u8]) {
        let old = {
            let mut children = self.children.write();
            self.version.fetch_add(1, Ordering::AcqRel);
            children.remove(name)
        };
        drop(old);
    }

    /// True when `self` is `other` or an ancestor of it within their file system.
    pub(crate) fn is_ancestor_of(self: &Arc<Self>, other: &Arc<Dentry>) -> bool {
        let mut at = other.clone();
        loop {
            if Arc::ptr_eq(&at, self) {
                return true;
            }
            match at.parent() {
                Some(parent) => at = parent,
                None => return false,
            }
        }
    }

    /// Drops every cached descendant, so that a directory that is removed, or a file system that is
    /// unmounted, can go.
    pub(crate) fn shrink(&self) {
        let mut work: Vec<Arc<Dentry>> = core::mem::take(&mut *self.children.write()).into_values().collect();
        while let Some(dentry) = work.pop() {
            work.extend(core::mem::take(&mut *dentry.children.write()).into_values());
        }
    }

    /// True when only the cache (and the caller) know this dentry, and nothing hangs below it.
    fn idle(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 2 && self.mounts.load(Ordering::Acquire) == 0 && self.children.read().is_empty()
    }
}

impl Drop for Dentry {
    fn drop(&mut self) {
        if !self.anonymous {
            DEAD.fetch_add(1, Ordering::Relaxed);
        }
        if *self.unhashed.get_mut()
            && !self.anonymous
            && notify::active()
            && let Some(inode) = &self.inode
            && inode.metadata().nlink == 0
        {
            notify::notify(inode, None, b"", event::DELETE_SELF, 0);
        }
        // Parents that only this dentry kept go one by one: a long path must not become a deep
        // recursion.
        let mut parent = self.hook.get_mut().parent.take();
        while let Some(mut last) = parent.and_then(Arc::into_inner) {
            parent = last.hook.get_mut().parent.take();
        }
    }
}

/// Lets go of entries without a dentry, when they have become many.
fn forget_dead() {
    if DEAD.load(Ordering::Relaxed) < MAX_DEAD {
        return;
    }
    let mut lru = LRU.lock();
    if DEAD.load(Ordering::Relaxed) > lru.len() / 2 {
        lru.retain(|dentry| dentry.strong_count() > 0);
        DEAD.store(0, Ordering::Relaxed);
        if lru.capacity() > 4 * lru.len() {
            lru.shrink_to_fit();
        }
    }
}

/// Puts a dentry on the evicting hand's way and evicts what has become too much.
fn remember(dentry: &Arc<Dentry>) {
    let limit = if platform().may_keep() { LIMIT.load(Ordering::Relaxed) } else { 0 };
    let mut lru = LRU.lock();
    lru.push_back(Arc::downgrade(dentry));
    for _ in 0..4 {
        if lru.len() <= limit {
            return;
        }
        let Some(oldest) = lru.pop_front() else { return };
        drop(lru);
        if !evict(&oldest) {
            LRU.lock().push_back(oldest);
        }
        lru = LRU.lock();
    }
}

/// Evicts one dentry; true when it is gone.
fn evict(dentry: &Weak<Dentry>) -> bool {
    let Some(dentry) = dentry.upgrade() else { return true };
    if dentry.referenced.swap(false, Ordering::Relaxed) || dentry.is_mountpoint() {
        return false;
    }
    let (Some(parent), name) = dentry.parent_and_name() else { return false };
    let old = {
        let mut children = parent.children.write();
        match children.get(&name[..]) {
            // The cache's reference and ours: nobody else can get one while `children` is locked.
            Some(found) if Arc::ptr_eq(found, &dentry) && dentry.idle() => children.remove(&name[..]),
            Some(found) if Arc::ptr_eq(found, &dentry) => return false,
            _ => return true,
        }
    };
    drop(old);
    true
}
