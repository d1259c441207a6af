//! `skiff profile`: makes stacks of the guest's samples, and draws them.
//!
//! The guest sends where it was and a piece of the application's stack; the unwind tables of the
//! programs' own files tell the rest, so that programs without frame pointers have whole stacks
//! too.

mod symbols;

use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{MayAllocateDuringUnwind, Unwinder};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use symbols::Module;

/// Longest stack.
const DEPTH: usize = 200;
/// Bytes of a sample before the kernel's addresses.
const HEAD: usize = 60;
/// Bytes of a thread's name in it.
const COMM: std::ops::Range<usize> = 12..28;

type Tables = UnwinderX86_64<Arc<[u8]>, MayAllocateDuringUnwind>;

/// A file's code in an address space.
#[derive(Clone)]
struct Mapping {
    end: u64,
    bias: u64,
    module: Rc<Module>,
    name: Rc<str>,
}

/// What an address space has of code.
#[derive(Default, Clone)]
struct Space {
    mappings: BTreeMap<u64, Mapping>,
}

struct Sample {
    comm: String,
    space: u64,
    rip: u64,
    rsp: u64,
    rbp: u64,
    kernel: Vec<u64>,
    stack: Vec<u8>,
}

/// Collects samples.
pub struct Profile {
    kernel: Module,
    /// Where the guest's files are on the host.
    roots: Vec<PathBuf>,
    files: HashMap<Vec<u8>, Rc<Module>>,
    spaces: HashMap<u64, Space>,
    tables: HashMap<u64, (Tables, CacheX86_64<MayAllocateDuringUnwind>)>,
    /// The sample of each CPU whose stack is still coming.
    open: HashMap<u32, Sample>,
    folded: HashMap<String, usize>,
    count: usize,
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

impl Profile {
    /// Nothing yet. `kernel` lists the kernel's functions; the guest's files are looked for below
    /// `roots`.
    pub fn new(kernel: &str, roots: Vec<PathBuf>) -> Self {
        Self {
            kernel: Module::of_kernel(kernel),
            roots,
            files: HashMap::new(),
            spaces: HashMap::new(),
            tables: HashMap::new(),
            open: HashMap::new(),
            folded: HashMap::new(),
            count: 0,
        }
    }

    /// The guest has mapped code.
    pub fn mapped(&mut self, event: &[u8]) {
        let Some(space) = word(event, 1) else { return };
        match (event[0], word(event, 9), word(event, 17), word(event, 25)) {
            (0, ..) => {
                self.flush();
                self.spaces.insert(space, Space::default());
                self.tables.remove(&space);
            }
            (1, Some(start), Some(end), Some(offset)) => {
                self.flush();
                let path = event.get(33..).unwrap_or_default();
                let module = self.module(path);
                let Some(bias) = module.bias(start, offset) else { return };
                let name = String::from_utf8_lossy(path).rsplit('/').next().unwrap_or_default().into();
                let mappings = &mut self.spaces.entry(space).or_default().mappings;
                mappings.retain(|from, old| old.end <= start || *from >= end);
                mappings.insert(start, Mapping { end, bias, module, name });
                self.tables.remove(&space);
            }
            (2, Some(copy), ..) => {
                self.flush();
                let same = self.spaces.get(&space).cloned().unwrap_or_default();
                self.spaces.insert(copy, same);
                self.tables.remove(&copy);
            }
            _ => {}
        }
    }

    fn module(&mut self, path: &[u8]) -> Rc<Module> {
        let roots = &self.roots;
        let read = || {
            let guest = String::from_utf8_lossy(path).into_owned();
            let places = roots.iter().map(|root| root.join(guest.trim_start_matches('/')));
            let found = places.into_iter().find(|place| place.is_file());
            Rc::new(Module::read(&found.unwrap_or_else(|| PathBuf::from(&guest))))
        };
        self.files.entry(path.to_vec()).or_insert_with(read).clone()
    }

    /// A sample; pieces of its stack may follow.
    pub fn sample(&mut self, bytes: &[u8]) {
        let Some(cpu) = half(bytes, 0) else { return };
        if let Some(before) = self.open.remove(&cpu) {
            self.take(before);
        }
        let field = |n: usize| word(bytes, COMM.end + 8 * n);
        let (Some(space), Some(rip), Some(rsp), Some(rbp)) = (field(0), field(1), field(2), field(3)) else { return };
        let comm = bytes.get(COMM).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
        let kernel = bytes.get(HEAD..).unwrap_or_default().chunks_exact(8).filter_map(|chunk| word(chunk, 0)).collect();
        let comm = String::from_utf8_lossy(comm).replace([';', ' '], "_");
        self.open.insert(cpu, Sample { comm, space, rip, rsp, rbp, kernel, stack: Vec::new() });
    }

    /// The next piece of the stack in that CPU's sample.
    pub fn stack(&mut self, bytes: &[u8]) {
        if let Some(sample) = half(bytes, 0).and_then(|cpu| self.open.get_mut(&cpu)) {
            sample.stack.extend(bytes.get(4..).unwrap_or_default());
        }
    }

    /// What is mapped is about to change: what came before belongs to what was.
    fn flush(&mut self) {
        let open: Vec<Sample> = self.open.drain().map(|(_, sample)| sample).collect();
        open.into_iter().for_each(|sample| self.take(sample));
    }

    fn take(&mut self, sample: Sample) {
        let mut names: Vec<String> = vec![sample.comm.clone()];
        let mut user = self.unwind(&sample);
        user.reverse();
        names.extend(user.iter().enumerate().map(|(n, address)| {
            // All but the innermost are return addresses: the call is before them.
            let exact = n + 1 == user.len();
            self.name(sample.space, if exact { *address } else { address.wrapping_sub(1) })
        }));
        let last = sample.kernel.len();
        let kernel = sample.kernel.iter().rev().enumerate().map(|(n, address)| {
            let address = if n + 1 == last { *address } else { address.wrapping_sub(1) };
            self.kernel.function(address).map_or_else(|| format!("{address:#x}_[k]"), |name| format!("{name}_[k]"))
        });
        names.extend(kernel);
        let line: Vec<String> = names.into_iter().map(|name| name.replace(';', ":")).collect();
        *self.folded.entry(line.join(";")).or_default() += 1;
        self.count += 1;
    }

    fn name(&self, space: u64, address: u64) -> String {
        let found = self.spaces.get(&space).and_then(|space| space.mappings.range(..=address).next_back());
        match found.filter(|(_, mapping)| address < mapping.end) {
            Some((_, mapping)) => match mapping.module.function(address.wrapping_sub(mapping.bias)) {
                Some(name) => name.to_owned(),
                None => format!("[{}]", mapping.name),
            },
            None => "[unknown]".into(),
        }
    }

    /// The application's addresses, innermost first.
    fn unwind(&mut self, sample: &Sample) -> Vec<u64> {
        let Some(space) = self.spaces.get(&sample.space) else { return vec![sample.rip] };
        let (tables, cache) = self.tables.entry(sample.space).or_insert_with(|| {
            let mut tables = Tables::new();
            for (start, mapping) in &space.mappings {
                let range = *start..mapping.end;
                let module = framehop::Module::new(mapping.name.to_string(), range, mapping.bias, mapping.module.sections());
                tables.add_module(module);
            }
            (tables, CacheX86_64::new())
        });
        let base = sample.rsp & !3;
        let mut read = |address: u64| {
            let at = address.checked_sub(base).and_then(|at| usize::try_from(at).ok()).ok_or(())?;
            word(&sample.stack, at).ok_or(())
        };
        let registers = UnwindRegsX86_64::new(sample.rip, sample.rsp, sample.rbp);
        let mut frames = tables.iter_frames(sample.rip, registers, cache, &mut read);
        let mut addresses = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            addresses.push(frame.address());
            if addresses.len() == DEPTH {
                break;
            }
        }
        addresses
    }

    /// Draws a flame graph, or writes the folded stacks where the file's name does not end in
    /// `.svg`. How many samples.
    pub fn write(&mut self, path: &Path, title: &str) -> io::Result<usize> {
        self.flush();
        let mut lines: Vec<String> = self.folded.iter().map(|(stack, count)| format!("{stack} {count}")).collect();
        lines.sort();
        let file = io::BufWriter::new(std::fs::File::create(path)?);
        if self.count > 0 && path.extension().is_some_and(|extension| extension == "svg") {
            let mut options = inferno::flamegraph::Options::default();
            options.title = title.into();
            options.count_name = "samples".into();
            inferno::flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), file)?;
        } else {
            let mut file = file;
            for line in lines {
                writeln!(file, "{line}")?;
            }
        }
        Ok(self.count)
    }

    /// Names the functions that were met on their own, the commonest first, with their samples.
    pub fn commonest(&self) -> Vec<(String, usize)> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for (stack, count) in &self.folded {
            *counts.entry(stack.rsplit(';').next().unwrap_or_default()).or_default() += count;
        }
        let mut rows: Vec<(String, usize)> = counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u8, words: &[u64], path: &str) -> Vec<u8> {
        let words = words.iter().flat_map(|word| word.to_le_bytes());
        [kind].into_iter().chain(words).chain(path.bytes()).collect()
    }

    fn sample(space: u64, rip: u64, kernel: &[u64]) -> Vec<u8> {
        let mut bytes = vec![0; COMM.start];
        bytes.extend(b"prog\0\0\0\0\0\0\0\0\0\0\0\0");
        bytes.extend([space, rip, 0x1000, 0].iter().chain(kernel).flat_map(|word| word.to_le_bytes()));
        bytes
    }

    #[test]
    fn samples_have_names() {
        let mut profile = Profile::new("ffff0000 outer\nffff0100 inner\n", Vec::new());
        profile.sample(&sample(7, 0x40_1000, &[0xffff_0104, 0xffff_0020]));
        profile.sample(&sample(7, 0x40_1000, &[0xffff_0104, 0xffff_0020]));
        profile.mapped(&event(0, &[7], ""));
        profile.sample(&sample(8, 0x40_1000, &[]));
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(profile.write(&dir.path().join("x.folded"), "").unwrap(), 3);
        let text = std::fs::read_to_string(dir.path().join("x.folded")).unwrap();
        assert_eq!(text, "prog;[unknown] 1\nprog;[unknown];outer_[k];inner_[k] 2\n");
        assert_eq!(profile.commonest()[0], ("inner_[k]".into(), 2));
        profile.write(&dir.path().join("x.svg"), "title").unwrap();
        // The drawing leaves the mark of the kernel out.
        assert!(std::fs::read_to_string(dir.path().join("x.svg")).unwrap().contains("inner"));
    }

    #[test]
    fn mapped_files_tell_names() {
        // This very program, as if the guest had mapped it.
        let path = std::env::current_exe().unwrap();
        let module = Module::read(&path);
        let (address, name) = module.some_function();
        let (start, offset) = (0x7000_0000_0000, module.text_offset());
        let mut profile = Profile::new("", Vec::new());
        profile.mapped(&event(1, &[3, start, start + (1 << 30), offset], &path.to_string_lossy()));
        let bias = module.bias(start, offset).unwrap();
        assert_eq!(profile.name(3, bias + address), name);
        profile.mapped(&event(2, &[3, 4], ""));
        assert_eq!(profile.name(4, bias + address), name);
        assert_eq!(profile.name(5, bias + address), "[unknown]");
    }
}
