//! The checks.

use core::fmt;
use core::panic::Location;
use core::sync::atomic::{AtomicU16, Ordering};

use crate::graph::{ClassId, Graph, Place, Stack};
use crate::held::Held;

/// What the checks ask of the machine.
pub trait Context: Sync {
    /// Calls `f` with what this CPU holds of spinning locks, with interrupts off.
    fn with_cpu(&self, f: &mut dyn FnMut(&Held));

    /// Calls `f` with what the running task holds of sleeping locks; not at all where there is
    /// none.
    fn with_task(&self, f: &mut dyn FnMut(&Held));

    /// Whether this CPU takes interrupts.
    fn interrupts_are_on(&self) -> bool {
        true
    }

    /// Whether the machine ends, so that nothing need be checked any more.
    fn is_stopping(&self) -> bool {
        false
    }

    /// The caller's stack.
    fn stack(&self) -> Stack {
        [0; _]
    }

    /// Prints a stack.
    fn print(&self, _stack: &Stack) {}
}

static CONTEXT: spin::Once<&'static dyn Context> = spin::Once::new();
static GRAPH: spin::mutex::SpinMutex<Graph> = spin::mutex::SpinMutex::new(Graph::new());

/// From now on everything is checked. The first context stays.
pub fn start(context: &'static dyn Context) {
    CONTEXT.call_once(|| context);
}

fn context() -> Option<&'static dyn Context> {
    CONTEXT.get().copied().filter(|context| !context.is_stopping())
}

/// Where a lock was made.
pub struct Class {
    place: Place,
    /// The number of its [`ClassId`], once that is known, or 0.
    id: AtomicU16,
}

impl Class {
    /// The class of locks that the caller makes.
    #[track_caller]
    pub const fn here() -> Self {
        Self { place: Location::caller(), id: AtomicU16::new(0) }
    }

    fn id(&self, context: &dyn Context) -> ClassId {
        ClassId::known(self.id.load(Ordering::Relaxed)).unwrap_or_else(|| {
            let Some(id) = with_graph(context, |graph| graph.class(self.place)) else {
                panic!("too many classes of locks for the check of their order");
            };
            self.id.store(id.get(), Ordering::Relaxed);
            id
        })
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "made at {}", self.place)
    }
}

/// With interrupts off: a handler on this CPU would wait for ever.
fn with_graph<R>(context: &dyn Context, f: impl FnOnce(&mut Graph) -> R) -> R {
    let (mut f, mut result) = (Some(f), None);
    context.with_cpu(&mut |_| {
        if let Some(f) = f.take() {
            result = Some(f(&mut GRAPH.lock()));
        }
    });
    let Some(result) = result else { panic!("a CPU that holds nothing of its own") };
    result
}

fn place(context: &dyn Context, class: ClassId) -> Place {
    with_graph(context, |graph| graph.place(class)).unwrap_or(Location::caller())
}

/// The last of those that this CPU holds, of spinning locks.
fn spinning(context: &dyn Context) -> Option<ClassId> {
    let mut last = None;
    context.with_cpu(&mut |held| last = held.copy().last());
    last
}

fn check(context: &dyn Context, held: impl Iterator<Item = ClassId>, class: &Class) {
    let to = class.id(context);
    for from in held {
        if let Err(opposite) = with_graph(context, |graph| graph.note(from, to, || context.stack())) {
            context.print(&opposite.stack);
            panic!(
                "locks in the wrong order: the one {class} is about to be taken with the one made at {} held; \
                 above is who took {:?} with the former held",
                place(context, from),
                opposite.next
            );
        }
    }
}

/// A spinning lock is about to be taken.
pub fn acquire(class: &Class) {
    let Some(context) = context() else { return };
    let mut before = None;
    context.with_cpu(&mut |held| before = Some(held.copy()));
    check(context, before.into_iter().flatten(), class);
    acquired_without_wait(class);
}

/// A spinning lock was taken that was free: no deadlock can come of that.
pub fn acquired_without_wait(class: &Class) {
    let Some(context) = context() else { return };
    let id = class.id(context);
    context.with_cpu(&mut |held| held.push(id));
}

/// A spinning lock is about to be freed.
pub fn release(class: &Class) {
    let Some(context) = context() else { return };
    let id = class.id(context);
    context.with_cpu(&mut |held| held.remove(id));
}

/// A spinning lock is about to be taken that must not be taken with interrupts off: they may be off
/// because of a lock that the handler wants which interrupts the holder of this one.
pub fn interrupts_may_come(class: &Class) {
    let Some(context) = context() else { return };
    assert!(context.interrupts_are_on(), "the spin lock {class} is taken with interrupts off");
}

/// A sleeping lock is about to be taken; [`acquired_sleeping`] follows, unless a signal ends the
/// wait.
pub fn acquire_sleeping(class: &Class) {
    may_sleep();
    let Some(context) = context() else { return };
    let mut before = None;
    context.with_task(&mut |held| before = Some(held.copy()));
    check(context, before.into_iter().flatten(), class);
}

/// A sleeping lock was taken.
pub fn acquired_sleeping(class: &Class) {
    let Some(context) = context() else { return };
    let id = class.id(context);
    context.with_task(&mut |held| held.push(id));
}

/// A sleeping lock is about to be freed.
pub fn release_sleeping(class: &Class) {
    let Some(context) = context() else { return };
    let id = class.id(context);
    context.with_task(&mut |held| held.remove(id));
}

/// The caller is about to do what can sleep: this CPU may hold no spinning lock.
pub fn may_sleep() {
    let Some(context) = context() else { return };
    if let Some(class) = spinning(context) {
        panic!("a sleep with the lock made at {} held", place(context, class));
    }
}

/// The caller is about to wait for what another party decides: it may hold no lock.
pub fn may_wait_for_others() {
    may_sleep();
    let Some(context) = context() else { return };
    let mut last = None;
    context.with_task(&mut |held| last = held.copy().last());
    if let Some(class) = last {
        panic!("a wait for another party with the lock made at {} held", place(context, class));
    }
}

/// The caller is about to wait for an answer of other CPUs: one of them may wait for a spinning
/// lock with interrupts off.
pub fn may_wait_for_cpus() {
    may_sleep();
}
