//! Interprocess communication: where that of System V ([`ipc`](::ipc)) meets address spaces, and POSIX message queues, which are files.

pub mod mqueue;
pub mod shm;
