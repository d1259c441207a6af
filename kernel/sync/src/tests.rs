//! The locks and queues under a scheduler that tries many orders of the steps of their threads. It
//! also finds that none can go on.

use std::boxed::Box;
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use shuttle::thread::{self, Thread};

use crate::cpu::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::cpu::percpu;
use crate::order::{self, Context, Held};
use crate::put_back::{Fault, put_back};
use crate::scheduler::{Alarm, Scheduler, Sleep};
use crate::wait::{Parker, Registration, WaitError, WaitQueue, Waker, wait_exclusive, wait_until, with_waker};
use crate::{ArcTable, IrqSpinLock, SleepMutex, SleepRwLock, SpinLock};

/// Runs `test` so often, each time in another order.
const RUNS: usize = 1000;

fn check(test: impl Fn() + Send + Sync + 'static) {
    order::start(&Checked);
    shuttle::check_random(
        move || {
            percpu::reset();
            test();
        },
        RUNS,
    );
}

fn check_pct(test: impl Fn() + Send + Sync + 'static) {
    order::start(&Checked);
    shuttle::check_pct(
        move || {
            percpu::reset();
            test();
        },
        RUNS,
        3,
    );
}

shuttle::thread_local! {
    static SPINNING: Held = Held::new();
    static SLEEPING: Held = Held::new();
}

/// The order of locks is checked here as in the kernel: a thread is a CPU and a task.
struct Checked;

impl Context for Checked {
    fn with_cpu(&self, f: &mut dyn FnMut(&Held)) {
        SPINNING.with(|held| f(held));
    }
    fn with_task(&self, f: &mut dyn FnMut(&Held)) {
        SLEEPING.with(|held| f(held));
    }
}

/// Starts threads, and waits until all have ended.
fn together(threads: Vec<Box<dyn FnOnce() + Send>>) {
    let threads: Vec<_> = threads.into_iter().map(thread::spawn).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A thread as a task: as with tasks, a wake-up of one that is not asleep ends no sleep.
struct ThreadParker {
    thread: Thread,
    asleep: AtomicBool,
    woken: AtomicBool,
}

impl Waker for ThreadParker {
    fn wake(&self, _key: u32) -> bool {
        if self.woken.swap(true, Ordering::AcqRel) {
            return false;
        }
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
        true
    }
}

impl Parker for ThreadParker {
    fn clear_woken(&self) {
        self.woken.swap(false, Ordering::SeqCst);
    }
    fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }
}

shuttle::thread_local! {
    static OWN: Arc<ThreadParker> = Arc::new(ThreadParker {
        thread: thread::current(),
        asleep: AtomicBool::new(false),
        woken: AtomicBool::new(false),
    });
}

fn own() -> Arc<ThreadParker> {
    OWN.with(Arc::clone)
}

struct Threads;

impl Scheduler for Threads {
    fn parker() -> Arc<dyn Parker> {
        own()
    }
    fn keep_parker(_parker: Arc<dyn Parker>) {}
    fn prepare(_sleep: Sleep) {
        own().asleep.swap(true, Ordering::SeqCst);
    }
    fn park() {
        while own().asleep.load(Ordering::SeqCst) {
            thread::park();
        }
    }
    fn unprepare() {
        own().asleep.swap(false, Ordering::SeqCst);
    }
    fn is_interrupted(_sleep: Sleep) -> bool {
        false
    }
    fn set_alarm(_deadline: u64, _waker: Arc<dyn Waker>) -> Alarm {
        unreachable!("no test has a deadline")
    }
    fn cancel_alarm(_alarm: Alarm) {}
}

crate::scheduler!(Threads);

/// A value that says when two use it at once.
#[derive(Default)]
struct Exclusive {
    used: AtomicBool,
    times: AtomicU32,
}

impl Exclusive {
    fn used(&self) {
        assert!(!self.used.swap(true, Ordering::SeqCst), "two have the lock");
        self.times.fetch_add(1, Ordering::SeqCst);
        self.used.store(false, Ordering::SeqCst);
    }
}

#[test]
fn spin_locks_admit_one() {
    check(|| {
        let (spin, irq) = (Arc::new(SpinLock::new(Exclusive::default())), Arc::new(IrqSpinLock::new(Exclusive::default())));
        let user = |tries: bool| {
            let (spin, irq) = (spin.clone(), irq.clone());
            Box::new(move || {
                spin.lock().used();
                match irq.try_lock() {
                    Some(guard) if tries => guard.used(),
                    guard => {
                        drop(guard);
                        irq.lock().used();
                    }
                }
            }) as Box<dyn FnOnce() + Send>
        };
        together(vec![user(false), user(true), user(false)]);
        assert_eq!(spin.lock().times.load(Ordering::SeqCst), 3);
        assert_eq!(irq.lock().times.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn everybody_gets_a_sleeping_mutex() {
    use_a_sleeping_mutex();
}

/// `check` ends a run where nobody can go on.
#[test]
#[should_panic(expected = "deadlock")]
fn a_mutex_freed_after_the_look_is_found() {
    put_back(Fault::LookBeforeFree);
    use_a_sleeping_mutex();
}

fn use_a_sleeping_mutex() {
    // Some threads far ahead of others: between two steps of one, another goes all its way to
    // sleep.
    check_pct(|| {
        let mutex = Arc::new(SleepMutex::new(Exclusive::default()));
        let user = || {
            let mutex = mutex.clone();
            Box::new(move || {
                mutex.lock().used();
                assert!(mutex.lock_killable().map(|guard| guard.used()).is_ok());
            }) as Box<dyn FnOnce() + Send>
        };
        together(vec![user(), user(), user()]);
        assert_eq!(mutex.lock().times.load(Ordering::SeqCst), 6);
    });
}

#[test]
fn a_writer_has_a_lock_alone_and_everybody_gets_it() {
    check(|| {
        let lock = Arc::new(SleepRwLock::new(Exclusive::default()));
        let writer = || {
            let lock = lock.clone();
            Box::new(move || {
                lock.write().used();
                lock.write().used();
            }) as Box<dyn FnOnce() + Send>
        };
        let reader = {
            let lock = lock.clone();
            Box::new(move || {
                for _ in 0..2 {
                    assert!(!lock.read().used.load(Ordering::SeqCst), "a reader has the lock beside a writer");
                }
            })
        };
        together(vec![writer(), reader, writer()]);
        assert_eq!(lock.read().times.load(Ordering::SeqCst), 4);
    });
}

#[test]
fn no_wake_up_is_lost() {
    wait_and_wake();
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_up_lost_before_the_mark_is_found() {
    put_back(Fault::LookBeforeMark);
    wait_and_wake();
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_up_lost_between_look_and_sleep_is_found() {
    put_back(Fault::ClearAfterLook);
    wait_and_wake();
}

/// A waker stays in its queue as long as its registration, and is woken in between.
#[test]
fn a_registration_is_woken_while_it_lasts() {
    struct Counter(AtomicU32);
    impl Waker for Counter {
        fn wake(&self, _key: u32) -> bool {
            self.0.fetch_add(1, Ordering::SeqCst);
            true
        }
    }
    check(|| {
        let queue = Arc::new(WaitQueue::new());
        let (first, second) = (Arc::new(Counter(AtomicU32::new(0))), Arc::new(Counter(AtomicU32::new(0))));
        let leaving = Registration::new(queue.clone(), first.clone(), true);
        let staying = Registration::new(queue.clone(), second.clone(), true);
        let waker = {
            let queue = queue.clone();
            Box::new(move || queue.wake_one())
        };
        together(vec![waker, Box::new(move || drop(leaving))]);
        drop(staying);
        assert_eq!(first.0.load(Ordering::SeqCst) + second.0.load(Ordering::SeqCst), 1);
        assert!(queue.is_empty());
        with_waker(&queue, &*second, || queue.wake_all());
        queue.wake_all();
        assert!(queue.is_empty());
    });
}

fn wait_and_wake() {
    check(|| {
        let (queue, ready) = (Arc::new(WaitQueue::new()), Arc::new(AtomicU32::new(0)));
        let waiter = || {
            let (queue, ready) = (queue.clone(), ready.clone());
            Box::new(move || {
                let take = || ready.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).ok();
                assert!(wait_exclusive(&queue, None, take).is_ok());
                assert_ne!(wait_until(&[&queue], None, take), Err(WaitError::TimedOut));
            }) as Box<dyn FnOnce() + Send>
        };
        let waker = {
            let (queue, ready) = (queue.clone(), ready.clone());
            Box::new(move || {
                for _ in 0..4 {
                    ready.fetch_add(1, Ordering::SeqCst);
                    queue.wake_one();
                }
            })
        };
        together(vec![waiter(), waiter(), waker]);
        assert_eq!(ready.load(Ordering::SeqCst), 0);
        assert!(queue.is_empty());
    });
}

/// An entry of a table that says when it is used after its end.
struct Entry(AtomicBool);

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[test]
fn what_a_table_gives_is_alive() {
    check(|| {
        let entry = || Some(Arc::new(Entry(AtomicBool::new(true))));
        let table = Arc::new(ArcTable::new(vec![entry(), None], ()));
        let reader = || {
            let table = table.clone();
            Box::new(move || {
                for index in [0, 1, 20] {
                    assert!(table.get(index).is_none_or(|entry| entry.0.load(Ordering::SeqCst)), "the entry is gone");
                }
            }) as Box<dyn FnOnce() + Send>
        };
        let writer = {
            let table = table.clone();
            Box::new(move || {
                let mut writer = table.lock();
                drop(writer.replace(0, None));
                assert!(writer.grow(21) && writer.places() > 20);
                drop(writer.replace(20, entry()));
                drop(writer.replace(1, entry()));
            })
        };
        together(vec![reader(), writer, reader()]);
        let writer = table.lock();
        assert!(!writer.has(0) && writer.has(1) && writer.has(20));
    });
}

/// Locks that two threads take in opposite orders, each after the other has freed them: no
/// deadlock, and found.
#[test]
#[should_panic(expected = "locks in the wrong order")]
fn sleeping_locks_in_both_orders_are_found() {
    check(|| {
        let (mutex, shared) = (SleepMutex::new(()), SleepRwLock::new(()));
        let held = mutex.lock();
        drop(shared.read());
        drop(held);
        let _held = shared.write();
        let _ = mutex.lock_killable();
    });
}

#[test]
#[should_panic(expected = "a wait for another party with the lock made at")]
fn a_wait_for_others_under_a_lock_is_found() {
    check(|| {
        let mutex = SleepMutex::new(());
        let _held = mutex.lock();
        let _ = wait_until(&[&WaitQueue::new()], None, || Some(()));
    });
}

#[test]
#[should_panic(expected = "a sleep with the lock made at")]
fn a_sleeping_lock_under_a_spinning_one_is_found() {
    check(|| {
        let (spin, mutex) = (SpinLock::new(()), SleepMutex::new(()));
        let _held = spin.lock();
        drop(mutex.lock());
    });
}
