//! Filters of sockets: `SO_ATTACH_FILTER` and what belongs to it (socket(7)). The programs are
//! [`inet::bpf`]'s.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use inet::bpf::{self, Instruction, NotTaken, Packet, Program};
use linux_raw_sys::net as n;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use crate::caller_table::caller_table;
use crate::socket::int;

/// `sizeof(struct sock_fprog)`: a length, and where the instructions are.
const SOCK_FPROG: usize = 16;
/// `SO_ATTACH_BPF`.
const SO_ATTACH_BPF: u32 = 50;

/// What classic BPF can load beyond the packet (`SKF_AD_MAX`).
pub const BPF_EXTENSIONS: i32 = 64;

/// The program that a `struct sock_fprog` names. `EINVAL`, `EFAULT`, `ENOMEM`.
pub fn read(value: &[u8]) -> SysResult<Arc<Program>> {
    if value.len() != SOCK_FPROG {
        return Err(Errno::EINVAL);
    }
    let len = value.first_chunk().map_or(0, |len| usize::from(u16::from_ne_bytes(*len)));
    let at = value.last_chunk().map_or(0, |at| u64::from_ne_bytes(*at));
    if at == 0 || len == 0 || len > bpf::MAX_INSTRUCTIONS {
        return Err(Errno::EINVAL);
    }
    let instructions = UserAddr(at).cast::<[u8; Instruction::SIZE]>().read_vec(len)?;
    let program =
        Program::read(&instructions).map_err(|why| if why == NotTaken::NoMemory { Errno::ENOMEM } else { Errno::EINVAL })?;
    Ok(Arc::new(program))
}

/// A socket's filter.
#[derive(Default)]
pub struct Filter {
    /// A leaf lock.
    program: SpinLock<Option<Arc<Program>>>,
    /// Whether there is one: most sockets have none, and need no look under the lock.
    present: AtomicBool,
    /// `SO_LOCK_FILTER`.
    locked: AtomicBool,
}

impl Filter {
    /// setsockopt(2) of level `SOL_SOCKET`; `None` if the option is not about filters.
    pub fn set(&self, option: u32, value: &[u8]) -> Option<SysResult<()>> {
        match option {
            n::SO_ATTACH_FILTER => Some(self.attach(value)),
            n::SO_DETACH_FILTER => Some(int(value).and_then(|_| self.detach())),
            n::SO_LOCK_FILTER => Some(int(value).and_then(|on| self.lock(on != 0))),
            SO_ATTACH_BPF => Some(Self::attach_by_descriptor(value)),
            _ => None,
        }
    }

    /// getsockopt(2) of level `SOL_SOCKET`: for `SO_GET_FILTER` the instructions, which the caller
    /// counts.
    pub fn get(&self, option: u32) -> Option<Vec<u8>> {
        match option {
            n::SO_LOCK_FILTER => Some(i32::from(self.locked.load(Ordering::Relaxed)).to_ne_bytes().to_vec()),
            n::SO_ATTACH_FILTER => {
                let program = self.program.lock().clone();
                let instructions = program.as_ref().map(|program| program.instructions()).unwrap_or_default();
                Some(instructions.iter().flat_map(Instruction::bytes).collect())
            }
            _ => None,
        }
    }

    /// Whether there is one.
    pub fn is_present(&self) -> bool {
        self.present.load(Ordering::Acquire)
    }

    /// How many bytes of a packet the socket wants, 0 for none of it. `packet` is asked only where
    /// there is a filter.
    pub fn wanted<'a>(&self, packet: impl FnOnce() -> Packet<'a>) -> usize {
        if !self.present.load(Ordering::Acquire) {
            return usize::MAX;
        }
        let program = self.program.lock().clone();
        program.map_or(usize::MAX, |program| program.run(&packet()) as usize)
    }

    /// The filter of a connection that a listener with this one accepts.
    pub fn inherit(&self) -> Filter {
        Filter {
            program: SpinLock::new(self.program.lock().clone()),
            present: AtomicBool::new(self.present.load(Ordering::Acquire)),
            locked: AtomicBool::new(self.locked.load(Ordering::Relaxed)),
        }
    }

    /// There is no bpf(2), whose descriptors these would be.
    pub fn attach_by_descriptor(value: &[u8]) -> SysResult<()> {
        let [a, b, c, d] = *value else { return Err(Errno::EINVAL) };
        caller_table()?.get_any(i32::from_ne_bytes([a, b, c, d]))?;
        Err(Errno::EINVAL)
    }

    /// Whether nobody may change it.
    pub fn is_locked(&self) -> bool {
        self.locked.load(Ordering::Relaxed)
    }

    fn attach(&self, value: &[u8]) -> SysResult<()> {
        if value.len() == SOCK_FPROG && self.is_locked() {
            return Err(Errno::EPERM);
        }
        *self.program.lock() = Some(read(value)?);
        self.present.store(true, Ordering::Release);
        Ok(())
    }

    fn detach(&self) -> SysResult<()> {
        if self.locked.load(Ordering::Relaxed) {
            return Err(Errno::EPERM);
        }
        self.present.store(false, Ordering::Release);
        let program = self.program.lock().take();
        program.map(drop).ok_or(Errno::ENOENT)
    }

    fn lock(&self, on: bool) -> SysResult<()> {
        if !on && self.locked.load(Ordering::Relaxed) {
            return Err(Errno::EPERM);
        }
        self.locked.store(on, Ordering::Relaxed);
        Ok(())
    }
}
