//! Memory policies on a machine with one node (set_mempolicy(2)), barriers between threads (membarrier(2)), and the right to
//! look into another process's memory.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use syscall_shim::{Errno, SysResult};

use super::address_space::AddressSpace;
use super::flags::page_down;
use super::tlb;
use crate::task::{current, table};

const MPOL_DEFAULT: u32 = 0;
const MPOL_PREFERRED: u32 = 1;
const MPOL_LOCAL: u32 = 4;
/// First number that is no mode.
const MPOL_MAX: u32 = 6;
/// `MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES`
const MODE_FLAGS: u32 = 0xc000;
const MPOL_F_NODE: u64 = 1;
const MPOL_F_ADDR: u64 = 2;
const MPOL_F_MEMS_ALLOWED: u64 = 4;

/// A checked memory policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    mode: u32,
    nodes: u64,
}

impl Policy {
    /// `EINVAL` for an unknown mode and for nodes that do not fit it; there is only node 0.
    pub fn new(mode: u32, nodes: u64) -> SysResult<Self> {
        let base = mode & !MODE_FLAGS;
        let fits = match base {
            MPOL_DEFAULT => nodes == 0 && mode == base,
            MPOL_LOCAL => nodes == 0,
            MPOL_PREFERRED if nodes == 0 => mode == base,
            _ => nodes & 1 != 0,
        };
        if base >= MPOL_MAX || mode & MODE_FLAGS == MODE_FLAGS || !fits {
            return Err(Errno::EINVAL);
        }
        // `MPOL_PREFERRED` without a node means the local one.
        let mode = if base == MPOL_PREFERRED && nodes == 0 { MPOL_LOCAL } else { mode };
        Ok(Self { mode, nodes: nodes & 1 })
    }
}

/// The policy in force, and what membarrier(2) was registered for.
#[derive(Default)]
pub struct Numa {
    mode: AtomicU32,
    nodes: AtomicU64,
    membarrier: AtomicU32,
}

impl Numa {
    /// Replaces the policy.
    pub fn set(&self, policy: Policy) {
        self.mode.store(policy.mode, Ordering::Relaxed);
        self.nodes.store(policy.nodes, Ordering::Relaxed);
    }
}

/// The address space of process `pid` (0: the caller's), if the caller may look into it: `ESRCH`, `EPERM` (ptrace(2),
/// "Ptrace access mode checking").
pub fn inspectable(pid: i32) -> SysResult<Arc<AddressSpace>> {
    let me = current();
    if pid == 0 || pid == me.process.pid {
        return Ok(me.process.mm());
    }
    const CAP_SYS_PTRACE: u32 = 19;
    let other = table::task(pid).ok_or(Errno::ESRCH)?;
    let (mine, theirs) = (me.credentials(), other.credentials());
    let same_user = [theirs.uid, theirs.euid, theirs.suid].iter().all(|id| *id == mine.fsuid)
        && [theirs.gid, theirs.egid, theirs.sgid].iter().all(|id| *id == mine.fsgid);
    if !same_user && !mine.capable(CAP_SYS_PTRACE) {
        return Err(Errno::EPERM);
    }
    Ok(other.process.mm())
}

impl AddressSpace {
    /// get_mempolicy(2): mode or node, and the set of nodes.
    pub fn get_mempolicy(&self, addr: u64, flags: u64) -> SysResult<(i32, u64)> {
        if flags & !(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED) != 0 {
            return Err(Errno::EINVAL);
        }
        if flags & MPOL_F_MEMS_ALLOWED != 0 {
            return if flags & (MPOL_F_NODE | MPOL_F_ADDR) != 0 { Err(Errno::EINVAL) } else { Ok((0, 1)) };
        }
        if flags & MPOL_F_ADDR != 0 {
            if !self.is_mapped(page_down(addr), page_down(addr) + 1) {
                return Err(Errno::EFAULT);
            }
            // Either the node of the page, which is 0, or the policy of the area, which is the default.
            return Ok((0, 0));
        }
        let (mode, nodes) = (self.numa.mode.load(Ordering::Relaxed), self.numa.nodes.load(Ordering::Relaxed));
        if addr != 0 || flags & MPOL_F_NODE != 0 {
            return Err(Errno::EINVAL);
        }
        Ok((mode as i32, nodes))
    }

    /// Whether all of `start..end` is mapped.
    pub fn is_mapped(&self, start: u64, end: u64) -> bool {
        self.inner.read().areas.covers(start, end)
    }

    /// What move_pages(2) reports of a page: its node, `-ENOENT` when it is not present, `-EFAULT` when nothing is mapped.
    pub fn node_of(&self, addr: u64) -> i32 {
        match (self.is_mapped(page_down(addr), page_down(addr).saturating_add(1)), self.translate(addr)) {
            (false, _) => -i32::from(Errno::EFAULT.0),
            (true, None) => -i32::from(Errno::ENOENT.0),
            (true, Some(_)) => 0,
        }
    }

    /// membarrier(2) without flags.
    pub fn membarrier(&self, command: u32) -> SysResult {
        const GLOBAL: u32 = 1;
        const GLOBAL_EXPEDITED: u32 = 2;
        const REGISTER_GLOBAL_EXPEDITED: u32 = 4;
        const PRIVATE_EXPEDITED: u32 = 8;
        const REGISTER_PRIVATE_EXPEDITED: u32 = 16;
        const PRIVATE_EXPEDITED_SYNC_CORE: u32 = 32;
        const REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: u32 = 64;
        const ALL: u32 = 127;
        match command {
            0 => return Ok(ALL as usize),
            // Whoever else runs a program is interrupted; that is a full barrier on that CPU, and serialises it.
            GLOBAL | GLOBAL_EXPEDITED => tlb::interrupt_all(),
            REGISTER_GLOBAL_EXPEDITED | REGISTER_PRIVATE_EXPEDITED | REGISTER_PRIVATE_EXPEDITED_SYNC_CORE => {
                self.numa.membarrier.fetch_or(command, Ordering::Relaxed);
            }
            PRIVATE_EXPEDITED | PRIVATE_EXPEDITED_SYNC_CORE => {
                // Each private command is one bit below its registration.
                if self.numa.membarrier.load(Ordering::Relaxed) & (command << 1) == 0 {
                    return Err(Errno::EPERM);
                }
                tlb::interrupt(&self.cpus);
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    }
}
