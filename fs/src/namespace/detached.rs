//! Mounts that hang in no tree yet (fsmount(2), open_tree(2)), where they come to hang, and what
//! changes a mount in place.

use super::Namespace;
use super::branch::{Branch, Propagation, Table};
use crate::inode::FileSystem;
use crate::mount::{Mount, MountFlags};
use crate::path::Path;
use alloc::sync::Arc;
use alloc::vec::Vec;
use syscall_shim::{Errno, SysResult};

/// What mount_setattr(2) changes of a mount.
#[derive(Clone, Copy, Debug)]
pub struct MountChange {
    /// Flags that go.
    pub clear: MountFlags,
    /// Flags that come.
    pub set: MountFlags,
    /// How it propagates, if that changes.
    pub propagation: Option<Propagation>,
}

impl Namespace {
    /// A mount of `fs` by itself: its root. It goes by [`Namespace::dissolve`], unless it is moved
    /// into a tree before.
    pub fn mount_detached(&self, fs: Arc<dyn FileSystem>, source: &str, flags: MountFlags) -> Path {
        self.settle(Branch::new(Mount::new(fs, None, source, flags)))
    }

    /// A copy of what is at `from`, with `recurse` of all that is mounted there, by itself.
    pub fn copy_detached(&self, from: &Path, recurse: bool) -> SysResult<Path> {
        if !self.may_copy(from) {
            return Err(Errno::EINVAL);
        }
        let branch = self.table.read().copy_tree(from, recurse);
        Ok(self.settle(branch))
    }

    fn settle(&self, branch: Branch) -> Path {
        let mount = branch.root().clone();
        mount.set_detached(true);
        self.table.write().settle(branch);
        let dentry = mount.root.clone();
        Path { mount, dentry }
    }

    /// Takes a tree apart that has come to hang nowhere.
    pub fn dissolve(&self, mount: &Arc<Mount>) {
        let gone = {
            let mut table = self.table.write();
            if !mount.is_detached() {
                return;
            }
            mount.set_detached(false);
            let gone = table.subtree(mount);
            table.remove(&gone);
            gone
        };
        self.let_go(gone);
    }

    /// Puts the mount at `from` under the topmost one whose root `target` is
    /// (`MOVE_MOUNT_BENEATH`).
    pub fn move_beneath(&self, from: &Path, target: &Path) -> SysResult<()> {
        let top = self.cross(target.clone());
        if !top.is_mount_root() {
            return Err(Errno::EINVAL);
        }
        let place = top.mount.place().ok_or(Errno::EINVAL)?;
        self.move_to(from, place)
    }

    /// Puts the mount at `to` into the peer group of that at `from`, and among the slaves that it
    /// is of (`MOVE_MOUNT_SET_GROUP`).
    pub fn join_group(&self, from: &Path, to: &Path) -> SysResult<()> {
        let (of, mount) = (self.mount_at(from)?, self.mount_at(to)?);
        let _table = self.table.write();
        let own = mount.group() != 0 || mount.master() != 0;
        let other = of.group() == 0 && of.master() == 0;
        if own || other || !Arc::ptr_eq(&of.fs, &mount.fs) || !of.root.is_ancestor_of(&mount.root) {
            return Err(Errno::EINVAL);
        }
        mount.set_group(of.group());
        mount.set_master(of.master());
        Ok(())
    }

    /// Changes the mount whose root `target` is, with `recurse` all that hang on it too. `EBUSY`,
    /// and nothing changes, where one of them would be read-only with a file open for writing.
    pub fn change_mount(&self, target: &Path, change: &MountChange, recurse: bool) -> SysResult<()> {
        let mount = self.mount_at(target)?;
        let mut table = self.table.write();
        let mounts = if recurse { table.subtree(mount) } else { Vec::from([mount.clone()]) };
        let refused = |m: &Arc<Mount>| !m.flags().contains(MountFlags::RDONLY) && m.has_writers();
        if change.set.contains(MountFlags::RDONLY) && mounts.iter().any(refused) {
            return Err(Errno::EBUSY);
        }
        for mount in &mounts {
            mount.set_flags((mount.flags() - change.clear) | change.set);
            if let Some(to) = change.propagation {
                table.change(mount, to);
            }
        }
        Ok(())
    }

    /// Makes the mount at `new` the root of all that have `root` as theirs, and hangs that at `old`
    /// (pivot_root(2)). The caller moves the processes.
    pub fn pivot_root(&self, root: &Path, new: &Path, old: &Path) -> SysResult<()> {
        let parent_group = |mount: &Arc<Mount>| mount.place().map_or(0, |place| place.mount.group());
        if old.mount.group() != 0 || parent_group(&new.mount) != 0 || parent_group(&root.mount) != 0 {
            return Err(Errno::EINVAL);
        }
        if !self.is_member(&root.mount) || !self.is_member(&new.mount) {
            return Err(Errno::EINVAL);
        }
        if new.dentry.is_unlinked() {
            return Err(Errno::ENOENT);
        }
        if Arc::ptr_eq(&new.mount, &root.mount) || Arc::ptr_eq(&old.mount, &root.mount) {
            return Err(Errno::EBUSY);
        }
        let is_top = |path: &Path| path.is_mount_root() && path.mount.place().is_some();
        if !is_top(root) || !is_top(new) || old.display_below(new).is_none() || new.display_below(root).is_none() {
            return Err(Errno::EINVAL);
        }
        let mut table = self.table.write();
        let place = root.mount.place().ok_or(Errno::EINVAL)?;
        let coming = table.lift(&new.mount).ok_or(Errno::EINVAL)?;
        let going = table.lift(&root.mount).ok_or(Errno::EINVAL)?;
        table.join(coming, place);
        table.join(going, old.clone());
        Ok(())
    }

    /// The mount with this number that is in a tree.
    pub fn mount_with_id(&self, id: u32) -> Option<Arc<Mount>> {
        self.mounts().into_iter().find(|mount| mount.id == id && self.is_member(mount))
    }

    /// The mounts that hang on what is below `root`, in order of their numbers: not that which
    /// `root` is in.
    pub fn mounts_below(&self, root: &Path) -> Vec<Arc<Mount>> {
        let below = |mount: &Arc<Mount>| {
            let top = Path { mount: mount.clone(), dentry: mount.root.clone() };
            top.display_below(root).is_some()
        };
        let mut all: Vec<_> = self.mounts().into_iter().filter(below).collect();
        all.sort_by_key(|mount| mount.id);
        all
    }

    /// Changes a file system that is mounted. `EBUSY` to make it read-only while any of its files
    /// is open for writing.
    pub fn reconfigure_file_system(&self, fs: &Arc<dyn FileSystem>, options: &str, read_only: bool) -> SysResult<()> {
        let busy = |other: &Arc<Mount>| Arc::ptr_eq(&other.fs, fs) && other.has_writers();
        if read_only && !fs.read_only() && self.mounts().iter().any(busy) {
            return Err(Errno::EBUSY);
        }
        fs.reconfigure(options, read_only)
    }
}

impl Table {
    /// Keeps a branch that hangs nowhere.
    fn settle(&mut self, branch: Branch) {
        self.join_at(branch, None);
    }
}
