//! `profile=HZ`: what the CPUs do, asked that many times a second. A sample goes to the host, which
//! knows of symbols and of unwind tables: the kernel's own return addresses, the application's
//! place, and a piece of its stack.
//!
//! Off, it costs a timer interrupt and a context switch one load.

use alloc::vec;
use alloc::vec::Vec;

use crate::arch::percpu::this_cpu;
use crate::arch::trap::TrapFrame;
use crate::arch::{backtrace, clock};
use crate::usermem::{self, UserAddr};
use observe::{host_link, host_link::frame::Outgoing, sampling};
use task::{current, timer};

/// Return addresses of the kernel in a sample.
const KERNEL_DEPTH: usize = 40;
/// Bytes of the application's stack in a sample.
const STACK_SIZE: usize = 12 * 1024;
/// Of those, in one frame, so that it fits into a buffer of the console.
const PIECE: usize = 3072;

/// A timer interrupt has come: takes a sample, if one is due, and sees to the next.
#[inline]
pub fn tick(frame: &TrapFrame) {
    if sampling::period() != 0 {
        sample_if_due(frame);
    }
}

#[cold]
fn sample_if_due(frame: &TrapFrame) {
    let now = clock::monotonic_ns();
    let cpu = this_cpu();
    if now < cpu.next_sample.get() {
        return;
    }
    let next = now + sampling::period();
    cpu.next_sample.set(next);
    timer::no_later_than(next);
    let task = current();
    if task.stack_bounds().1 != 0 && task.process.pid > 0 && !task.is_idle() {
        sample(frame);
    }
}

fn sample(frame: &TrapFrame) {
    let task = current();
    let user = if frame.came_from_app() { *frame } else { task.app_frame() };
    let mm = task.process.mm();
    let rip = mm.try_original_ip(user.rip).unwrap_or(user.rip);
    let mut head: Vec<u8> = Vec::with_capacity(512);
    head.extend(this_cpu().id.get().to_le_bytes());
    head.extend([task.process.pid, task.tid()].iter().flat_map(|id| id.to_le_bytes()));
    head.extend(*task.comm.lock());
    head.extend([mm.root(), rip, user.rsp, user.rbp].iter().flat_map(|word| word.to_le_bytes()));
    if !frame.came_from_app() {
        let addresses = core::iter::once(frame.rip).chain(backtrace::return_addresses(frame.rbp)).take(KERNEL_DEPTH);
        head.extend(addresses.flat_map(u64::to_le_bytes));
    }
    if !host_link::active() || host_link::write(Outgoing::Sample, &head) < head.len() {
        return;
    }
    let mut stack = vec![0; STACK_SIZE];
    let mut len = 0;
    for (place, address) in stack.chunks_exact_mut(4).zip((user.rsp & !3..).step_by(4)) {
        // A page that is not there must not be waited for in an interrupt.
        let Ok(word) = usermem::load_u32_nofault(UserAddr(address)) else { break };
        place.copy_from_slice(&word.to_le_bytes());
        len += 4;
    }
    for piece in stack.get(..len).unwrap_or_default().chunks(PIECE) {
        let part = [&this_cpu().id.get().to_le_bytes()[..], piece].concat();
        if host_link::write(Outgoing::SampleStack, &part) < part.len() {
            break;
        }
    }
}
