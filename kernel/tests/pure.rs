//! The parts of the kernel that know no hardware, with the tests that lie beside them.
#![allow(dead_code, missing_docs)]

extern crate alloc;

#[path = "../task/src/sched/fair.rs"]
mod fair;
#[path = "../observe/src/host_link/flow.rs"]
mod flow;
#[path = "../observe/src/host_link/frame.rs"]
mod frame;
#[path = "../observe/src/symbols/table.rs"]
mod table;
#[path = "../drivers/src/virtqueue.rs"]
mod virtqueue;
