//! Unpacking an archive into the root file system.

use super::{CpioError, Manifest, Member, Reader, lossy};
use crate::inode::InodeRef;
use crate::namespace::{Namespace, OpenHow};
use crate::path::Path;
use crate::platform::{PAGE_SIZE, PageRef};
use crate::types::*;
use crate::walk::{FsContext, LookupFlags};
use alloc::vec::Vec;
use hashbrown::HashMap;
use syscall_shim::{Errno, SysResult};

/// Members under this name are for the kernel, not for the file system.
const OWN: &[u8] = b".skiff";

/// What an archive brought besides files.
#[derive(Debug, Default)]
pub struct Unpacked<'a> {
    /// `.skiff/manifest`.
    pub manifest: Option<Manifest>,
    /// `.skiff/symbols`, as it is.
    pub symbols: Option<&'a [u8]>,
    /// Files, directories and links made.
    pub members: usize,
    /// Pages of the archive used in place.
    pub pages_in_place: usize,
}

/// Unpacks `archive` over what `ns` holds already, replacing files, keeping directories. Missing
/// parent directories are made with mode 0755. `in_place(offset)` may offer the page that holds
/// `archive[offset..offset + PAGE_SIZE]` for the page cache; without it the bytes are copied.
pub fn unpack<'a>(
    ns: &Namespace,
    archive: &'a [u8],
    in_place: &mut dyn FnMut(usize) -> Option<PageRef>,
) -> Result<Unpacked<'a>, CpioError> {
    let ctx = ns.kernel_context();
    let mut job =
        Job { ns, ctx, in_place, parent: None, links: HashMap::new(), dir_times: Vec::new(), out: Unpacked::default() };
    for member in Reader::new(archive) {
        let member = member?;
        if let Some(own) = own_name(member.name) {
            match own {
                b"manifest" => job.out.manifest = Some(Manifest::parse(member.data)?),
                b"symbols" => job.out.symbols = Some(member.data),
                _ => {}
            }
            continue;
        }
        if member.name.split(|b| *b == b'/').any(|part| part == b"..") {
            return Err(CpioError::BadName { name: lossy(member.name), offset: member.offset });
        }
        job.place(&member).map_err(|errno| CpioError::Unpack { name: lossy(member.name), errno })?;
        job.out.members += 1;
    }
    // Last, because unpacking into a directory changes its time.
    for (dir, time) in core::mem::take(&mut job.dir_times) {
        let attr = SetAttr { atime: time, mtime: time, ..SetAttr::default() };
        let result = dir.inode().and_then(|inode| inode.setattr(&attr));
        result.map_err(|errno| CpioError::Unpack { name: lossy(&dir.display(&job.ctx.root)), errno })?;
    }
    Ok(job.out)
}

/// The name below `.skiff`; empty for that directory itself.
fn own_name(name: &[u8]) -> Option<&[u8]> {
    match name.strip_prefix(OWN)? {
        [] => Some(&[]),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

struct Job<'n, 'a, 'p> {
    ns: &'n Namespace,
    ctx: FsContext<'static>,
    in_place: &'p mut dyn FnMut(usize) -> Option<PageRef>,
    /// The directory of the member before, which most members share.
    parent: Option<(Vec<u8>, Path)>,
    /// First name of each file with several.
    links: HashMap<(u32, u32, (u32, u32)), Path>,
    dir_times: Vec<(Path, Option<Timespec>)>,
    out: Unpacked<'a>,
}

impl Job<'_, '_, '_> {
    fn place(&mut self, member: &Member<'_>) -> SysResult<()> {
        if member.name.is_empty() {
            let root = Path::clone(&self.ctx.root);
            return self.finish_dir(root, member);
        }
        let (dir, name) = self.parent(member.name)?;
        let dir = Some(&dir);
        let file_type = FileType::from_mode(member.mode).ok_or(Errno::EINVAL)?;
        if file_type == FileType::Dir {
            let there = self.ns.resolve(&self.ctx, dir, name, LookupFlags::FOLLOW);
            let made = match there {
                Ok(there) if there.dentry.is_dir() => there,
                _ => self.replacing(dir, name, |ns, ctx| ns.mkdir(ctx, dir, name, 0o755))?,
            };
            return self.finish_dir(made, member);
        }
        let file = (member.archive, member.ino, member.dev);
        if let Some(first) = self.links.get(&file).filter(|_| member.nlink > 1) {
            return self.hard_link(first.clone(), dir, name, member);
        }
        let path = match file_type {
            FileType::Symlink => self.replacing(dir, name, |ns, ctx| ns.symlink(ctx, member.data, dir, name))?,
            FileType::Regular => {
                let flags = OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::WRONLY;
                let how = OpenHow { flags, mode: 0o600, ..OpenHow::default() };
                let opened = self.replacing(dir, name, |ns, ctx| ns.open(ctx, dir, name, &how))?;
                self.fill(&opened.inode, member)?;
                opened.path
            }
            _ => {
                let rdev = makedev(member.rdev.0, member.rdev.1);
                self.replacing(dir, name, |ns, ctx| ns.mknod(ctx, dir, name, member.mode, rdev))?
            }
        };
        if member.nlink > 1 {
            self.links.insert(file, path.clone());
        }
        finish(&path, member, file_type)
    }

    /// The directory that `name` is in, made if it is missing, and the last component.
    fn parent<'m>(&mut self, name: &'m [u8]) -> SysResult<(Path, &'m [u8])> {
        let Some(slash) = name.iter().rposition(|b| *b == b'/') else { return Ok((Path::clone(&self.ctx.root), name)) };
        let (dir, last) = (name.get(..slash).unwrap_or_default(), name.get(slash + 1..).unwrap_or_default());
        if let Some((_, path)) = self.parent.as_ref().filter(|(known, _)| known == dir) {
            return Ok((path.clone(), last));
        }
        let path = match self.ns.resolve(&self.ctx, None, dir, LookupFlags::FOLLOW) {
            Ok(path) => path,
            Err(_) => self.make_parents(dir)?,
        };
        self.parent = Some((dir.to_vec(), path.clone()));
        Ok((path, last))
    }

    fn make_parents(&self, dir: &[u8]) -> SysResult<Path> {
        let ends = dir.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(i, _)| i).chain([dir.len()]);
        for end in ends {
            match self.ns.mkdir(&self.ctx, None, dir.get(..end).unwrap_or_default(), 0o755) {
                Ok(_) | Err(Errno::EEXIST) => {}
                Err(e) => return Err(e),
            }
        }
        self.ns.resolve(&self.ctx, None, dir, LookupFlags::FOLLOW)
    }

    /// Makes a new name; what was there goes, unless it is a directory.
    fn replacing<T>(
        &mut self,
        dir: Option<&Path>,
        name: &[u8],
        make: impl Fn(&Namespace, &FsContext<'_>) -> SysResult<T>,
    ) -> SysResult<T> {
        match make(self.ns, &self.ctx) {
            Err(Errno::EEXIST) => {
                self.ns.unlink(&self.ctx, dir, name)?;
                // It may have been a link on the way to the directory kept.
                self.parent = None;
                make(self.ns, &self.ctx)
            }
            result => result,
        }
    }

    fn finish_dir(&mut self, dir: Path, member: &Member<'_>) -> SysResult<()> {
        finish(&dir, member, FileType::Dir)?;
        self.dir_times.push((dir, mtime(member)));
        Ok(())
    }

    /// A further name of a file. The archiver puts the data with the last name (GNU cpio) or the
    /// first.
    fn hard_link(&mut self, first: Path, dir: Option<&Path>, name: &[u8], member: &Member<'_>) -> SysResult<()> {
        let inode = first.inode()?.clone();
        self.replacing(dir, name, |ns, ctx| ns.link(ctx, Some(&first), b"", dir, name, LookupFlags::EMPTY))?;
        if member.data.is_empty() || inode.file_type() != FileType::Regular {
            return Ok(());
        }
        inode.truncate(0)?;
        self.fill(&inode, member)?;
        finish(&first, member, FileType::Regular)
    }

    fn fill(&mut self, inode: &InodeRef, member: &Member<'_>) -> SysResult<()> {
        let mapping = inode.mapping().ok_or(Errno::EINVAL)?;
        let data = member.data;
        let mut copied = 0;
        for (index, page) in data.chunks_exact(PAGE_SIZE).enumerate() {
            let Some(frame) = (self.in_place)(member.data_offset + index * PAGE_SIZE) else { break };
            mapping.insert_page(index as u64, frame)?;
            self.out.pages_in_place += 1;
            copied += page.len();
        }
        mapping.grow(copied as u64);
        let rest = data.get(copied..).unwrap_or_default();
        let mut at = 0;
        let done = mapping.write(copied as u64, rest.len(), &mut |page, off, n| {
            let chunk = rest.get(at..at + n).unwrap_or_default();
            at += n;
            Ok(page.write(off, chunk))
        })?;
        if done == rest.len() { Ok(()) } else { Err(Errno::ENOSPC) }
    }
}

/// Owner, permissions and time as archived.
fn finish(path: &Path, member: &Member<'_>, file_type: FileType) -> SysResult<()> {
    let mode = if file_type == FileType::Symlink { None } else { Some(member.mode & 0o7777) };
    let time = mtime(member);
    let attr =
        SetAttr { mode, uid: Some(member.uid), gid: Some(member.gid), atime: time, mtime: time, ..SetAttr::default() };
    path.inode()?.setattr(&attr)
}

fn mtime(member: &Member<'_>) -> Option<Timespec> {
    Some(Timespec { sec: i64::from(member.mtime), nsec: member.nanoseconds })
}
