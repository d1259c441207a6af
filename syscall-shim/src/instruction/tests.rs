//! Compared with another decoder: every opcode with every ModRM, what stands in the vector maps,
//! and the code of real programs.

extern crate std;

use super::{Base, Flow, Instruction, Map, Segment};
use alloc::{format, string::String, vec, vec::Vec};
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Mnemonic, OpKind, Register};
use std::eprintln;

const AT: u64 = 0x7f12_3456_7000;

/// Instructions that another decoder knows and we call none, since no processor that is still made
/// has them (3DNow!, SSE4A's with immediates) or since they are VIA's own.
fn is_left_out(code: Code) -> bool {
    let name = format!("{code:?}");
    matches!(code, Code::Femms | Code::Extrq_xmm_imm8_imm8 | Code::Insertq_xmm_xmm_imm8_imm8)
        || ["D3NOW_", "Via_", "Xsha", "Xstore", "Xcrypt", "Ccs_", "Montmul"].iter().any(|start| name.starts_with(start))
}

fn theirs(code: &[u8]) -> Option<(iced_x86::Instruction, usize)> {
    let mut decoder = Decoder::with_ip(64, code, AT, DecoderOptions::NONE);
    let instruction = decoder.decode();
    let field = decoder.get_constant_offsets(&instruction).displacement_offset();
    (!instruction.is_invalid()).then_some((instruction, field))
}

/// Panics where the two decoders do not agree on `code`.
fn compare(code: &[u8]) {
    match (Instruction::decode(code), theirs(code)) {
        (None, None) => {}
        (Some(ours), None) => assert_eq!(ours.map, Map::Vector, "{code:02x?} is no instruction but {ours:?}"),
        (None, Some((theirs, _))) => assert!(is_left_out(theirs.code()), "{code:02x?} is {:?}", theirs.code()),
        (Some(ours), Some((theirs, field))) => {
            let what = || format!("{code:02x?}: {:?}, {ours:?}", theirs.code());
            assert_eq!(ours.len(), theirs.len(), "{}", what());
            let flow = if is_system(&ours) && ours.flow() == Flow::Other { Flow::Other } else { flow_of(&theirs) };
            assert_eq!(flow, ours.flow(), "{}", what());
            if matches!(ours.flow(), Flow::Jump | Flow::Branch(_)) {
                let target = ours.target(theirs.next_ip());
                assert!(target.is_none_or(|target| target == theirs.near_branch64()), "{}", what());
                assert_eq!(target.is_none(), ours.prefixes.operand && !ours.prefixes.wide(), "{}", what());
            }
            assert_eq!(matches!(theirs.mnemonic(), Mnemonic::Nop | Mnemonic::Int3), ours.is_padding(), "{}", what());
            compare_operands(&ours, &theirs, field, &what);
            let compares = is_string_comparison(theirs.mnemonic()) && (theirs.has_rep_prefix() || theirs.has_repne_prefix());
            assert_eq!(compares, ours.compares_repeatedly(), "{}", what());
        }
    }
}

/// What stands behind 0F 01 without a memory operand: hardly any of it may move.
fn is_system(ours: &Instruction) -> bool {
    (ours.map, ours.opcode) == (Map::Two, 0x01) && ours.operand().is_none()
}

fn is_string_comparison(mnemonic: Mnemonic) -> bool {
    use Mnemonic::*;
    matches!(mnemonic, Cmpsb | Cmpsw | Cmpsd | Cmpsq | Scasb | Scasw | Scasd | Scasq)
}

fn flow_of(theirs: &iced_x86::Instruction) -> Flow {
    match theirs.flow_control() {
        FlowControl::Next if theirs.mnemonic() == Mnemonic::Hlt => Flow::Halt,
        FlowControl::Next => Flow::Next,
        FlowControl::Return => Flow::Return,
        FlowControl::UnconditionalBranch => Flow::Jump,
        FlowControl::ConditionalBranch if theirs.is_jcc_short_or_near() => Flow::Branch(theirs.condition_code() as u8 - 1),
        FlowControl::IndirectBranch => Flow::IndirectJump,
        FlowControl::Call => Flow::Call,
        FlowControl::IndirectCall => Flow::IndirectCall,
        FlowControl::Interrupt if theirs.mnemonic() == Mnemonic::Int3 => Flow::Breakpoint,
        FlowControl::Exception if theirs.code() == Code::Ud2 => Flow::Undefined,
        _ => Flow::Other,
    }
}

fn compare_operands(ours: &Instruction, theirs: &iced_x86::Instruction, field: usize, what: &dyn Fn() -> String) {
    let is_vector = ours.map == Map::Vector;
    let ours = *ours.operand();
    let is_relative = ours.is_some_and(|operand| operand.base == Base::Rip);
    assert_eq!(is_relative, theirs.is_ip_rel_memory_operand(), "{}", what());
    let Some(ours) = ours else { return };
    if is_relative {
        assert_eq!((ours.field, ours.short), (field, theirs.memory_base() == Register::EIP), "{}", what());
        let target = theirs.next_ip().wrapping_add_signed(ours.displacement.into());
        let target = if ours.short { target & 0xffff_ffff } else { target };
        assert_eq!(target, theirs.ip_rel_memory_address(), "{}", what());
    }
    // The rest counts for branches.
    if is_vector || !theirs.op_kinds().any(|kind| kind == OpKind::Memory) || theirs.is_ip_rel_memory_operand() {
        return;
    }
    let number = |register: Register| (register != Register::None).then(|| register.number() as u8);
    let base = number(theirs.memory_base()).map_or(Base::None, Base::Register);
    let index = number(theirs.memory_index()).map(|number| (number, theirs.memory_index_scale() as u8));
    assert_eq!((ours.base, ours.index), (base, index), "{}", what());
    assert_eq!(i64::from(ours.displacement) as u32, theirs.memory_displacement64() as u32, "{}", what());
    let segment = match theirs.memory_segment() {
        Register::FS => Segment::Fs,
        Register::GS => Segment::Gs,
        _ => Segment::Flat,
    };
    assert_eq!(ours.segment, segment, "{}", what());
    let registers = [theirs.memory_base(), theirs.memory_index()];
    if registers.iter().any(|register| *register != Register::None) {
        assert_eq!(ours.short, registers.iter().any(|register| register.is_gpr32()), "{}", what());
    }
}

/// Bytes that are the same at each run.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, code: &mut Vec<u8>) {
        code.resize_with(code.len().max(20), || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 as u8
        });
    }
}

#[test]
fn every_opcode_is_what_another_decoder_says() {
    let mut noise = Noise(88172645463325252);
    let prefixes: [&[u8]; 13] = [
        &[],
        &[0x66],
        &[0xf3],
        &[0xf2],
        &[0x48],
        &[0x66, 0x48],
        &[0xf2, 0x4f],
        &[0xf0],
        &[0x67],
        &[0x64, 0x41],
        &[0x44],
        &[0x3e, 0xf2, 0x65],
        &[0x66, 0xf3, 0x47, 0x2e],
    ];
    for prefix in prefixes {
        for escape in [&[][..], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]] {
            // Of the longest opcodes ModRM's values in turn.
            let step = if escape.len() > 1 { 7 } else { 1 };
            for (opcode, modrm) in
                (0..=255).flat_map(|opcode| (opcode % step..=255).step_by(step.into()).map(move |modrm| (opcode, modrm)))
            {
                let mut code = [prefix, escape, &[opcode, modrm]].concat();
                noise.fill(&mut code);
                compare(&code);
            }
        }
    }
}

#[test]
fn vector_instructions_have_their_lengths() {
    let mut noise = Noise(0x1234_5678_9abc_def1);
    let maps = [(0xc5, 0), (0xc4, 1), (0xc4, 2), (0xc4, 3), (0x62, 1), (0x62, 2), (0x62, 3), (0x62, 5), (0x62, 6)];
    let mut known = 0;
    for (first, map) in maps.into_iter().chain([(0x8f, 8), (0x8f, 9), (0x8f, 10)]) {
        for _ in 0..20_000 {
            let mut code = vec![first];
            noise.fill(&mut code);
            match first {
                0xc5 => {}
                0x62 => (code[1], code[2]) = (code[1] & 0xf0 | map, code[2] | 4),
                _ => code[1] = code[1] & 0xe0 | map,
            }
            known += usize::from(theirs(&code).is_some());
            compare(&code);
        }
    }
    assert!(known > 5_000, "{known} instructions");
}

#[test]
fn no_instruction_is_longer_than_15_bytes_or_cut() {
    for prefixes in 0..20 {
        let mut code = vec![0x2e; prefixes];
        code.extend([0x48, 0x81, 0x84, 0x24, 1, 2, 3, 4, 5, 6, 7, 8]);
        compare(&code);
        assert_eq!(Instruction::decode(&code).is_some(), prefixes <= 3);
        (0..code.len()).for_each(|len| assert_eq!(Instruction::decode(&code[..len]), None));
    }
    assert_eq!(Instruction::decode(&[]), None);
}

/// Each place of some code, and each instruction of the rest.
fn compare_code_of(path: &str) -> usize {
    const EACH_PLACE: usize = 50_000;
    const MOST: usize = 500_000;
    let Ok(file) = std::fs::read(path) else {
        eprintln!("skipped: no {path}");
        return 0;
    };
    let elf = goblin::elf::Elf::parse(&file).unwrap();
    let text = elf.program_headers.iter().find(|header| header.is_executable() && header.p_filesz > 0).unwrap();
    let text = &file[text.file_range()];
    (0..text.len().min(EACH_PLACE)).for_each(|at| compare(&text[at..text.len().min(at + 20)]));
    let (mut at, mut count) = (0, 0);
    while at < text.len().min(MOST) {
        let code = &text[at..text.len().min(at + 20)];
        compare(code);
        at += Instruction::decode(code).map_or(1, |instruction| instruction.len());
        count += 1;
    }
    count
}

#[test]
fn the_code_of_real_programs_is_read_alike() {
    let this = std::env::current_exe().unwrap();
    assert!(compare_code_of(this.to_str().unwrap()) > 10_000);
    for path in [
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib64/ld-linux-x86-64.so.2",
        "/lib/x86_64-linux-gnu/libm.so.6",
        "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
        "/usr/bin/python3",
    ] {
        compare_code_of(path);
    }
}
