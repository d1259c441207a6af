//! Open files.

/// The files that a thread has open, by descriptor.
#[derive(Default)]
pub struct FdTable {}

impl FdTable {
    /// An empty table.
    pub fn new() -> Self {
        Self {}
    }

    /// A copy that shares the open file descriptions, for a task created without `CLONE_FILES`.
    pub fn duplicate(&self) -> Self {
        Self {}
    }
}

/// Working directory, root directory and umask.
#[derive(Default)]
pub struct FsContext {}

impl FsContext {
    /// The kernel's own: everything at the root.
    pub fn kernel() -> Self {
        Self {}
    }

    /// A copy for a task created without `CLONE_FS`.
    pub fn duplicate(&self) -> Self {
        Self {}
    }
}
