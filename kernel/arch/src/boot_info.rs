//! What a boot loader tells, whatever its protocol.

use base::addr::PhysRange;

/// Longest command line kept, in bytes; Linux has the same limit on x86 (`COMMAND_LINE_SIZE`).
const COMMAND_LINE_SIZE: usize = 2048;
/// Most entries of the memory map kept; the Linux boot protocol can carry 128.
const MEMORY_MAP_SIZE: usize = 128;
/// Most boot modules kept; only the first is used, but the memory of none may be overwritten.
const MODULES_SIZE: usize = 4;

/// A short list without heap; entries past its capacity are dropped.
#[derive(Clone, Copy, Debug)]
pub struct List<T: Copy, const N: usize> {
    items: [T; N],
    len: usize,
}

impl<T: Copy, const N: usize> List<T, N> {
    /// An empty list, filled with `item` behind the scenes.
    pub const fn new(item: T) -> Self {
        Self { items: [item; N], len: 0 }
    }

    /// Appends `item`, or says that there is no room.
    pub fn push(&mut self, item: T) -> bool {
        match self.items.get_mut(self.len) {
            Some(slot) => {
                *slot = item;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// The items so far.
    pub fn as_slice(&self) -> &[T] {
        self.items.get(..self.len).unwrap_or(&[])
    }

    /// The items so far.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self.items.get_mut(..self.len).unwrap_or(&mut [])
    }
}

/// The loader's gift.
#[derive(Debug)]
pub struct BootInfo {
    /// Usable RAM, sorted, without overlaps, cut to whole pages.
    pub memory: List<PhysRange, MEMORY_MAP_SIZE>,
    /// Modules (initrd); the first is unpacked over the payload.
    pub modules: List<PhysRange, MODULES_SIZE>,
    /// Physical address of the ACPI root pointer; 0 when the loader names none.
    pub rsdp: u64,
    command_line: List<u8, COMMAND_LINE_SIZE>,
}

impl BootInfo {
    pub(super) const fn new() -> Self {
        Self {
            memory: List::new(PhysRange { start: 0, end: 0 }),
            modules: List::new(PhysRange { start: 0, end: 0 }),
            rsdp: 0,
            command_line: List::new(0),
        }
    }

    /// The kernel command line; what is not UTF-8 at its end is cut off.
    pub fn command_line(&self) -> &str {
        let bytes = self.command_line.as_slice();
        match core::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => bytes.get(..error.valid_up_to()).and_then(|valid| core::str::from_utf8(valid).ok()).unwrap_or(""),
        }
    }

    /// Adds a range of RAM, shrunk to whole pages.
    pub(super) fn add_memory(&mut self, start: u64, size: u64) {
        let end = start.saturating_add(size) & !0xfff;
        let start = start.saturating_add(0xfff) & !0xfff;
        if end > start && !self.memory.push(PhysRange { start, end }) {
            kwarn!("memory map has more than {MEMORY_MAP_SIZE} ranges, {start:#x}..{end:#x} is not used");
        }
    }

    pub(super) fn add_module(&mut self, start: u64, size: u64) {
        let end = start.saturating_add(size);
        if end > start && !self.modules.push(PhysRange { start, end }) {
            kwarn!("more than {MODULES_SIZE} boot modules, the one at {start:#x} is not used");
        }
    }

    /// Copies a NUL-terminated command line.
    ///
    /// # Safety
    /// `text` must be 0 or the address of readable memory up to a NUL or `COMMAND_LINE_SIZE` bytes.
    pub(super) unsafe fn copy_command_line(&mut self, text: u64) {
        if text == 0 {
            return;
        }
        let mut from = early_virt(text);
        loop {
            // SAFETY: the caller's promise.
            let byte = unsafe { from.read() };
            if byte == 0 || !self.command_line.push(byte) {
                return;
            }
            from = from.wrapping_add(1);
        }
    }

    /// Sorts the memory map and makes its ranges disjoint.
    pub(super) fn normalise(&mut self) {
        self.memory.as_mut_slice().sort_unstable_by_key(|range| range.start);
        let mut end = 0;
        for range in self.memory.as_mut_slice() {
            range.start = range.start.max(end);
            end = end.max(range.end);
        }
    }
}

/// Where the boot page tables show physical memory below 1 GiB.
pub(super) fn early_virt(phys: u64) -> *const u8 {
    crate::layout::phys_to_virt(phys)
}
