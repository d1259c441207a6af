//! What `/proc/sys/kernel` sets about System V interprocess communication (sysctl(8), proc(5)).

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64};

/// `msgmax`: bytes of one message.
pub static MSGMAX: AtomicU32 = AtomicU32::new(8192);
/// `msgmnb`: bytes of a new queue.
pub static MSGMNB: AtomicU32 = AtomicU32::new(16384);
/// `msgmni`: queues.
pub static MSGMNI: AtomicU32 = AtomicU32::new(32000);
/// `shmmax`: bytes of a segment.
pub static SHMMAX: AtomicU64 = AtomicU64::new(u64::MAX - (1 << 24));
/// `shmall`: pages of all segments.
pub static SHMALL: AtomicU64 = AtomicU64::new(u64::MAX - (1 << 24));
/// `shmmni`: segments.
pub static SHMMNI: AtomicU32 = AtomicU32::new(4096);
/// `shm_rmid_forced`: segments go with their last attachment, removed or not.
pub static SHM_RMID_FORCED: AtomicU32 = AtomicU32::new(0);
/// `sem`: semaphores of one set, of all sets, operations of one call, sets.
pub static SEM: [AtomicI32; 4] =
    [AtomicI32::new(32000), AtomicI32::new(1_024_000_000), AtomicI32::new(500), AtomicI32::new(32000)];
/// `msg_next_id`, `sem_next_id`, `shm_next_id`: the id that the next new object is to have; -1 for
/// any.
pub static MSG_NEXT_ID: AtomicI32 = AtomicI32::new(-1);
/// See [`MSG_NEXT_ID`].
pub static SEM_NEXT_ID: AtomicI32 = AtomicI32::new(-1);
/// See [`MSG_NEXT_ID`].
pub static SHM_NEXT_ID: AtomicI32 = AtomicI32::new(-1);

/// Semaphores of one set (`SEMMSL`).
pub fn semmsl() -> usize {
    SEM[0].load(Relaxed).max(0) as usize
}

/// Semaphores of all sets (`SEMMNS`).
pub fn semmns() -> usize {
    SEM[1].load(Relaxed).max(0) as usize
}

/// Operations of one call (`SEMOPM`).
pub fn semopm() -> usize {
    SEM[2].load(Relaxed).max(0) as usize
}

/// Sets of semaphores (`SEMMNI`).
pub fn semmni() -> usize {
    SEM[3].load(Relaxed).max(0) as usize
}
