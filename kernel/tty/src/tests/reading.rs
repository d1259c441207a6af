//! What readers and writers of a terminal wait for, and what ends that.

use alloc::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::vec::Vec;

use caller::testing::interrupter;
use fd::OpenFile;
use fd::poll::ev;
use fd::testing::{errno, events, ioctl, ioctl_get, read, until, write};
use fs::OpenFlags;
use linux_raw_sys::general as g;
use linux_raw_sys::ioctl as i;
use syscall_shim::{Errno, SysResult};

use super::{Pty, change, character, open};

/// Another thread that reads.
fn reader(file: &Arc<OpenFile>, room: usize) -> JoinHandle<SysResult<Vec<u8>>> {
    let file = file.clone();
    thread::spawn(move || read(&file, room))
}

/// A raw terminal with these `VMIN` and `VTIME`.
fn raw(min: u8, time: u8) -> Pty {
    let pty = Pty::raw();
    change(&pty.slave, |t| {
        character(t, g::VMIN, min);
        character(t, g::VTIME, time);
    });
    pty
}

fn somebody_reads(pty: &Pty) {
    until(|| !pty.tty().input_queue.is_empty());
}

#[test]
fn a_reader_sleeps_until_the_line_is_whole() {
    let pty = Pty::new();
    let waiting = reader(&pty.slave, 100);
    somebody_reads(&pty);
    write(&pty.master, b"ab").unwrap();
    assert_eq!((events(&pty.slave) & ev::IN, waiting.is_finished()), (0, false));
    write(&pty.master, b"c\nd").unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(b"abc\n".to_vec()));
    pty.slave.set_nonblocking(true);
    assert_eq!(errno(read(&pty.slave, 10)), Some(Errno::EAGAIN));
    assert_eq!(read(&pty.slave, 0), Ok(Vec::new()));
    write(&pty.master, b"\x04\x04").unwrap();
    assert_eq!(read(&pty.slave, 10), Ok(b"d".to_vec()));
    assert_eq!(read(&pty.slave, 10), Ok(Vec::new()), "the end of the file");
}

#[test]
fn so_many_bytes_are_waited_for() {
    let pty = raw(3, 0);
    write(&pty.master, b"ab").unwrap();
    assert_eq!((events(&pty.slave) & ev::IN, ioctl_get::<i32>(&pty.slave, i::FIONREAD)), (0, Ok(2)));
    let waiting = reader(&pty.slave, 10);
    somebody_reads(&pty);
    write(&pty.master, b"cd").unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(b"abcd".to_vec()));
    write(&pty.master, b"xy").unwrap();
    assert_eq!(read(&pty.slave, 2), Ok(b"xy".to_vec()), "no more than there is room for");
}

#[test]
fn nothing_is_waited_for() {
    let pty = raw(0, 0);
    assert_eq!(read(&pty.slave, 10), Ok(Vec::new()));
    write(&pty.master, b"ab").unwrap();
    assert_eq!(read(&pty.slave, 10), Ok(b"ab".to_vec()));
}

#[test]
fn a_time_is_waited_for() {
    let pty = raw(0, 1);
    let begun = Instant::now();
    assert_eq!(read(&pty.slave, 10), Ok(Vec::new()));
    assert!(begun.elapsed() >= Duration::from_millis(95));
    change(&pty.slave, |t| character(t, g::VTIME, 100));
    let waiting = reader(&pty.slave, 10);
    somebody_reads(&pty);
    write(&pty.master, b"a").unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(b"a".to_vec()), "as soon as there is something");
}

#[test]
fn a_pause_ends_a_read() {
    let pty = raw(5, 1);
    let waiting = reader(&pty.slave, 10);
    somebody_reads(&pty);
    thread::sleep(Duration::from_millis(120));
    assert!(!waiting.is_finished(), "for the first byte it waits for ever");
    let begun = Instant::now();
    write(&pty.master, b"ab").unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(b"ab".to_vec()));
    assert!(begun.elapsed() >= Duration::from_millis(95));
}

#[test]
fn a_signal_ends_a_read() {
    let pty = raw(3, 0);
    let (tell, told) = channel();
    let file = pty.slave.clone();
    let waiting = thread::spawn(move || {
        tell.send(interrupter()).unwrap();
        read(&file, 10)
    });
    let interrupt = told.recv().unwrap();
    somebody_reads(&pty);
    interrupt();
    assert_eq!(waiting.join().unwrap(), Err(Errno::ERESTARTSYS));
}

#[test]
fn readers_take_turns() {
    let pty = raw(4, 0);
    let impatient = open("/dev/pts/0", OpenFlags::RDWR | OpenFlags::NOCTTY | OpenFlags::NONBLOCK).unwrap();
    let first = reader(&pty.slave, 10);
    somebody_reads(&pty);
    assert_eq!(errno(read(&impatient, 1)), Some(Errno::EAGAIN), "somebody reads");
    let second = reader(&pty.slave, 10);
    write(&pty.master, b"abcd").unwrap();
    assert_eq!(first.join().unwrap(), Ok(b"abcd".to_vec()));
    write(&pty.master, b"efgh").unwrap();
    assert_eq!(second.join().unwrap(), Ok(b"efgh".to_vec()));
}

#[test]
fn changed_settings_wake_a_reader() {
    let pty = Pty::new();
    write(&pty.master, b"ab").unwrap();
    let waiting = reader(&pty.slave, 10);
    somebody_reads(&pty);
    change(&pty.slave, |t| t.c_lflag &= !g::ICANON);
    assert_eq!(waiting.join().unwrap(), Ok(b"ab".to_vec()));
}

#[test]
fn a_writer_waits_for_room_and_for_flow() {
    let pty = Pty::raw();
    pty.slave.set_nonblocking(true);
    let filled = write(&pty.slave, &[b'x'; 50_000]).unwrap();
    assert!((12 * 1024..=13 * 1024).contains(&filled), "{filled}");
    assert_eq!(errno(write(&pty.slave, b"y")), Some(Errno::EAGAIN));
    assert_eq!(events(&pty.slave) & ev::OUT, 0);
    pty.slave.set_nonblocking(false);
    let file = pty.slave.clone();
    let waiting = thread::spawn(move || write(&file, b"end"));
    until(|| !pty.tty().output_queue.is_empty());
    let mut shown = Vec::new();
    while !shown.ends_with(b"end") {
        shown.extend(read(&pty.master, 4096).unwrap());
    }
    assert_eq!((waiting.join().unwrap(), shown.len()), (Ok(3), filled + 3));
    // Output that was stopped goes on when it is started.
    ioctl(&pty.slave, i::TCXONC, u64::from(g::TCOOFF)).unwrap();
    assert_eq!(events(&pty.slave) & ev::OUT, 0);
    let file = pty.slave.clone();
    let waiting = thread::spawn(move || write(&file, b"more"));
    until(|| !pty.tty().output_queue.is_empty());
    assert_eq!(ioctl_get::<i32>(&pty.master, i::FIONREAD), Ok(0));
    ioctl(&pty.slave, i::TCXONC, u64::from(g::TCOON)).unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(4));
    assert_eq!(read(&pty.master, 10), Ok(b"more".to_vec()));
}
