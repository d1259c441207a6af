//! Core files: the ELF format that debuggers read (core(5); `fs/binfmt_elf.c`,
//! `include/linux/elfcore.h`).
//!
//! A header, one `PT_NOTE` and a `PT_LOAD` for each mapping; the notes; then, from a page boundary
//! on, the contents of the mappings one after the other, as far as they are in the file. The notes
//! of the thread that was killed come first.

use alloc::vec::Vec;
use zerocopy::IntoBytes;

use crate::types::Siginfo;

/// Bytes in a page, to which contents are aligned.
pub const PAGE_SIZE: u64 = crate::PAGE_SIZE as u64;
/// `PF_X`, `PF_W`, `PF_R` of [`Segment::flags`].
pub const PF_X: u32 = 1;
/// See [`PF_X`].
pub const PF_W: u32 = 2;
/// See [`PF_X`].
pub const PF_R: u32 = 4;

const USER_CS: u64 = 0x33;
const USER_DS: u64 = 0x2b;
const NT_PRSTATUS: u32 = 1;
const NT_FPREGSET: u32 = 2;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_SIGINFO: u32 = 0x5349_4749;
const NT_FILE: u32 = 0x4649_4c45;
const NT_X86_XSTATE: u32 = 0x202;
/// Bytes of the legacy FXSAVE area, `struct user_fpregs_struct`.
const FPREGS_SIZE: usize = 512;
/// Where readers of the XSAVE note look for XCR0 (`USER_XSTATE_XCR0_WORD`).
const XCR0_OFFSET: usize = 464;

abi_structs! {
    /// `struct timeval`.
    Time [16] { seconds: i64, microseconds: i64, }
    /// `struct user_regs_struct`.
    UserRegs [216] {
        r15: u64, r14: u64, r13: u64, r12: u64, rbp: u64, rbx: u64, r11: u64, r10: u64, r9: u64, r8: u64, rax: u64, rcx: u64,
        rdx: u64, rsi: u64, rdi: u64, orig_rax: u64, rip: u64, cs: u64, rflags: u64, rsp: u64, ss: u64, fs_base: u64,
        gs_base: u64, ds: u64, es: u64, fs: u64, gs: u64,
    }
    /// `struct elf_prstatus`: one thread.
    Prstatus [336] {
        si_signo: i32, si_code: i32, si_errno: i32, pr_cursig: i16, pad1: u16, pr_sigpend: u64, pr_sighold: u64,
        pr_pid: i32, pr_ppid: i32, pr_pgrp: i32, pr_sid: i32, pr_utime: Time, pr_stime: Time, pr_cutime: Time, pr_cstime: Time,
        pr_reg: UserRegs, pr_fpvalid: i32, pad2: u32,
    }
    /// `struct elf_prpsinfo`: the process.
    Prpsinfo [136] {
        pr_state: u8, pr_sname: u8, pr_zomb: u8, pr_nice: i8, pad: u32, pr_flag: u64, pr_uid: u32, pr_gid: u32, pr_pid: i32,
        pr_ppid: i32, pr_pgrp: i32, pr_sid: i32, pr_fname: [u8; 16], pr_psargs: [u8; 80],
    }
    /// `Elf64_Ehdr`.
    FileHeader [64] {
        ident: [u8; 16], kind: u16, machine: u16, version: u32, entry: u64, phoff: u64, shoff: u64, flags: u32, ehsize: u16,
        phentsize: u16, phnum: u16, shentsize: u16, shnum: u16, shstrndx: u16,
    }
    /// `Elf64_Phdr`.
    ProgramHeader [56] {
        kind: u32, flags: u32, offset: u64, vaddr: u64, paddr: u64, filesz: u64, memsz: u64, align: u64,
    }
}

impl Time {
    /// From nanoseconds.
    pub fn from_ns(ns: u64) -> Self {
        Self { seconds: (ns / 1_000_000_000) as i64, microseconds: (ns % 1_000_000_000 / 1000) as i64 }
    }
}

impl UserRegs {
    /// The segment registers of every program.
    pub fn with_segments(self) -> Self {
        Self { cs: USER_CS, ss: USER_DS, ..self }
    }
}

/// A mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first byte.
    pub start: u64,
    /// First byte behind it.
    pub end: u64,
    /// How many of its bytes, from the first on, are in the file: whole pages.
    pub dumped: u64,
    /// `PF_*`.
    pub flags: u32,
}

/// A file's mapping, for `NT_FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMapping {
    /// Its first byte.
    pub start: u64,
    /// First byte behind it.
    pub end: u64,
    /// Offset of `start` in the file.
    pub offset: u64,
    /// The file.
    pub path: Vec<u8>,
}

/// The notes of a core file.
#[derive(Debug, Default)]
pub struct Notes(Vec<u8>);

impl Notes {
    fn put(&mut self, owner: &[u8], kind: u32, description: &[u8]) {
        let size = |len: usize| (len as u32).to_le_bytes();
        self.0.extend(size(owner.len()));
        self.0.extend(size(description.len()));
        self.0.extend(kind.to_le_bytes());
        for part in [owner, description] {
            self.0.extend(part);
            self.0.resize(self.0.len().next_multiple_of(4), 0);
        }
    }

    /// A thread. The first one is followed by [`Notes::process`], all by [`Notes::floating_point`].
    pub fn thread(&mut self, status: &Prstatus) {
        self.put(b"CORE\0", NT_PRSTATUS, status.as_bytes());
    }

    /// What concerns the process as a whole. `info` is the signal that ended it.
    pub fn process(&mut self, about: &Prpsinfo, info: &Siginfo, auxv: &[(u64, u64)], files: &[FileMapping]) {
        self.put(b"CORE\0", NT_PRPSINFO, about.as_bytes());
        self.put(b"CORE\0", NT_SIGINFO, info.as_bytes());
        let auxv: Vec<u8> =
            auxv.iter().flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()]).flatten().collect();
        self.put(b"CORE\0", NT_AUXV, &auxv);
        if !files.is_empty() {
            let mut table: Vec<u8> = [files.len() as u64, PAGE_SIZE].iter().flat_map(|word| word.to_le_bytes()).collect();
            for file in files {
                table.extend([file.start, file.end, file.offset / PAGE_SIZE].iter().flat_map(|word| word.to_le_bytes()));
            }
            for file in files {
                table.extend(&file.path);
                table.push(0);
            }
            self.put(b"CORE\0", NT_FILE, &table);
        }
    }

    /// The FPU and vector registers of the thread before: the XSAVE area in the standard format, or
    /// the 512 bytes of FXSAVE (`xcr0` is not looked at then).
    pub fn floating_point(&mut self, area: &[u8], xcr0: u64) {
        let legacy = area.get(..FPREGS_SIZE).unwrap_or(area);
        self.put(b"CORE\0", NT_FPREGSET, legacy);
        if area.len() > FPREGS_SIZE {
            let mut area = area.to_vec();
            if let Some(field) = area.get_mut(XCR0_OFFSET..XCR0_OFFSET + 8) {
                field.copy_from_slice(&xcr0.to_le_bytes());
            }
            self.put(b"LINUX\0", NT_X86_XSTATE, &area);
        }
    }
}

/// The file up to the contents of the first segment, and how long the whole file will be.
pub fn head(notes: &Notes, segments: &[Segment]) -> (Vec<u8>, u64) {
    const EHDR: u64 = size_of::<FileHeader>() as u64;
    const PHDR: u64 = size_of::<ProgramHeader>() as u64;
    let count = segments.len() as u64 + 1;
    let notes_at = EHDR + count * PHDR;
    let data_at = (notes_at + notes.0.len() as u64).next_multiple_of(PAGE_SIZE);
    let mut ident = [0; 16];
    // 64 bits, little endian, version 1.
    ident[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let header = FileHeader {
        ident,
        // ET_CORE, EM_X86_64.
        kind: 4,
        machine: 62,
        version: 1,
        phoff: EHDR,
        ehsize: EHDR as u16,
        phentsize: PHDR as u16,
        phnum: count as u16,
        ..FileHeader::default()
    };
    let mut bytes = header.as_bytes().to_vec();
    let note =
        ProgramHeader { kind: 4, offset: notes_at, filesz: notes.0.len() as u64, align: 4, ..ProgramHeader::default() };
    bytes.extend(note.as_bytes());
    let mut offset = data_at;
    for segment in segments {
        let load = ProgramHeader {
            kind: 1,
            flags: segment.flags,
            offset,
            vaddr: segment.start,
            filesz: segment.dumped,
            memsz: segment.end - segment.start,
            align: PAGE_SIZE,
            ..ProgramHeader::default()
        };
        bytes.extend(load.as_bytes());
        offset += segment.dumped;
    }
    bytes.extend(&notes.0);
    bytes.resize(data_at as usize, 0);
    (bytes, offset)
}

/// The name of a core file by `/proc/sys/kernel/core_pattern` (core(5)).
#[derive(Clone, Debug, Default)]
pub struct Name<'a> {
    /// Process id.
    pub pid: i32,
    /// Id of the thread that was killed.
    pub tid: i32,
    /// Its `comm`.
    pub comm: &'a [u8],
    /// Path of the program.
    pub exe: &'a [u8],
    /// Signal.
    pub signal: u32,
    /// Real ids.
    pub ids: (u32, u32),
    /// Seconds since 1970.
    pub time: u64,
    /// Soft limit of the file's size.
    pub limit: u64,
    /// `PR_GET_DUMPABLE`.
    pub dumpable: u32,
    /// Host name.
    pub host: &'a [u8],
}

impl Name<'_> {
    /// Fills in the `%` specifiers of `pattern`. With `uses_pid`, a pattern without `%p` gets
    /// `.PID` at its end.
    pub fn expand(&self, pattern: &[u8], uses_pid: bool) -> Vec<u8> {
        let mut name = Vec::new();
        let mut has_pid = false;
        let mut rest = pattern.iter();
        let number = |name: &mut Vec<u8>, value: u64| name.extend(alloc::format!("{value}").bytes());
        while let Some(&byte) = rest.next() {
            if byte != b'%' {
                name.push(byte);
                continue;
            }
            let Some(&specifier) = rest.next() else { break };
            match specifier {
                b'%' => name.push(b'%'),
                b'p' | b'P' => {
                    has_pid |= specifier == b'p';
                    number(&mut name, self.pid as u64);
                }
                b'i' | b'I' => number(&mut name, self.tid as u64),
                b'u' => number(&mut name, self.ids.0.into()),
                b'g' => number(&mut name, self.ids.1.into()),
                b'd' => number(&mut name, self.dumpable.into()),
                b's' => number(&mut name, self.signal.into()),
                b't' => number(&mut name, self.time),
                b'c' => number(&mut name, self.limit),
                b'h' => without_slashes(&mut name, self.host),
                b'e' => without_slashes(&mut name, self.comm),
                b'f' => without_slashes(&mut name, self.exe.rsplit(|byte| *byte == b'/').next().unwrap_or_default()),
                b'E' => without_slashes(&mut name, self.exe),
                // Unknown ones are dropped.
                _ => {}
            }
        }
        if uses_pid && !has_pid {
            name.push(b'.');
            number(&mut name, self.pid as u64);
        }
        name
    }
}

/// As Linux, which lets no name lead elsewhere.
fn without_slashes(to: &mut Vec<u8>, text: &[u8]) {
    match text {
        b"." | b".." => to.push(b'!'),
        _ => to.extend(text.iter().map(|byte| if *byte == b'/' { b'!' } else { *byte })),
    }
}
