//! What an ELF file asks of its surroundings: interpreter, libraries, and where to look for them.
//!
//! Only the headers and the dynamic section are read, so that a 100 MB program costs no more than a
//! small one.

use crate::error::{At, Error, Result};
use goblin::container::{Container, Ctx, Endian};
use goblin::elf::dynamic::{DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRSZ, DT_STRTAB};
use goblin::elf::header::*;
use goblin::elf::program_header::{PT_DYNAMIC, PT_INTERP, PT_LOAD};
use goblin::elf::{Elf, ProgramHeader};
use goblin::elf64::header::SIZEOF_EHDR;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Longest interpreter path, as PATH_MAX.
const MAX_INTERP: u64 = 4096;
/// More than any real dynamic section or its strings.
const MAX_TABLE: u64 = 64 << 20;

/// The dynamic-linking side of an ELF file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Object {
    /// `PT_INTERP`.
    pub interp: Option<String>,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<String>,
    /// `DT_RPATH`, split at colons.
    pub rpath: Vec<String>,
    /// `DT_RUNPATH`, split at colons.
    pub runpath: Vec<String>,
    /// `DT_SONAME`.
    pub soname: Option<String>,
    /// It names a function that takes the environment's locale.
    pub localised: bool,
    /// A segment ends behind the file, as where it was cut off: it starts, and its missing pages
    /// are `SIGBUS`.
    pub cut_off: bool,
}

/// What the first bytes of a file say it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// An ELF file.
    Elf,
    /// A `#!` script with this interpreter and optional argument, as execve(2) splits the line.
    Script(String, Option<String>),
    /// Something else.
    Other,
}

/// Looks at a file's first bytes.
pub fn kind(path: &Path) -> Result<Kind> {
    // execve(2): the line is read up to 255 characters.
    let mut head = [0; 256];
    let file = File::open(path).at(path)?;
    let n = file.read_at(&mut head, 0).at(path)?;
    let head = &head[..n];
    if head.starts_with(ELFMAG) {
        return Ok(Kind::Elf);
    }
    let Some(line) = head.strip_prefix(b"#!") else {
        return Ok(Kind::Other);
    };
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.trim().splitn(2, [' ', '\t']);
    match words.next() {
        Some(interpreter) if !interpreter.is_empty() => {
            Ok(Kind::Script(interpreter.into(), words.next().map(|a| a.trim().into())))
        }
        _ => Ok(Kind::Other),
    }
}

/// Reads an x86-64 ELF program or library.
pub fn read(path: &Path) -> Result<Object> {
    let file = File::open(path).at(path)?;
    let size = file.metadata().at(path)?.len();
    let bytes = |offset: u64, len: u64, what: &str| -> Result<Vec<u8>> {
        if len > MAX_TABLE || offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(Error::elf(path, format!("{what} at {offset:#x} + {len:#x} lies beyond its end (is it cut off?)")));
        }
        let mut buf = vec![0; len as usize];
        file.read_exact_at(&mut buf, offset).at(path)?;
        Ok(buf)
    };
    let head = bytes(0, size.min(SIZEOF_EHDR as u64), "header")?;
    if head.len() < SIZEOF_IDENT || !head.starts_with(ELFMAG) {
        return Err(Error::elf(path, "no ELF header"));
    }
    let wrong = |found: String| Error::WrongArchitecture { path: path.into(), found };
    // A 32-bit header is shorter than ours: its machine field is at the same place (ELF spec,
    // figure 1-3).
    let machine = head.get(18..20).map_or(0, |m| {
        let raw = [m[0], m[1]];
        if head[EI_DATA] == ELFDATA2MSB { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) }
    });
    if head[EI_CLASS] != ELFCLASS64 || head[EI_DATA] != ELFDATA2LSB || machine != EM_X86_64 {
        return Err(wrong(architecture(machine, head[EI_CLASS], head[EI_DATA])));
    }
    if head.len() < SIZEOF_EHDR {
        return Err(Error::elf(path, "cut off in its header"));
    }
    let header = Elf::parse_header(&head).map_err(|e| Error::elf(path, e))?;
    if !matches!(header.e_type, ET_EXEC | ET_DYN) {
        return Err(Error::elf(path, format!("{} is not a program or shared library", et_to_str(header.e_type))));
    }
    let ctx = Ctx::new(Container::Big, Endian::Little);
    let table = bytes(header.e_phoff, header.e_phnum as u64 * header.e_phentsize as u64, "program header table")?;
    let phdrs = ProgramHeader::parse(&table, 0, header.e_phnum as usize, ctx).map_err(|e| Error::elf(path, e))?;

    let cut_off = |ph: &ProgramHeader| ph.p_offset.checked_add(ph.p_filesz).is_none_or(|end| end > size);
    let cut_off = phdrs.iter().filter(|ph| ph.p_type == PT_LOAD).any(cut_off);
    let mut object = Object { cut_off, ..Object::default() };
    if let Some(ph) = phdrs.iter().find(|ph| ph.p_type == PT_INTERP) {
        let raw = bytes(ph.p_offset, ph.p_filesz.min(MAX_INTERP), "interpreter path")?;
        object.interp = Some(until_nul(&raw, 0));
    }
    let Some(dynamic) = phdrs.iter().find(|ph| ph.p_type == PT_DYNAMIC) else {
        return Ok(object);
    };
    let raw = bytes(dynamic.p_offset, dynamic.p_filesz, "dynamic section")?;
    let entries: Vec<(u64, u64)> =
        raw.chunks_exact(16).map(|e| (le64(&e[..8]), le64(&e[8..]))).take_while(|(tag, _)| *tag != DT_NULL).collect();
    let value = |wanted: u64| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, v)| *v);
    let (Some(strtab), Some(strsz)) = (value(DT_STRTAB), value(DT_STRSZ)) else {
        return Ok(object);
    };
    let offset = phdrs
        .iter()
        .filter(|ph| ph.p_type == PT_LOAD)
        .find(|ph| strtab >= ph.p_vaddr && strtab - ph.p_vaddr < ph.p_filesz)
        .map(|ph| strtab - ph.p_vaddr + ph.p_offset)
        .ok_or_else(|| Error::elf(path, "dynamic string table in no segment"))?;
    let strings = bytes(offset, strsz, "dynamic string table")?;
    let names = strings.split(|b| *b == 0);
    object.localised = names.into_iter().any(|name| name == b"setlocale" || name == b"newlocale");
    for (tag, value) in &entries {
        let text = || until_nul(&strings, *value as usize);
        let list = || text().split(':').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        match *tag {
            DT_NEEDED => object.needed.push(text()),
            DT_RPATH => object.rpath = list(),
            DT_RUNPATH => object.runpath = list(),
            DT_SONAME => object.soname = Some(text()),
            _ => {}
        }
    }
    Ok(object)
}

fn le64(b: &[u8]) -> u64 {
    b.iter().rev().fold(0, |acc, byte| acc << 8 | u64::from(*byte))
}

fn until_nul(bytes: &[u8], from: usize) -> String {
    let rest = bytes.get(from..).unwrap_or_default();
    String::from_utf8_lossy(rest.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}

/// A machine's name as people know it.
fn architecture(machine: u16, class: u8, data: u8) -> String {
    let name = match machine {
        EM_386 => "i386",
        EM_X86_64 => "x86-64",
        EM_AARCH64 => "aarch64 (arm64)",
        EM_ARM => "arm",
        EM_RISCV => "riscv",
        EM_PPC64 => "ppc64",
        EM_S390 => "s390",
        EM_MIPS => "mips",
        other => return format!("ELF machine {other}"),
    };
    let bits = if class == ELFCLASS32 { "32-bit" } else { "64-bit" };
    let order = if data == ELFDATA2MSB { ", big endian" } else { "" };
    format!("{name} ({bits}{order})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut f = tempfile::NamedTempFile::new().unwrap();
        f.write_all(content).unwrap();
        f
    }

    #[test]
    fn scripts_split_as_execve_does() {
        let f = file(b"#! /usr/bin/env  python3 -u\nprint()");
        assert_eq!(kind(f.path()).unwrap(), Kind::Script("/usr/bin/env".into(), Some("python3 -u".into())));
        assert_eq!(kind(file(b"#!/bin/sh").path()).unwrap(), Kind::Script("/bin/sh".into(), None));
        assert_eq!(kind(file(b"hello").path()).unwrap(), Kind::Other);
    }

    #[test]
    fn other_machines_are_named() {
        let mut elf = vec![0; 64];
        elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        elf[16..20].copy_from_slice(&[2, 0, 183, 0]);
        let e = read(file(&elf).path()).unwrap_err().to_string();
        assert!(e.contains("aarch64"), "{e}");
        elf[4] = ELFCLASS32;
        elf[18] = 3;
        let e = read(file(&elf).path()).unwrap_err().to_string();
        assert!(e.contains("i386 (32-bit)"), "{e}");
    }

    #[test]
    fn the_tests_own_binary_needs_libc() {
        let object = read(Path::new("/proc/self/exe")).unwrap();
        assert!(object.needed.iter().any(|n| n == "libc.so.6"));
        assert!(object.interp.is_some());
    }

    #[test]
    fn every_truncation_of_a_real_program_is_an_error_or_reads() {
        let whole = std::fs::read("/proc/self/exe").unwrap();
        for len in (0..4096).step_by(61) {
            let e = read(file(&whole[..len]).path());
            assert!(e.is_err(), "length {len}");
        }
    }
}
