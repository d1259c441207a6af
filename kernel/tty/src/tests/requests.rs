//! Requests of ioctl(2) that get and set.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::Mutex;

use fd::poll::{PollQueue, ev, poll_queue};
use fd::testing::{errno, events, ioctl, ioctl_get, ioctl_with, read, write};
use fs::{FileType, OpenFlags, makedev};
use linux_raw_sys::general as g;
use linux_raw_sys::ioctl as i;
use syscall_shim::types::{Termio, Termios, Winsize};
use syscall_shim::{Errno, SysResult};

use super::{Pty, change, character, settings};
use crate::{Driver, Tty};

#[test]
fn settings_have_three_shapes() {
    let pty = Pty::new();
    let termios: Termios = ioctl_get(&pty.slave, i::TCGETS).unwrap();
    let new = settings(&pty.slave);
    assert_eq!((termios.c_iflag, termios.c_oflag), (g::ICRNL | g::IXON, g::OPOST | g::ONLCR));
    assert_eq!((new.c_ispeed, new.c_ospeed, termios.c_cflag), (38400, 38400, new.c_cflag));
    assert_eq!(new.c_cflag, g::B38400 | g::CS8 | g::CREAD);
    let old: Termio = ioctl_get(&pty.slave, i::TCGETA).unwrap();
    assert_eq!((u32::from(old.c_lflag), old.c_cc), (new.c_lflag & 0xffff, *new.c_cc.first_chunk().unwrap()));
    let mut set = termios;
    set.c_lflag &= !g::ECHO;
    set.c_cc[g::VEOF as usize] = 5;
    ioctl_with(&pty.slave, i::TCSETSW, &mut set).unwrap();
    let now = settings(&pty.slave);
    assert_eq!((now.c_lflag & g::ECHO, now.c_cc[g::VEOF as usize]), (0, 5));
    let mut set = old;
    set.c_lflag |= g::ECHO as u16;
    set.c_iflag = 0;
    ioctl_with(&pty.slave, i::TCSETA, &mut set).unwrap();
    let now = settings(&pty.slave);
    assert_eq!((now.c_lflag & g::ECHO, now.c_iflag, now.c_cc[g::VEOF as usize]), (g::ECHO, 0, 4));
    assert_eq!(now.c_cc[g::VSUSP as usize], 0x1a, "those beyond the old ones stay");
}

#[test]
fn rates_and_what_a_pair_cannot_change() {
    let pty = Pty::new();
    let rates = |cflag: u32, input: u32, output: u32| {
        change(&pty.slave, |t| (t.c_cflag, t.c_ispeed, t.c_ospeed) = (cflag, input, output));
        let now = settings(&pty.slave);
        (now.c_ispeed, now.c_ospeed)
    };
    assert_eq!(rates(g::B9600 | g::CS8, 1, 2), (9600, 9600));
    assert_eq!(rates(g::B115200, 1, 2), (115_200, 115_200));
    assert_eq!(rates(g::BOTHER, 1, 12_345), (12_345, 12_345));
    assert_eq!(rates(g::B9600 | g::B300 << 16, 1, 2), (300, 9600));
    assert_eq!(rates(g::B9600 | g::BOTHER << 16, 77, 2), (77, 9600));
    let cflag = settings(&pty.slave).c_cflag;
    assert_eq!(cflag & (g::CSIZE | g::CREAD), g::CS8 | g::CREAD);
    change(&pty.slave, |t| t.c_cflag |= g::PARENB);
    assert_eq!(settings(&pty.slave).c_cflag & g::PARENB, 0);
}

#[test]
fn settings_throw_input_away_if_they_are_told_to() {
    let pty = Pty::new();
    write(&pty.master, b"line\n").unwrap();
    let mut termios = settings(&pty.slave);
    ioctl_with(&pty.slave, i::TCSETS2, &mut termios).unwrap();
    assert_eq!(ioctl_get::<i32>(&pty.slave, i::FIONREAD), Ok(5));
    ioctl_with(&pty.slave, i::TCSETSF2, &mut termios).unwrap();
    assert_eq!((ioctl_get::<i32>(&pty.slave, i::FIONREAD), events(&pty.slave) & ev::IN), (Ok(0), 0));
    ioctl(&pty.slave, i::TCXONC, u64::from(g::TCOOFF)).unwrap();
    change(&pty.slave, |t| t.c_iflag &= !g::IXON);
    assert_eq!(events(&pty.slave) & ev::OUT, ev::OUT, "nothing could start it any more");
    assert_eq!(errno(ioctl(&pty.slave, i::TCFLSH, 3)), Some(Errno::EINVAL));
    assert_eq!(errno(ioctl(&pty.slave, i::TCFLSH, 1 << 40)), Some(Errno::EINVAL));
    write(&pty.master, b"x").unwrap();
    ioctl(&pty.slave, i::TCFLSH, u64::from(g::TCIFLUSH)).unwrap();
    write(&pty.master, b"y\n").unwrap();
    assert_eq!(read(&pty.slave, 10), Ok(b"y\n".to_vec()));
}

#[test]
fn small_things() {
    let pty = Pty::new();
    let mut size = Winsize { ws_row: 3, ws_col: 4, ws_xpixel: 5, ws_ypixel: 6 };
    ioctl_with(&pty.master, i::TIOCSWINSZ, &mut size).unwrap();
    let seen: Winsize = ioctl_get(&pty.slave, i::TIOCGWINSZ).unwrap();
    assert_eq!((seen.ws_row, seen.ws_col, seen.ws_xpixel, seen.ws_ypixel), (3, 4, 5, 6));
    assert_eq!(ioctl_get::<u32>(&pty.slave, i::TIOCGDEV), Ok(makedev(136, 0) as u32));
    assert_eq!(ioctl_get::<u32>(&pty.master, i::TIOCGPTN), Ok(0));
    assert_eq!(ioctl_get::<i32>(&pty.slave, i::TIOCOUTQ), Ok(0));
    assert_eq!(ioctl_get::<i32>(&pty.slave, i::TIOCGETD), Ok(0));
    assert_eq!(ioctl_with(&pty.slave, i::TIOCSETD, &mut 0u32), Ok(0));
    assert_eq!(ioctl_with(&pty.slave, i::TIOCSETD, &mut 1u32), Err(Errno::EINVAL));
    assert_eq!(ioctl_get::<i32>(&pty.slave, i::TIOCGSOFTCAR), Ok(0));
    ioctl_with(&pty.slave, i::TIOCSSOFTCAR, &mut 1i32).unwrap();
    assert_eq!(ioctl_get::<i32>(&pty.slave, i::TIOCGSOFTCAR), Ok(1));
    assert_eq!(settings(&pty.slave).c_cflag & g::CLOCAL, g::CLOCAL);
    assert_eq!(ioctl(&pty.slave, i::TCSBRK, 0), Ok(0));
    assert_eq!(errno(ioctl(&pty.slave, 0x1234, 0)), Some(Errno::ENOTTY));
    assert!(pty.slave.ops.sends_signals() && pty.master.ops.sends_signals());
}

/// A terminal of which a test is the other side.
struct Screen {
    shown: Mutex<Vec<u8>>,
    room: PollQueue,
}

impl Driver for Screen {
    fn show(&self, bytes: &[u8]) -> usize {
        self.shown.lock().unwrap().extend(bytes);
        bytes.len()
    }
    fn room(&self) -> usize {
        100
    }
    fn room_queue(&self) -> &PollQueue {
        &self.room
    }
    fn show_all(&self, bytes: &[u8]) -> SysResult<()> {
        self.show(bytes);
        Ok(())
    }
}

#[test]
fn the_console_is_one_of_them() {
    let screen = Arc::new(Screen { shown: Mutex::default(), room: poll_queue() });
    crate::set_console(Tty::new(makedev(5, 1), screen.clone()));
    fs::testing::install();
    let node = |minor: u32| -> fs::InodeRef {
        fs::pseudo::PseudoNode::special(fs::pseudo::NodeSpec::new(1, 0o600), FileType::Char, makedev(5, minor), None)
    };
    let open = |minor: u32| {
        let ops = crate::open(&node(minor), OpenFlags::RDWR)?;
        let root = caller::namespace().root();
        Ok::<_, Errno>(fd::OpenFile::new(root, node(minor), ops, OpenFlags::RDWR))
    };
    assert_eq!(errno(open(0)), Some(Errno::ENXIO), "no terminal controls this session");
    assert_eq!(errno(open(7)), Some(Errno::ENXIO));
    let console = open(1).unwrap();
    write(&console, b"login:\n").unwrap();
    assert_eq!(*screen.shown.lock().unwrap(), b"login:\r\n");
    let tty = crate::console().unwrap();
    assert_eq!(tty.receive(b"root\n"), 5);
    tty.writable();
    assert_eq!(read(&console, 20), Ok(b"root\n".to_vec()));
    // The leader of a session has got it by opening it.
    assert_eq!(tty.shown(), (makedev(5, 1), caller::group()));
    let own = open(0).unwrap();
    change(&own, |t| character(t, g::VEOF, 1));
    assert_eq!(settings(&console).c_cc[g::VEOF as usize], 1);
    tty.vhangup();
    assert_eq!(read(&console, 10), Ok(Vec::new()));
}
