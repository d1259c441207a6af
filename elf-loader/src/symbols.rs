//! Names for addresses: the function of an ELF file that holds an offset of the file, for
//! backtraces. A file that is not as it should be has no names; that is no error.

use crate::ReadAt;
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes of symbols and names that are read at a time, and the most that is looked at of each
/// table.
const CHUNK: usize = 16 * 1024;
const MAX_TABLE: u64 = 64 << 20;
/// Longest name; C++ and Rust mangle to long ones.
const MAX_NAME: usize = 1024;
const MAX_SECTIONS: u16 = 4096;
const SECTION_SIZE: usize = 64;
const PROGRAM_HEADER_SIZE: usize = 56;
const SYMBOL_SIZE: usize = 24;
const SHT_SYMTAB: u32 = 2;
const SHT_DYNSYM: u32 = 11;
const PT_LOAD: u32 = 1;
const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;

/// A function and how far into it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbol {
    /// As the file has it, mangled.
    pub name: String,
    /// Bytes from its start.
    pub offset: u64,
}

#[derive(Clone, Copy)]
struct Section {
    kind: u32,
    offset: u64,
    size: u64,
    link: u32,
}

/// Reads exactly `N` bytes.
fn bytes<const N: usize, R: ReadAt + ?Sized>(file: &R, offset: u64) -> Option<[u8; N]> {
    let mut out = [0; N];
    (file.read_at(offset, &mut out).ok()? == N).then_some(out)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
}
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_le_bytes(*b))
}

/// The function at `file_offset`. `.symtab` is preferred, `.dynsym` serves where a file is
/// stripped.
pub fn lookup<R: ReadAt + ?Sized>(file: &R, file_offset: u64) -> Option<Symbol> {
    let header: [u8; 64] = bytes(file, 0)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let address = address_of(file, &header, file_offset)?;
    let sections = sections(file, &header)?;
    [SHT_SYMTAB, SHT_DYNSYM].into_iter().find_map(|kind| {
        let table = sections.iter().find(|s| s.kind == kind)?;
        let strings = sections.get(table.link as usize)?;
        let (name, start) = find(file, table, address)?;
        Some(Symbol { name: name_at(file, strings, name)?, offset: address - start })
    })
}

/// The address that the loaded byte at `file_offset` gets, before the base is added.
fn address_of<R: ReadAt + ?Sized>(file: &R, header: &[u8; 64], file_offset: u64) -> Option<u64> {
    let (at, count) = (u64_at(header, 32)?, u16_at(header, 56)?);
    (0..u64::from(count)).find_map(|i| {
        let ph: [u8; PROGRAM_HEADER_SIZE] = bytes(file, at.checked_add(i * PROGRAM_HEADER_SIZE as u64)?)?;
        let (offset, vaddr, size) = (u64_at(&ph, 8)?, u64_at(&ph, 16)?, u64_at(&ph, 32)?);
        let inside = file_offset.checked_sub(offset)?;
        (u32_at(&ph, 0)? == PT_LOAD && inside < size).then(|| vaddr.wrapping_add(inside))
    })
}

fn sections<R: ReadAt + ?Sized>(file: &R, header: &[u8; 64]) -> Option<Vec<Section>> {
    let (at, count) = (u64_at(header, 40)?, u16_at(header, 60)?);
    if at == 0 || count > MAX_SECTIONS {
        return None;
    }
    let mut out = Vec::new();
    for i in 0..u64::from(count) {
        let sh: [u8; SECTION_SIZE] = bytes(file, at.checked_add(i * SECTION_SIZE as u64)?)?;
        out.push(Section {
            kind: u32_at(&sh, 4)?,
            offset: u64_at(&sh, 24)?,
            size: u64_at(&sh, 32)?,
            link: u32_at(&sh, 40)?,
        });
    }
    Some(out)
}

/// Place of the name and start of the function that holds `address`; one without a size reaches to
/// the next.
fn find<R: ReadAt + ?Sized>(file: &R, table: &Section, address: u64) -> Option<(u32, u64)> {
    let mut best: Option<(u32, u64)> = None;
    let mut chunk = alloc::vec![0; CHUNK / SYMBOL_SIZE * SYMBOL_SIZE];
    let size = table.size.min(MAX_TABLE);
    let mut done = 0;
    while done < size {
        let want = chunk.len().min((size - done) as usize);
        let got = file.read_at(table.offset.checked_add(done)?, chunk.get_mut(..want)?).ok()?;
        for symbol in chunk.get(..got)?.chunks_exact(SYMBOL_SIZE) {
            let (kind, section) = (symbol[4] & 15, u16_at(symbol, 6)?);
            let (start, len) = (u64_at(symbol, 8)?, u64_at(symbol, 16)?);
            if !matches!(kind, STT_FUNC | STT_GNU_IFUNC) || section == 0 || start > address {
                continue;
            }
            if address - start < len {
                return Some((u32_at(symbol, 0)?, start));
            }
            if len == 0 && best.is_none_or(|(_, found)| start > found) {
                best = Some((u32_at(symbol, 0)?, start));
            }
        }
        if got < want {
            break;
        }
        done += got as u64;
    }
    best
}

fn name_at<R: ReadAt + ?Sized>(file: &R, strings: &Section, at: u32) -> Option<String> {
    let left = strings.size.checked_sub(u64::from(at))?;
    let mut name = alloc::vec![0; MAX_NAME.min(left as usize)];
    let got = file.read_at(strings.offset.checked_add(u64::from(at))?, &mut name).ok()?;
    let end = name.get(..got)?.iter().position(|b| *b == 0)?;
    Some(String::from_utf8_lossy(name.get(..end)?).into_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    /// This test's own binary: it has a symbol table, and knows where its functions are.
    #[test]
    fn finds_a_function_of_the_running_program() {
        let file = std::fs::read("/proc/self/exe").unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let address = lookup::<[u8]> as *const () as u64;
        let line = maps
            .lines()
            .find(|line| {
                let range = line.split(' ').next().unwrap();
                let (start, end) = range.split_once('-').unwrap();
                let parse = |text| u64::from_str_radix(text, 16).unwrap();
                (parse(start)..parse(end)).contains(&address)
            })
            .unwrap();
        let mut fields = line.split_whitespace();
        let start = u64::from_str_radix(fields.next().unwrap().split('-').next().unwrap(), 16).unwrap();
        let offset = u64::from_str_radix(fields.nth(1).unwrap(), 16).unwrap();
        let symbol = lookup(&file[..], address - start + offset + 1).unwrap();
        assert!(symbol.name.contains("lookup"), "{symbol:?}");
        assert_eq!(symbol.offset, 1);
    }

    #[test]
    fn bad_files_have_no_names() {
        assert_eq!(lookup(&b"\x7fELF\x02\x01"[..], 0), None);
        let file = std::fs::read("/proc/self/exe").unwrap();
        for len in [64, 200, 4096, file.len() / 2] {
            assert_eq!(lookup(&file[..len], 0x1000), None);
        }
        let mut wild = file[..4096].to_vec();
        wild[40..48].fill(0xff);
        wild[32..40].fill(0xff);
        assert_eq!(lookup(&wild[..], 0x100), None);
    }
}
