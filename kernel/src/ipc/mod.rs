//! Interprocess communication: where that of System V ([`ipc`](::ipc)) meets address spaces.

pub mod shm;
