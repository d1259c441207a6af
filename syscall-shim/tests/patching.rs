//! Windows and trampolines of call sites: shapes written by hand, and every `syscall` of the
//! programs on this machine.

use iced_x86::{Decoder, DecoderOptions, Instruction};
use std::collections::BTreeMap;
use std::process::Command;
use syscall_shim::patching::{JUMP_LEN, LOOK_AHEAD, RETURN, Refusal, TRAPS, Trampoline, Window, is_guarded, places, window};

const SITE: u64 = 0x7f00_1234_5678;
const ENTRY: i32 = -0x7fff_0000;

/// The window of a site before `code`, which padding that cannot be taken follows.
fn behind(code: &[u8]) -> Result<Window, Refusal> {
    let mut bytes = vec![0x0f, 0x05];
    bytes.extend(code);
    bytes.resize(LOOK_AHEAD, 0x06);
    window(SITE, &bytes)
}

fn decode(code: &[u8], at: u64) -> Vec<Instruction> {
    Decoder::with_ip(64, code, at, DecoderOptions::NONE).into_iter().collect()
}

fn trampoline(window: &Window) -> Trampoline {
    let at = places(window, SITE).next().unwrap();
    assert!(is_guarded(window, SITE, at));
    Trampoline::build(window, SITE, at, ENTRY).unwrap()
}

/// The moved instructions of a trampoline, and the jump back.
fn body(trampoline: &Trampoline) -> Vec<Instruction> {
    decode(&trampoline.code, trampoline.at).split_off(4)
}

#[test]
fn the_usual_shape_moves_its_comparison() {
    // cmp rax, -4095; ja +5
    let w = behind(&[0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0x77, 0x05]).unwrap();
    assert_eq!(w.len, 8);
    let s = trampoline(&w);
    let code = decode(&s.code, s.at);
    assert_eq!(code[0].ip_rel_memory_address(), s.at + RETURN);
    assert_eq!(code[1].memory_displacement64(), i64::from(ENTRY) as u64);
    assert_eq!(code[3].ip_rel_memory_address(), SITE + 2);
    assert_eq!(body(&s)[0].immediate(1) as i64, -4095);
    assert_eq!(body(&s)[1].near_branch64(), SITE + 8);
    let jump = s.jump_here().unwrap();
    assert_eq!(decode(&jump, SITE)[0].near_branch64(), s.at);
    assert!(TRAPS.contains(&jump[2]));
}

#[test]
fn addresses_stand_for_each_other() {
    // test eax, eax; js -2; the window is both
    let w = behind(&[0x85, 0xc0, 0x78, 0xfe]).unwrap();
    assert_eq!((w.len, w.covered().collect::<Vec<_>>()), (6, vec![2, 4]));
    let s = trampoline(&w);
    let code = decode(&s.code, s.at);
    let originals: Vec<u64> = code.iter().map(|i| s.original(i.ip()) - SITE).collect();
    assert_eq!(originals, [0, 0, 0, 2, 2, 4, 6]);
    assert_eq!(s.moved(SITE + 2), Some(code[4].ip()));
    assert_eq!(s.moved(SITE + 4), Some(code[5].ip()));
    assert_eq!((s.moved(SITE), s.moved(SITE + 3), s.moved(SITE + 5)), (None, None, None));
    assert_eq!(code[5].near_branch64(), SITE + 4);
    assert!(s.contains(s.at) && !s.contains(s.at + s.code.len() as u64) && !s.contains(s.at - 1));
}

#[test]
fn displacements_are_fixed() {
    // mov [rip + 0x1000], rax
    let w = behind(&[0x48, 0x89, 0x05, 0x00, 0x10, 0x00, 0x00]).unwrap();
    let s = trampoline(&w);
    assert_eq!(body(&s)[0].ip_rel_memory_address(), SITE + 9 + 0x1000);
    // cmp dword ptr [rip + 0x10], 7: the immediate stands behind the displacement.
    let w = behind(&[0x83, 0x3d, 0x10, 0x00, 0x00, 0x00, 0x07]).unwrap();
    let s = trampoline(&w);
    assert_eq!((body(&s)[0].ip_rel_memory_address(), body(&s)[0].immediate(1)), (SITE + 9 + 0x10, 7));
    // vpcmpeqb xmm0, xmm0, [rip + 0x20], and the same with an immediate behind: vpcmpistri xmm0,
    // [rip + 0x20], 0.
    for code in [&[0xc5, 0xf9, 0x74, 0x05, 0x20, 0, 0, 0][..], &[0xc4, 0xe3, 0x79, 0x63, 0x05, 0x20, 0, 0, 0, 0]] {
        let w = behind(code).unwrap();
        let s = trampoline(&w);
        assert_eq!(w.len, 2 + code.len());
        assert_eq!(body(&s)[0].ip_rel_memory_address(), SITE + w.len as u64 + 0x20);
    }
    // jmp +0x10, 5 bytes: nothing comes back.
    let w = behind(&[0xe9, 0x10, 0x00, 0x00, 0x00]).unwrap();
    let s = trampoline(&w);
    assert_eq!((body(&s).len(), body(&s)[0].near_branch64()), (1, SITE + 7 + 0x10));
}

#[test]
fn every_covered_instruction_is_guarded() {
    // pop rbx; pop rbp; ret
    let w = behind(&[0x5b, 0x5d, 0xc3]).unwrap();
    assert_eq!(w.covered().collect::<Vec<_>>(), [2, 3, 4]);
    for at in places(&w, SITE).take(1000).flat_map(|at| [at, at + 255]) {
        let jump = Trampoline::build(&w, SITE, at, ENTRY).unwrap().jump_here().unwrap();
        assert!(jump[2..].iter().all(|byte| TRAPS.contains(byte)), "{jump:x?}");
    }
    assert!(!is_guarded(&w, SITE, SITE + 0x1000));
}

#[test]
fn what_stands_behind_a_branch_stays() {
    // ret, and the next function; jmp -2, and a call
    for (code, len, kept) in [(&[0xc3, 0x55, 0x48][..], 3, 2), (&[0xeb, 0xfe, 0xe8], 4, 1)] {
        let w = behind(code).unwrap();
        assert_eq!((w.len, w.covered().collect::<Vec<_>>()), (len, vec![2]));
        for at in places(&w, SITE).take(1000).flat_map(|at| [at, at + 255]) {
            let jump = Trampoline::build(&w, SITE, at, ENTRY).unwrap().jump_here().unwrap();
            assert_eq!(jump[5 - kept..], code[3 - kept..], "{jump:x?}");
            assert!(TRAPS.contains(&jump[2]) && is_guarded(&w, SITE, at));
        }
        assert_eq!(body(&trampoline(&w)).len(), 1, "nothing comes back");
    }
    assert_eq!(window(SITE, &[0x0f, 0x05, 0xc3, 0x90]), Err(Refusal::EndOfCode));
}

#[test]
fn low_sites_find_places_above() {
    let w = behind(&[0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff]).unwrap();
    let at = places(&w, 0x40_1000).find(|at| *at < 0x7fff_ffff_0000).unwrap();
    assert!(is_guarded(&w, 0x40_1000, at) && at > 0x3000_0000);
}

#[test]
fn what_cannot_move_is_refused() {
    assert_eq!(behind(&[0xe8, 0, 0, 0, 0]), Err(Refusal::Call));
    assert_eq!(behind(&[0xff, 0xd0, 0x90]), Err(Refusal::Call));
    assert_eq!(behind(&[0xe3, 0x05, 0x90, 0x90]), Err(Refusal::Immovable), "jrcxz has no far form");
    assert_eq!(behind(&[0xcd, 0x80, 0x90]), Err(Refusal::Immovable), "int 0x80");
    assert_eq!(behind(&[0x67, 0x48, 0x8b, 0x05, 0, 0, 0, 0]), Err(Refusal::Immovable), "relative to eip");
    assert_eq!(behind(&[0x66, 0xe9, 0, 0, 0, 0]), Err(Refusal::Immovable), "of 16 bits by AMD, of 32 by Intel");
    assert_eq!(behind(&[0x66, 0x0f, 0x84, 0, 0, 0, 0]), Err(Refusal::Immovable), "the same");
    assert_eq!(behind(&[0x06]), Err(Refusal::Undecodable));
    assert_eq!(window(SITE, &[0x90; 16]), Err(Refusal::Undecodable), "no syscall");
    for len in 0..6 {
        let code = [0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff];
        assert_eq!(window(SITE, &code[..len]), Err(Refusal::Undecodable), "cut after {len}");
    }
}

/// The addresses of the `syscall` instructions of a file as binutils disassembles it.
fn sites_of(path: &str) -> Vec<u64> {
    let Ok(out) = Command::new("objdump").args(["-d", "--no-show-raw-insn", path]).output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&out.stdout);
    text.lines()
        .filter(|line| line.split_whitespace().nth(1) == Some("syscall"))
        .filter_map(|line| u64::from_str_radix(line.trim().split(':').next()?, 16).ok())
        .collect()
}

/// The bytes of a file's memory from `address` on.
fn bytes_at(file: &[u8], elf: &goblin::elf::Elf<'_>, address: u64) -> Vec<u8> {
    let p = elf.program_headers.iter().find(|p| p.p_vaddr <= address && address < p.p_vaddr + p.p_filesz).unwrap();
    let at = (address - p.p_vaddr + p.p_offset) as usize;
    file[at..file.len().min(at + LOOK_AHEAD)].to_vec()
}

#[test]
fn sites_of_real_programs_have_windows() {
    let musl = "/usr/lib/x86_64-linux-musl/libc.so";
    // A C library of each kind, the dynamic linker, Go, and programs that carry a library with
    // them.
    let paths = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2", musl, "/usr/bin/go", "/sbin/ldconfig"];
    for path in paths {
        let Ok(file) = std::fs::read(path) else {
            eprintln!("skipped: no {path}");
            continue;
        };
        let elf = goblin::elf::Elf::parse(&file).unwrap();
        let mut refused = BTreeMap::<String, Vec<u64>>::new();
        let sites = sites_of(path);
        for &at in &sites {
            let site = 0x7f00_0000_0000 + at;
            let code = bytes_at(&file, &elf, at);
            match window(site, &code) {
                Ok(w) => check(&w, site, &code),
                Err(why) => refused.entry(why.to_string()).or_default().push(at),
            }
        }
        let count: usize = refused.values().map(Vec::len).sum();
        eprintln!("{path}: {} sites, refused {refused:x?}", sites.len());
        assert!(count <= 6, "{path}: {count} of {} sites are refused", sites.len());
    }
}

/// A trampoline does what the window did: the same instructions, with the same addresses in them.
fn check(w: &Window, site: u64, code: &[u8]) {
    let at = places(w, site).next().unwrap();
    let s = Trampoline::build(w, site, at, ENTRY).unwrap();
    let before = decode(&code[2..w.len], site + 2);
    let after = decode(&s.code, at).split_off(4);
    for (b, a) in before.iter().zip(&after) {
        assert_eq!(b.mnemonic(), a.mnemonic());
        assert_eq!(b.op_count(), a.op_count());
        assert_eq!(b.is_ip_rel_memory_operand(), a.is_ip_rel_memory_operand());
        if b.is_ip_rel_memory_operand() {
            assert_eq!(b.ip_rel_memory_address(), a.ip_rel_memory_address());
        }
        assert_eq!(b.near_branch64(), a.near_branch64());
        assert_eq!(s.original(a.ip()), b.ip());
        assert_eq!(s.moved(b.ip()), Some(a.ip()));
    }
    assert!(after.len() >= before.len() && (w.len >= JUMP_LEN || after.len() == before.len()));
    if let Some(back) = after.get(before.len()) {
        assert_eq!(back.near_branch64(), site + w.len as u64);
    }
}
