//! The image file: the kernel's ELF with the archive as one more segment, so that the one file
//! boots by itself.
//!
//! The kernel has a 32-byte record, [`MAGIC`] followed by the archive's physical address and
//! length, that is filled in here. Sections are dropped: what the kernel needs of its own symbols
//! travels in the archive.

use crate::cpio;
use crate::error::{At, Error, Result};
use crate::manifest::{self, Manifest};
use fs::cpio::Reader;
use fs::cpio::seal::{self, Sum};
use goblin::elf::program_header::{PF_R, PF_W, PT_LOAD, PT_NOTE};
use goblin::elf::sym::STT_FUNC;
use goblin::elf::{Elf, ProgramHeader};
use goblin::elf64::program_header::SIZEOF_PHDR;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Opens the kernel's payload record; five little-endian u64 follow it: physical address and length
/// of the archive, the sum of the file before the archive (with zeros in its own place), the sum of
/// what the kernel checks of itself, and the length of its constants. The last byte is the version
/// of all this.
pub const MAGIC: &[u8; 16] = b"SKIFFPAYLOAD\0\0\0\x02";
const RECORD_LEN: usize = 56;
/// Offsets in the record.
const HEAD_SUM: usize = 32;
const KERNEL_SUM: usize = 40;
const RODATA_LEN: usize = 48;
const SECTION: &str = ".skiff.payload";
/// The kernel runs at its physical address plus this.
const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
/// ELF-64 object file format: offsets in the file header.
const E_PHOFF: usize = 32;
const E_SHOFF: usize = 40;
const E_PHNUM: usize = 56;
const E_SHENTSIZE: usize = 58;
/// Bytes that are summed up at a time: what a cache holds.
const PIECE: usize = 256 << 10;
const WRITE_BUFFER: usize = 1 << 20;

/// A kernel that images are made from.
#[derive(Debug)]
pub struct Kernel {
    path: PathBuf,
    /// File content up to the last segment's end, with no section headers.
    stripped: Vec<u8>,
    phdrs: Vec<ProgramHeader>,
    /// Where the payload record is in `stripped`.
    record: usize,
    /// `hexaddress name` lines.
    symbols: Vec<u8>,
}

impl Kernel {
    /// Reads and checks a kernel.
    pub fn open(path: &Path) -> Result<Self> {
        let bad = |reason: String| Error::Kernel { path: path.into(), reason };
        let bytes = match std::fs::read(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(bad("no kernel there: build it with `cargo kbuild`, or give one with --kernel".into()));
            }
            other => other.at(path)?,
        };
        let elf = Elf::parse(&bytes).map_err(|e| bad(format!("not a kernel: {e}")))?;
        let end = elf.program_headers.iter().map(|p| p.p_offset.saturating_add(p.p_filesz)).max().unwrap_or(0);
        let mut stripped =
            bytes.get(..end as usize).ok_or_else(|| bad("cut off: build it again with `cargo kbuild`".into()))?.to_vec();
        let record = record_at(&elf, &stripped)
            .ok_or_else(|| bad("has no payload record: it is no Skiff kernel, or one of another version".into()))?;
        if stripped[record + MAGIC.len()..record + RECORD_LEN].iter().any(|b| *b != 0) {
            return Err(bad("is an image already: give the bare kernel".into()));
        }
        stripped[E_SHOFF..E_SHOFF + 8].fill(0);
        stripped[E_SHENTSIZE..E_SHENTSIZE + 6].fill(0);
        Ok(Self { path: path.into(), symbols: symbols(&elf), phdrs: elf.program_headers.clone(), stripped, record })
    }

    /// The symbols for the kernel's backtraces, as the archive carries them.
    pub fn symbols(&self) -> &[u8] {
        &self.symbols
    }

    /// Size in bytes of the kernel without sections.
    pub fn stripped_size(&self) -> u64 {
        self.stripped.len() as u64
    }

    /// Writes the bare kernel.
    pub fn write(&self, out: &Path) -> Result<()> {
        std::fs::write(out, &self.stripped).at(out)
    }

    /// Writes kernel and archive into one file; `archive` writes the archive and returns its
    /// length.
    pub fn write_image(&self, out: &Path, archive: impl FnOnce(&mut dyn Write) -> Result<u64>) -> Result<()> {
        let table_at = (self.stripped.len() as u64).next_multiple_of(8);
        let table_len = (self.phdrs.len() + 1) * SIZEOF_PHDR;
        let payload_at = (table_at + table_len as u64).next_multiple_of(cpio::PAGE);
        let loads = self.phdrs.iter().filter(|p| p.p_type == PT_LOAD);
        let paddr = loads.map(|p| p.p_paddr + p.p_memsz).max().unwrap_or(0).next_multiple_of(cpio::PAGE);

        let file = File::create(out).at(out)?;
        let mut sink = BufWriter::with_capacity(WRITE_BUFFER, file);
        sink.seek(SeekFrom::Start(payload_at)).at(out)?;
        let len = archive(&mut sink)?;
        let file = sink.into_inner().map_err(|e| e.into_error()).at(out)?;

        let mut head = self.stripped.clone();
        let (kernel_sum, rodata_len) = self.kernel_sum(paddr, len);
        head[self.record + KERNEL_SUM..][..8].copy_from_slice(&kernel_sum.to_le_bytes());
        head[self.record + RODATA_LEN..][..8].copy_from_slice(&rodata_len.to_le_bytes());
        head[self.record + MAGIC.len()..][..8].copy_from_slice(&paddr.to_le_bytes());
        head[self.record + MAGIC.len() + 8..][..8].copy_from_slice(&len.to_le_bytes());
        head[E_PHOFF..][..8].copy_from_slice(&table_at.to_le_bytes());
        head[E_PHNUM..][..2].copy_from_slice(&(self.phdrs.len() as u16 + 1).to_le_bytes());
        head.resize(table_at as usize, 0);
        let payload = ProgramHeader {
            p_type: PT_LOAD,
            p_flags: PF_R,
            p_offset: payload_at,
            p_vaddr: paddr.wrapping_add(KERNEL_BASE),
            p_paddr: paddr,
            p_filesz: len,
            p_memsz: len,
            p_align: cpio::PAGE,
        };
        // Loaders that want segments in ascending order get them so: the payload comes after every
        // other PT_LOAD.
        let last_load = self.phdrs.iter().rposition(|p| p.p_type == PT_LOAD).map_or(0, |i| i + 1);
        let mut phdrs = self.phdrs.clone();
        phdrs.insert(last_load, payload);
        for p in &phdrs {
            for word in [p.p_type, p.p_flags] {
                head.extend_from_slice(&word.to_le_bytes());
            }
            for word in [p.p_offset, p.p_vaddr, p.p_paddr, p.p_filesz, p.p_memsz, p.p_align] {
                head.extend_from_slice(&word.to_le_bytes());
            }
        }
        head.resize(payload_at as usize, 0);
        let mut sum = Sum::new();
        sum.add(&head);
        head[self.record + HEAD_SUM..][..8].copy_from_slice(&sum.value().to_le_bytes());
        file.write_all_at(&head, 0).at(out)
    }

    /// What the kernel finds when it adds up code and constants as they are loaded, and where its
    /// payload is; and the length of the constants.
    fn kernel_sum(&self, payload: u64, len: u64) -> (u64, u64) {
        let mut sum = Sum::new();
        let mut last = 0;
        for p in self.phdrs.iter().filter(|p| p.p_type == PT_LOAD && p.p_flags & PF_W == 0) {
            let end = p.p_offset.saturating_add(p.p_filesz) as usize;
            sum.add(self.stripped.get(p.p_offset as usize..end).unwrap_or_default());
            last = p.p_filesz;
        }
        sum.add(&payload.to_le_bytes());
        sum.add(&len.to_le_bytes());
        (sum.value(), last)
    }

    /// The file that was read.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn record_at(elf: &Elf, bytes: &[u8]) -> Option<usize> {
    let section = elf.section_headers.iter().find(|s| elf.shdr_strtab.get_at(s.sh_name) == Some(SECTION));
    let at = match section {
        Some(s) => s.sh_offset as usize,
        None => bytes.windows(MAGIC.len()).position(|w| w == MAGIC)?,
    };
    let record = bytes.get(at..at.checked_add(RECORD_LEN)?)?;
    record.starts_with(MAGIC).then_some(at)
}

fn symbols(elf: &Elf) -> Vec<u8> {
    let functions = elf.syms.iter().filter(|s| s.st_type() == STT_FUNC && s.st_value >= KERNEL_BASE);
    let mut list: Vec<(u64, String)> = functions
        .filter_map(|s| Some((s.st_value, format!("{:#}", rustc_demangle::demangle(elf.strtab.get_at(s.st_name)?)))))
        .collect();
    list.sort();
    list.dedup_by_key(|(address, _)| *address);
    list.iter().flat_map(|(address, name)| format!("{address:x} {name}\n").into_bytes()).collect()
}

/// A finished image.
#[derive(Debug)]
pub struct Image {
    /// Its file.
    pub path: PathBuf,
    /// Highest physical address that its segments fill.
    pub memory_end: u64,
    /// What it starts.
    pub manifest: Manifest,
    /// Offset and length of the archive in the file.
    pub payload: (u64, u64),
}

/// Whether a file looks like an image or a kernel: an ELF file with the note that PVH boot needs.
pub fn is_image(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let mut head = vec![0; 1 << 16];
    let Ok(n) = file.read_at(&mut head, 0) else {
        return false;
    };
    head.truncate(n);
    // The program headers of an image lie behind the kernel: the record is what tells it apart.
    if !head.starts_with(b"\x7fELF") {
        return false;
    }
    let Ok(header) = Elf::parse_header(&head) else {
        return false;
    };
    let ctx = goblin::container::Ctx::new(goblin::container::Container::Big, goblin::container::Endian::Little);
    let mut table = vec![0; header.e_phnum as usize * SIZEOF_PHDR];
    if header.e_phentsize as usize != SIZEOF_PHDR || file.read_exact_at(&mut table, header.e_phoff).is_err() {
        // Cut off images have lost the table too: the note is near the front.
        return head.windows(4).any(|w| w == b"Xen\0");
    }
    let phdrs = ProgramHeader::parse(&table, 0, header.e_phnum as usize, ctx).unwrap_or_default();
    phdrs.iter().any(|p| p.p_type == PT_NOTE) && phdrs.iter().any(|p| p.p_type == PT_LOAD && p.p_vaddr >= KERNEL_BASE)
}

/// Reads all of an image; which part is not as it was written, if one is not. A bare kernel has no
/// sums.
fn check_sums(file: &File, (payload_at, payload_len): (u64, u64)) -> std::io::Result<std::result::Result<(), &'static str>> {
    let mut head = vec![0; payload_at as usize];
    file.read_exact_at(&mut head, 0)?;
    let Some(record) = head.windows(MAGIC.len()).position(|w| w == MAGIC).filter(|at| at + RECORD_LEN <= head.len()) else {
        return Ok(Err("its kernel, or it is of another version of Skiff"));
    };
    let mut said = [0; 8];
    said.copy_from_slice(&head[record + HEAD_SUM..][..8]);
    head[record + HEAD_SUM..][..8].fill(0);
    let mut sum = Sum::new();
    sum.add(&head);
    if sum.value().to_le_bytes() != said {
        return Ok(Err("its kernel"));
    }
    let Some(len) = payload_len.checked_sub(seal::LEN as u64) else { return Ok(Err("its files")) };
    let mut sum = Sum::new();
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < len {
        let n = (len - at).min(PIECE as u64) as usize;
        file.read_exact_at(&mut piece[..n], payload_at + at)?;
        sum.add(&piece[..n]);
        at += n as u64;
    }
    let mut last = [0; seal::LEN];
    file.read_exact_at(&mut last, payload_at + len)?;
    Ok(if seal::read(&last) == Some((len, sum.value())) { Ok(()) } else { Err("its files") })
}

impl Image {
    /// Opens an image and checks that all of it is there.
    pub fn open(path: &Path) -> Result<Self> {
        let bad =
            |reason: &str| Error::BadImage { path: path.into(), reason: format!("{reason}: build it again with mkimage") };
        let file = File::open(path).at(path)?;
        let size = file.metadata().at(path)?.len();
        let mut head = vec![0; size.min(4096) as usize];
        file.read_exact_at(&mut head, 0).at(path)?;
        let header = Elf::parse_header(&head).map_err(|_| bad("not an image"))?;
        let mut table = vec![0; header.e_phnum as usize * SIZEOF_PHDR];
        file.read_exact_at(&mut table, header.e_phoff)
            .map_err(|_| bad("truncated image (its program headers are missing)"))?;
        let ctx = goblin::container::Ctx::new(goblin::container::Container::Big, goblin::container::Endian::Little);
        let phdrs = ProgramHeader::parse(&table, 0, header.e_phnum as usize, ctx).map_err(|_| bad("damaged image"))?;
        let mut payload = (0, 0);
        // mkimage puts it behind all other segments, and the table of these before it; a bare
        // kernel's table is at its start.
        let last = phdrs.iter().filter(|p| p.p_type == PT_LOAD).map(|p| p.p_offset).max().unwrap_or(0);
        let bare = header.e_phoff < 4096;
        for p in &phdrs {
            let end = p.p_offset.checked_add(p.p_filesz).ok_or_else(|| bad("damaged image"))?;
            if end > size {
                return Err(bad(&format!("truncated image ({size} bytes of {end})")));
            }
            if p.p_type == PT_LOAD && p.p_offset == last && !bare {
                payload = (p.p_offset, p.p_filesz);
            }
        }
        let memory_end = phdrs.iter().filter(|p| p.p_type == PT_LOAD).map(|p| p.p_paddr.saturating_add(p.p_memsz)).max();
        check_sums(&file, payload)
            .at(path)?
            .map_err(|part| bad(&format!("damaged image: the checksum of {part} is wrong")))?;
        // The manifest is among the first members.
        let mut start = vec![0; payload.1.min(WRITE_BUFFER as u64) as usize];
        file.read_exact_at(&mut start, payload.0).at(path)?;
        // The seal is no member, nor is what the end of the piece cuts.
        let member = Reader::new(&start).map_while(|m| m.ok()).find(|m| m.name == manifest::MEMBER.as_bytes());
        let manifest = member.map(|m| Manifest::parse(m.data)).transpose().map_err(|e| bad(&e.to_string()))?;
        Ok(Self { path: path.into(), memory_end: memory_end.unwrap_or(0), manifest: manifest.unwrap_or_default(), payload })
    }
}
