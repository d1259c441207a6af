//! From an ELF file to a list of mappings (`load_elf_binary` of Linux is the oracle; ELF-64 object
//! file format 1.5).

use crate::{ElfError, PAGE_SIZE, ReadAt, USER_TOP};
use alloc::vec::Vec;
use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{self, header64};
use goblin::elf::program_header::{self as ph, ProgramHeader};

/// Most bytes of program headers that Linux reads (`load_elf_phdrs`).
const MAX_PHDRS_SIZE: usize = 65536;
/// Longest interpreter path with its NUL (`PATH_MAX`).
const PATH_MAX: u64 = 4096;
const PHENTSIZE: usize = 56;

pub use syscall_shim::flags::Prot;

/// One mapping of a plan, in whole pages. Addresses of a position-independent file are relative to
/// its base.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// First address.
    pub vaddr: u64,
    /// Length in bytes, a multiple of the page size.
    pub len: u64,
    /// Offset in the file (a multiple of the page size) of a private file mapping; `None` for
    /// anonymous zeroes.
    pub offset: Option<u64>,
    /// Page protection. Writable and executable together is allowed: some programs ask for it.
    pub prot: Prot,
    /// The last bytes of a file mapping that belong to `.bss` and are zeroed once mapped: address
    /// and length, within the last page.
    pub zero: Option<(u64, u64)>,
}

/// Who chooses a file's base address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BaseChoice {
    /// `ET_EXEC`: the addresses are final.
    Fixed,
    /// `ET_DYN` with an interpreter: near two thirds of the address space
    /// ([`crate::layout::Layout::pie_base`]), a multiple of this alignment.
    Pie {
        /// A power of two, at least a page.
        align: u64,
    },
    /// `ET_DYN` without one (`ld.so`, a static PIE): wherever `mmap` puts it, a multiple of this
    /// alignment.
    Mmap {
        /// A power of two, at least a page.
        align: u64,
    },
}

/// What to do to load one ELF file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadPlan {
    /// In the file's order. Where two overlap, the later takes the place of the earlier.
    pub mappings: Vec<Mapping>,
    /// Who chooses the base.
    pub base: BaseChoice,
    /// Page of the first segment, which the base is for. Segments that the file has later may lie
    /// below.
    pub start: u64,
    /// First page above the mappings; for the program itself the heap begins here (`brk(2)`).
    pub end: u64,
    /// Bytes from the lowest mapping to the highest: what a position-independent file reserves.
    pub span: u64,
    /// Entry point.
    pub entry: u64,
    /// Where the program headers will be in memory (`AT_PHDR`); 0 when no segment holds them.
    pub phdr: u64,
    /// How many they are (`AT_PHNUM`).
    pub phnum: u64,
    /// Size of each (`AT_PHENT`).
    pub phent: u64,
    /// `PT_INTERP`, up to its first NUL; empty where that is its first byte.
    pub interp: Option<Vec<u8>>,
    /// `PT_GNU_STACK` asks for an executable stack, as does its absence (Linux on x86-64 ignores
    /// the absence, and so does this).
    pub exec_stack: bool,
    /// Code and data ranges for /proc/self/stat: start and end of code, start and end of data.
    pub code: (u64, u64),
    /// See `code`.
    pub data: (u64, u64),
}

/// Reads until `buffer` is full or the file ends; answers how many bytes there were.
pub(crate) fn fill<R: ReadAt + ?Sized>(file: &R, offset: u64, buffer: &mut [u8]) -> Result<usize, ElfError> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|r| !r.is_empty()) {
        let at = offset.checked_add(done as u64).ok_or(ElfError::OffsetOverflow)?;
        match file.read_at(at, rest).map_err(ElfError::Read)? {
            0 => break,
            n => done += n.min(rest.len()),
        }
    }
    Ok(done)
}

const fn page_down(a: u64) -> u64 {
    a & !(PAGE_SIZE - 1)
}

/// Only for addresses below `USER_TOP` or file sizes: cannot overflow there, saturates elsewhere.
const fn page_up(a: u64) -> u64 {
    page_down(a.saturating_add(PAGE_SIZE - 1))
}

fn parse_header<R: ReadAt + ?Sized>(file: &R) -> Result<header64::Header, ElfError> {
    let mut bytes = [0; header64::SIZEOF_EHDR];
    let n = fill(file, 0, &mut bytes)?;
    if n < 4 || !bytes.starts_with(header::ELFMAG) {
        return Err(ElfError::NotElf);
    }
    if n < bytes.len() {
        return Err(ElfError::TruncatedHeader);
    }
    let [_, _, _, _, class, data, version, ..] = bytes;
    if class != header::ELFCLASS64 {
        return Err(ElfError::WrongClass);
    }
    if data != header::ELFDATA2LSB {
        return Err(ElfError::WrongEndianness);
    }
    if version != header::EV_CURRENT {
        return Err(ElfError::WrongVersion);
    }
    let head = header64::Header::parse(&bytes).map_err(|_| ElfError::TruncatedHeader)?;
    if head.e_machine != header::EM_X86_64 {
        return Err(ElfError::WrongMachine);
    }
    if head.e_type != header::ET_EXEC && head.e_type != header::ET_DYN {
        return Err(ElfError::WrongType);
    }
    Ok(head)
}

fn parse_program_headers<R: ReadAt + ?Sized>(file: &R, head: &header64::Header) -> Result<Vec<ProgramHeader>, ElfError> {
    if usize::from(head.e_phentsize) != PHENTSIZE {
        return Err(if head.e_phnum == 0 { ElfError::NoProgramHeaders } else { ElfError::BadProgramHeaderSize });
    }
    let size = usize::from(head.e_phnum) * PHENTSIZE;
    match size {
        0 => return Err(ElfError::NoProgramHeaders),
        s if s > MAX_PHDRS_SIZE => return Err(ElfError::TooManyProgramHeaders),
        _ => {}
    }
    let mut bytes = alloc::vec![0; size];
    if fill(file, head.e_phoff, &mut bytes)? < size {
        return Err(ElfError::TruncatedProgramHeaders);
    }
    ProgramHeader::parse(&bytes, 0, usize::from(head.e_phnum), Ctx::new(Container::Big, Endian::Little))
        .map_err(|_| ElfError::TruncatedProgramHeaders)
}

fn parse_interp<R: ReadAt + ?Sized>(file: &R, header: &ProgramHeader) -> Result<Vec<u8>, ElfError> {
    if !(2..=PATH_MAX).contains(&header.p_filesz) {
        return Err(ElfError::BadInterpreter);
    }
    let mut path = alloc::vec![0; header.p_filesz as usize];
    if fill(file, header.p_offset, &mut path)? < path.len() || path.pop() != Some(0) {
        return Err(ElfError::BadInterpreter);
    }
    // Linux hands the bytes to open as a C string: what follows an inner NUL does not count.
    let end = path.iter().position(|b| *b == 0).unwrap_or(path.len());
    path.truncate(end);
    Ok(path)
}

fn protection(flags: u32) -> Prot {
    let mut prot = Prot::empty();
    prot.set(Prot::PROT_READ, flags & ph::PF_R != 0);
    prot.set(Prot::PROT_WRITE, flags & ph::PF_W != 0);
    prot.set(Prot::PROT_EXEC, flags & ph::PF_X != 0);
    prot
}

/// Checks one `PT_LOAD` by itself. Where the file ends before the segment does, the pages behind it
/// are `SIGBUS` once touched.
fn check_segment(p: &ProgramHeader) -> Result<(), ElfError> {
    if p.p_filesz > p.p_memsz {
        return Err(ElfError::FileSizeAboveMemorySize);
    }
    if p.p_memsz > USER_TOP || p.p_vaddr > USER_TOP - p.p_memsz {
        return Err(ElfError::AddressTooHigh);
    }
    if p.p_filesz == 0 {
        return Ok(());
    }
    if p.p_vaddr % PAGE_SIZE != p.p_offset % PAGE_SIZE {
        return Err(ElfError::Misaligned);
    }
    let end = p.p_offset.checked_add(p.p_filesz).filter(|end| *end <= (i64::MAX as u64) & !(PAGE_SIZE - 1));
    end.map(drop).ok_or(ElfError::OffsetOverflow)
}

/// The mappings of one segment: the file's pages, then anonymous ones for the rest of `.bss`.
fn push_segment(p: &ProgramHeader, mappings: &mut Vec<Mapping>) {
    let prot = protection(p.p_flags);
    let memory_end = p.p_vaddr + p.p_memsz;
    let mut anonymous_from = page_down(p.p_vaddr);
    if p.p_filesz > 0 {
        let file_end = p.p_vaddr + p.p_filesz;
        let first = page_down(p.p_vaddr);
        anonymous_from = page_up(file_end);
        // Where the segment is read-only Linux cannot clear the tail either, and the file's bytes
        // stay visible.
        mappings.push(Mapping {
            vaddr: first,
            len: anonymous_from - first,
            offset: Some(page_down(p.p_offset)),
            prot,
            zero: (p.p_memsz > p.p_filesz && p.is_write() && anonymous_from > file_end)
                .then_some((file_end, anonymous_from - file_end)),
        });
    }
    let anonymous_end = page_up(memory_end);
    if anonymous_end > anonymous_from {
        // `vm_brk_flags`: always readable and writable, executable if the segment is.
        let prot = Prot::PROT_READ | Prot::PROT_WRITE | (prot & Prot::PROT_EXEC);
        mappings.push(Mapping {
            vaddr: anonymous_from,
            len: anonymous_end - anonymous_from,
            offset: None,
            prot,
            zero: None,
        });
    }
}

/// Adjacent segments may meet inside one page; the later one owns it, as its mapping replaces it.
/// To map it for the earlier one would be wasted.
fn resolve_shared_pages(mappings: &mut Vec<Mapping>) {
    for i in 1..mappings.len() {
        let (Some(earlier), Some(later)) = (mappings.get(i - 1).copied(), mappings.get(i).copied()) else { continue };
        let end = earlier.vaddr + earlier.len;
        let meets = (earlier.vaddr..end).contains(&later.vaddr) && end <= later.vaddr + later.len;
        let Some(m) = mappings.get_mut(i - 1).filter(|_| meets) else { continue };
        m.len = later.vaddr - m.vaddr;
        m.zero = None;
    }
    mappings.retain(|m| m.len > 0);
}

/// The largest power of two among the segments' alignments, at least a page (`maximum_alignment`).
fn alignment(loads: &[&ProgramHeader]) -> u64 {
    loads.iter().map(|p| p.p_align).filter(|a| a.is_power_of_two()).fold(PAGE_SIZE, u64::max).min(1 << 46)
}

impl LoadPlan {
    /// Reads the headers of `file` and plans its mapping.
    pub fn parse<R: ReadAt + ?Sized>(file: &R) -> Result<Self, ElfError> {
        let head = parse_header(file)?;
        let headers = parse_program_headers(file, &head)?;
        let fixed = head.e_type == header::ET_EXEC;

        let interp = headers.iter().find(|p| p.p_type == ph::PT_INTERP).map(|p| parse_interp(file, p)).transpose()?;
        let exec_stack = headers.iter().any(|p| p.p_type == ph::PT_GNU_STACK && p.is_executable());

        let loads: Vec<&ProgramHeader> = headers.iter().filter(|p| p.p_type == ph::PT_LOAD && p.p_memsz > 0).collect();
        let Some(first) = loads.first() else { return Err(ElfError::NoLoadSegments) };
        loads.iter().try_for_each(|p| check_segment(p))?;
        let lowest = loads.iter().map(|p| page_down(p.p_vaddr)).min().unwrap_or(0);
        let end = loads.iter().map(|p| page_up(p.p_vaddr + p.p_memsz)).max().unwrap_or(0);
        if head.e_entry >= USER_TOP {
            return Err(ElfError::EntryTooHigh);
        }

        let mut mappings = Vec::with_capacity(loads.len() * 2);
        loads.iter().for_each(|p| push_segment(p, &mut mappings));
        resolve_shared_pages(&mut mappings);

        let align = alignment(&loads);
        let range = |wanted: fn(&ProgramHeader) -> bool, end: fn(&ProgramHeader) -> u64| {
            let of_kind = || loads.iter().filter(|p| wanted(p));
            (of_kind().map(|p| p.p_vaddr).min().unwrap_or(0), of_kind().map(|p| end(p)).max().unwrap_or(0))
        };
        Ok(Self {
            mappings,
            base: match (fixed, &interp) {
                (true, _) => BaseChoice::Fixed,
                (false, Some(_)) => BaseChoice::Pie { align },
                (false, None) => BaseChoice::Mmap { align },
            },
            start: page_down(first.p_vaddr),
            end,
            span: end - lowest,
            entry: head.e_entry,
            phdr: phdr_address(&loads, head.e_phoff),
            phnum: headers.len() as u64,
            phent: PHENTSIZE as u64,
            interp,
            exec_stack,
            code: range(ProgramHeader::is_executable, |p| p.p_vaddr + p.p_filesz),
            data: range(|p| !p.is_executable(), |p| p.p_vaddr + p.p_filesz),
        })
    }

    /// What to add to the plan's addresses when its first page goes to `address` (0 for a fixed
    /// file).
    pub fn bias(&self, address: u64) -> u64 {
        match self.base {
            BaseChoice::Fixed => 0,
            // Addresses wrap: a file may be linked above where it is loaded.
            _ => address.wrapping_sub(self.start),
        }
    }
}

/// `AT_PHDR`: where the segment that holds the headers puts them.
fn phdr_address(loads: &[&ProgramHeader], e_phoff: u64) -> u64 {
    loads
        .iter()
        .find(|p| p.p_offset <= e_phoff && e_phoff - p.p_offset < p.p_filesz)
        .map_or(0, |p| p.p_vaddr + (e_phoff - p.p_offset))
}
