//! The user's own folder for what lives only as long as a machine runs: sockets, and files for
//! other programs.
//!
//! In a folder that all may write to, somebody else may have put something else there first, or a
//! link to it: so it is opened without following a link, checked, and used only through what was
//! opened.

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Others may not write here.
const NOT_OTHERS: u32 = 0o022;

/// A directory that is surely this user's.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

/// Where it is.
pub fn path() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute()) {
        Some(dir) => dir.join("skiff"),
        None => std::env::temp_dir().join(format!("skiff-{}", rustix::process::getuid().as_raw())),
    }
}

/// Where caches go (XDG Base Directory Specification). Without HOME, the user's entry in the
/// password file says where that is.
pub fn cache() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    Some(set.or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?.join("skiff"))
}

impl Folder {
    /// Opens it; with `make` it is made if it is not there.
    pub fn open(path: PathBuf, make: bool) -> io::Result<Self> {
        if make {
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        let fd = open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let about = fstat(&fd)?;
        if about.st_uid != rustix::process::geteuid().as_raw() || about.st_mode & NOT_OTHERS != 0 {
            let reason = format!("{}: belongs to somebody else, or others may write to it: remove it", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
        }
        Ok(Self { fd, path })
    }

    /// A name in it, whatever becomes of the folder's own name. For this process alone.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd())).join(name)
    }

    /// A name in it, for other programs.
    pub fn public(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Makes a folder in it that is this process's as long as it is held, and removes those of
    /// processes that are gone.
    pub fn make(&self, name: &str) -> io::Result<Folder> {
        self.sweep();
        let _ = fs::remove_dir_all(self.at(name));
        let mut inner = Folder::open(self.at(name), true)?;
        inner.path = self.public(name);
        flock(&inner.fd, FlockOperation::NonBlockingLockExclusive)?;
        Ok(inner)
    }

    /// Names of the folders in it.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.at(".")).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// Removes what was left behind by processes that were killed: they hold no lock any more. A
    /// name begins with the number of its process.
    fn sweep(&self) {
        for name in self.names() {
            let pid: Option<u32> = name.split('.').next().and_then(|pid| pid.parse().ok());
            let alive = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
            if pid.as_ref().is_none_or(alive) {
                continue;
            }
            let free = Folder::open(self.at(&name), false)
                .is_ok_and(|inner| flock(&inner.fd, FlockOperation::NonBlockingLockExclusive).is_ok());
            if free {
                let _ = fs::remove_dir_all(self.at(&name));
            }
        }
    }
}

/// A folder of this process's in the user's own; gone when it is dropped, and when another process
/// starts after this one was killed.
#[derive(Debug)]
pub struct Scratch {
    all: Folder,
    own: Folder,
    name: String,
}

impl Scratch {
    /// Makes it; of those that a process has, each has another `purpose`.
    pub fn new(purpose: &str) -> io::Result<Self> {
        let name = [&std::process::id().to_string(), purpose].join(if purpose.is_empty() { "" } else { "." });
        loop {
            let all = Folder::open(path(), true)?;
            match all.make(&name) {
                Ok(own) => return Ok(Self { all, own, name }),
                // Whoever was the last to need the folder has removed it meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound && !path().exists() => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// As [`Folder::at`].
    pub fn at(&self, name: &str) -> PathBuf {
        self.own.at(name)
    }

    /// As [`Folder::public`].
    pub fn public(&self, name: &str) -> PathBuf {
        self.own.public(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.all.at(&self.name));
        // Not if others are there; a link is no directory.
        let _ = fs::remove_dir(path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_link_and_a_folder_of_all_are_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("other")).unwrap();
        symlink("other", dir.path().join("link")).unwrap();
        assert!(Folder::open(dir.path().join("link"), true).is_err());
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let error = Folder::open(open, true).unwrap_err();
        assert!(error.to_string().contains("remove it"), "{error}");
    }

    #[test]
    fn what_dead_processes_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path().join("own"), true).unwrap();
        // No process has a number this high (proc(5), pid_max).
        fs::create_dir(folder.at("4999999")).unwrap();
        fs::write(folder.at("4999999/name"), "x").unwrap();
        fs::create_dir(folder.at("notes")).unwrap();
        let own = folder.make(&std::process::id().to_string()).unwrap();
        fs::write(own.at("name"), "y").unwrap();
        let mut names = folder.names();
        names.sort();
        assert_eq!(names, [std::process::id().to_string(), "notes".into()]);
    }
}
