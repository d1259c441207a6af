//! Runs images in QEMU and connects them to the user: what the `skiff` command is made of.

#![forbid(unsafe_code)]

pub mod app;
pub mod background;
mod backlog;
pub mod control;
pub mod core;
pub mod disk;
pub mod error;
mod folder;
pub mod frame;
pub mod fresh;
pub mod gdb;
pub mod guest;
mod kvm;
pub mod machine;
pub mod memory;
pub mod metrics;
pub mod network;
pub mod outlet;
pub mod prepare;
pub mod profile;
pub mod session;
pub mod suite;
pub mod terminal;
pub mod volume;
