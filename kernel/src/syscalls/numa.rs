//! Memory policies and moves of pages between nodes (numa(7)), on a machine with one node.

use syscall_shim::{Errno, SysResult};

use super::memory::inspectable;
use crate::usermem::{UserPtr, zero_partial};
use task::current;
use vm::flags::{PAGE_SIZE, Policy, page_up_wrapping};
use vm::numa::{Nodes, check_mode};

const MPOL_MF_MOVE: u32 = 2;
const MPOL_MF_MOVE_ALL: u32 = 4;
const CAP_SYS_NICE: u32 = 23;
/// `MAX_NUMNODES`: no node has this number or a higher one.
const MAX_NODES: u64 = 1024;

fn is_nice() -> bool {
    current().credentials().capable(CAP_SYS_NICE)
}

/// A set of nodes in a program's memory. `EINVAL` for one with nodes that cannot exist.
fn node_mask(nodes: UserPtr<u64>, max_node: u64) -> SysResult<Nodes> {
    // The man page's off-by-one: the kernel looks at `maxnode - 1` bits.
    let bits = max_node.wrapping_sub(1);
    if bits == 0 || nodes.is_null() {
        return Ok(Nodes::default());
    }
    if bits > PAGE_SIZE * 8 {
        return Err(Errno::EINVAL);
    }
    let words = nodes.read_vec(bits.div_ceil(64) as usize)?;
    let mut mask = Nodes::default();
    for (i, word) in (0u64..).zip(words) {
        let left = bits - i * 64;
        let word = if left < 64 { word & ((1 << left) - 1) } else { word };
        match i {
            0 => mask.first = word,
            _ if word == 0 => {}
            _ if i < MAX_NODES / 64 => mask.others = true,
            _ => return Err(Errno::EINVAL),
        }
    }
    Ok(mask)
}

/// set_mempolicy(2).
pub fn set_mempolicy(mode: i32, nodes: UserPtr<u64>, max_node: u64) -> SysResult {
    check_mode(mode as u32)?;
    let policy = Policy::new(mode as u32, node_mask(nodes, max_node)?)?;
    *current().memory_policy.lock() = policy;
    Ok(0)
}

/// get_mempolicy(2).
pub fn get_mempolicy(mode: UserPtr<i32>, nodes: UserPtr<u64>, max_node: u64, addr: u64, flags: u64) -> SysResult {
    if !nodes.is_null() && max_node < 1 {
        return Err(Errno::EINVAL);
    }
    let policy = *current().memory_policy.lock();
    let (value, mask) = current().process.mm().get_mempolicy(addr, flags, policy)?;
    mode.write_if_some(value)?;
    if !nodes.is_null() {
        // Linux rounds up with wrap-around: the largest number asks for nothing.
        let bytes = max_node.saturating_sub(1).checked_next_multiple_of(64).unwrap_or(0) / 8;
        if bytes > PAGE_SIZE {
            return Err(Errno::EINVAL);
        }
        if bytes >= 8 {
            nodes.write(mask)?;
            let rest = bytes as usize - 8;
            if zero_partial(nodes.addr().add(8), rest) != rest {
                return Err(Errno::EFAULT);
            }
        }
    }
    Ok(0)
}

/// The end of a range of pages. `EINVAL` for a start inside a page, and for a range that passes the
/// end of all.
fn range_end(addr: u64, len: u64) -> SysResult<u64> {
    if !addr.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    addr.checked_add(page_up_wrapping(len)).ok_or(Errno::EINVAL)
}

/// mbind(2). Pages that are there already are on the one node, where any policy that can be has
/// them.
pub fn mbind(addr: u64, len: u64, mode: i32, nodes: UserPtr<u64>, max_node: u64, flags: u32) -> SysResult {
    const MPOL_MF_STRICT: u32 = 1;
    check_mode(mode as u32)?;
    let nodes = node_mask(nodes, max_node)?;
    if flags & !(MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL) != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & MPOL_MF_MOVE_ALL != 0 && !is_nice() {
        return Err(Errno::EPERM);
    }
    let end = range_end(addr, len)?;
    if end == addr {
        return Ok(0);
    }
    let policy = Policy::new(mode as u32, nodes)?;
    current().process.mm().mbind(addr, end, policy).map(|()| 0)
}

/// set_mempolicy_home_node(2): the one node is everybody's home.
pub fn set_mempolicy_home_node(addr: u64, len: u64, node: u64, flags: u64) -> SysResult {
    let end = range_end(addr, len)?;
    if flags != 0 || node != 0 {
        return Err(Errno::EINVAL);
    }
    if end == addr {
        return Ok(0);
    }
    current().process.mm().check_home_node(addr, end).map(|()| 0)
}

/// migrate_pages(2): all pages are on the one node, so none is left to move.
pub fn migrate_pages(pid: i32, max_node: u64, old: UserPtr<u64>, new: UserPtr<u64>) -> SysResult {
    node_mask(old, max_node)?;
    let to = node_mask(new, max_node)?;
    inspectable(pid)?;
    if !to.is_ours() && !is_nice() {
        return Err(Errno::EPERM);
    }
    if to.has_ours() { Ok(0) } else { Err(Errno::EINVAL) }
}

/// move_pages(2): tells of each page that it is on node 0, or that it is not there.
pub fn move_pages(
    pid: i32,
    count: u64,
    pages: UserPtr<u64>,
    nodes: UserPtr<i32>,
    status: UserPtr<i32>,
    flags: u32,
) -> SysResult {
    if flags & !(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL) != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & MPOL_MF_MOVE_ALL != 0 && !is_nice() {
        return Err(Errno::EPERM);
    }
    let mm = inspectable(pid)?;
    for i in 0..count as usize {
        if !nodes.is_null() && nodes.add(i).read()? != 0 {
            return Err(Errno::ENODEV);
        }
        let page = pages.add(i).read()?;
        status.add(i).write(mm.node_of(page))?;
    }
    Ok(0)
}
