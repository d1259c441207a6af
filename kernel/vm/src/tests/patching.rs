//! Call sites that become jumps, and get their own bytes back.

use alloc::sync::Arc;
use alloc::vec::Vec;

use arch::trap::TrapFrame;
use mem::host::{Machine, Touch};
use mem::{frames, user_page};
use syscall_shim::patching::{INT3, JUMP_LEN, RETRY, RETURN, is_trap};

use super::env::{self, ANYONE};
use crate::flags::{PAGE_SIZE, Prot};
use crate::patching::{self, Entry, Redirect};
use crate::{AddressSpace, MapFlags, MapRequest};

const AT: u64 = 0x40_0000;
/// mov $39, %eax; syscall; mov %rax, %rbx; ret
const CODE: [u8; 11] = [0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x48, 0x89, 0xc3, 0xc3];
/// Where the call is in it.
const SITE: u64 = AT + 5;
const BEHIND: u64 = SITE + 2;
/// The kernel, as trampolines know it.
const KERNEL: u64 = 0xffff_ffff_8010_0000;

fn code(space: &AddressSpace) -> [u8; CODE.len()] {
    let mut bytes = [0; CODE.len()];
    assert_eq!(space.read(AT, &mut bytes), bytes.len());
    bytes
}

/// The program makes the call by its instruction; where it goes on.
fn trap(space: &AddressSpace) -> u64 {
    let mut frame = TrapFrame { rip: BEHIND, error: 39, ..TrapFrame::default() };
    space.call_trapped(&mut frame, 1);
    frame.rip
}

/// Runs `test` in a space with the code, whose site is a jump to the trampoline that it is given.
fn patched(test: impl FnOnce(&Machine, &Arc<AddressSpace>, u64)) {
    patched_in(&CODE, |machine, space, trampoline| {
        machine.watched();
        test(machine, space, trampoline);
    });
}

/// The same with other code, whose site is where [`CODE`] has it. The states in which its jump was
/// made are kept.
fn patched_in(code: &[u8], test: impl FnOnce(&Machine, &Arc<AddressSpace>, u64)) {
    let machine = Machine::take();
    env::install();
    let entry = Entry { pointer: KERNEL as i32, before_stack_switch: KERNEL..KERNEL + 8 };
    patching::init(entry, false);
    user_page::zero_page();
    let before = frames::stats().free;
    let space = AddressSpace::new().unwrap();
    space.enter();
    space.activate();
    let request = MapRequest::anonymous(AT, PAGE_SIZE, Prot::READ | Prot::WRITE, MapFlags::FIXED);
    space.mmap(request, &ANYONE).unwrap();
    space.write_exact(AT, code).unwrap();
    space.mprotect(AT, PAGE_SIZE, Prot::READ | Prot::EXEC, false, &ANYONE).unwrap();
    machine.watch(SITE, JUMP_LEN);
    // The first calls of a program are left alone.
    let trampoline = (0..100).map(|_| trap(&space)).find(|rip| *rip != BEHIND).expect("the site is movable") - RETURN;
    test(&machine, &space, trampoline);
    machine.check();
    assert_eq!(machine.violations(), Vec::<std::string::String>::new());
    space.leave();
    machine.unload();
    space.deactivate();
    drop(space);
    assert_eq!(frames::stats().free, before, "frames that nobody has");
}

#[test]
fn a_site_is_a_jump_and_looks_like_a_call() {
    patched(|machine, space, trampoline| {
        let now = code(space);
        assert_eq!(now[5], 0xe9, "a jump");
        let displacement = i32::from_le_bytes([now[6], now[7], now[8], now[9]]);
        assert_eq!((SITE + 5).wrapping_add_signed(displacement.into()), trampoline);
        let mut shown = now;
        space.unpatched(AT, &mut shown);
        assert_eq!(shown, CODE);
        let mut frame = TrapFrame { rip: trampoline + RETURN, ..TrapFrame::default() };
        assert!(space.is_in_trampoline(&frame));
        space.original_ip(&mut frame);
        assert_eq!((frame.rip, frame.rcx), (BEHIND, BEHIND));
        assert_eq!(space.try_original_ip(trampoline + RETURN), Some(BEHIND));
        let mut entering = TrapFrame { rip: KERNEL, rcx: trampoline + RETURN, ..TrapFrame::default() };
        space.original_ip(&mut entering);
        assert_eq!(entering.rip, SITE);
        space.resume(&mut frame);
        assert!(space.is_in_trampoline(&frame), "amid the window it goes on in the trampoline");
        let stepping = TrapFrame { rip: trampoline, ..TrapFrame::default() };
        assert_eq!(space.single_step(&stepping), Some(trampoline + RETRY));
        assert_eq!(trap(space), trampoline + RETURN, "who was on the way comes to the trampoline");
        assert!(patching::patched().0 > 0);
        space.handle_fault(trampoline, crate::Access { write: false, exec: true }, &ANYONE).unwrap();
        assert!(machine.access(trampoline, Touch::Execute).is_ok());
    });
}

#[test]
fn its_own_bytes_come_back() {
    patched(|_, space, trampoline| {
        let rwx = Prot::READ | Prot::WRITE | Prot::EXEC;
        space.mprotect(AT, PAGE_SIZE, rwx, false, &ANYONE).unwrap();
        assert_eq!(code(space), CODE);
        assert!(patching::patched().1 > 0);
        assert!(matches!(space.redirect(SITE, Some(CODE[5])), Redirect::To(SITE)), "it trapped before that");
        assert_eq!(trap(space), BEHIND, "what may be written is left alone");
        assert!(patching::is_refused(BEHIND, 1) && patching::refused().count() > 0);
        space.mprotect(AT, PAGE_SIZE, Prot::READ | Prot::EXEC, false, &ANYONE).unwrap();
        space.forget_refused_sites();
        assert!(!patching::is_refused(BEHIND, 1));
        assert_eq!(trap(space), trampoline + RETURN, "it has its trampoline again");
    });
}

#[test]
fn a_window_that_is_branched_into_is_given_up() {
    patched(|_, space, trampoline| {
        let now = code(space);
        let into = BEHIND;
        let mut often = None;
        for _ in 0..2000 {
            match space.redirect(into, Some(now[7])) {
                Redirect::To(to) => assert!((trampoline..trampoline + 256).contains(&to)),
                Redirect::Often(_, site) => {
                    often = Some(site);
                    break;
                }
                Redirect::No => panic!("it is amid a jump"),
            }
        }
        assert_eq!(often, Some(SITE));
        space.ban_site(SITE);
        assert_eq!(code(space), CODE);
        assert_eq!(trap(space), BEHIND);
        assert!(matches!(space.redirect(AT, Some(0x90)), Redirect::No));
    });
}

#[test]
fn a_child_has_the_jumps_of_its_parent() {
    patched(|_, space, trampoline| {
        let child = space.fork().unwrap();
        child.enter();
        assert_eq!(child.try_original_ip(trampoline + RETURN), Some(BEHIND));
        child.mprotect(AT, PAGE_SIZE, Prot::READ | Prot::WRITE, false, &ANYONE).unwrap();
        assert_eq!(code(&child), CODE);
        assert_ne!(code(space), CODE);
        child.leave();
    });
}

#[test]
fn what_is_unmapped_is_forgotten() {
    patched(|_, space, trampoline| {
        space.munmap(trampoline & !(PAGE_SIZE - 1), PAGE_SIZE).unwrap();
        assert_eq!(code(space), CODE, "its trampoline is gone");
        assert_ne!(trap(space), BEHIND, "it gets another");
        space.munmap(AT, PAGE_SIZE).unwrap();
        let mut frame = TrapFrame { rip: BEHIND, ..TrapFrame::default() };
        space.resume(&mut frame);
        assert_eq!(frame.rip, BEHIND);
    });
}

/// Every mixture of the bytes of two states.
fn mixtures(old: &[u8], new: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..1u32 << old.len()).map(move |mask| {
        old.iter().zip(new).enumerate().map(|(at, (old, new))| if mask >> at & 1 == 0 { *old } else { *new }).collect()
    })
}

/// The instructions at which a CPU traps that comes to one of those of `original` while the code
/// goes through `states`; they begin at `starts`. Everywhere else it executes what the program has
/// there, or the whole of `jump`.
fn traps(states: &[Vec<u8>], original: &[u8], starts: &[usize], jump: &[u8]) -> Vec<usize> {
    let mut traps = Vec::new();
    for seen in states.windows(2).flat_map(|pair| mixtures(&pair[0], &pair[1])) {
        for (n, &start) in starts.iter().enumerate() {
            let end = starts.get(n + 1).map_or(JUMP_LEN, |next| *next);
            if is_trap(seen[start]) {
                traps.push(start);
            } else if start > 0 || seen[0] != jump[0] {
                assert_eq!(seen[start..end], original[start..end], "an instruction in part: {seen:x?}");
            } else {
                assert_eq!(seen, jump, "a jump in part");
            }
        }
    }
    traps.sort_unstable();
    traps.dedup();
    traps
}

#[test]
fn others_execute_the_site_while_it_changes() {
    // What follows the call, and where its instructions begin, from the call on.
    let after: [(&[u8], &[usize]); 4] = [
        // mov %rax, %rbx
        (&[0x48, 0x89, 0xc3, 0xc3], &[0, 2]),
        // cmp $-4095, %rax
        (&[0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0xc3], &[0, 2]),
        // push %rbx; pop %rbx; push %rax; pop %rax
        (&[0x53, 0x5b, 0x50, 0x58, 0xc3], &[0, 2, 3, 4]),
        // push %rbx; mov %eax, %ebx
        (&[0x53, 0x89, 0xc3, 0x5b, 0xc3], &[0, 2, 3]),
    ];
    for (after, starts) in after {
        let code = [&CODE[..7], after].concat();
        let original = &code[5..5 + JUMP_LEN];
        patched_in(&code, |machine, space, trampoline| {
            let making = machine.watched();
            let jump = making.last().unwrap();
            assert_eq!(making[0], original);
            let mut met = traps(&making, original, starts, jump);
            assert_eq!(met, starts, "who comes amid a jump traps");
            for &start in &met {
                let rip = SITE + start as u64;
                let Redirect::To(to) = space.redirect(rip, Some(INT3)) else { panic!("nothing is said of {rip:x}") };
                let mut frame = TrapFrame { rip: to, ..TrapFrame::default() };
                space.original_ip(&mut frame);
                assert_eq!(frame.rip, rip, "it goes on at the same instruction");
                assert!(start > 0 || to == trampoline);
            }
            machine.watch(SITE, JUMP_LEN);
            space.mprotect(AT, PAGE_SIZE, Prot::READ | Prot::WRITE | Prot::EXEC, false, &ANYONE).unwrap();
            let undoing = machine.watched();
            assert_eq!((&undoing[0], &undoing.last().unwrap()[..]), (jump, original));
            met.extend(traps(&undoing, original, starts, jump));
            for start in met {
                // It trapped before, and is asked after only when the site has its own bytes.
                let now = Some(original[start]);
                let rip = SITE + start as u64;
                assert!(matches!(space.redirect(rip, now), Redirect::To(to) if to == rip), "{rip:x} is lost");
            }
        });
    }
}
