//! Threads, channels, locks, files, panics and time.
// compat: variants=pie,static-pie cpus=2
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    let (tx, rx) = mpsc::channel();
    let workers: Vec<_> = (0..8u64)
        .map(|n| {
            let tx = tx.clone();
            thread::spawn(move || (0..1000).for_each(|i| tx.send(n * i).unwrap()))
        })
        .collect();
    drop(tx);
    println!("{}", rx.iter().sum::<u64>());
    workers.into_iter().for_each(|w| w.join().unwrap());

    let shared = Arc::new((Mutex::new(0), Condvar::new(), Barrier::new(4), RwLock::new(HashMap::new())));
    thread::scope(|s| {
        for n in 0..4 {
            let shared = &shared;
            s.spawn(move || {
                shared.2.wait();
                shared.3.write().unwrap().insert(n, n * n);
                *shared.0.lock().unwrap() += 1;
                shared.1.notify_all();
            });
        }
        let guard = shared.1.wait_while(shared.0.lock().unwrap(), |n| *n < 4).unwrap();
        println!("{guard}");
    });
    let mut squares: Vec<_> = shared.3.read().unwrap().clone().into_iter().collect();
    squares.sort();
    println!("{squares:?}");

    let start = Instant::now();
    thread::sleep(Duration::from_millis(20));
    println!("slept {}", start.elapsed() >= Duration::from_millis(20));
    let (_tx, rx) = mpsc::channel::<()>();
    println!("{:?}", rx.recv_timeout(Duration::from_millis(5)));

    std::panic::set_hook(Box::new(|_| {}));
    println!("{}", thread::spawn(|| panic!("on purpose")).join().is_err());

    let path = std::env::temp_dir().join("skiff-rust-test");
    let mut file = std::fs::File::create(&path).unwrap();
    (0..1000).for_each(|i| writeln!(file, "{i}").unwrap());
    let lines = BufReader::new(std::fs::File::open(&path).unwrap()).lines().count();
    println!("{lines} {}", std::fs::metadata(&path).unwrap().len());
    std::fs::remove_file(&path).unwrap();
    std::process::exit(6);
}
