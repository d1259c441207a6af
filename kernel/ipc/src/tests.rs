//! System V's objects among threads of the host, each of which is a process.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use caller::testing::{become_user, interrupter};
use fs::Mapping;
use sync::SpinLock;
use syscall_shim::Errno;
use syscall_shim::types::{MsqidDs, Sembuf, SemidDs, ShmidDs};

use crate::msg::Message;
use crate::sem::UndoSlot;
use crate::shm::{Attachment, Memory};
use crate::{IPC_NOWAIT, READ, WRITE, limits, msg, sem, shm};

const IPC_PRIVATE: i32 = 0;
const IPC_CREAT: u32 = 0o1000;
const IPC_EXCL: u32 = 0o2000;
const SEM_UNDO: i16 = 0x1000;

/// Limits and counts are those of the machine: tests that look at them, or change them, take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    fs::testing::install();
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn op(sem_num: u16, sem_op: i16, sem_flg: i16) -> Sembuf {
    Sembuf { sem_num, sem_op, sem_flg }
}

fn slot() -> UndoSlot {
    SpinLock::new(None)
}

/// As for a call that fails at once where it would sleep.
fn try_op(set: &sem::Set, num: u16, change: i16) -> Result<(), Errno> {
    set.operate(&[op(num, change, IPC_NOWAIT as i16)], None, &slot())
}

fn text(kind: i64, text: &str) -> Message {
    Message { kind, text: text.as_bytes().to_vec() }
}

fn until(what: impl Fn() -> bool) {
    for _ in 0..2000 {
        if what() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("it did not happen");
}

#[test]
fn keys_name_objects() {
    let _turn = turn();
    let key = 0x5111;
    assert_eq!(msg::get(key, 0), Err(Errno::ENOENT));
    let id = msg::get(key, IPC_CREAT | 0o600).unwrap();
    assert_eq!(msg::get(key, 0o600), Ok(id));
    assert_eq!(msg::get(key, IPC_CREAT | IPC_EXCL | 0o600), Err(Errno::EEXIST));
    let other = msg::get(IPC_PRIVATE, 0o600).unwrap();
    assert_ne!(other, msg::get(IPC_PRIVATE, 0o600).unwrap());

    let queue = msg::find(id).unwrap();
    assert_eq!((queue.id(), queue.stat(false).unwrap().msg_perm.key), (id, key));
    assert!(msg::at(id & 0x7fff).is_ok_and(|same| Arc::ptr_eq(&same, &queue)));
    msg::remove(&queue).unwrap();
    assert!(msg::find(id).is_err_and(|errno| errno == Errno::EINVAL));
    assert!(msg::find(-1).is_err() && msg::at(-1).is_err());
    let again = msg::get(key, IPC_CREAT | 0o600).unwrap();
    assert_ne!(again, id, "an id is not used again at once");
    msg::remove(&msg::find(again).unwrap()).unwrap();
    // An object that is gone is not removed twice: another may have its place.
    msg::remove(&queue).unwrap();
    assert!(msg::find(other).is_ok());
}

#[test]
fn ids_that_were_asked_for_are_given() {
    let _turn = turn();
    limits::SEM_NEXT_ID.store(5 << 15 | 77, Relaxed);
    let id = sem::get(IPC_PRIVATE, 1, 0o600).unwrap();
    assert_eq!(id, 5 << 15 | 77);
    limits::SEM_NEXT_ID.store(6 << 15 | 77, Relaxed);
    let next = sem::get(IPC_PRIVATE, 1, 0o600).unwrap();
    assert_eq!(next, 6 << 15 | 78, "the next free place");
    assert!(sem::highest() >= 78);
    for id in [id, next] {
        sem::remove(&sem::find(id).unwrap()).unwrap();
    }
}

#[test]
fn no_more_than_the_limit() {
    let _turn = turn();
    let most = limits::MSGMNI.swap(msg::totals()[0] as u32 + 1, Relaxed);
    let id = msg::get(IPC_PRIVATE, 0o600).unwrap();
    assert_eq!(msg::get(IPC_PRIVATE, 0o600), Err(Errno::ENOSPC));
    msg::remove(&msg::find(id).unwrap()).unwrap();
    limits::MSGMNI.store(most, Relaxed);
}

#[test]
fn permissions() {
    let _turn = turn();
    let (owner, group, others) = (1001, 2001, 3001);
    let made = |mode| {
        thread::spawn(move || {
            become_user(owner, group);
            msg::get(IPC_PRIVATE, mode).unwrap()
        })
        .join()
        .unwrap()
    };
    let id = made(0o640);
    let may = move |uid, gid| {
        thread::spawn(move || {
            become_user(uid, gid);
            let queue = msg::find(id).unwrap();
            let permissions = *crate::Object::permissions(&*queue).lock();
            [READ, WRITE].map(|wanted| permissions.check(wanted).is_ok())
        })
        .join()
        .unwrap()
    };
    assert_eq!(may(owner, others), [true, true]);
    assert_eq!(may(others, group), [true, false]);
    assert_eq!(may(others, others), [false, false]);

    thread::spawn(move || {
        become_user(others, others);
        let queue = msg::find(id).unwrap();
        assert_eq!(queue.stat(false).map(drop), Err(Errno::EACCES));
        assert!(queue.stat(true).is_ok());
        assert_eq!(queue.send(text(1, "x"), IPC_NOWAIT), Err(Errno::EACCES));
        assert_eq!(queue.receive(9, 0, IPC_NOWAIT).map(drop), Err(Errno::EACCES));
        assert_eq!(queue.set(&MsqidDs::default()), Err(Errno::EPERM));
        assert_eq!(msg::remove(&queue), Err(Errno::EPERM));
    })
    .join()
    .unwrap();
    // The super-user may, and gives it away.
    let queue = msg::find(id).unwrap();
    let mut new = queue.stat(false).unwrap();
    (new.msg_perm.uid, new.msg_perm.gid, new.msg_perm.mode) = (others, others, 0o1600);
    queue.set(&new).unwrap();
    let shown = queue.stat(false).unwrap().msg_perm;
    assert_eq!((shown.uid, shown.cuid, shown.cgid, shown.mode), (others, owner, group, 0o600));
    assert_eq!(may(others, others), [true, true]);
    assert_eq!(may(owner, group), [true, true], "who made it stays an owner");
    // More bytes than the limit are for the privileged.
    thread::spawn(move || {
        become_user(others, others);
        let queue = msg::find(id).unwrap();
        let mut new = queue.stat(false).unwrap();
        new.msg_qbytes = u64::from(limits::MSGMNB.load(Relaxed)) + 1;
        assert_eq!(queue.set(&new), Err(Errno::EPERM));
        new.msg_qbytes = 10;
        queue.set(&new).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(queue.stat(false).unwrap().msg_qbytes, 10);
    msg::remove(&queue).unwrap();
}

#[test]
fn messages_are_chosen_by_type() {
    let _turn = turn();
    let queue = msg::find(msg::get(IPC_PRIVATE, 0o600).unwrap()).unwrap();
    for (kind, what) in [(3, "c"), (1, "a"), (2, "b"), (1, "d"), (5, "long")] {
        queue.send(text(kind, what), 0).unwrap();
    }
    let stat = queue.stat(false).unwrap();
    assert_eq!((stat.msg_qnum, stat.msg_cbytes, stat.msg_lspid), (5, 8, caller::pid()));
    let take = |kind, flags| queue.receive(8, kind, flags | IPC_NOWAIT).map(|message| (message.kind, message.text));
    const MSG_NOERROR: u32 = 0o10000;
    const MSG_EXCEPT: u32 = 0o20000;
    const MSG_COPY: u32 = 0o40000;
    assert_eq!(take(2, MSG_COPY).unwrap(), (2, b"b".to_vec()));
    assert_eq!(take(9, MSG_COPY), Err(Errno::ENOMSG));
    assert_eq!(queue.receive(8, 0, MSG_COPY).map(drop), Err(Errno::EINVAL));
    assert_eq!(queue.receive(1, 4, MSG_COPY | IPC_NOWAIT).map(drop), Err(Errno::E2BIG));
    assert_eq!(take(-2, 0).unwrap(), (1, b"a".to_vec()), "the lowest type");
    assert_eq!(take(1, 0).unwrap(), (1, b"d".to_vec()));
    assert_eq!(take(3, MSG_EXCEPT).unwrap(), (2, b"b".to_vec()));
    assert_eq!(take(7, 0), Err(Errno::ENOMSG));
    assert_eq!(take(-1, 0), Err(Errno::ENOMSG));
    assert_eq!(take(i64::MIN, 0).unwrap(), (3, b"c".to_vec()));
    assert_eq!(queue.receive(2, 0, IPC_NOWAIT).map(drop), Err(Errno::E2BIG));
    assert_eq!(queue.receive(2, 0, IPC_NOWAIT | MSG_NOERROR).unwrap().text, b"lo");
    assert_eq!(queue.stat(false).unwrap().msg_cbytes, 0);
    msg::remove(&queue).unwrap();
}

#[test]
fn senders_wait_for_room_and_receivers_for_messages() {
    let _turn = turn();
    let id = msg::get(IPC_PRIVATE, 0o600).unwrap();
    let queue = msg::find(id).unwrap();
    let new = MsqidDs { msg_qbytes: 4, ..queue.stat(false).unwrap() };
    queue.set(&new).unwrap();
    queue.send(text(1, "1234"), 0).unwrap();
    assert_eq!(queue.send(text(1, "5"), IPC_NOWAIT), Err(Errno::EAGAIN));
    let sender = thread::spawn(move || msg::find(id).unwrap().send(text(2, "567"), 0));
    assert_eq!(queue.receive(9, 1, 0).unwrap().text, b"1234");
    assert_eq!(queue.receive(9, 2, 0).unwrap().text, b"567");
    sender.join().unwrap().unwrap();

    let receiver = thread::spawn(move || msg::find(id).unwrap().receive(9, 0, 0).map(|message| message.text));
    queue.send(text(1, "8"), 0).unwrap();
    assert_eq!(receiver.join().unwrap().unwrap(), b"8");
    // Who waits for a queue that goes is told so.
    let receiver = thread::spawn(move || msg::find(id).unwrap().receive(9, 0, 0).map(drop));
    until(|| Arc::strong_count(&queue) > 2);
    msg::remove(&queue).unwrap();
    assert_eq!(receiver.join().unwrap(), Err(Errno::EIDRM));
}

#[test]
fn a_signal_ends_a_wait() {
    let _turn = turn();
    let id = msg::get(IPC_PRIVATE, 0o600).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let receiver = thread::spawn(move || {
        tell.send(interrupter()).unwrap();
        msg::find(id).unwrap().receive(9, 0, 0).map(drop)
    });
    told.recv().unwrap()();
    assert_eq!(receiver.join().unwrap(), Err(Errno::ERESTARTNOHAND));
    msg::remove(&msg::find(id).unwrap()).unwrap();
}

#[test]
fn semaphores_change_all_at_once_or_not_at_all() {
    let _turn = turn();
    let set = sem::find(sem::get(IPC_PRIVATE, 3, 0o600).unwrap()).unwrap();
    let values = || set.semaphores().unwrap().iter().map(|semaphore| semaphore.value).collect::<Vec<_>>();
    set.set_values(0, &[1, 2, 3]).unwrap();
    assert_eq!(values(), [1, 2, 3]);
    let none = slot();
    let nowait = IPC_NOWAIT as i16;
    assert_eq!(set.operate(&[op(0, -1, 0), op(1, -3, nowait)], None, &none), Err(Errno::EAGAIN));
    assert_eq!(values(), [1, 2, 3]);
    set.operate(&[op(0, -1, 0), op(1, -2, 0), op(0, 0, 0), op(2, 4, 0)], None, &none).unwrap();
    assert_eq!(values(), [0, 0, 7]);
    assert_eq!(try_op(&set, 2, 0), Err(Errno::EAGAIN));
    assert_eq!(try_op(&set, 3, 1), Err(Errno::EFBIG));
    assert_eq!(try_op(&set, 2, i16::MAX), Err(Errno::ERANGE));
    assert_eq!(set.set_values(0, &[sem::SEMVMX + 1]), Err(Errno::ERANGE));
    assert_eq!(set.set_values(2, &[1, 1]), Err(Errno::EINVAL));
    assert!(set.semaphores().unwrap().iter().all(|semaphore| semaphore.pid == caller::pid()));
    let deadline = Some(1);
    assert_eq!(set.operate(&[op(0, -1, 0)], deadline, &none), Err(Errno::EAGAIN), "a deadline that has passed");
    assert_eq!(set.stat(false).unwrap().sem_nsems, 3);
    sem::remove(&set).unwrap();
    assert_eq!(try_op(&set, 0, 1), Err(Errno::EIDRM));
}

#[test]
fn sets_have_sizes_and_limits() {
    let _turn = turn();
    let key = 0x5222;
    assert_eq!(sem::get(key, 0, IPC_CREAT | 0o600), Err(Errno::EINVAL));
    assert_eq!(sem::get(key, -1, IPC_CREAT | 0o600), Err(Errno::EINVAL));
    assert_eq!(sem::get(key, limits::semmsl() as i32 + 1, IPC_CREAT | 0o600), Err(Errno::EINVAL));
    let [sets, semaphores] = sem::totals();
    let id = sem::get(key, 4, IPC_CREAT | 0o600).unwrap();
    assert_eq!(sem::totals(), [sets + 1, semaphores + 4]);
    assert_eq!(sem::get(key, 5, 0), Err(Errno::EINVAL));
    assert_eq!(sem::get(key, 0, 0), Ok(id));
    let all = limits::SEM[1].swap(semaphores as i32 + 5, Relaxed);
    assert_eq!(sem::get(IPC_PRIVATE, 2, 0o600), Err(Errno::ENOSPC));
    limits::SEM[1].store(all, Relaxed);
    let set = sem::at(id & 0x7fff).unwrap();
    let mut new = set.stat(true).unwrap();
    new.sem_perm.mode = 0o644;
    set.set(&new).unwrap();
    assert_eq!(set.stat(false).unwrap().sem_perm.mode, 0o644);
    assert_eq!(set.id(), id);
    sem::remove(&set).unwrap();
    drop(set);
    assert_eq!(sem::totals(), [sets, semaphores]);
    assert!(limits::semopm() == 500 && limits::semmni() == 32000);
}

#[test]
fn waiters_of_semaphores_are_counted_and_woken() {
    let _turn = turn();
    let id = sem::get(IPC_PRIVATE, 1, 0o600).unwrap();
    let set = sem::find(id).unwrap();
    let wait = |change| thread::spawn(move || sem::find(id).unwrap().operate(&[op(0, change, 0)], None, &slot()));
    let count = || set.semaphores().unwrap().first().map(|semaphore| (semaphore.growers, semaphore.zeroers));
    let taker = wait(-2);
    until(|| count() == Some((1, 0)));
    try_op(&set, 0, 1).unwrap();
    let zero = wait(0);
    until(|| count() == Some((1, 1)));
    try_op(&set, 0, 1).unwrap();
    taker.join().unwrap().unwrap();
    zero.join().unwrap().unwrap();
    assert_eq!(count(), Some((0, 0)));

    let taker = wait(-1);
    until(|| count() == Some((1, 0)));
    sem::remove(&set).unwrap();
    assert_eq!(taker.join().unwrap(), Err(Errno::EIDRM));

    let id = sem::get(IPC_PRIVATE, 1, 0o600).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let taker = thread::spawn(move || {
        tell.send(interrupter()).unwrap();
        sem::find(id).unwrap().operate(&[op(0, -1, 0)], None, &slot())
    });
    told.recv().unwrap()();
    assert_eq!(taker.join().unwrap(), Err(Errno::ERESTARTNOHAND));
    assert_eq!(sem::find(id).unwrap().semaphores().unwrap()[0].growers, 0);
    sem::remove(&sem::find(id).unwrap()).unwrap();
}

#[test]
fn the_last_that_has_a_list_undoes_it() {
    let _turn = turn();
    let set = sem::find(sem::get(IPC_PRIVATE, 2, 0o600).unwrap()).unwrap();
    let values = || set.semaphores().unwrap().iter().map(|semaphore| semaphore.value).collect::<Vec<_>>();
    set.set_values(0, &[5, 0]).unwrap();
    let (mine, shares) = (slot(), slot());
    set.operate(&[op(0, -3, SEM_UNDO), op(1, 2, SEM_UNDO)], None, &mine).unwrap();
    *shares.lock() = Some(sem::UndoList::of(&mine));
    set.operate(&[op(0, -1, SEM_UNDO)], None, &shares).unwrap();
    assert_eq!(values(), [1, 2]);
    sem::leave(&mine, 7);
    assert_eq!(values(), [1, 2]);
    // One that is taken below nothing stays at nothing.
    set.operate(&[op(1, -1, 0)], None, &slot()).unwrap();
    sem::leave(&shares, 8);
    assert_eq!(values(), [5, 0]);
    assert_eq!(set.semaphores().unwrap()[0].pid, 8);

    // SETVAL forgets what was to be undone of that one.
    let mine = slot();
    set.operate(&[op(0, -3, SEM_UNDO), op(1, 1, SEM_UNDO)], None, &mine).unwrap();
    set.set_values(0, &[9]).unwrap();
    sem::leave(&mine, 7);
    assert_eq!(values(), [9, 0]);
    // A list that is in no set any more, and a thread that never had one.
    let mine = slot();
    set.operate(&[op(0, -1, SEM_UNDO)], None, &mine).unwrap();
    sem::remove(&set).unwrap();
    sem::leave(&mine, 7);
    sem::leave(&slot(), 7);
}

fn memory(len: u64) -> Memory {
    Memory { mapping: Mapping::new(None, len), dev: 1, charge: Arc::new(()) }
}

#[test]
fn segments_go_with_their_last_attachment() {
    let _turn = turn();
    let key = 0x5333;
    let make = |size, flags| {
        shm::get(key, size, flags, |len, reserve| {
            assert!(len.is_multiple_of(4096) && reserve);
            Ok(memory(len))
        })
    };
    assert_eq!(make(0, IPC_CREAT | 0o600), Err(Errno::EINVAL));
    let [segments, pages, _] = shm::totals();
    let id = make(5000, IPC_CREAT | 0o600).unwrap();
    assert_eq!(shm::totals()[..2], [segments + 1, pages + 2]);
    assert_eq!(make(5001, 0), Err(Errno::EINVAL));
    assert_eq!(make(0, 0), Ok(id));

    let segment = shm::find(id).unwrap();
    assert_eq!((segment.size(), segment.id(), segment.dev(), segment.resident()), (5000, id, 1, 0));
    segment.check(true, false).unwrap();
    let attached = Attachment::new(&segment, id);
    let child = attached.for_child();
    assert_eq!((attached.id(), attached.key()), (id, key));
    let stat = segment.stat(false).unwrap();
    assert_eq!((stat.shm_nattch, stat.shm_cpid, stat.shm_lpid), (2, caller::pid(), caller::pid()));
    segment.lock_in_memory(true).unwrap();
    assert_eq!(segment.stat(true).unwrap().shm_perm.mode, 0o2600);
    segment.lock_in_memory(false).unwrap();

    shm::remove(&segment).unwrap();
    assert_eq!(segment.stat(true).unwrap().shm_perm.mode, 0o1600);
    assert_eq!(make(0, 0), Err(Errno::ENOENT), "the key is free");
    assert!(shm::find(id).is_ok(), "the id is not");
    assert!(!attached.is_last());
    drop(attached);
    assert!(child.is_last() && child.segment().id() == id);
    drop(child);
    assert!(shm::find(id).is_err());
    drop(segment);
    assert_eq!(shm::totals()[..2], [segments, pages]);
}

#[test]
fn segments_that_nobody_has_go_at_once() {
    let _turn = turn();
    let new = || shm::find(shm::get(IPC_PRIVATE, 1, 0o600, |len, _| Ok(memory(len))).unwrap()).unwrap();
    let segment = new();
    let mut ds = segment.stat(false).unwrap();
    ds.shm_perm.mode = 0o400;
    segment.set(&ds).unwrap();
    let id = segment.id();
    thread::spawn(move || {
        become_user(4001, 4001);
        let segment = shm::find(id).unwrap();
        assert_eq!(segment.check(false, false), Err(Errno::EACCES));
        assert_eq!(segment.set(&ShmidDs::default()), Err(Errno::EPERM));
        assert_eq!(segment.lock_in_memory(true), Err(Errno::EPERM));
        assert_eq!(shm::remove(&segment), Err(Errno::EPERM));
    })
    .join()
    .unwrap();
    shm::remove(&segment).unwrap();
    assert!(shm::find(id).is_err());

    limits::SHM_RMID_FORCED.store(1, Relaxed);
    let segment = new();
    let id = segment.id();
    drop(Attachment::new(&segment, id));
    limits::SHM_RMID_FORCED.store(0, Relaxed);
    assert!(shm::at(id).is_err());
}

#[test]
fn segments_have_limits() {
    let _turn = turn();
    let get = |size, flags| shm::get(IPC_PRIVATE, size, flags, |len, _| Ok(memory(len)));
    const SHM_HUGETLB: u32 = 0o4000;
    assert_eq!(get(limits::SHMMAX.load(Relaxed) + 1, 0o600), Err(Errno::EINVAL));
    assert_eq!(get(4096, SHM_HUGETLB), Err(Errno::ENOMEM));
    assert_eq!(get(4096, SHM_HUGETLB | 30 << 26), Err(Errno::EINVAL));
    let all = limits::SHMALL.swap(shm::totals()[1] + 1, Relaxed);
    assert_eq!(get(8192, 0o600), Err(Errno::ENOSPC));
    limits::SHMALL.store(all, Relaxed);
    assert_eq!(shm::get(IPC_PRIVATE, 1, 0o600, |_, _| Err(Errno::ENOMEM)), Err(Errno::ENOMEM));
    thread::spawn(move || {
        become_user(4002, 4002);
        assert_eq!(shm::get(IPC_PRIVATE, 4096, SHM_HUGETLB, |len, _| Ok(memory(len))), Err(Errno::EPERM));
    })
    .join()
    .unwrap();
}

#[test]
fn many_threads_count_to_the_same_sum() {
    let _turn = turn();
    let id = sem::get(IPC_PRIVATE, 2, 0o600).unwrap();
    let set = sem::find(id).unwrap();
    const EACH: usize = 200;
    let threads: Vec<_> = (0..4)
        .map(|number| {
            thread::spawn(move || {
                let (set, own) = (sem::find(id).unwrap(), slot());
                for _ in 0..EACH {
                    let (give, take) = if number % 2 == 0 { (0, 1) } else { (1, 0) };
                    set.operate(&[op(give, 1, 0)], None, &own).unwrap();
                    set.operate(&[op(take, -1, 0)], None, &own).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(set.semaphores().unwrap().iter().map(|semaphore| semaphore.value).collect::<Vec<_>>(), vec![0, 0]);
    let shown: SemidDs = set.stat(false).unwrap();
    assert!(shown.sem_otime > 0);
    sem::remove(&set).unwrap();
}
