//! Pairs of terminals among threads of a host, each of which leads a session and has a devpts of
//! its own. What is expected is what Linux does (compat-tests/cases/terminal.c and pty_edit.c ask
//! it).

mod devpts;
mod editing;
mod hang_up;
mod jobs;
mod masters;
mod reading;
mod requests;

use alloc::sync::Arc;
use alloc::vec::Vec;

use caller::Target;
use caller::testing::take_signals;
use fd::OpenFile;
use fd::testing::{ioctl_get, ioctl_with, own_table};
use fs::namespace::{OpenHow, Opened};
use fs::{LookupFlags, MountFlags, OpenFlags};
use linux_raw_sys::ioctl as i;
use syscall_shim::types::Termios2;
use syscall_shim::{Signal, SysResult};

use crate::{DevptsOptions, OpenTty, Tty};

const MASTER: &str = "/dev/pts/ptmx";

/// Mounts a devpts at the place for it.
fn mount(options: DevptsOptions) {
    own_table();
    crate::set_opener(open_found);
    let tree = caller::namespace();
    let place = caller::with_fs(|ctx| {
        tree.mkdir(ctx, None, b"/dev", 0o755)?;
        tree.mkdir(ctx, None, b"/dev/pts", 0o755)?;
        tree.resolve(ctx, None, b"/dev/pts", LookupFlags::default())
    });
    tree.mount(crate::devpts(options), "devpts", &place.unwrap(), MountFlags::default()).unwrap();
}

fn open_found(opened: Opened, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
    let ops = crate::open(&opened.inode, flags)?;
    Ok(OpenFile::opened(opened.path, opened.inode, ops, flags, opened.write_access, opened.created))
}

fn open(path: &str, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
    let how = OpenHow { flags, ..OpenHow::default() };
    let opened = caller::with_fs(|ctx| caller::namespace().open(ctx, None, path.as_bytes(), &how))?;
    open_found(opened, flags)
}

/// A pair whose terminal controls nobody yet.
struct Pty {
    master: Arc<OpenFile>,
    slave: Arc<OpenFile>,
}

impl Pty {
    fn new() -> Self {
        mount(DevptsOptions::first());
        Self::of(OpenFlags::NOCTTY)
    }

    /// The first pair of a devpts, whose terminal is opened with these flags too.
    fn of(flags: OpenFlags) -> Self {
        let master = open(MASTER, OpenFlags::RDWR).unwrap();
        unlock(&master);
        let slave = open("/dev/pts/0", OpenFlags::RDWR | flags).unwrap();
        Self { master, slave }
    }

    /// One that controls the session of this thread.
    fn controlling() -> Self {
        mount(DevptsOptions::first());
        Self::of(OpenFlags::empty())
    }

    /// One that passes bytes through.
    fn raw() -> Self {
        let pty = Self::new();
        change(&pty.slave, |t| (t.c_iflag, t.c_oflag, t.c_lflag) = (0, 0, 0));
        pty
    }

    fn tty(&self) -> Arc<Tty> {
        tty_of(&self.slave)
    }
}

fn unlock(master: &OpenFile) {
    ioctl_with(master, i::TIOCSPTLCK, &mut 0i32).unwrap();
}

fn tty_of(slave: &OpenFile) -> Arc<Tty> {
    slave.ops_as::<OpenTty>().unwrap().tty.clone()
}

fn settings(file: &OpenFile) -> Termios2 {
    ioctl_get(file, i::TCGETS2).unwrap()
}

fn change(file: &OpenFile, change: impl FnOnce(&mut Termios2)) {
    let mut termios = settings(file);
    change(&mut termios);
    ioctl_with(file, i::TCSETS2, &mut termios).unwrap();
}

fn character(termios: &mut Termios2, index: u32, value: u8) {
    termios.c_cc[index as usize] = value;
}

/// The signals that a process group was sent.
fn signals_of(group: i32) -> Vec<Signal> {
    take_signals(Target::Group, group).iter().map(|info| Signal::new(info.si_signo as u32).unwrap()).collect()
}
