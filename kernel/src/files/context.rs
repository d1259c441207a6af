//! Root, working directory and umask of a task, and the view of them that path resolution takes.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use fs::Path;
use syscall_shim::SysResult;

use crate::sync::SpinLock;
use crate::task::credentials::Credentials;
use crate::task::current;

struct Places {
    root: Path,
    cwd: Path,
}

/// What `CLONE_FS` shares.
pub struct FsContext {
    /// A leaf lock; the paths that are replaced are dropped after it is released.
    places: SpinLock<Places>,
    umask: AtomicU32,
}

impl FsContext {
    /// The context of the first process: `root` is root and working directory, the umask 022.
    pub fn new(root: Path) -> FsContext {
        let cwd = root.clone();
        FsContext { places: SpinLock::new(Places { root, cwd }), umask: AtomicU32::new(0o022) }
    }

    /// A copy for a task created without `CLONE_FS`.
    pub fn duplicate(&self) -> FsContext {
        let places = self.places.lock();
        let (root, cwd) = (places.root.clone(), places.cwd.clone());
        drop(places);
        FsContext { places: SpinLock::new(Places { root, cwd }), umask: AtomicU32::new(self.umask()) }
    }

    /// The root directory.
    pub fn root(&self) -> Path {
        self.places.lock().root.clone()
    }

    /// The working directory.
    pub fn cwd(&self) -> Path {
        self.places.lock().cwd.clone()
    }

    /// chdir(2), after its checks.
    pub fn set_cwd(&self, cwd: Path) {
        let old = core::mem::replace(&mut self.places.lock().cwd, cwd);
        drop(old);
    }

    /// chroot(2), after its checks.
    pub fn set_root(&self, root: Path) {
        let old = core::mem::replace(&mut self.places.lock().root, root);
        drop(old);
    }

    /// File mode creation mask.
    pub fn umask(&self) -> u32 {
        self.umask.load(Ordering::Relaxed)
    }

    /// umask(2): answers the mask before.
    pub fn set_umask(&self, mask: u32) -> u32 {
        self.umask.swap(mask & 0o777, Ordering::Relaxed)
    }
}

/// The ids and capabilities that file permission checks look at.
pub fn fs_credentials(creds: &Credentials) -> fs::Credentials {
    fs::Credentials {
        fsuid: creds.fsuid,
        fsgid: creds.fsgid,
        groups: Arc::from(creds.groups.as_slice()),
        caps: creds.cap_effective,
    }
}

/// Runs `f` with the caller's view of the tree.
pub fn with_fs<R>(f: impl FnOnce(&fs::FsContext<'_>) -> SysResult<R>) -> SysResult<R> {
    with_fs_as(&fs_credentials(&current().credentials()), f)
}

/// Runs `f` with the caller's view of the tree and other ids: access(2) asks with the real ones.
pub fn with_fs_as<R>(creds: &fs::Credentials, f: impl FnOnce(&fs::FsContext<'_>) -> SysResult<R>) -> SysResult<R> {
    let own = current().fs();
    let (root, cwd) = {
        let places = own.places.lock();
        (places.root.clone(), places.cwd.clone())
    };
    f(&fs::FsContext { root, cwd, creds, umask: own.umask() })
}

/// Whether the caller has capability `cap` (`CAP_*`).
pub fn capable(cap: u32) -> bool {
    current().credentials().capable(cap)
}
