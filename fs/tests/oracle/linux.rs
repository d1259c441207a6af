//! The calls on the real tmpfs of the machine.

use super::System;
use super::ops::Op;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::io::Error;
use std::path::PathBuf;
use std::ptr::null;

/// A directory on tmpfs for one sequence; removed with everything in it.
pub struct Jail(PathBuf);

impl Jail {
    /// `None` where there is no tmpfs, or no privilege to enter the jail.
    pub fn new(seed: u64) -> Option<Jail> {
        let shm = c("/dev/shm");
        // SAFETY: plain data that statfs fills in; geteuid takes nothing.
        let usable = unsafe {
            let mut out: libc::statfs = std::mem::zeroed();
            libc::geteuid() == 0 && libc::statfs(shm.as_ptr(), &mut out) == 0 && out.f_type == 0x0102_1994
        };
        if !usable {
            return None;
        }
        let jail = Jail(PathBuf::from(format!("/dev/shm/skiff-oracle-{}-{seed}", std::process::id())));
        std::fs::create_dir_all(jail.0.join("base")).ok()?;
        Some(jail)
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub struct Linux {
    base: i32,
}

fn c(path: &str) -> CString {
    CString::new(path).unwrap()
}

/// `ok` with what `value` makes of the result, or the error's number.
fn report(result: i64, value: impl FnOnce(i64) -> String) -> String {
    if result < 0 { format!("E{}", Error::last_os_error().raw_os_error().unwrap()) } else { format!("ok{}", value(result)) }
}

fn plain(result: impl Into<i64>) -> String {
    report(result.into(), |_| String::new())
}

fn closing(fd: i32) -> String {
    report(fd.into(), |fd| {
        // SAFETY: a descriptor that the call before has just made.
        unsafe { libc::close(fd as i32) };
        String::new()
    })
}

impl Linux {
    /// Confines this thread to the jail: its root directory is the jail's, its current directory
    /// /proc/thread-self/fd.
    pub fn enter(jail: &Jail) -> Linux {
        let root = c(jail.0.to_str().unwrap());
        let ok = |r: i32| assert!(r >= 0, "{}", Error::last_os_error());
        // SAFETY: plain calls; after unshare the root and current directories are this thread's
        // own.
        unsafe {
            libc::umask(0o022);
            ok(libc::unshare(libc::CLONE_FS));
            ok(libc::chdir(c"/proc/thread-self/fd".as_ptr()));
            ok(libc::chroot(root.as_ptr()));
            let base = libc::open(c"/base".as_ptr(), libc::O_PATH | libc::O_DIRECTORY);
            ok(base);
            Linux { base }
        }
    }

    /// A path that works without dirfd, for calls that take none.
    fn open_path(&self, path: &str, follow: bool) -> i32 {
        let flags = libc::O_PATH | if follow { 0 } else { libc::O_NOFOLLOW };
        // SAFETY: a NUL-terminated string.
        unsafe { libc::openat(self.base, c(path).as_ptr(), flags) }
    }

    /// Runs `f` with a /proc path of the file, so that calls without a dirfd can be used.
    fn by_fd(&self, path: &str, f: impl FnOnce(*const libc::c_char) -> i64, value: impl FnOnce(i64) -> String) -> String {
        let fd = self.open_path(path, true);
        if fd < 0 {
            return plain(-1);
        }
        let name = c(&fd.to_string());
        let out = report(f(name.as_ptr()), value);
        // SAFETY: ours.
        unsafe { libc::close(fd) };
        out
    }

    fn opened(&self, path: &str, flags: i32, f: impl FnOnce(i32) -> i64, value: impl FnOnce(i64) -> String) -> String {
        // SAFETY: a NUL-terminated string.
        let fd = unsafe { libc::openat(self.base, c(path).as_ptr(), flags | libc::O_NONBLOCK) };
        if fd < 0 {
            return format!("open {}", plain(-1));
        }
        let out = report(f(fd), value);
        // SAFETY: ours.
        unsafe { libc::close(fd) };
        out
    }

    fn stat(&self, path: &str, follow: bool) -> String {
        // SAFETY: plain data that fstatat fills in.
        let mut st: libc::stat = unsafe { std::mem::zeroed() };
        let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
        // SAFETY: a NUL-terminated string and a buffer of the right type.
        let r = unsafe { libc::fstatat(self.base, c(path).as_ptr(), &mut st, flags) };
        let blocks = if st.st_mode & libc::S_IFMT == libc::S_IFREG { st.st_blocks } else { 0 };
        report(r.into(), |_| {
            let times = [st.st_atime, st.st_mtime].map(|t| if t < 100 { t } else { 100 });
            format!(" {:o} {} {}:{} {} {} {:?}", st.st_mode, st.st_nlink, st.st_uid, st.st_gid, st.st_size, blocks, times)
        })
    }

    fn list(&self, path: &str) -> String {
        // SAFETY: a directory stream is used by this thread alone; entries are copied before the
        // next call.
        unsafe {
            let fd = libc::openat(self.base, c(path).as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
            if fd < 0 {
                return plain(-1);
            }
            let dir = libc::fdopendir(fd);
            let mut names = BTreeSet::new();
            loop {
                let entry = libc::readdir(dir);
                if entry.is_null() {
                    break;
                }
                let name = std::ffi::CStr::from_ptr((*entry).d_name.as_ptr());
                names.insert(format!("{}:{}", name.to_str().unwrap(), (*entry).d_type));
            }
            libc::closedir(dir);
            format!("ok {names:?}")
        }
    }
}

impl System for Linux {
    fn run(&mut self, op: &Op) -> String {
        let at = self.base;
        // SAFETY: each call gets NUL-terminated strings and buffers that live through it.
        unsafe {
            match op {
                Op::Open { path, flags, mode } => closing(libc::openat(at, c(path).as_ptr(), *flags, *mode)),
                Op::OpenHow { path, flags, mode, resolve } => {
                    let how = [*flags as u32 as u64, u64::from(*mode), *resolve];
                    closing(libc::syscall(libc::SYS_openat2, at, c(path).as_ptr(), how.as_ptr(), 24usize) as i32)
                }
                Op::Mkdir { path, mode } => plain(libc::mkdirat(at, c(path).as_ptr(), *mode)),
                Op::Mkfifo { path, mode } => plain(libc::mknodat(at, c(path).as_ptr(), libc::S_IFIFO | mode, 0)),
                Op::Mknod { path, mode, dev } => plain(libc::mknodat(at, c(path).as_ptr(), *mode, *dev)),
                Op::Rmdir { path } => plain(libc::unlinkat(at, c(path).as_ptr(), libc::AT_REMOVEDIR)),
                Op::Unlink { path } => plain(libc::unlinkat(at, c(path).as_ptr(), 0)),
                Op::Rename { old, new, flags } => plain(libc::renameat2(at, c(old).as_ptr(), at, c(new).as_ptr(), *flags)),
                Op::Link { old, new, follow } => {
                    let flags = if *follow { libc::AT_SYMLINK_FOLLOW } else { 0 };
                    plain(libc::linkat(at, c(old).as_ptr(), at, c(new).as_ptr(), flags))
                }
                Op::Symlink { target, path } => plain(libc::symlinkat(c(target).as_ptr(), at, c(path).as_ptr())),
                Op::Readlink { path } => {
                    let mut buf = [0u8; 4096];
                    let n = libc::readlinkat(at, c(path).as_ptr(), buf.as_mut_ptr().cast(), buf.len());
                    report(n as i64, |n| format!(" {}", String::from_utf8_lossy(&buf[..n as usize])))
                }
                Op::Chmod { path, mode } => plain(libc::fchmodat(at, c(path).as_ptr(), *mode, 0)),
                Op::Chown { path, uid, gid, follow } => {
                    let flags = if *follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
                    plain(libc::fchownat(at, c(path).as_ptr(), *uid, *gid, flags))
                }
                Op::Truncate { path, size } => self.by_fd(path, |p| libc::truncate(p, *size).into(), |_| String::new()),
                // With AT_EACCESS, because the test changes the file-system ids only; then it is
                // faccessat2(2).
                Op::Access { path, mask } => {
                    let p = c(path);
                    plain(libc::syscall(libc::SYS_faccessat2, at, p.as_ptr(), *mask, libc::AT_EACCESS))
                }
                Op::Stat { path, follow } => self.stat(path, *follow),
                Op::Utimens { path, atime, mtime } => {
                    let times = [*atime, *mtime].map(|t| match t {
                        -1 => libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_NOW },
                        -2 => libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT },
                        t => libc::timespec { tv_sec: t, tv_nsec: 0 },
                    });
                    plain(libc::utimensat(at, c(path).as_ptr(), times.as_ptr(), 0))
                }
                Op::List { path } => self.list(path),
                Op::Write { path, offset, len, append } => {
                    let data = vec![7u8; *len];
                    let flags = libc::O_WRONLY | if *append { libc::O_APPEND } else { 0 };
                    let value = |n| format!(" {n}");
                    self.opened(path, flags, |fd| libc::pwrite(fd, data.as_ptr().cast(), *len, *offset) as i64, value)
                }
                Op::SetXattr { path, name, flags } => self.by_fd(
                    path,
                    |p| libc::setxattr(p, c(name).as_ptr(), c"val".as_ptr().cast(), 3, *flags).into(),
                    |_| String::new(),
                ),
                Op::GetXattr { path, name } => {
                    let mut buf = [0u8; 64];
                    self.by_fd(
                        path,
                        |p| libc::getxattr(p, c(name).as_ptr(), buf.as_mut_ptr().cast(), 64) as i64,
                        |n| format!(" {n}"),
                    )
                }
                Op::RemoveXattr { path, name } => {
                    self.by_fd(path, |p| libc::removexattr(p, c(name).as_ptr()).into(), |_| String::new())
                }
                Op::ListXattr { path } => {
                    let mut buf = [0u8; 512];
                    let out = buf.as_mut_ptr();
                    self.by_fd(
                        path,
                        |p| libc::listxattr(p, out.cast(), 512) as i64,
                        |n| {
                            let names: BTreeSet<_> =
                                std::slice::from_raw_parts(out, n as usize).split(|b| *b == 0).collect();
                            format!(" {names:?}")
                        },
                    )
                }
                Op::Fallocate { path, mode, offset, len } => self.opened(
                    path,
                    libc::O_WRONLY,
                    |fd| libc::fallocate(fd, *mode, *offset, *len).into(),
                    |_| String::new(),
                ),
                Op::Seek { path, offset, whence } => {
                    // What other types answer is the business of their own file operations.
                    let regular = |fd| {
                        let mut st: libc::stat = std::mem::zeroed();
                        libc::fstat(fd, &mut st);
                        st.st_mode & libc::S_IFMT == libc::S_IFREG
                    };
                    let seek = |fd| if regular(fd) { libc::lseek(fd, *offset, *whence) } else { 0 };
                    self.opened(path, libc::O_RDONLY, seek, |n| format!(" {n}"))
                }
                Op::Chdir { path } => {
                    let fd = libc::openat(at, c(path).as_ptr(), libc::O_PATH | libc::O_DIRECTORY);
                    if fd < 0 {
                        return plain(-1);
                    }
                    if libc::syscall(
                        libc::SYS_faccessat2,
                        fd,
                        c"".as_ptr(),
                        libc::X_OK,
                        libc::AT_EACCESS | libc::AT_EMPTY_PATH,
                    ) < 0
                    {
                        let out = plain(-1);
                        libc::close(fd);
                        return out;
                    }
                    // Back at once: the test stays in its base directory.
                    libc::close(fd);
                    "ok".to_string()
                }
            }
        }
    }

    fn drop_privileges(&mut self) {
        // SAFETY: of this thread alone; setfsuid away from 0 also drops the capabilities that
        // concern files.
        unsafe {
            libc::fchownat(self.base, c"".as_ptr(), 1000, 1000, libc::AT_EMPTY_PATH);
            libc::syscall(libc::SYS_setgroups, 0usize, null::<libc::gid_t>());
            libc::setfsgid(1000);
            libc::setfsuid(1000);
        }
    }
}

impl Drop for Linux {
    fn drop(&mut self) {
        // SAFETY: ours.
        unsafe { libc::close(self.base) };
    }
}
