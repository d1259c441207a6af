//! Signals that are read.

use std::sync::mpsc::channel;
use std::thread;

use caller::Target;
use fs::OpenFlags;
use syscall_shim::types::Siginfo;
use syscall_shim::{Errno, SigSet, Signal};

use super::{errno, events, read, until, write};
use crate::io::Sink;
use crate::poll::ev;
use crate::signalfd::SignalFd;

/// `sizeof(struct signalfd_siginfo)`.
const RECORD: usize = 128;

fn set(signals: &[u32]) -> SigSet {
    SigSet(signals.iter().fold(0, |set, number| set | 1 << (number - 1)))
}

fn send(pid: i32, number: u32) {
    let info = Siginfo::queue(Signal::new(number).unwrap(), 7, 8, 9);
    caller::send(Target::Process, pid, info);
}

/// The numbers of the signals in what was read.
fn numbers(bytes: &[u8]) -> std::vec::Vec<u32> {
    bytes.chunks_exact(RECORD).map(|record| u32::from_ne_bytes(*record.first_chunk().unwrap())).collect()
}

#[test]
fn signals_are_read_by_whom_they_were_sent_to() {
    fs::testing::install();
    let file = SignalFd::open(set(&[10, 12, 34]), OpenFlags::NONBLOCK);
    assert_eq!((events(&file), errno(read(&file, 1000))), (0, Some(Errno::EAGAIN)));
    assert_eq!(errno(read(&file, RECORD - 1)), Some(Errno::EINVAL));
    let own = caller::pid();
    send(own, 15);
    assert_eq!(events(&file), 0, "another one");
    send(own, 12);
    send(own, 34);
    caller::raise(Signal::new(10).unwrap());
    assert_eq!(events(&file), ev::IN);
    let bytes = read(&file, 2 * RECORD + 5).unwrap();
    assert_eq!((bytes.len(), numbers(&bytes)), (2 * RECORD, [12, 34].into()));
    let mut record = [0; RECORD];
    assert_eq!(file.read_now(None, &mut Sink::Kernel(&mut record)), Ok(RECORD));
    assert_eq!(numbers(&record), [10]);
    assert_eq!(caller::pending_signals().0, set(&[15]).0);
    let foreign = thread::spawn({
        let file = file.clone();
        move || (events(&file), errno(read(&file, RECORD)))
    });
    send(own, 10);
    assert_eq!(foreign.join().unwrap(), (0, Some(Errno::EAGAIN)));
    assert_eq!(errno(write(&file, b"x")), Some(Errno::EINVAL));
}

#[test]
fn a_reader_sleeps_until_a_signal_comes_that_it_wants() {
    fs::testing::install();
    let file = SignalFd::open(set(&[10]), OpenFlags::empty());
    let (tell, told) = channel();
    let reader = thread::spawn({
        let file = file.clone();
        move || {
            tell.send(caller::pid()).unwrap();
            read(&file, RECORD)
        }
    });
    let pid = told.recv().unwrap();
    send(pid, 12);
    // Now the mask has what had come before.
    file.ops_as::<SignalFd>().unwrap().set_mask(set(&[9, 12, 19]));
    assert_eq!(numbers(&reader.join().unwrap().unwrap()), [12]);
    let mut info = alloc::string::String::new();
    file.ops.fdinfo(&file, &mut info);
    assert_eq!(info, "sigmask:\t0000000000000800\n", "without those that nobody can block");
    until(|| caller::signal_queue().is_empty());
}
