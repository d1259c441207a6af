//! Who is told by a signal that a file is ready (fcntl(2): `F_SETOWN`, `F_SETSIG`, `O_ASYNC`).

use alloc::sync::Arc;

use super::OpenFile;

/// Whom `pid` names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OwnerKind {
    /// One thread (`F_OWNER_TID`).
    Thread,
    /// A process (`F_OWNER_PID`).
    #[default]
    Process,
    /// A process group (`F_OWNER_PGRP`).
    Group,
}

/// The owner of an open file description.
#[derive(Clone, Copy, Debug, Default)]
pub struct Owner {
    /// What `pid` is.
    pub kind: OwnerKind,
    /// Id; 0 for nobody.
    pub pid: i32,
    /// `F_SETSIG`; 0 is `SIGIO` without further information.
    pub signal: i32,
}

/// Starts or ends signal-driven input and output of `file`.
pub fn set_async(_file: &Arc<OpenFile>, _on: bool) {}
