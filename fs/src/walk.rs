//! Path resolution (path_resolution(7)).

use crate::acl;
use crate::creds::Credentials;
use crate::dentry::Dentry;
use crate::inode::Link;
use crate::mount::{Mount, MountFlags};
use crate::namespace::{Namespace, protection};
use crate::path::Path;
use crate::types::*;
use alloc::borrow::Cow;
use alloc::sync::Arc;
use bitflags::bitflags;
use syscall_shim::{Errno, SysResult};

/// Who resolves a path, and from where.
#[derive(Clone)]
pub struct FsContext<'a> {
    /// The root directory of the process (chroot(2)).
    pub root: Cow<'a, Path>,
    /// The current directory.
    pub cwd: Cow<'a, Path>,
    /// Who acts.
    pub creds: &'a Credentials<'a>,
    /// File mode creation mask.
    pub umask: u32,
}

bitflags! {
    /// How to resolve a path.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct LookupFlags: u32 {
        /// Follow a symbolic link in the last component.
        const FOLLOW = 1;
        /// The last component must be a directory (`ENOTDIR`).
        const DIRECTORY = 2;
        /// An empty path means the starting point itself (`AT_EMPTY_PATH`), else `ENOENT`.
        const EMPTY = 4;
        /// openat2(2): `EXDEV` on crossing a mount.
        const NO_XDEV = 0x100;
        /// openat2(2): `ELOOP` on a magic link.
        const NO_MAGICLINKS = 0x200;
        /// openat2(2): `ELOOP` on any symbolic link.
        const NO_SYMLINKS = 0x400;
        /// openat2(2): `EXDEV` on leaving the starting directory.
        const BENEATH = 0x800;
        /// openat2(2): the starting directory is the root.
        const IN_ROOT = 0x1000;
        /// openat2(2): `EAGAIN` unless the dentry cache has it all.
        const CACHED = 0x2000;
    }
}

/// The last component of a path, not yet looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Last<'a> {
    /// An ordinary name.
    Name(Cow<'a, [u8]>),
    /// `.`
    Dot,
    /// `..`
    DotDot,
    /// No component is left: `/`, an empty path, or the end of a magic link.
    Root,
}

/// A directory and the name in it that a path ends with.
pub(crate) struct Parent<'a> {
    pub(crate) dir: Path,
    pub(crate) last: Last<'a>,
    /// The path ends with a slash.
    pub(crate) trailing: bool,
}

/// A walk under way. Where it begins, and the mount that it stays in, are borrowed: to count
/// references to what all CPUs walk through costs more than the rest of a step.
pub(crate) struct Walker<'a> {
    ns: &'a Namespace,
    creds: &'a Credentials<'a>,
    flags: LookupFlags,
    root: &'a Path,
    mount: Cow<'a, Arc<Mount>>,
    dentry: Cow<'a, Arc<Dentry>>,
    /// What is still to be walked, from `pos` on.
    rest: Cow<'a, [u8]>,
    pos: usize,
    links: u32,
}

impl<'a> Walker<'a> {
    /// Prepares a walk of `path` from `at` (or the current directory).
    pub(crate) fn new(
        ns: &'a Namespace,
        ctx: &'a FsContext<'_>,
        at: Option<&'a Path>,
        path: &'a [u8],
        flags: LookupFlags,
    ) -> SysResult<Walker<'a>> {
        if path.is_empty() && !flags.contains(LookupFlags::EMPTY) {
            return Err(Errno::ENOENT);
        }
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let absolute = path.first() == Some(&b'/');
        let start = at.unwrap_or(&ctx.cwd);
        let scoped = flags.intersects(LookupFlags::BENEATH | LookupFlags::IN_ROOT);
        if absolute && flags.contains(LookupFlags::BENEATH) {
            return Err(Errno::EXDEV);
        }
        let root = if scoped { start } else { &ctx.root };
        let at = if absolute { root } else { start };
        if scoped && !at.dentry.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        Ok(Walker {
            ns,
            creds: ctx.creds,
            flags,
            root,
            mount: Cow::Borrowed(&at.mount),
            dentry: Cow::Borrowed(&at.dentry),
            rest: Cow::Borrowed(path),
            pos: 0,
            links: 0,
        })
    }

    /// Walks to the directory that holds the last component.
    pub(crate) fn parent(mut self) -> SysResult<Parent<'a>> {
        let (last, trailing) = self.walk_to_last()?;
        Ok(Parent { dir: self.into_place(), last, trailing })
    }

    /// Walks the whole path.
    pub(crate) fn resolve(mut self) -> SysResult<Path> {
        loop {
            let (last, trailing) = self.walk_to_last()?;
            if self.finish(&last, trailing)? {
                return Ok(self.into_place());
            }
        }
    }

    /// Takes the last step; false when it was a symbolic link that has yet to be walked.
    fn finish(&mut self, last: &Last<'_>, trailing: bool) -> SysResult<bool> {
        match last {
            Last::Root | Last::Dot => {}
            Last::DotDot => self.up()?,
            Last::Name(name) => {
                let follow = trailing || self.flags.contains(LookupFlags::FOLLOW);
                let dentry = self.child(name)?;
                if dentry.is_mountpoint() || follow && dentry.is_symlink() {
                    let next = self.cross(self.beside(dentry))?;
                    if follow && next.dentry.is_symlink() {
                        let dir = self.dentry.inode().ok_or(Errno::ENOENT)?.access_attrs();
                        protection::may_follow(self.creds, &dir, &next.inode()?.access_attrs())?;
                        self.follow(&next, trailing)?;
                        return Ok(false);
                    }
                    self.go_to(next);
                } else {
                    self.dentry = Cow::Owned(dentry);
                }
            }
        }
        if (trailing || self.flags.contains(LookupFlags::DIRECTORY)) && !self.dentry.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        Ok(true)
    }

    /// Walks until one component is left, and takes that off the path.
    pub(crate) fn walk_to_last(&mut self) -> SysResult<(Last<'a>, bool)> {
        loop {
            self.skip_slashes();
            let Some(tail) = self.rest.get(self.pos..).filter(|t| !t.is_empty()) else {
                return Ok((Last::Root, self.rest.last() == Some(&b'/')));
            };
            let inode = self.dentry.inode().ok_or(Errno::ENOENT)?;
            let attrs = inode.access_attrs();
            if attrs.mode & S_IFMT != S_IFDIR {
                return Err(Errno::ENOTDIR);
            }
            acl::permission(self.creds, inode, &attrs, AccessMask::EXEC)?;
            let len = tail.iter().position(|b| *b == b'/').unwrap_or(tail.len());
            let (name, behind) = tail.split_at(len);
            let is_last = behind.iter().all(|b| *b == b'/');
            let trailing = !behind.is_empty();
            let step = match name {
                b"." => Last::Dot,
                b".." => Last::DotDot,
                _ if is_last => Last::Name(match self.rest {
                    Cow::Borrowed(path) => {
                        Cow::Borrowed(path.get(self.pos..).and_then(|tail| tail.get(..len)).unwrap_or_default())
                    }
                    Cow::Owned(_) => Cow::Owned(name.to_vec()),
                }),
                _ => {
                    let dentry = self.child(name)?;
                    self.pos += len;
                    if dentry.is_mountpoint() {
                        let next = self.cross(self.beside(dentry))?;
                        self.go_to(next);
                    } else if dentry.is_symlink() {
                        self.follow(&self.beside(dentry), false)?;
                        continue;
                    } else {
                        self.dentry = Cow::Owned(dentry);
                    }
                    if !self.dentry.is_dir() {
                        return Err(Errno::ENOTDIR);
                    }
                    continue;
                }
            };
            self.pos += len;
            if is_last {
                self.pos = self.rest.len();
                return Ok((step, trailing));
            }
            if step == Last::DotDot {
                self.up()?;
            }
        }
    }

    fn skip_slashes(&mut self) {
        while self.rest.get(self.pos) == Some(&b'/') {
            self.pos += 1;
        }
    }

    /// The dentry of `name` where the walk stands; `ENOENT` for a name that is not there.
    fn child(&self, name: &[u8]) -> SysResult<Arc<Dentry>> {
        let dentry = lookup_child(&self.dentry, name, self.flags.contains(LookupFlags::CACHED))?;
        if dentry.inode().is_some() { Ok(dentry) } else { Err(Errno::ENOENT) }
    }

    /// A dentry in the mount where the walk stands.
    fn beside(&self, dentry: Arc<Dentry>) -> Path {
        Path { mount: Arc::clone(&self.mount), dentry }
    }

    fn go_to(&mut self, place: Path) {
        self.mount = Cow::Owned(place.mount);
        self.dentry = Cow::Owned(place.dentry);
    }

    /// Into what is mounted at `path`.
    pub(crate) fn cross(&self, path: Path) -> SysResult<Path> {
        let crossed = self.ns.cross(path);
        self.check_mount(&crossed)?;
        Ok(crossed)
    }

    fn check_mount(&self, next: &Path) -> SysResult<()> {
        let same = Arc::ptr_eq(&next.mount, &self.mount);
        if same || !self.flags.contains(LookupFlags::NO_XDEV) { Ok(()) } else { Err(Errno::EXDEV) }
    }

    /// `..`
    fn up(&mut self) -> SysResult<()> {
        let here = self.place();
        if here == *self.root {
            return if self.flags.contains(LookupFlags::BENEATH) { Err(Errno::EXDEV) } else { Ok(()) };
        }
        let parent = here.parent(self.root);
        self.check_mount(&parent)?;
        // The parent of a mount's root may itself have been mounted over.
        let next = self.cross(parent)?;
        self.go_to(next);
        Ok(())
    }

    /// Goes on with what the symbolic link says. `trailing`: a slash stood behind it at the end of
    /// the path.
    pub(crate) fn follow(&mut self, link: &Path, trailing: bool) -> SysResult<()> {
        self.links += 1;
        let refused = link.mount.flags().contains(MountFlags::NOSYMFOLLOW);
        if self.links > MAX_SYMLINKS || self.flags.contains(LookupFlags::NO_SYMLINKS) || refused {
            return Err(Errno::ELOOP);
        }
        let inode = link.inode()?;
        crate::file::accessed(&link.mount, inode);
        let scoped = LookupFlags::BENEATH | LookupFlags::IN_ROOT;
        match inode.follow_link()? {
            Link::Magic(to) => {
                if self.flags.contains(LookupFlags::NO_MAGICLINKS) {
                    return Err(Errno::ELOOP);
                }
                if self.flags.intersects(scoped) {
                    return Err(Errno::EXDEV);
                }
                self.check_mount(&to)?;
                self.go_to(to);
                if trailing {
                    self.rest = Cow::Borrowed(b"/");
                    self.pos = 0;
                }
            }
            Link::Text(text) => {
                if text.is_empty() {
                    return Err(Errno::ENOENT);
                }
                if text.first() == Some(&b'/') {
                    if self.flags.contains(LookupFlags::BENEATH) {
                        return Err(Errno::EXDEV);
                    }
                    self.check_mount(self.root)?;
                    self.mount = Cow::Borrowed(&self.root.mount);
                    self.dentry = Cow::Borrowed(&self.root.dentry);
                }
                let mut rest = text;
                if trailing {
                    rest.push(b'/');
                }
                rest.extend_from_slice(self.rest.get(self.pos..).unwrap_or_default());
                self.rest = Cow::Owned(rest);
                self.pos = 0;
            }
        }
        Ok(())
    }

    /// Where the walk stands.
    pub(crate) fn place(&self) -> Path {
        self.beside(Arc::clone(&self.dentry))
    }

    fn into_place(self) -> Path {
        Path { mount: self.mount.into_owned(), dentry: self.dentry.into_owned() }
    }
}

/// The dentry of `name` in `dir`, perhaps negative, from the cache or the file system. `cached`
/// asks the cache only (`EAGAIN`). The file system is asked under the directory's lock, so that no
/// name gets a second dentry while a rename or a creation is between the file system and the cache:
/// two dentries of one directory would each cache their own idea of what is in it.
pub(crate) fn lookup_child(dir: &Arc<Dentry>, name: &[u8], cached: bool) -> SysResult<Arc<Dentry>> {
    if name.len() > NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    if let Some(found) = dir.cached(name) {
        return Ok(found);
    }
    if cached {
        return Err(Errno::EAGAIN);
    }
    let inode = dir.inode().ok_or(Errno::ENOENT)?;
    let _guard = inode.cache_children().then(|| inode.common().lock.lock());
    lookup_locked(dir, name)
}

/// As [`lookup_child`], for a caller that holds the lock of `dir`.
pub(crate) fn lookup_locked(dir: &Arc<Dentry>, name: &[u8]) -> SysResult<Arc<Dentry>> {
    if name.len() > NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    if let Some(found) = dir.cached(name) {
        return Ok(found);
    }
    let version = dir.version();
    let inode = match dir.inode().ok_or(Errno::ENOENT)?.lookup(name) {
        Ok(inode) => Some(inode),
        Err(Errno::ENOENT) => None,
        Err(e) => return Err(e),
    };
    Ok(dir.cache_lookup(name, inode, version))
}
