//! Restartable sequences (rseq(2), include/uapi/linux/rseq.h): a program learns its CPU
//! without a call, and a critical section that was interrupted starts anew.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use syscall_shim::types::{Rseq, RseqCs, Siginfo};
use syscall_shim::{Errno, Signal, SysResult};

use super::thread::Task;
use super::{current, table};
use arch::trap::TrapFrame;
use usermem::{UserAddr, UserPtr};
use vm::AddressSpace;

/// `RSEQ_FLAG_UNREGISTER`.
const UNREGISTER: u32 = 1;
/// Size and alignment of the structure that programs register at least.
const SIZE: u32 = 32;
/// `RSEQ_CPU_ID_UNINITIALIZED`.
const UNINITIALIZED: u32 = u32::MAX;
const OFF_RSEQ_CS: u64 = 8;

/// rseq(2).
pub fn register(addr: UserAddr, len: u32, flags: u32, signature: u32) -> SysResult<()> {
    let task = current();
    let registered = task.rseq.load(Ordering::Relaxed);
    let same = |addr: UserAddr| {
        if registered != addr.0 || len != SIZE {
            return Err(Errno::EINVAL);
        }
        if task.rseq_signature.load(Ordering::Relaxed) != signature { Err(Errno::EPERM) } else { Ok(()) }
    };
    if flags == UNREGISTER {
        if registered == 0 {
            return Err(Errno::EINVAL);
        }
        same(addr)?;
        addr.cast::<Rseq>().write(Rseq { cpu_id: UNINITIALIZED, ..Rseq::default() })?;
        task.rseq.store(0, Ordering::Relaxed);
        return Ok(());
    }
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    if registered != 0 {
        same(addr)?;
        return Err(Errno::EBUSY);
    }
    if len != SIZE || !addr.0.is_multiple_of(u64::from(SIZE)) || addr.is_null() {
        return Err(Errno::EINVAL);
    }
    let now: Rseq = addr.cast().read()?;
    let cpu = cpu();
    addr.cast::<Rseq>().write(Rseq { cpu_id_start: cpu, cpu_id: cpu, rseq_cs: 0, node_id: 0, mm_cid: cpu, ..now })?;
    task.rseq_signature.store(signature, Ordering::Relaxed);
    task.rseq.store(addr.0, Ordering::Relaxed);
    Ok(())
}

fn cpu() -> u32 {
    arch::percpu::this_cpu().id.get()
}

/// Has all other threads that use `mm` start the critical section anew that they are in, before
/// they execute more of it.
pub fn restart_sections(mm: &Arc<AddressSpace>) {
    let me = current();
    let registered = |task: &Arc<Task>| task.rseq.load(Ordering::Relaxed) != 0 && !core::ptr::eq(&**task, me);
    for task in table::tasks().filter(|task| registered(task) && Arc::ptr_eq(&task.process.mm(), mm)) {
        task.moved.store(true, Ordering::Relaxed);
    }
}

/// Called when the thread was switched away from the application or is about to run a signal
/// handler: tells it its CPU, and if it was inside a critical section, sends it to the section's
/// abort handler.
pub fn abort_section(frame: &mut TrapFrame) {
    let task = current();
    let addr = task.rseq.load(Ordering::Relaxed);
    if addr == 0 {
        return;
    }
    if update(task, UserAddr(addr), frame).is_err() {
        task.rseq.store(0, Ordering::Relaxed);
        super::signal::force(Siginfo::kernel(Signal::SIGSEGV));
    }
}

fn update(task: &Task, addr: UserAddr, frame: &mut TrapFrame) -> SysResult<()> {
    let ids: UserPtr<[u32; 2]> = addr.cast();
    let cpu = cpu();
    ids.write([cpu, cpu])?;
    let slot: UserPtr<u64> = addr.add(OFF_RSEQ_CS).cast();
    let section = slot.read()?;
    if section == 0 {
        return Ok(());
    }
    let section: RseqCs = UserPtr::new(section).read()?;
    slot.write(0)?;
    if frame.rip.wrapping_sub(section.start_ip) >= section.post_commit_offset {
        return Ok(());
    }
    let signature: u32 = UserAddr(section.abort_ip.wrapping_sub(4)).cast().read()?;
    if section.version != 0 || signature != task.rseq_signature.load(Ordering::Relaxed) {
        return Err(Errno::EINVAL);
    }
    frame.rip = section.abort_ip;
    task.arrival.set(frame);
    Ok(())
}
