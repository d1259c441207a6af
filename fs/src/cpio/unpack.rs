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

/// Unpacks `archive` over what `ns` holds already, replacing files, keeping directories. Missing parent directories are made
/// with mode 0755. `in_place(offset)` may offer the page that holds `archive[offset..offset + PAGE_SIZE]` for the page
/// cache; without it the bytes are copied.
pub fn unpack<'a>(
    ns: &Namespace,
    archive: &'a [u8],
    in_place: &mut dyn FnMut(usize) -> Option<PageRef>,
) -> Result<Unpacked<'a>, CpioError> {
    let ctx = ns.kernel_context();
    let mut job = Job { ns, ctx, in_place, links: HashMap::new(), dir_times: Vec::new(), out: Unpacked::default() };
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
    for (dir, mtime) in core::mem::take(&mut job.dir_times) {
        let name = || lossy(&dir.display(&job.ctx.root));
        set_times(&dir, mtime).map_err(|errno| CpioError::Unpack { name: name(), errno })?;
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
    /// First name of each file with several.
    links: HashMap<(u32, (u32, u32)), Path>,
    dir_times: Vec<(Path, u32)>,
    out: Unpacked<'a>,
}

impl Job<'_, '_, '_> {
    fn place(&mut self, member: &Member<'_>) -> SysResult<()> {
        if member.name.is_empty() {
            let root = self.ctx.root.clone();
            return self.finish_dir(root, member);
        }
        self.make_parents(member.name)?;
        let (ns, ctx, name) = (self.ns, &self.ctx, member.name);
        let file_type = FileType::from_mode(member.mode).ok_or(Errno::EINVAL)?;
        if file_type == FileType::Dir {
            let dir = match ns.resolve(ctx, None, name, LookupFlags::FOLLOW) {
                Ok(there) if there.dentry.is_dir() => there,
                Ok(_) => {
                    ns.unlink(ctx, None, name)?;
                    ns.mkdir(ctx, None, name, 0o755)?
                }
                Err(_) => ns.mkdir(ctx, None, name, 0o755)?,
            };
            return self.finish_dir(dir, member);
        }
        if let Some(first) = self.links.get(&(member.ino, member.dev)).filter(|_| member.nlink > 1) {
            return self.hard_link(first.clone(), member);
        }
        remove_old(ns, ctx, name)?;
        let path = match file_type {
            FileType::Symlink => ns.symlink(ctx, member.data, None, name)?,
            FileType::Regular => {
                let flags = OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::WRONLY;
                let opened = ns.open(ctx, None, name, &OpenHow { flags, mode: 0o600, ..OpenHow::default() })?;
                self.fill(&opened.inode, member)?;
                opened.path
            }
            _ => ns.mknod(ctx, None, name, member.mode, makedev(member.rdev.0, member.rdev.1))?,
        };
        if member.nlink > 1 {
            self.links.insert((member.ino, member.dev), path.clone());
        }
        finish(&path, member, file_type)
    }

    fn make_parents(&self, name: &[u8]) -> SysResult<()> {
        let parent = match name.iter().rposition(|b| *b == b'/') {
            Some(slash) => name.get(..slash).unwrap_or_default(),
            None => return Ok(()),
        };
        if self.ns.resolve(&self.ctx, None, parent, LookupFlags::FOLLOW).is_ok() {
            return Ok(());
        }
        for (end, _) in name.iter().enumerate().filter(|(_, b)| **b == b'/') {
            let dir = name.get(..end).unwrap_or_default();
            match self.ns.mkdir(&self.ctx, None, dir, 0o755) {
                Ok(_) | Err(Errno::EEXIST) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn finish_dir(&mut self, dir: Path, member: &Member<'_>) -> SysResult<()> {
        finish(&dir, member, FileType::Dir)?;
        self.dir_times.push((dir, member.mtime));
        Ok(())
    }

    /// A further name of a file. The archiver puts the data with the last name (GNU cpio) or the first.
    fn hard_link(&mut self, first: Path, member: &Member<'_>) -> SysResult<()> {
        let inode = first.inode()?.clone();
        remove_old(self.ns, &self.ctx, member.name)?;
        self.ns.link(&self.ctx, Some(&first), b"", None, member.name, LookupFlags::EMPTY)?;
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

/// Removes what is in a new file's place, unless that is a directory.
fn remove_old(ns: &Namespace, ctx: &FsContext<'_>, name: &[u8]) -> SysResult<()> {
    match ns.unlink(ctx, None, name) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Owner, permissions and time as archived.
fn finish(path: &Path, member: &Member<'_>, file_type: FileType) -> SysResult<()> {
    let mode = if file_type == FileType::Symlink { None } else { Some(member.mode & 0o7777) };
    let attr = SetAttr { mode, uid: Some(member.uid), gid: Some(member.gid), ..SetAttr::default() };
    path.inode()?.setattr(&attr)?;
    set_times(path, member.mtime)
}

fn set_times(path: &Path, mtime: u32) -> SysResult<()> {
    let time = Some(Timespec { sec: i64::from(mtime), nsec: 0 });
    path.inode()?.setattr(&SetAttr { atime: time, mtime: time, ..SetAttr::default() })
}
