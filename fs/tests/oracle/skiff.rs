//! The calls on this crate, put together as the kernel does it.

use super::System;
use super::ops::Op;
use fs::file::{self, WriteRequest};
use fs::namespace::{OpenHow, Opened, SetTime};
use fs::tmpfs::{Tmpfs, TmpfsOptions};
use fs::*;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use syscall_shim::{Errno, SysResult};

pub struct Skiff {
    ns: Arc<Namespace>,
    creds: Credentials<'static>,
    cwd: Path,
}

fn report<T>(result: SysResult<T>, value: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(v) => format!("ok{}", value(v)),
        Err(e) => format!("E{}", e.0),
    }
}

fn plain<T>(result: SysResult<T>) -> String {
    report(result, |_| String::new())
}

fn id(id: u32) -> Option<u32> {
    (id != u32::MAX).then_some(id)
}

fn time(t: i64) -> SetTime {
    match t {
        -1 => SetTime::Now,
        -2 => SetTime::Omit,
        t => SetTime::At(Timespec { sec: t, nsec: 0 }),
    }
}

impl Skiff {
    pub fn new() -> Skiff {
        fs::testing::install();
        let tmpfs = Tmpfs::new(TmpfsOptions { mode: 0o755, ..Default::default() }).unwrap();
        let ns = Namespace::new(tmpfs, "tmpfs", MountFlags::RELATIME);
        let cwd = ns.mkdir(&ns.kernel_context(), None, b"base", 0o755).unwrap();
        Skiff { ns, creds: Credentials::root(), cwd }
    }

    fn ctx(&self) -> FsContext<'_> {
        FsContext { root: Cow::Owned(self.ns.root()), cwd: Cow::Borrowed(&self.cwd), creds: &self.creds, umask: 0o022 }
    }

    fn find(&self, path: &str, follow: bool) -> SysResult<Path> {
        let flags = if follow { LookupFlags::FOLLOW } else { LookupFlags::default() };
        self.ns.resolve(&self.ctx(), None, path.as_bytes(), flags)
    }

    fn open(&self, path: &str, flags: i32, mode: u32, resolve: LookupFlags) -> SysResult<Opened> {
        let flags = OpenFlags::from_bits_retain(flags as u32);
        let opened = self.ns.open(&self.ctx(), None, path.as_bytes(), &OpenHow { flags, mode, resolve })?;
        // The kernel's part: a FIFO opened for writing without a reader, and devices without a
        // driver.
        let special = opened.inode.file_type();
        if special == FileType::Fifo && flags.bits() & 3 == 1 && !flags.contains(OpenFlags::PATH) {
            return Err(Errno::ENXIO);
        }
        if special == FileType::Char && !flags.contains(OpenFlags::PATH) && opened.inode.metadata().rdev != 259 {
            return Err(Errno::ENXIO);
        }
        Ok(opened)
    }

    fn opened(&self, path: &str, flags: i32, f: impl FnOnce(Opened) -> SysResult<String>) -> String {
        match self.open(path, flags | libc::O_NONBLOCK, 0, LookupFlags::default()) {
            Err(e) => format!("open E{}", e.0),
            Ok(opened) => report(f(opened), |text| text),
        }
    }

    fn resolve_flags(resolve: u64) -> SysResult<LookupFlags> {
        let all = [
            (1, LookupFlags::NO_XDEV),
            (2, LookupFlags::NO_MAGICLINKS),
            (4, LookupFlags::NO_SYMLINKS),
            (8, LookupFlags::BENEATH),
            (16, LookupFlags::IN_ROOT),
        ];
        if resolve & 24 == 24 {
            return Err(Errno::EINVAL);
        }
        Ok(all.into_iter().filter(|(bit, _)| resolve & bit != 0).fold(LookupFlags::default(), |a, (_, f)| a | f))
    }

    fn write(&self, path: &str, pos: u64, len: usize, append: bool) -> String {
        let flags = libc::O_WRONLY | if append { libc::O_APPEND } else { 0 };
        self.opened(path, flags, |opened| {
            let keep_setid = self.creds.capable(Cap::Fsetid);
            let req = WriteRequest { pos, len, append, fsize_limit: u64::MAX, keep_setid };
            match opened.inode.file_type() {
                FileType::Regular => {}
                FileType::Char => return Ok(format!(" {len}")),
                _ => return Err(Errno::EINVAL),
            }
            let (n, _) = file::write(&opened.inode, &req, &mut |page, off, n| Ok(page.write(off, &vec![7; n])))?;
            Ok(format!(" {n}"))
        })
    }

    fn list(&self, path: &str) -> SysResult<BTreeSet<String>> {
        let opened = self.open(path, libc::O_RDONLY | libc::O_DIRECTORY, 0, LookupFlags::default())?;
        let mut names = BTreeSet::new();
        opened.path.readdir(&self.ns.root(), 0, &mut |e| {
            names.insert(format!("{}:{}", String::from_utf8_lossy(e.name), e.file_type.d_type()));
            true
        })?;
        file::accessed(&opened.path.mount, &opened.inode);
        Ok(names)
    }

    fn stat(&self, path: &str, follow: bool) -> String {
        report(self.find(path, follow).and_then(|p| Ok(p.inode()?.metadata())), |m| {
            let times = [m.atime, m.mtime].map(|t| if t.sec < 100 { t.sec } else { 100 });
            format!(" {:o} {} {}:{} {} {} {:?}", m.mode, m.nlink, m.uid, m.gid, m.size, m.blocks, times)
        })
    }
}

impl System for Skiff {
    fn run(&mut self, op: &Op) -> String {
        let (ns, ctx) = (&self.ns, self.ctx());
        match op {
            Op::Open { path, flags, mode } => plain(self.open(path, *flags, *mode, LookupFlags::default())),
            Op::OpenHow { path, flags, mode, resolve } => {
                plain(Self::resolve_flags(*resolve).and_then(|r| self.open(path, *flags, *mode, r)))
            }
            Op::Mkdir { path, mode } => plain(ns.mkdir(&ctx, None, path.as_bytes(), *mode)),
            Op::Mkfifo { path, mode } => plain(ns.mknod(&ctx, None, path.as_bytes(), S_IFIFO | mode, 0)),
            Op::Mknod { path, mode, dev } => plain(ns.mknod(&ctx, None, path.as_bytes(), *mode, *dev)),
            Op::Rmdir { path } => plain(ns.rmdir(&ctx, None, path.as_bytes())),
            Op::Unlink { path } => plain(ns.unlink(&ctx, None, path.as_bytes())),
            Op::Rename { old, new, flags } => {
                let flags = RenameFlags::from_bits_retain(*flags);
                plain(ns.rename(&ctx, None, old.as_bytes(), None, new.as_bytes(), flags))
            }
            Op::Link { old, new, follow } => {
                let flags = if *follow { LookupFlags::FOLLOW } else { LookupFlags::default() };
                plain(ns.link(&ctx, None, old.as_bytes(), None, new.as_bytes(), flags))
            }
            Op::Symlink { target, path } => plain(ns.symlink(&ctx, target.as_bytes(), None, path.as_bytes())),
            Op::Readlink { path } => {
                report(ns.readlink(&ctx, None, path.as_bytes()), |t| format!(" {}", String::from_utf8_lossy(&t)))
            }
            Op::Chmod { path, mode } => plain(self.find(path, true).and_then(|p| ns.chmod(&ctx, &p, *mode))),
            Op::Chown { path, uid, gid, follow } => {
                plain(self.find(path, *follow).and_then(|p| ns.chown(&ctx, &p, id(*uid), id(*gid))))
            }
            Op::Truncate { path, size } => {
                plain(self.find(path, true).and_then(|p| ns.truncate(&ctx, &p, *size as u64, u64::MAX)))
            }
            Op::Access { path, mask } => {
                let mask = AccessMask::from_bits_truncate(*mask as u32);
                plain(self.find(path, true).and_then(|p| ns.access(&ctx, &p, mask)))
            }
            Op::Stat { path, follow } => self.stat(path, *follow),
            Op::Utimens { path, atime: -2, mtime: -2 } => {
                // Linux answers before it looks at the path.
                let _ = path;
                "ok".to_string()
            }
            Op::Utimens { path, atime, mtime } => {
                plain(self.find(path, true).and_then(|p| ns.utimens(&ctx, &p, time(*atime), time(*mtime))))
            }
            Op::List { path } => report(self.list(path), |names| format!(" {names:?}")),
            Op::Write { path, offset, len, append } => self.write(path, *offset as u64, *len, *append),
            Op::SetXattr { path, name, flags } => {
                plain(self.find(path, true).and_then(|p| {
                    ns.setxattr(&ctx, &p, name.as_bytes(), b"val", XattrFlags::from_bits_retain(*flags as u32))
                }))
            }
            Op::GetXattr { path, name } => {
                let value = self.find(path, true).and_then(|p| ns.getxattr(&ctx, &p, name.as_bytes()));
                report(value, |v| format!(" {}", v.len()))
            }
            Op::RemoveXattr { path, name } => {
                plain(self.find(path, true).and_then(|p| ns.removexattr(&ctx, &p, name.as_bytes())))
            }
            Op::ListXattr { path } => report(self.find(path, true).and_then(|p| ns.listxattr(&ctx, &p)), |names| {
                format!(" {:?}", names.split(|b| *b == 0).collect::<BTreeSet<_>>())
            }),
            Op::Fallocate { path, mode, offset, len } => self.opened(path, libc::O_WRONLY, |opened| {
                let mode = FallocateMode::from_bits_retain(*mode as u32);
                file::fallocate(&opened.inode, mode, *offset, *len, u64::MAX, self.creds.capable(Cap::Fsetid))?;
                Ok(String::new())
            }),
            Op::Seek { path, offset, whence } => self.opened(path, libc::O_RDONLY, |opened| {
                if opened.inode.file_type() != FileType::Regular {
                    return Ok(" 0".to_string());
                }
                let off = *offset as u64;
                let at = if *whence == libc::SEEK_DATA { opened.inode.seek_data(off) } else { opened.inode.seek_hole(off) };
                Ok(format!(" {}", at?))
            }),
            Op::Chdir { path } => plain(self.find(path, true).and_then(|p| {
                if !p.dentry.is_dir() {
                    return Err(Errno::ENOTDIR);
                }
                ns.access(&ctx, &p, AccessMask::EXEC)
            })),
        }
    }

    fn drop_privileges(&mut self) {
        let ctx = self.ns.kernel_context();
        self.ns.chown(&ctx, &self.cwd, Some(1000), Some(1000)).unwrap();
        // setfsuid(2) away from 0 takes the file capabilities; the others stay.
        let files =
            [Cap::Chown, Cap::DacOverride, Cap::DacReadSearch, Cap::Fowner, Cap::Fsetid, Cap::LinuxImmutable, Cap::Mknod];
        let caps = files.into_iter().fold(u64::MAX, |caps, cap| caps & !(1 << cap as u64));
        self.creds = Credentials { caps, ..Credentials::user(1000, 1000, &[]) };
    }
}
