//! What the checks find, with threads of the host as CPUs and tasks.

use std::panic::catch_unwind;
use std::string::String;
use std::{format, thread_local};

use crate::*;

struct Threads;

thread_local! {
    static CPU: Held = const { Held::new() };
    static TASK: Held = const { Held::new() };
    static INTERRUPTS: core::cell::Cell<bool> = const { core::cell::Cell::new(true) };
}

impl Context for Threads {
    fn with_cpu(&self, f: &mut dyn FnMut(&Held)) {
        CPU.with(f);
    }
    fn with_task(&self, f: &mut dyn FnMut(&Held)) {
        TASK.with(f);
    }
    fn interrupts_are_on(&self) -> bool {
        INTERRUPTS.get()
    }
}

/// What `f` is stopped for, in a thread of its own; nothing is held at its beginning.
fn found(f: impl FnOnce() + std::panic::UnwindSafe + Send + 'static) -> Option<String> {
    start(&Threads);
    let ended = std::thread::spawn(|| catch_unwind(f)).join().ok()?;
    let message = ended.err()?;
    Some(message.downcast_ref::<String>().cloned().unwrap_or_else(|| format!("{:?}", message.type_id())))
}

fn taken(classes: &[&Class]) {
    classes.iter().for_each(|class| acquire(class));
    classes.iter().for_each(|class| release(class));
}

fn taken_sleeping(classes: &[&Class]) {
    for class in classes {
        acquire_sleeping(class);
        acquired_sleeping(class);
    }
    classes.iter().for_each(|class| release_sleeping(class));
}

#[test]
fn an_inversion_of_spinning_locks_is_found() {
    let message = found(|| {
        let (a, b) = (Class::here(), Class::here());
        taken(&[&a, &b]);
        taken(&[&a, &b]);
        taken(&[&b, &a]);
    });
    assert!(message.is_some_and(|message| message.starts_with("locks in the wrong order")));
}

#[test]
fn an_inversion_over_a_third_lock_is_found() {
    let message = found(|| {
        let classes = [Class::here(), Class::here(), Class::here()];
        let [a, b, c] = &classes;
        taken_sleeping(&[a, b]);
        taken_sleeping(&[b, c]);
        taken_sleeping(&[c, a]);
    });
    assert!(message.is_some_and(|message| message.starts_with("locks in the wrong order")));
}

#[test]
fn one_order_is_right_and_so_are_locks_of_one_class() {
    assert_eq!(
        found(|| {
            let (a, b) = (Class::here(), Class::here());
            taken_sleeping(&[&a, &b]);
            taken_sleeping(&[&b]);
            taken_sleeping(&[&a, &a, &b]);
            acquire_sleeping(&a);
            acquired_sleeping(&a);
            taken(&[&b]);
            release_sleeping(&a);
            may_wait_for_others();
        }),
        None
    );
}

#[test]
fn one_that_was_free_makes_no_order() {
    assert_eq!(
        found(|| {
            let (a, b) = (Class::here(), Class::here());
            taken(&[&a, &b]);
            acquire(&b);
            acquired_without_wait(&a);
            release(&b);
            release(&a);
            may_sleep();
        }),
        None
    );
}

#[test]
fn a_sleep_with_a_spinning_lock_is_found() {
    let message = found(|| {
        acquire(&Class::here());
        may_sleep();
    });
    assert!(message.is_some_and(|message| message.starts_with("a sleep with the lock made at")));
    let message = found(|| {
        acquire(&Class::here());
        acquire_sleeping(&Class::here());
    });
    assert!(message.is_some_and(|message| message.starts_with("a sleep with the lock made at")));
}

#[test]
fn a_wait_for_others_under_a_lock_is_found() {
    let message = found(|| {
        acquired_sleeping(&Class::here());
        may_wait_for_others();
    });
    assert!(message.is_some_and(|message| message.starts_with("a wait for another party")));
}

#[test]
fn a_lock_of_threads_with_interrupts_off_is_found() {
    let message = found(|| {
        INTERRUPTS.set(false);
        interrupts_may_come(&Class::here());
    });
    assert!(message.is_some_and(|message| message.contains("interrupts off")));
}
