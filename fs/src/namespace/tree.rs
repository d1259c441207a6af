//! The mount tree.

use super::Namespace;
use crate::creds::Credentials;
use crate::inode::FileSystem;
use crate::mount::{Mount, MountFlags};
use crate::path::Path;
use crate::walk::FsContext;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hashbrown::HashMap;
use syscall_shim::{Errno, SysResult};

/// Mounts by the place they cover: mount id and address of the dentry, which the covering mount keeps alive.
#[derive(Default)]
pub(super) struct Table {
    by_place: HashMap<(u32, usize), Arc<Mount>>,
    order: Vec<Arc<Mount>>,
}

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
    /// File system type.
    pub fs_type: &'static str,
    /// Source.
    pub source: String,
    /// File system options (`rw,size=64k`).
    pub super_options: String,
}

static ROOT_CREDENTIALS: Credentials<'static> = Credentials::root();

fn key(path: &Path) -> (u32, usize) {
    (path.mount.id, Arc::as_ptr(&path.dentry).addr())
}

impl Namespace {
    /// A namespace whose root is `fs`.
    pub fn new(fs: Arc<dyn FileSystem>, source: &str, flags: MountFlags) -> Arc<Namespace> {
        let root = Mount::new(fs, None, source, flags);
        let table = Table { by_place: HashMap::new(), order: Vec::from([root.clone()]) };
        Arc::new(Namespace { root, table: spin::RwLock::new(table) })
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
    pub(crate) fn cross(&self, mut path: Path) -> Path {
        while path.dentry.is_mountpoint() {
            let Some(mount) = self.table.read().by_place.get(&key(&path)).cloned() else { break };
            let dentry = mount.root.clone();
            path = Path { mount, dentry };
        }
        path
    }

    /// Mounts `fs` on `target`. `ENOTDIR` unless both are directories or neither is; `ENOENT` on a removed place.
    pub fn mount(&self, fs: Arc<dyn FileSystem>, source: &str, target: &Path, flags: MountFlags) -> SysResult<Arc<Mount>> {
        self.graft(Mount::new(fs, None, source, flags), target)
    }

    /// Mounts the tree at `from` on `target` too (`MS_BIND`), with the flags of `from`'s mount.
    pub fn bind(&self, from: &Path, target: &Path) -> SysResult<Arc<Mount>> {
        let old = &from.mount;
        self.graft(Mount::new(old.fs.clone(), Some(from.dentry.clone()), &old.source, old.flags()), target)
    }

    fn graft(&self, mount: Arc<Mount>, target: &Path) -> SysResult<Arc<Mount>> {
        if mount.root.is_dir() != target.dentry.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if target.dentry.is_unlinked() {
            return Err(Errno::ENOENT);
        }
        let target = self.cross(target.clone());
        let mut table = self.table.write();
        target.dentry.add_mount();
        table.by_place.insert(key(&target), mount.clone());
        table.order.push(mount.clone());
        *mount.place.write() = Some(target);
        Ok(mount)
    }

    /// Unmounts the mount whose root `target` is; `EINVAL` when it is none or the root of all. `EBUSY` when something is mounted on it or
    /// a file of it is in use, beyond the one reference that `target` is, unless `detach` (`MNT_DETACH`).
    pub fn umount(&self, target: &Path, detach: bool) -> SysResult<()> {
        if !target.is_mount_root() {
            return Err(Errno::EINVAL);
        }
        let mount = &target.mount;
        let mut gone = Vec::new();
        {
            let mut table = self.table.write();
            if mount.place().is_none() {
                return Err(Errno::EINVAL);
            }
            let children = |id: u32| move |m: &&Arc<Mount>| m.place().is_some_and(|p| p.mount.id == id);
            let has_child = table.order.iter().any(|m| children(mount.id)(&m));
            // References: `order`, `by_place`, `target`.
            if !detach && (has_child || Arc::strong_count(mount) > 3) {
                return Err(Errno::EBUSY);
            }
            let mut work = Vec::from([mount.clone()]);
            while let Some(next) = work.pop() {
                work.extend(table.order.iter().filter(children(next.id)).cloned());
                table.remove(&next);
                gone.push(next);
            }
        }
        for mount in gone {
            if let Some(place) = mount.place.write().take() {
                place.dentry.remove_mount();
            }
            if Arc::strong_count(&mount) <= 2 {
                mount.root.shrink();
            }
            if !self.mounts().iter().any(|other| Arc::ptr_eq(&other.fs, &mount.fs)) {
                crate::notify::unmounted(mount.fs.dev());
            }
            // A device that is full or gone must not keep the mount; the file system reports through its next fsync.
            let _ = mount.fs.sync();
        }
        Ok(())
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
                fs_type: mount.fs.name(),
                source: mount.source.clone(),
                super_options,
            })
        };
        self.mounts().into_iter().filter_map(line).collect()
    }
}

impl Table {
    fn remove(&mut self, mount: &Arc<Mount>) {
        if let Some(place) = mount.place() {
            self.by_place.remove(&key(&place));
        }
        self.order.retain(|m| !Arc::ptr_eq(m, mount));
    }
}
