//! What disks would know of a thread (`struct io_context`): its I/O priority.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU16, Ordering};

use super::thread::Task;

/// Of one thread, or of several that share it by `CLONE_IO`.
#[derive(Debug)]
pub struct IoContext {
    /// Class and level of ioprio_set(2), 0 for none; no disk looks at it.
    priority: AtomicU16,
}

impl IoContext {
    fn new(priority: u16) -> Arc<Self> {
        Arc::new(Self { priority: AtomicU16::new(priority) })
    }

    /// The priority of a thread, 0 for none.
    pub fn priority_of(task: &Task) -> u16 {
        task.io_context.lock().as_ref().map_or(0, |context| context.priority.load(Ordering::Relaxed))
    }

    /// Gives a thread, and all that share with it, a priority.
    pub fn set_priority(task: &Task, priority: u16) {
        let mut context = task.io_context.lock();
        match &*context {
            Some(context) => context.priority.store(priority, Ordering::Relaxed),
            None => *context = Some(Self::new(priority)),
        }
    }

    /// What a new thread begins with: its parent's, or a copy.
    pub fn for_child(parent: &Task, shared: bool) -> Option<Arc<Self>> {
        let context = parent.io_context.lock();
        let context = context.as_ref()?;
        if shared {
            return Some(context.clone());
        }
        let priority = context.priority.load(Ordering::Relaxed);
        (priority != 0).then(|| Self::new(priority))
    }
}
