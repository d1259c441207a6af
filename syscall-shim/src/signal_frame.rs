//! The frame that a signal handler finds on its stack: `struct rt_sigframe` of
//! `arch/x86/include/asm/sigframe.h`, to the byte, because programs read and change it
//! (`ucontext_t`), and unwinders know it.
//!
//! From low to high addresses: return address (`sa_restorer`), `ucontext_t`, `siginfo_t`, a gap for
//! alignment, the XSAVE area with Linux's software bytes. The kernel calls [`place`], writes
//! [`build`]'s bytes at the frame's address, the XSAVE area (after [`seal_xstate`]) at its own, and
//! starts the handler with `rsp` at the frame, `rdi` the signal, `rsi` and `rdx` at [`INFO_OFFSET`]
//! and [`UCONTEXT_OFFSET`], `rax` 0. rt_sigreturn(2) goes the other way: [`parse`] and
//! [`check_xstate`], with `rsp` eight bytes above the frame.

use crate::types::{Siginfo, StackT};
use zerocopy::{FromBytes, IntoBytes};

abi_structs! {
    /// The registers, in the order of `struct sigcontext`.
    Registers [144] {
        r8: u64, r9: u64, r10: u64, r11: u64, r12: u64, r13: u64, r14: u64, r15: u64, rdi: u64, rsi: u64, rbp: u64, rbx: u64,
        rdx: u64, rax: u64, rcx: u64, rsp: u64, rip: u64, rflags: u64,
    }
    /// `struct sigcontext`. The segment selectors are those of a Linux process whatever the kernel
    /// runs on.
    Sigcontext [256] {
        regs: Registers, cs: u16, gs: u16, fs: u16, ss: u16, err: u64, trapno: u64, oldmask: u64, cr2: u64, fpstate: u64,
        reserved1: [u64; 8],
    }
    /// `struct ucontext`.
    Ucontext [304] { uc_flags: u64, uc_link: u64, uc_stack: StackT, uc_mcontext: Sigcontext, uc_sigmask: u64, }
    /// `struct rt_sigframe`.
    RtSigframe [440] { pretcode: u64, uc: Ucontext, info: Siginfo, }
    /// `struct _fpx_sw_bytes`: the last 48 bytes of the legacy FXSAVE area, which the CPU leaves to
    /// software.
    FpxSwBytes [48] { magic1: u32, extended_size: u32, xfeatures: u64, xstate_size: u32, padding: [u32; 7], }
}

/// Bytes of the frame without the XSAVE area.
pub const FRAME_SIZE: usize = 440;
/// Where `ucontext_t` lies in the frame: the handler's third argument.
pub const UCONTEXT_OFFSET: u64 = 8;
/// Where `siginfo_t` lies in the frame: the handler's second argument.
pub const INFO_OFFSET: u64 = 312;
/// Bytes below the stack pointer that leaf functions use (System V ABI, 3.2.2).
const RED_ZONE: u64 = 128;
/// Where the CPU leaves room for software in the legacy area.
const SW_BYTES_OFFSET: usize = 464;
/// Legacy area and XSAVE header: the least that has an `xfeatures` word.
const XSAVE_MIN: usize = 512 + 64;

/// `fpstate` points to an XSAVE area with software bytes.
pub const UC_FP_XSTATE: u64 = 1;
/// `ss` is saved.
pub const UC_SIGCONTEXT_SS: u64 = 2;
/// `ss` is restored whatever it is.
pub const UC_STRICT_RESTORE_SS: u64 = 4;
/// Marks the software bytes.
pub const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
/// Follows the XSAVE area.
pub const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
const MAGIC2_SIZE: usize = 4;

const USER_CS: u16 = 0x33;
const USER_DS: u16 = 0x2b;
/// Flags that rt_sigreturn(2) takes from the frame (`FIX_EFLAGS`): AC, OF, DF, TF, SF, ZF, AF, PF,
/// CF, RF.
pub const FIX_EFLAGS: u64 = 1 << 18 | 1 << 11 | 1 << 10 | 1 << 8 | 1 << 7 | 1 << 6 | 1 << 4 | 1 << 2 | 1 | 1 << 16;
/// Flags cleared when a handler starts: DF, RF, TF.
pub const HANDLER_CLEARS: u64 = 1 << 10 | 1 << 16 | 1 << 8;

/// Where the parts of a frame go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placement {
    /// Address of the frame, and the handler's `rsp`: 8 below a multiple of 16.
    pub frame: u64,
    /// Address of the XSAVE area, a multiple of 64.
    pub fpstate: u64,
}

/// Places a frame below `top`: the interrupted `rsp`, or the alternate stack's end
/// (`on_altstack_entry`, which has no red zone to spare). `xsave_size` is the size of the
/// standard-format area; `None` when the frame would leave the address space.
pub fn place(top: u64, on_altstack_entry: bool, xsave_size: usize) -> Option<Placement> {
    let top = if on_altstack_entry { top } else { top.checked_sub(RED_ZONE)? };
    let fpstate = top.checked_sub((xsave_size + MAGIC2_SIZE) as u64)? & !63;
    let frame = (fpstate.checked_sub(FRAME_SIZE as u64)? & !15).checked_sub(8)?;
    Some(Placement { frame, fpstate })
}

/// What `AT_MINSIGSTKSZ` tells programs: the room a frame needs at worst. Linux adds this much to
/// the XSAVE area for its largest frame and all alignment (`get_sigframe_size`: 1776 for AVX, 3376
/// for AVX-512).
pub const fn min_sigstksz(xsave_size: usize) -> usize {
    const FRAME_AND_PADDING: usize = 940;
    xsave_size + MAGIC2_SIZE + FRAME_AND_PADDING
}

/// What the interrupted thread looked like.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Its registers.
    pub regs: Registers,
    /// Error code of the exception that raised the signal, else 0.
    pub err: u64,
    /// Vector of that exception, else 0.
    pub trapno: u64,
    /// Address of that page fault, else 0.
    pub cr2: u64,
    /// The signal mask that sigreturn restores.
    pub mask: u64,
    /// The alternate stack in force.
    pub stack: StackT,
}

/// The bytes that go to `placement.frame`.
pub fn build(placement: Placement, restorer: u64, context: &Context, info: &Siginfo) -> [u8; FRAME_SIZE] {
    let frame = RtSigframe {
        pretcode: restorer,
        uc: Ucontext {
            uc_flags: UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
            uc_link: 0,
            uc_stack: context.stack,
            uc_mcontext: Sigcontext {
                regs: context.regs,
                cs: USER_CS,
                ss: USER_DS,
                err: context.err,
                trapno: context.trapno,
                oldmask: context.mask,
                cr2: context.cr2,
                fpstate: placement.fpstate,
                ..Sigcontext::default()
            },
            uc_sigmask: context.mask,
        },
        info: *info,
    };
    let mut bytes = [0; FRAME_SIZE];
    bytes.copy_from_slice(frame.as_bytes());
    bytes
}

/// Reads a frame back, as the program left it.
pub fn parse(bytes: &[u8; FRAME_SIZE]) -> RtSigframe {
    // The size is right by the types, and every byte pattern is a frame.
    RtSigframe::read_from_bytes(bytes).unwrap_or_default()
}

/// Fills in the software bytes of an XSAVE image. `image` holds the area and four bytes more, for
/// the second magic number; `xfeatures` are the components the area has room for (XCR0).
pub fn seal_xstate(image: &mut [u8], xfeatures: u64) {
    let Some(size) = image.len().checked_sub(MAGIC2_SIZE) else { return };
    let sw = FpxSwBytes {
        magic1: FP_XSTATE_MAGIC1,
        extended_size: image.len() as u32,
        xfeatures,
        xstate_size: size as u32,
        padding: [0; 7],
    };
    if let Some(to) = image.get_mut(SW_BYTES_OFFSET..SW_BYTES_OFFSET + 48) {
        to.copy_from_slice(sw.as_bytes());
    }
    if let Some(to) = image.get_mut(size..) {
        to.copy_from_slice(&FP_XSTATE_MAGIC2.to_le_bytes());
    }
}

/// What of an XSAVE image rt_sigreturn(2) restores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restore {
    /// The first 512 bytes only: x87 and SSE. The rest returns to its initial state.
    Legacy,
    /// The components in this mask; the others return to their initial state.
    Extended(u64),
}

/// Judges the image a program hands back (`check_xstate_in_sigframe`): `image` is what could be
/// read at `fpstate`, the area and the four bytes of the second magic number. Anything odd means
/// "legacy only", as on Linux.
pub fn check_xstate(image: &[u8], user_xfeatures: u64) -> Restore {
    let Some((sw, _)) = image.get(SW_BYTES_OFFSET..).and_then(|b| FpxSwBytes::read_from_prefix(b).ok()) else {
        return Restore::Legacy;
    };
    let size = sw.xstate_size as usize;
    let room = image.len().saturating_sub(MAGIC2_SIZE);
    if sw.magic1 != FP_XSTATE_MAGIC1 || size < XSAVE_MIN || size > room || sw.xstate_size > sw.extended_size {
        return Restore::Legacy;
    }
    match image.get(size..size + MAGIC2_SIZE) {
        Some(magic2) if magic2 == FP_XSTATE_MAGIC2.to_le_bytes() => Restore::Extended(sw.xfeatures & user_xfeatures),
        _ => Restore::Legacy,
    }
}

/// Makes an XSAVE image safe for XRSTOR, which faults on reserved bits: clears components outside
/// `allowed` in `xstate_bv`, the rest of the header (standard format), and reserved bits of MXCSR.
pub fn sanitize_xstate(image: &mut [u8], allowed: u64, mxcsr_mask: u32) {
    if let Some(mxcsr) = image.get_mut(24..28) {
        let value = u32::from_le_bytes([mxcsr[0], mxcsr[1], mxcsr[2], mxcsr[3]]) & mxcsr_mask;
        mxcsr.copy_from_slice(&value.to_le_bytes());
    }
    if let Some((xstate_bv, rest)) = image.get_mut(512..576).and_then(|header| header.split_first_chunk_mut::<8>()) {
        *xstate_bv = (u64::from_le_bytes(*xstate_bv) & allowed).to_le_bytes();
        rest.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Signal, types::si_code};
    use core::mem::offset_of;

    #[test]
    fn offsets_are_those_of_the_c_structures() {
        assert_eq!(offset_of!(RtSigframe, uc) as u64, UCONTEXT_OFFSET);
        assert_eq!(offset_of!(RtSigframe, info) as u64, INFO_OFFSET);
        // <sys/ucontext.h>: uc_mcontext at 40, uc_sigmask at 296; gregs[REG_RIP] at 40 + 16 * 8.
        assert_eq!(offset_of!(Ucontext, uc_mcontext), 40);
        assert_eq!(offset_of!(Ucontext, uc_sigmask), 296);
        assert_eq!(offset_of!(Registers, rip), 128);
        assert_eq!(offset_of!(Sigcontext, cr2), 176);
        assert_eq!(offset_of!(Sigcontext, fpstate), 184);
    }

    #[test]
    fn placement_keeps_alignment_and_red_zone() {
        for top in (0x7fff_0000u64..0x7fff_0100).step_by(8) {
            let p = place(top, false, 832).unwrap();
            assert_eq!(p.frame % 16, 8);
            assert_eq!(p.fpstate % 64, 0);
            assert!(p.fpstate + 836 <= top - 128);
            assert!(p.frame + FRAME_SIZE as u64 <= p.fpstate);
            assert!(top - p.frame <= min_sigstksz(832) as u64);
        }
        assert_eq!(place(100, false, 832), None);
        // As Linux places it for AVX-512 on an alternate stack that ends at a page boundary.
        assert_eq!(place(0x1_0000, true, 2432), Some(Placement { frame: 0x1_0000 - 2952, fpstate: 0x1_0000 - 2496 }));
        assert_eq!((min_sigstksz(832), min_sigstksz(2432)), (1776, 3376));
    }

    #[test]
    fn build_then_parse() {
        let regs = Registers { rip: 0x1000, rsp: 0x2000, rax: 7, rflags: 0x246, ..Default::default() };
        let context = Context { regs, err: 6, trapno: 14, cr2: 0xdead, mask: 0x55, stack: StackT::default() };
        let info = Siginfo::fault(Signal::SIGSEGV, si_code::SEGV_ACCERR, 0xdead);
        let p = place(0x7000_0000, true, 832).unwrap();
        let frame = parse(&build(p, 0x4000, &context, &info));
        assert_eq!(frame.pretcode, 0x4000);
        assert_eq!(frame.uc.uc_mcontext.regs, regs);
        assert_eq!((frame.uc.uc_sigmask, frame.uc.uc_mcontext.fpstate), (0x55, p.fpstate));
        assert_eq!((frame.uc.uc_mcontext.cs, frame.uc.uc_mcontext.ss), (0x33, 0x2b));
        assert_eq!(frame.info, info);
    }

    #[test]
    fn xstate_round_trip_and_tampering() {
        let mut image = [0u8; 836];
        seal_xstate(&mut image, 7);
        assert_eq!(check_xstate(&image, 7), Restore::Extended(7));
        assert_eq!(check_xstate(&image, 3), Restore::Extended(3));
        assert_eq!(check_xstate(&image[..835], 7), Restore::Legacy);
        assert_eq!(check_xstate(&image[..100], 7), Restore::Legacy);
        let mut bad = image;
        bad[832] ^= 1;
        assert_eq!(check_xstate(&bad, 7), Restore::Legacy);
        image[512..528].fill(0xff);
        image[24..28].fill(0xff);
        sanitize_xstate(&mut image, 7, 0xffff);
        assert_eq!((image[512], image[513], image[520], image[26]), (7, 0, 0, 0));
    }
}
