//! Root, working directory and umask of a task, and the view of them that path resolution takes.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use fs::Path;
use sync::{HasUsers, SpinLock, Users};
use syscall_shim::{Errno, SysResult};

use crate::Credentials;
use crate::link::fs_context;

#[derive(Clone)]
struct Places {
    root: Path,
    cwd: Path,
}

/// What `CLONE_FS` shares.
pub struct FsContext {
    /// Replaced as a whole, so that who looks holds both places still by counting one reference. A
    /// leaf lock; what is replaced is dropped after it is released.
    places: SpinLock<Arc<Places>>,
    umask: AtomicU32,
    users: Users,
}

impl HasUsers for FsContext {
    fn users(&self) -> &Users {
        &self.users
    }
}

impl FsContext {
    /// The context of the first process: `root` is root and working directory, the umask 022.
    pub fn new(root: Path) -> FsContext {
        let cwd = root.clone();
        FsContext::with(Arc::new(Places { root, cwd }), 0o022)
    }

    /// A copy for a task created without `CLONE_FS`.
    pub fn duplicate(&self) -> FsContext {
        FsContext::with(self.places(), self.umask())
    }

    #[track_caller]
    fn with(places: Arc<Places>, umask: u32) -> FsContext {
        FsContext { places: SpinLock::new(places), umask: AtomicU32::new(umask), users: Users::default() }
    }

    fn places(&self) -> Arc<Places> {
        self.places.lock().clone()
    }

    fn change(&self, change: impl FnOnce(&mut Places)) {
        let old = {
            let mut places = self.places.lock();
            let mut changed = Places::clone(&places);
            change(&mut changed);
            core::mem::replace(&mut *places, Arc::new(changed))
        };
        drop(old);
    }

    fn run<R>(&self, creds: &fs::Credentials<'_>, f: impl FnOnce(&fs::FsContext<'_>) -> R) -> R {
        let places = self.places();
        f(&fs::FsContext { root: Cow::Borrowed(&places.root), cwd: Cow::Borrowed(&places.cwd), creds, umask: self.umask() })
    }

    /// The root directory.
    pub fn root(&self) -> Path {
        self.places().root.clone()
    }

    /// The working directory.
    pub fn cwd(&self) -> Path {
        self.places().cwd.clone()
    }

    /// chdir(2), after its checks.
    pub fn set_cwd(&self, cwd: Path) {
        self.change(|places| places.cwd = cwd);
    }

    /// chroot(2), after its checks.
    pub fn set_root(&self, root: Path) {
        self.change(|places| places.root = root);
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
pub fn fs_credentials(creds: &Credentials) -> fs::Credentials<'_> {
    fs::Credentials { fsuid: creds.fsuid, fsgid: creds.fsgid, groups: &creds.groups, caps: creds.cap_effective }
}

/// Runs `f` with the caller's view of the tree.
pub fn with_fs<R>(f: impl FnOnce(&fs::FsContext<'_>) -> SysResult<R>) -> SysResult<R> {
    with_own(|own, creds| own.run(&fs_credentials(creds), f))
}

/// Runs `f` with the caller's view of the tree and other ids: access(2) asks with the real ones.
pub fn with_fs_as<R>(creds: &fs::Credentials<'_>, f: impl FnOnce(&fs::FsContext<'_>) -> SysResult<R>) -> SysResult<R> {
    with_own(|own, _| own.run(creds, f))
}

/// Calls `f` once, which [`fs_context`] cannot know.
fn with_own<R>(f: impl FnOnce(&FsContext, &Credentials) -> SysResult<R>) -> SysResult<R> {
    let (mut f, mut result) = (Some(f), None);
    fs_context(&mut |own, creds| result = f.take().map(|f| f(own, creds)));
    // Who answers calls it.
    result.unwrap_or(Err(Errno::ENOENT))
}
