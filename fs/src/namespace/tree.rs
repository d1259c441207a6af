//! The mount tree.

use super::Namespace;
use super::branch::{Branch, Propagation, Table, key};
use crate::creds::Credentials;
use crate::inode::FileSystem;
use crate::mount::{Mount, MountFlags};
use crate::path::Path;
use crate::sync::RwLock;
use crate::walk::FsContext;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use syscall_shim::{Errno, SysResult};

/// One mount as /proc/PID/mounts and mountinfo list it (proc(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountLine {
    /// Mount id.
    pub id: u32,
    /// Id of the mount below.
    pub parent: u32,
    /// `st_dev`.
    pub dev: u64,
    /// Root of the mount within its file system.
    pub root: Vec<u8>,
    /// Mount point as seen from the reader's root.
    pub target: Vec<u8>,
    /// Per-mount options.
    pub options: String,
    /// Peer group, 0 for none.
    pub shared: u32,
    /// Peer group that it is a slave of, 0 for none.
    pub master: u32,
    /// It may not be bound.
    pub unbindable: bool,
    /// File system type.
    pub fs_type: &'static str,
    /// Source.
    pub source: String,
    /// File system options (`rw,size=64k`).
    pub super_options: String,
}

static ROOT_CREDENTIALS: Credentials<'static> = Credentials::root();

impl Namespace {
    /// A namespace whose root is `fs`.
    pub fn new(fs: Arc<dyn FileSystem>, source: &str, flags: MountFlags) -> Arc<Namespace> {
        let root = Mount::new(fs, None, source, flags);
        let table = Table { order: Vec::from([root.clone()]), ..Table::default() };
        Arc::new(Namespace { root, table: RwLock::new(table) })
    }

    /// The root directory of the tree.
    pub fn root(&self) -> Path {
        let root = Path::new(self.root.clone(), self.root.root.clone());
        self.cross(root)
    }

    /// A context at the root with no umask, for the kernel's own actions.
    pub fn kernel_context(&self) -> FsContext<'static> {
        let root = self.root();
        FsContext { cwd: Cow::Owned(root.clone()), root: Cow::Owned(root), creds: &ROOT_CREDENTIALS, umask: 0 }
    }

    /// Into what is mounted at `path`, and on that, to the top.
    pub fn cross(&self, mut path: Path) -> Path {
        while path.dentry.is_mountpoint() {
            let Some(mount) = self.table.read().by_place.get(&key(&path)).cloned() else { break };
            mount.entered();
            let dentry = mount.root.clone();
            path = Path { mount, dentry };
        }
        path
    }

    /// Mounts `fs` on `target`. `ENOTDIR` unless both are directories or neither is; `ENOENT` on a
    /// removed place, `EBUSY` where it is mounted already.
    pub fn mount(&self, fs: Arc<dyn FileSystem>, source: &str, target: &Path, flags: MountFlags) -> SysResult<Arc<Mount>> {
        let top = self.cross(target.clone());
        if top.is_mount_root() && Arc::ptr_eq(&top.mount.fs, &fs) {
            return Err(Errno::EBUSY);
        }
        let mount = Mount::new(fs, None, source, flags);
        self.graft(Branch::new(mount.clone()), target)?;
        Ok(mount)
    }

    /// Mounts the tree at `from` on `target` too (`MS_BIND`), with the flags of `from`'s mount;
    /// with `recurse`, what is mounted in it as well (`MS_REC`). `EINVAL` for what is in no tree or
    /// may not be bound.
    pub fn bind(&self, from: &Path, target: &Path, recurse: bool) -> SysResult<()> {
        if !self.may_copy(from) {
            return Err(Errno::EINVAL);
        }
        let branch = self.table.read().copy_tree(from, recurse);
        self.graft(branch, target)
    }

    /// Whether what is at `from` may be mounted elsewhere too.
    pub(super) fn may_copy(&self, from: &Path) -> bool {
        (self.is_member(&from.mount) || from.mount.is_detached()) && !from.mount.unbindable()
    }

    /// Whether the mount is part of the tree: not an internal one, nor one that was unmounted.
    pub(super) fn is_member(&self, mount: &Arc<Mount>) -> bool {
        mount.place().is_some() || Arc::ptr_eq(mount, &self.root)
    }

    fn graft(&self, branch: Branch, target: &Path) -> SysResult<()> {
        let target = self.cross(target.clone());
        if !self.is_member(&target.mount) {
            return Err(Errno::EINVAL);
        }
        if branch.root().root.is_dir() != target.dentry.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if target.dentry.is_unlinked() {
            return Err(Errno::ENOENT);
        }
        self.table.write().attach(branch, target)
    }

    /// Moves the mount at `from` to `target` (`MS_MOVE`). `EINVAL` unless `from` is a mount on one
    /// that is not shared, `ELOOP` for a target in what moves.
    pub fn move_mount(&self, from: &Path, target: &Path) -> SysResult<()> {
        self.move_to(from, self.cross(target.clone()))
    }

    pub(super) fn move_to(&self, from: &Path, target: Path) -> SysResult<()> {
        let mount = &from.mount;
        let may_leave = match mount.place() {
            Some(place) => place.mount.group() == 0,
            None => mount.is_detached(),
        };
        if !from.is_mount_root() || !may_leave {
            return Err(Errno::EINVAL);
        }
        if !self.is_member(&target.mount) || from.dentry.is_dir() != target.dentry.is_dir() {
            return Err(Errno::EINVAL);
        }
        if target.dentry.is_unlinked() {
            return Err(Errno::ENOENT);
        }
        let mut table = self.table.write();
        let moving = table.subtree(mount);
        if moving.iter().any(|m| Arc::ptr_eq(m, &target.mount)) {
            return Err(Errno::ELOOP);
        }
        if target.mount.group() != 0 && moving.iter().any(|m| m.unbindable()) {
            return Err(Errno::EINVAL);
        }
        table.check_room(moving.len(), &target)?;
        let branch = table.lift(mount).ok_or(Errno::EINVAL)?;
        table.attach(branch, target)
    }

    /// Changes how the mount whose root `target` is propagates, with `recurse` all that hang on it
    /// too. `EINVAL` for other places.
    pub fn set_propagation(&self, target: &Path, to: Propagation, recurse: bool) -> SysResult<()> {
        let target = self.mount_at(target)?;
        let mut table = self.table.write();
        let mounts = if recurse { table.subtree(target) } else { Vec::from([target.clone()]) };
        for mount in &mounts {
            table.change(mount, to);
        }
        Ok(())
    }

    /// Changes the flags of the mount whose root `target` is (`MS_REMOUNT` with `MS_BIND`). `EBUSY`
    /// to make it read-only while a file of it is open for writing.
    pub fn remount(&self, target: &Path, flags: MountFlags) -> SysResult<()> {
        let mount = self.mount_at(target)?;
        if flags.contains(MountFlags::RDONLY) && mount.has_writers() {
            return Err(Errno::EBUSY);
        }
        mount.set_flags(flags);
        Ok(())
    }

    /// Changes the options of the file system whose mount `target` is the root of, and that mount's
    /// flags (`MS_REMOUNT`). `EBUSY` to make it read-only while any of its files is open for
    /// writing, by whichever mount.
    pub fn reconfigure(&self, target: &Path, flags: MountFlags, options: &str) -> SysResult<()> {
        let mount = self.mount_at(target)?;
        let read_only = flags.contains(MountFlags::RDONLY);
        let busy = |other: &Arc<Mount>| Arc::ptr_eq(&other.fs, &mount.fs) && other.has_writers();
        if read_only && self.mounts().iter().any(busy) {
            return Err(Errno::EBUSY);
        }
        mount.fs.reconfigure(options, read_only)?;
        mount.set_flags(flags);
        Ok(())
    }

    /// The mount whose root `target` is; `EINVAL` where it is none.
    pub(super) fn mount_at<'a>(&self, target: &'a Path) -> SysResult<&'a Arc<Mount>> {
        let mount = &target.mount;
        if target.is_mount_root() && (self.is_member(mount) || mount.is_detached()) { Ok(mount) } else { Err(Errno::EINVAL) }
    }

    /// Unmounts the mount whose root `target` is; `EINVAL` when it is none or the root of all.
    /// `EBUSY` when something is mounted on it or a file of it is in use, beyond the one reference
    /// that `target` is, unless `detach` (`MNT_DETACH`). With `expire` (`MNT_EXPIRE`) only if
    /// nobody came into it since the last such call, else `EAGAIN`.
    pub fn umount(&self, target: &Path, detach: bool, expire: bool) -> SysResult<()> {
        if !target.is_mount_root() {
            return Err(Errno::EINVAL);
        }
        let mount = &target.mount;
        let gone = {
            let mut table = self.table.write();
            if mount.place().is_none() {
                return Err(Errno::EINVAL);
            }
            // References: `order`, `by_place`, `target`.
            if !detach && (!table.children(mount).is_empty() || Arc::strong_count(mount) > 3) {
                return Err(Errno::EBUSY);
            }
            if expire && !mount.expire() {
                return Err(Errno::EAGAIN);
            }
            let going = table.subtree(mount);
            let gone = table.with_propagated(going);
            table.remove(&gone);
            gone
        };
        self.let_go(gone);
        Ok(())
    }

    /// The rest of unmounting, with no lock held.
    pub(super) fn let_go(&self, gone: Vec<Arc<Mount>>) {
        for mount in gone {
            if let Some(place) = mount.place.write().take() {
                place.dentry.remove_mount();
            }
            let shown_elsewhere = self.mounts().iter().any(|other| Arc::ptr_eq(&other.fs, &mount.fs));
            // Other mounts see the file system by the same names.
            if Arc::strong_count(&mount) <= 2 && !shown_elsewhere {
                mount.root.shrink();
            }
            if !shown_elsewhere {
                crate::notify::unmounted(mount.fs.dev());
            }
            // A device that is full or gone must not keep the mount; the file system reports
            // through its next fsync.
            let _ = mount.fs.sync();
        }
    }

    /// All mounts, in the order of mounting.
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        self.table.read().order.clone()
    }

    /// sync(2): every file system, whatever becomes of the others. Answers the first error.
    pub fn sync(&self) -> SysResult<()> {
        let mut result = Ok(());
        for mount in self.mounts() {
            result = result.and(mount.fs.sync());
        }
        result
    }

    /// [`FileSystem::end`] of every file system. Answers the first error.
    pub fn end(&self) -> SysResult<()> {
        let mut result = Ok(());
        for mount in self.mounts() {
            result = result.and(mount.fs.end());
        }
        result
    }

    /// The mounts that a process with the root directory `root` sees.
    pub fn mount_lines(&self, root: &Path) -> Vec<MountLine> {
        let line = |mount: Arc<Mount>| {
            let place = mount.place();
            let parent = place.as_ref().map_or(mount.id, |p| p.mount.id);
            let top = Path { mount: mount.clone(), dentry: mount.root.clone() };
            let target = top.display_below(root)?;
            let mut super_options = String::from(if mount.fs.read_only() { "ro" } else { "rw" });
            let own = mount.fs.options();
            if !own.is_empty() {
                super_options.push(',');
                super_options.push_str(&own);
            }
            Some(MountLine {
                id: mount.id,
                parent,
                dev: mount.fs.dev(),
                root: mount.root.name_in_fs(),
                target,
                options: mount.option_string(),
                shared: mount.group(),
                master: mount.master(),
                unbindable: mount.unbindable(),
                fs_type: mount.fs.name(),
                source: mount.source.clone(),
                super_options,
            })
        };
        self.mounts().into_iter().filter_map(line).collect()
    }
}
