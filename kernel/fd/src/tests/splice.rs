//! Bytes from one open file to another.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use std::thread;

use fs::OpenFlags;
use syscall_shim::Errno;

use super::{Tree, errno, read, user, write};
use crate::eventfd::EventFd;
use crate::io::Segments;
use crate::pipe::{Pipe, PipeEnd};
use crate::splice::{Place, check_copy, check_range, copy, gives, is_at_end, splice, takes, tee, vmsplice};
use crate::{OpenFile, anon};

fn pipe() -> [Arc<OpenFile>; 2] {
    Pipe::open_pair(OpenFlags::NONBLOCK).unwrap()
}

fn end(file: &OpenFile) -> &PipeEnd {
    file.ops_as::<PipeEnd>().unwrap()
}

#[test]
fn copies_between_files() {
    let tree = Tree::new();
    let text: Vec<u8> = (0..150_000u32).map(|n| (n >> 4) as u8).collect();
    let (from, to) = (tree.file("/from", &text), tree.file("/to", b""));
    assert_eq!(copy(&from, Place::Position, &to, Place::At(3), 200_000), Ok(150_000));
    assert_eq!((from.position(), to.position()), (150_000, 0));
    assert_eq!(read(&to, 4).unwrap(), [0, 0, 0, text[0]]);
    assert_eq!(is_at_end(&from, Place::Position), Ok(true));
    assert_eq!(is_at_end(&from, Place::At(7)), Ok(false));
    assert_eq!(copy(&from, Place::At(149_990), &to, Place::Position, 99), Ok(10));
    assert_eq!(
        errno(copy(&from, Place::At(0), &tree.open("/to", OpenFlags::empty()).unwrap(), Place::Position, 9)),
        Some(Errno::EBADF)
    );

    check_copy(&from, &to).unwrap();
    assert_eq!(check_copy(&from, &tree.open("/", OpenFlags::DIRECTORY).unwrap()), Err(Errno::EISDIR));
    assert_eq!(check_copy(&from, &EventFd::open(0, false, OpenFlags::empty())), Err(Errno::EINVAL));
    assert_eq!(check_copy(&from, &tree.open("/to", OpenFlags::empty()).unwrap()), Err(Errno::EBADF));
    assert_eq!(check_copy(&from, &tree.open("/to", OpenFlags::WRONLY | OpenFlags::APPEND).unwrap()), Err(Errno::EBADF));
    let other = Tree::new().file("/x", b"");
    assert_eq!(check_copy(&from, &other), Err(Errno::EXDEV));

    assert_eq!(check_range(&from, Place::At(149_000), &to, Place::Position, 5000), Ok(1000));
    assert_eq!(check_range(&from, Place::At(10), &from, Place::At(15), 10), Err(Errno::EINVAL));
    assert_eq!(check_range(&from, Place::At(10), &from, Place::At(20), 10), Ok(10));
    assert_eq!(check_range(&from, Place::At(u64::MAX), &to, Place::At(0), 1), Err(Errno::EOVERFLOW));
    assert_eq!(check_range(&from, Place::At(u64::MAX - 9), &to, Place::At(0), 1), Err(Errno::EINVAL));
    assert_eq!(check_range(&from, Place::At(0), &to, Place::At(fs::MAX_FILE_SIZE), 1), Err(Errno::EFBIG));
}

#[test]
fn pages_of_a_file_go_through_a_pipe() {
    let tree = Tree::new();
    let text: Vec<u8> = (0..100_000u32).map(|n| (n >> 3) as u8).collect();
    let (from, to) = (tree.file("/from", &text), tree.file("/to", b""));
    let [reader, writer] = pipe();
    let mut moved = 0;
    while moved < text.len() {
        let n = splice(&from, Place::Position, &writer, Place::Position, 70_000, false).unwrap();
        let mut left = n;
        while left > 0 {
            left -= splice(&reader, Place::Position, &to, Place::Position, left.min(30_000), false).unwrap();
        }
        moved += n;
    }
    to.seek(0, 0).unwrap();
    assert!(read(&to, 200_000).unwrap() == text);
    assert_eq!(splice(&from, Place::Position, &writer, Place::Position, 9, false), Ok(0), "the end");
    assert_eq!(splice(&reader, Place::Position, &to, Place::Position, 9, true), Err(Errno::EAGAIN));
    assert_eq!(splice(&from, Place::At(2), &writer, Place::Position, 3, false), Ok(3));
    assert_eq!(read(&reader, 9).unwrap(), text[2..5]);

    let append = tree.open("/to", OpenFlags::WRONLY | OpenFlags::APPEND).unwrap();
    assert_eq!(splice(&reader, Place::Position, &append, Place::Position, 9, true), Err(Errno::EINVAL));
    assert_eq!(splice(&from, Place::Position, &to, Place::Position, 9, true), Err(Errno::EINVAL));
    assert_eq!(splice(&reader, Place::Position, &writer, Place::Position, 9, true), Err(Errno::EINVAL));
    let event = EventFd::open(1, false, OpenFlags::empty());
    assert!(!takes(&event) && !gives(&event) && takes(&to) && gives(&from) && !gives(&reader));
    assert_eq!(splice(&event, Place::Position, &writer, Place::Position, 9, true), Err(Errno::EINVAL));
    // Where writing fails, the bytes stay in the pipe.
    write(&writer, b"kept").unwrap();
    let closed = tree.open("/to", OpenFlags::empty()).unwrap();
    assert_eq!(splice(&reader, Place::Position, &closed, Place::Position, 9, true), Err(Errno::EBADF));
    assert_eq!(read(&reader, 9).unwrap(), b"kept");
    drop(writer);
    assert_eq!(splice(&reader, Place::Position, &to, Place::Position, 9, false), Ok(0));
    let [reader, writer] = pipe();
    drop(reader);
    assert_eq!(splice(&from, Place::At(0), &writer, Place::Position, 9, false), Err(Errno::EPIPE));
}

#[test]
fn streams_fill_pipes_by_a_buffer() {
    let [source, into] = pipe();
    let [reader, writer] = pipe();
    write(&into, &[5; 10_000]).unwrap();
    assert_eq!(splice(&source, Place::Position, &writer, Place::Position, 6000, false), Ok(6000));
    assert_eq!(read(&reader, 9000).unwrap(), [5; 6000]);
    assert_eq!(read(&source, 9000).unwrap(), [5; 4000]);
    assert_eq!(splice(&source, Place::Position, &writer, Place::Position, 1, false), Err(Errno::EAGAIN));
    end(&writer).pipe().set_capacity(4096, true).unwrap();
    write(&into, &[6; 9000]).unwrap();
    assert_eq!(splice(&source, Place::Position, &writer, Place::Position, 9000, true), Ok(4096));
    assert_eq!(splice(&source, Place::Position, &writer, Place::Position, 9000, true), Err(Errno::EAGAIN));
    let (_, inode) = anon::anon_inode("[x]");
    assert!(inode.mapping().is_none());
}

#[test]
fn tee_leaves_what_it_shows() {
    let [source, into] = pipe();
    let [reader, writer] = pipe();
    write(&into, b"abcdef").unwrap();
    assert_eq!(tee(end(&source), end(&writer), 4, true), Ok(4));
    assert_eq!(tee(end(&source), end(&into), 4, true), Err(Errno::EINVAL));
    write(&into, b"ghi").unwrap();
    write(&writer, b"XY").unwrap();
    assert_eq!(read(&reader, 99).unwrap(), b"abcdXY");
    assert_eq!(read(&source, 99).unwrap(), b"abcdefghi");
    assert_eq!(tee(end(&source), end(&writer), 4, true), Err(Errno::EAGAIN));
    drop(into);
    assert_eq!(tee(end(&source), end(&writer), 4, true), Ok(0));
}

#[test]
fn memory_of_the_program_goes_into_a_pipe_and_out() {
    let [reader, writer] = pipe();
    let bytes: Vec<u8> = (0..9000u32).map(|n| n as u8).collect();
    let segments = || Segments::one(user(&bytes), bytes.len()).unwrap();
    assert_eq!(vmsplice(&writer, end(&writer), segments(), true), Ok(9000));
    let mut out = vec![0; 9000];
    let into = Segments::one(super::user_mut(&mut out), 9000).unwrap();
    assert_eq!(vmsplice(&reader, end(&reader), into, true), Ok(9000));
    assert!(out == bytes);
    assert_eq!(vmsplice(&writer, end(&writer), Segments::default(), true), Ok(0));
    end(&writer).pipe().set_capacity(4096, true).unwrap();
    assert!(vmsplice(&writer, end(&writer), segments(), true).is_ok());
    assert_eq!(vmsplice(&writer, end(&writer), segments(), true), Err(Errno::EAGAIN));
}

#[test]
fn who_splices_waits_for_bytes_and_for_room() {
    let [source, into] = Pipe::open_pair(OpenFlags::empty()).unwrap();
    let [reader, writer] = Pipe::open_pair(OpenFlags::empty()).unwrap();
    end(&writer).pipe().set_capacity(8192, true).unwrap();
    const ALL: usize = 300_000;
    let sender = thread::spawn(move || write(&into, &vec![7; ALL]));
    let mover = thread::spawn(move || {
        let mut moved = 0;
        while moved < ALL {
            moved += splice(&source, Place::Position, &writer, Place::Position, 50_000, false).unwrap();
        }
        moved
    });
    let mut got = 0;
    while got < ALL {
        got += read(&reader, 7000).unwrap().len();
    }
    assert_eq!((sender.join().unwrap(), mover.join().unwrap(), got), (Ok(ALL), ALL, ALL));
}
