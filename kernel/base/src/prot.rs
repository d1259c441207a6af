//! What may be done with memory.

use bitflags::bitflags;

bitflags! {
    /// Access that an area grants (`PROT_*` of mmap(2)); empty is `PROT_NONE`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Prot: u32 {
        /// `PROT_READ`
        const READ = 1;
        /// `PROT_WRITE`; on x86 it implies reading.
        const WRITE = 2;
        /// `PROT_EXEC`; on x86 without protection keys it implies reading.
        const EXEC = 4;
    }
}
