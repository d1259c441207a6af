//! Names of functions, and what it takes to unwind them, from the files that the guest has mapped.

use framehop::ExplicitModuleSectionInfo;
use goblin::elf::Elf;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is known of an ELF file.
#[derive(Default)]
pub struct Module {
    /// Functions by address: where they end (the next one's begin where that is not told), and
    /// their names.
    functions: BTreeMap<u64, (u64, String)>,
    /// Program headers: address in the file's own terms, offset, length.
    loads: Vec<(u64, u64, u64)>,
    /// Sections for the unwinder: contents and address.
    text: Option<Range<u64>>,
    eh_frame: Option<(Arc<[u8]>, Range<u64>)>,
    eh_frame_hdr: Option<(Arc<[u8]>, Range<u64>)>,
}

const PT_LOAD: u32 = 1;
const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;

impl Module {
    /// Reads a file, and the separate file with its symbols, if one is installed. What cannot be
    /// read is empty.
    pub fn read(path: &Path) -> Self {
        let mut module = Self::default();
        let Ok(bytes) = std::fs::read(path) else { return module };
        module.add(&bytes, true);
        if let Some(debug) = debug_file(&bytes).and_then(|path| std::fs::read(path).ok()) {
            module.add(&debug, false);
        }
        module
    }

    fn add(&mut self, bytes: &[u8], whole: bool) {
        let Ok(elf) = Elf::parse(bytes) else { return };
        let names = |symbols: &goblin::elf::Symtab, strings: &goblin::strtab::Strtab| -> Vec<(u64, u64, String)> {
            symbols
                .iter()
                .filter(|s| s.st_value != 0 && matches!(s.st_type(), STT_FUNC | STT_GNU_IFUNC))
                .filter_map(|s| Some((s.st_value, s.st_size, strings.get_at(s.st_name)?.to_owned())))
                .collect()
        };
        for (start, size, name) in names(&elf.dynsyms, &elf.dynstrtab).into_iter().chain(names(&elf.syms, &elf.strtab)) {
            let name = format!("{:#}", rustc_demangle::demangle(&name));
            self.functions.insert(start, (start + size, name));
        }
        if !whole {
            return;
        }
        let loads = elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD);
        self.loads = loads.map(|header| (header.p_vaddr, header.p_offset, header.p_filesz)).collect();
        for section in &elf.section_headers {
            let range = section.sh_addr..section.sh_addr + section.sh_size;
            let contents = || -> Option<Arc<[u8]>> { Some(bytes.get(section.file_range()?)?.into()) };
            match elf.shdr_strtab.get_at(section.sh_name) {
                Some(".text") => self.text = Some(range),
                Some(".eh_frame") => self.eh_frame = contents().map(|bytes| (bytes, range)),
                Some(".eh_frame_hdr") => self.eh_frame_hdr = contents().map(|bytes| (bytes, range)),
                _ => {}
            }
        }
    }

    /// Functions by their addresses, as the kernel's image lists them.
    pub fn of_kernel(listing: &str) -> Self {
        let parse = |line: &str| {
            let (address, name) = line.split_once(' ')?;
            let address = u64::from_str_radix(address, 16).ok()?;
            Some((address, (address, format!("{:#}", rustc_demangle::demangle(name)))))
        };
        Self { functions: listing.lines().filter_map(parse).collect(), ..Self::default() }
    }

    /// What to add to the file's own addresses, where `offset` in the file is mapped at `start`.
    pub fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        let load = self.loads.iter().find(|(_, at, len)| (at & !0xfff..at + len).contains(&offset));
        load.map(|(address, at, _)| start.wrapping_sub(address.wrapping_sub(*at).wrapping_add(offset)))
    }

    /// The function at an address of the file's own.
    pub fn function(&self, address: u64) -> Option<&str> {
        let (start, (end, name)) = self.functions.range(..=address).next_back()?;
        (end == start || address < *end).then_some(name)
    }

    /// For the unwinder.
    pub fn sections(&self) -> ExplicitModuleSectionInfo<Arc<[u8]>> {
        let (eh_frame, eh_frame_svma) = self.eh_frame.clone().unzip();
        let (eh_frame_hdr, eh_frame_hdr_svma) = self.eh_frame_hdr.clone().unzip();
        ExplicitModuleSectionInfo {
            base_svma: 0,
            text_svma: self.text.clone(),
            eh_frame,
            eh_frame_svma,
            eh_frame_hdr,
            eh_frame_hdr_svma,
            ..Default::default()
        }
    }
}

/// Where Debian's -dbgsym packages put the symbols of a file: by its build id.
fn debug_file(bytes: &[u8]) -> Option<PathBuf> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let elf = Elf::parse(bytes).ok()?;
    let note = elf.iter_note_headers(bytes)?.flatten().find(|note| note.n_type == NT_GNU_BUILD_ID && note.name == "GNU")?;
    let id: String = note.desc.iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, rest) = id.split_at_checked(2)?;
    Some(format!("/usr/lib/debug/.build-id/{first}/{rest}.debug").into())
}

#[cfg(test)]
impl Module {
    /// The first function in the text section.
    pub fn some_function(&self) -> (u64, String) {
        let text = self.text.clone().unwrap();
        let (address, (_, name)) = self.functions.range(text).next().unwrap();
        (*address, name.clone())
    }

    /// The file's offset of the page where the text section's segment begins.
    pub fn text_offset(&self) -> u64 {
        let text = self.text.clone().unwrap().start;
        let load = self.loads.iter().find(|(address, _, len)| (*address..address + len).contains(&text)).unwrap();
        load.1 & !0xfff
    }
}
