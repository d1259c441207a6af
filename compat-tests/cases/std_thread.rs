//! Rust's `std::thread`, `std::sync` and `std::time`, as programs use them.

#[path = "rust/case.rs"]
mod case;

use case::{eq, eventually, ok};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError, TrySendError};
use std::sync::{Arc, Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, RwLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const SHORT: Duration = Duration::from_millis(20);

fn main() {
    case::run(&[
        ("std_thread", threads),
        ("std_mutex", mutexes),
        ("std_condvar", condvars),
        ("std_channel", channels),
        ("std_once", once),
        ("std_time", time),
    ]);
}

fn threads() {
    let all: Vec<_> = (0..100).map(|n| thread::spawn(move || n * n)).collect();
    eq("values of a hundred", 328_350, all.into_iter().map(|t| t.join().unwrap()).sum::<i32>());
    let mut words = vec!["a", "b", "c"];
    thread::scope(|scope| words.iter_mut().for_each(|word| drop(scope.spawn(move || *word = "z"))));
    eq("a scope's threads write to its variables", vec!["z"; 3], words);
    let named = thread::Builder::new().name("a-name".into()).spawn(|| {
        let id = std::fs::read_link("/proc/thread-self").unwrap();
        let comm = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
        (thread::current().name() == Some("a-name"), comm, id.components().count())
    });
    eq("a name, as the system has it", (true, "a-name\n".to_string(), 3), named.unwrap().join().unwrap());
    ok("a small stack", thread::Builder::new().stack_size(64 << 10).spawn(|| ()).map(|t| t.join().is_ok()));
    let deep = thread::Builder::new().stack_size(32 << 20).spawn(|| {
        fn down(n: u64) -> u64 {
            let here = std::hint::black_box([n; 64]);
            if n == 0 { 0 } else { here[1] - n + 1 + down(n - 1) }
        }
        down(30_000)
    });
    eq("a large one", 30_000, deep.unwrap().join().unwrap());
    std::panic::set_hook(Box::new(|_| {}));
    let panicked = thread::spawn(|| {
        if std::hint::black_box(true) {
            panic!("on purpose")
        }
    })
    .join();
    eq("what a panic says", Some(&"on purpose"), panicked.unwrap_err().downcast_ref::<&str>());
    let parked = thread::spawn(thread::park);
    thread::sleep(SHORT);
    eq("parked", false, parked.is_finished());
    parked.thread().unpark();
    ok("and unparked", parked.join().map_err(|_| std::io::Error::other("panicked")));
    thread::current().unpark();
    let start = Instant::now();
    thread::park_timeout(Duration::from_secs(5));
    eq("a token is kept", true, start.elapsed() < Duration::from_secs(4));
    let start = Instant::now();
    while start.elapsed() < SHORT {
        thread::park_timeout(SHORT);
    }
    eq("parked for a time", true, start.elapsed() >= SHORT);
    eq("ids differ", true, thread::spawn(|| thread::current().id()).join().unwrap() != thread::current().id());
    eq("CPUs", true, thread::available_parallelism().unwrap().get() >= 1);
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    struct Counted(Cell<u32>);
    impl Drop for Counted {
        fn drop(&mut self) {
            DROPPED.fetch_add(self.0.get(), Ordering::SeqCst);
        }
    }
    thread_local!(static OWN: Counted = const { Counted(Cell::new(1)) });
    let each = |n| thread::spawn(move || OWN.with(|own| own.0.set(own.0.get() + n)));
    (0..10).map(each).collect::<Vec<_>>().into_iter().for_each(|t| t.join().unwrap());
    eq("each thread's own, and its end", true, eventually(|| DROPPED.load(Ordering::SeqCst) == 55));
    let spinning = Arc::new(AtomicBool::new(true));
    let spinner = thread::spawn({
        let spinning = spinning.clone();
        move || {
            let mut turns = 0u64;
            while spinning.load(Ordering::Relaxed) {
                turns += 1;
                thread::yield_now();
            }
            turns > 0
        }
    });
    thread::sleep(SHORT);
    spinning.store(false, Ordering::Relaxed);
    eq("one that yields", true, spinner.join().unwrap());
}

fn mutexes() {
    let count = Mutex::new(0);
    let ordered = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5000 {
                    *count.lock().unwrap() += 1;
                    ordered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    eq("counted under a lock", 40_000, *count.lock().unwrap());
    eq("counted without", 40_000, ordered.load(Ordering::Relaxed));
    let guard = count.lock().unwrap();
    eq("held", true, thread::scope(|scope| scope.spawn(|| count.try_lock().is_err()).join().unwrap()));
    drop(guard);
    std::panic::set_hook(Box::new(|_| {}));
    let shared = Arc::new(Mutex::new(1));
    let poisoner = shared.clone();
    let _ = thread::spawn(move || {
        let _guard = poisoner.lock().unwrap();
        panic!("holding it");
    })
    .join();
    eq("poisoned", true, shared.is_poisoned());
    eq("and still what it was", 1, *shared.lock().unwrap_or_else(|e| e.into_inner()));
    let table = RwLock::new(vec![0u64; 16]);
    let torn = thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..2000)
                        .filter(|_| {
                            let t = table.read().unwrap();
                            t.iter().any(|n| *n != t[0])
                        })
                        .count()
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| (0..2000).for_each(|_| table.write().unwrap().iter_mut().for_each(|n| *n += 1)));
        }
        readers.into_iter().map(|r| r.join().unwrap()).sum::<usize>()
    });
    eq("readers never see half a write", 0, torn);
    eq("all writes", vec![4000; 16], table.into_inner().unwrap());
    let (a, b) = (RwLock::new(()), RwLock::new(()));
    let (first, second) = (a.read().unwrap(), a.read().unwrap());
    eq("two readers", true, a.try_write().is_err());
    drop((first, second));
    let writing = b.write().unwrap();
    eq("a writer", true, b.try_read().is_err());
    drop(writing);
}

fn condvars() {
    let state = Arc::new((Mutex::new(0), Condvar::new()));
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let state = state.clone();
            thread::spawn(move || *state.1.wait_while(state.0.lock().unwrap(), |n| *n < 10).unwrap())
        })
        .collect();
    for _ in 0..10 {
        *state.0.lock().unwrap() += 1;
        state.1.notify_all();
    }
    eq("all wake", vec![10; 4], waiters.into_iter().map(|w| w.join().unwrap()).collect::<Vec<_>>());
    let start = Instant::now();
    let (guard, result) = state.1.wait_timeout_while(state.0.lock().unwrap(), SHORT, |n| *n < 11).unwrap();
    eq("timed out", true, result.timed_out());
    eq("not too soon", true, start.elapsed() >= SHORT);
    drop(guard);
    let barrier = Arc::new(Barrier::new(5));
    let all = (0..5).map(|_| {
        let barrier = barrier.clone();
        thread::spawn(move || (0..100).filter(|_| barrier.wait().is_leader()).count())
    });
    let leaders: usize = all.collect::<Vec<_>>().into_iter().map(|t| t.join().unwrap()).sum();
    eq("one leader each time", 100, leaders);
    // Two threads take turns.
    let turns = Arc::new((Mutex::new(0u32), Condvar::new()));
    let play = |own: u32| {
        let turns = turns.clone();
        thread::spawn(move || {
            for _ in 0..1000 {
                let mut turn = turns.1.wait_while(turns.0.lock().unwrap(), |turn| *turn % 2 != own).unwrap();
                *turn += 1;
                turns.1.notify_one();
            }
        })
    };
    [play(0), play(1)].into_iter().for_each(|t| t.join().unwrap());
    eq("turns", 2000, *turns.0.lock().unwrap());
}

fn channels() {
    let (sender, receiver) = mpsc::channel();
    for n in 0..8u64 {
        let sender = sender.clone();
        thread::spawn(move || (0..1000).for_each(|i| sender.send(n * 1000 + i).unwrap()));
    }
    drop(sender);
    eq("all that was sent", 7999 * 8000 / 2, receiver.iter().sum::<u64>());
    eq("and no more", Err(TryRecvError::Disconnected), receiver.try_recv());
    let (sender, receiver) = mpsc::sync_channel(2);
    eq("room for two", [true; 2], [sender.try_send(1).is_ok(), sender.try_send(2).is_ok()]);
    eq("not for three", Err(TrySendError::Full(3)), sender.try_send(3));
    let blocked = thread::spawn(move || sender.send(4).is_ok());
    thread::sleep(SHORT);
    eq("waits for room", false, blocked.is_finished());
    eq("in order", vec![1, 2, 4], receiver.iter().collect::<Vec<_>>());
    eq("sent", true, blocked.join().unwrap());
    let (sender, receiver) = mpsc::sync_channel::<u32>(0);
    let giver = thread::spawn(move || (0..100).filter(|n| sender.send(*n).is_ok()).count());
    eq("hand to hand", (0..100).collect::<Vec<_>>(), receiver.iter().collect::<Vec<_>>());
    eq("given", 100, giver.join().unwrap());
    let (sender, receiver) = mpsc::channel::<u32>();
    eq("nothing in time", Err(RecvTimeoutError::Timeout), receiver.recv_timeout(SHORT));
    drop(sender);
    eq("nobody sends", Err(RecvTimeoutError::Disconnected), receiver.recv_timeout(SHORT));
    let (sender, receiver) = mpsc::channel();
    drop(receiver);
    eq("nobody receives", true, sender.send(1).is_err());
}

fn once() {
    static ONCE: Once = Once::new();
    static CELL: OnceLock<u32> = OnceLock::new();
    static LAZY: LazyLock<AtomicU32> = LazyLock::new(|| {
        thread::sleep(SHORT);
        MADE.fetch_add(1, Ordering::SeqCst);
        AtomicU32::new(5)
    });
    static MADE: AtomicU32 = AtomicU32::new(0);
    let ran = AtomicU32::new(0);
    thread::scope(|scope| {
        for n in 0..8 {
            scope.spawn({
                let ran = &ran;
                move || {
                    ONCE.call_once(|| {
                        thread::sleep(SHORT);
                        ran.fetch_add(1, Ordering::SeqCst);
                    });
                    CELL.get_or_init(|| n);
                    LAZY.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    eq("once", 1, ran.load(Ordering::SeqCst));
    eq("one of them", true, CELL.get().is_some_and(|n| *n < 8));
    eq("set again", true, CELL.set(9).is_err());
    eq("made once", 1, MADE.load(Ordering::SeqCst));
    eq("used by all", 13, LAZY.load(Ordering::SeqCst));
}

fn time() {
    let mut last = Instant::now();
    let backwards = (0..20_000).filter(|_| {
        let now = Instant::now();
        let back = now < last;
        last = now;
        back
    });
    eq("never backwards", 0, backwards.count());
    for ms in [0, 1, 5, 30] {
        let (span, start, wall) = (Duration::from_millis(ms), Instant::now(), SystemTime::now());
        thread::sleep(span);
        eq(format!("asleep for {ms} ms"), true, start.elapsed() >= span);
        eq(
            format!("by the wall's clock too, {ms} ms"),
            true,
            wall.elapsed().is_ok_and(|t| t + Duration::from_millis(1) >= span),
        );
    }
    let year = Duration::from_secs(31_556_952);
    eq("after 2020", true, SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() > 50 * year);
    eq("earlier is an error", true, SystemTime::UNIX_EPOCH.duration_since(SystemTime::now()).is_err());
    let (a, b) = (Instant::now(), thread::spawn(Instant::now).join().unwrap());
    eq("threads share the clock", true, b >= a);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(5) {}
    eq("time goes on while computing", true, start.elapsed() < Duration::from_secs(5));
}
