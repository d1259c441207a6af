//! Core files as others read them.

use goblin::elf::Elf;
use syscall_shim::core_file::*;
use syscall_shim::types::Siginfo;
use syscall_shim::{Signal, core_file};

#[test]
fn a_core_file_has_its_notes_and_segments() {
    let mut notes = Notes::default();
    let status = |tid| Prstatus {
        pr_pid: tid,
        pr_cursig: 11,
        pr_reg: UserRegs { rip: 0x401000, ..Default::default() },
        ..Default::default()
    };
    let info = Siginfo::fault(Signal::SIGSEGV, 1, 0x10);
    let file = FileMapping { start: 0x400000, end: 0x402000, offset: 0x1000, path: b"/bin/x".to_vec() };
    notes.thread(&status(7));
    notes.process(&Prpsinfo::default(), &info, &[(6, 4096), (0, 0)], &[file]);
    notes.floating_point(&[1; 576], 7);
    notes.thread(&status(8));
    notes.floating_point(&[2; 512], 7);
    let segments = [
        Segment { start: 0x400000, end: 0x402000, dumped: 0x1000, flags: PF_R | PF_X },
        Segment { start: 0x7000_0000, end: 0x7000_3000, dumped: 0x3000, flags: PF_R | PF_W },
    ];
    let (mut bytes, size) = core_file::head(&notes, &segments);
    assert_eq!(bytes.len() as u64 + 0x4000, size);
    bytes.resize(size as usize, 0);
    let elf = Elf::parse(&bytes).unwrap();
    assert_eq!((elf.header.e_type, elf.header.e_machine), (4, 62));
    let loads: Vec<_> = elf.program_headers.iter().filter(|header| header.p_type == 1).collect();
    assert_eq!(loads.len(), 2);
    assert_eq!((loads[0].p_vaddr, loads[0].p_filesz, loads[0].p_memsz, loads[0].p_flags), (0x400000, 0x1000, 0x2000, 5));
    assert_eq!(loads[1].p_offset, loads[0].p_offset + 0x1000);
    let found: Vec<_> = elf.iter_note_headers(&bytes).unwrap().map(|note| note.unwrap()).collect();
    let kinds: Vec<u32> = found.iter().map(|note| note.n_type).collect();
    assert_eq!(kinds, [1, 3, 0x5349_4749, 6, 0x4649_4c45, 2, 0x202, 1, 2]);
    assert_eq!(found[0].desc.len(), 336);
    assert_eq!(&found[0].desc[32..36], &7u32.to_le_bytes());
    assert_eq!(&found[0].desc[112 + 16 * 8..][..8], &0x401000u64.to_le_bytes());
    assert_eq!(&found[6].desc[464..472], &7u64.to_le_bytes());
    assert!(found[4].desc.ends_with(b"/bin/x\0"));
}

#[test]
fn names_follow_the_pattern() {
    let name = Name { pid: 12, tid: 13, comm: b"a/b", exe: b"/bin/cat", signal: 11, host: b"h", ..Name::default() };
    assert_eq!(name.expand(b"core", false), b"core");
    assert_eq!(name.expand(b"core", true), b"core.12");
    assert_eq!(name.expand(b"/tmp/%e.%p.%s%%-%f-%i-%h%", true), b"/tmp/a!b.12.11%-cat-13-h");
    assert_eq!(name.expand(b"%E%z", false), b"!bin!cat");
}
