//! A place in the tree: a dentry as seen through a mount.

use crate::dentry::{Dentry, TREE};
use crate::inode::InodeRef;
use crate::mount::Mount;
use alloc::sync::Arc;
use alloc::vec::Vec;
use syscall_shim::{Errno, SysResult};

/// A dentry in a mount.
#[derive(Clone)]
pub struct Path {
    /// The mount through which it was reached.
    pub mount: Arc<Mount>,
    /// The name.
    pub dentry: Arc<Dentry>,
}

impl PartialEq for Path {
    fn eq(&self, other: &Path) -> bool {
        Arc::ptr_eq(&self.mount, &other.mount) && Arc::ptr_eq(&self.dentry, &other.dentry)
    }
}

impl Eq for Path {}

impl core::fmt::Debug for Path {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "mount {}: {}", self.mount.id, alloc::string::String::from_utf8_lossy(&self.dentry.name_in_fs()))
    }
}

impl Path {
    /// A place.
    pub fn new(mount: Arc<Mount>, dentry: Arc<Dentry>) -> Path {
        Path { mount, dentry }
    }

    /// A file without a directory (pipe, socket, memfd, anon_inode) in an internal mount.
    pub fn anonymous(mount: &Arc<Mount>, inode: InodeRef, name: &[u8], deleted: bool) -> Path {
        Path { mount: mount.clone(), dentry: Dentry::anonymous(inode, name, deleted) }
    }

    /// The file. `ENOENT` for a negative dentry, which paths that a walk returned never are.
    pub fn inode(&self) -> SysResult<&InodeRef> {
        self.dentry.inode().ok_or(Errno::ENOENT)
    }

    /// True at the root of the mount.
    pub fn is_mount_root(&self) -> bool {
        Arc::ptr_eq(&self.dentry, &self.mount.root)
    }

    /// One step up as `..` goes, not above `root`: out of mounts, then to the parent directory.
    pub fn parent(&self, root: &Path) -> Path {
        let mut at = self.clone();
        loop {
            if at == *root {
                return at;
            }
            if !at.is_mount_root() {
                return match at.dentry.parent() {
                    Some(dentry) => Path { mount: at.mount, dentry },
                    None => at,
                };
            }
            match at.mount.place() {
                Some(place) => at = place,
                None => return at,
            }
        }
    }

    /// The name from `root` down, as `d_path` writes it into /proc/PID/fd and maps: ` (deleted)`
    /// behind a removed name, the whole name of what does not lie below `root`, an anonymous file's
    /// own name.
    pub fn display(&self, root: &Path) -> Vec<u8> {
        self.describe(root).1
    }

    /// As [`Path::display`], of what lies below `root` alone.
    pub fn display_below(&self, root: &Path) -> Option<Vec<u8>> {
        let (reached, name) = self.describe(root);
        reached.then_some(name)
    }

    fn describe(&self, root: &Path) -> (bool, Vec<u8>) {
        let mut reached = true;
        let mut out = Vec::new();
        if self.dentry.is_anonymous() {
            out.extend_from_slice(&self.dentry.name());
        } else {
            reached = self.climb(root, &mut out);
        }
        if self.dentry.is_unlinked() {
            out.extend_from_slice(b" (deleted)");
        }
        (reached, out)
    }

    /// What getcwd(2) answers: `ENOENT` for a removed directory, `(unreachable)` before one that
    /// does not lie below `root`.
    pub fn getcwd(&self, root: &Path) -> SysResult<Vec<u8>> {
        if self.dentry.is_unlinked() {
            return Err(Errno::ENOENT);
        }
        let (reached, name) = self.describe(root);
        Ok(if reached { name } else { [b"(unreachable)", name.as_slice()].concat() })
    }

    /// Writes the absolute name to `out`; false when `root` was not met on the way up.
    fn climb(&self, root: &Path, out: &mut Vec<u8>) -> bool {
        let mut names = Vec::new();
        let mut at = self.clone();
        let _still = TREE.read();
        let reached = loop {
            if at == *root {
                break true;
            }
            if at.is_mount_root() {
                match at.mount.place() {
                    Some(place) => at = place,
                    None => break false,
                }
                continue;
            }
            let (Some(parent), name) = at.dentry.parent_and_name() else { break false };
            names.push(name);
            at.dentry = parent;
        };
        *out = join(&names);
        reached
    }

    /// Entries for getdents64(2) from `cookie` on: `.`, `..` (as seen from `root`), then the file
    /// system's. See [`crate::Inode::readdir`] for `emit` and the answer.
    pub fn readdir(&self, root: &Path, cookie: u64, emit: &mut dyn FnMut(crate::DirEntry<'_>) -> bool) -> SysResult<u64> {
        let inode = self.inode()?;
        if self.dentry.is_unlinked() {
            return Err(Errno::ENOENT);
        }
        let dots: [(&[u8], u64); 2] = [(b".", 0), (b"..", 1)];
        for (name, at) in dots {
            if cookie > at {
                continue;
            }
            let ino = if at == 0 { inode.metadata().ino } else { self.parent(root).inode()?.metadata().ino };
            let file_type = crate::FileType::Dir;
            if !emit(crate::DirEntry { name, ino, file_type, next: at + 1 }) {
                return Ok(at);
            }
        }
        inode.readdir(cookie.max(2), emit)
    }
}

/// `/a/b` from the names in reverse order; `/` from none.
pub(crate) fn join(names: &[Arc<[u8]>]) -> Vec<u8> {
    let mut out = Vec::new();
    for name in names.iter().rev() {
        out.push(b'/');
        out.extend_from_slice(name);
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}
