//! The machine and the model side by side: each call is made on both, and then all that can be
//! compared is.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use std::format;
use std::string::String;

use mem::account::{self, RssKind};
use mem::host::{self, CPUS, Machine};
use mem::page_table::{ANON, SPECIAL};
use mem::{frames, huge, user_page};
use syscall_shim::Errno;

use super::env::{self, ANYONE};
use super::model::{self, Page, PageNumber, Remap, Source, Space, Touch};
use crate::address_space::Area;
use crate::flags::{Access, FaultError, PAGE_SIZE, Prot, VmFlags};
use crate::madvise::Advice;
use crate::mremap::RemapFlags;
use crate::object::Object;
use crate::{AddressSpace, MapFile, MapFlags, MapRequest, MapTarget, MappedFile};

/// Spaces that a sequence has at most.
pub const SPACES: usize = 3;
/// Files that can be mapped; the last cannot be written.
pub const FILES: usize = 3;

/// Where in a page its content is looked at.
const PLACES: [usize; 2] = [0, 4088];

/// Where an area is asked for.
#[derive(Clone, Copy, Debug)]
pub enum At {
    Anywhere,
    Hint(PageNumber),
    Fixed(PageNumber),
    NoReplace(PageNumber),
}

/// What is mapped.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Private,
    Stack,
    Shared,
    PrivateFile(usize),
    SharedFile(usize),
}

/// A call, or what else happens. Lengths are in pages.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Map { at: At, len: u64, prot: Prot, kind: Kind, offset: u64, extra: MapFlags },
    Unmap { at: PageNumber, len: u64 },
    Protect { at: PageNumber, len: u64, prot: Prot },
    Remap(Remap),
    Advise { at: PageNumber, len: u64, advice: Advice },
    Lock { at: PageNumber, len: u64, on_fault: bool },
    Unlock { at: PageNumber, len: u64 },
    Touch { at: PageNumber, touch: Touch },
    Resize { file: usize, pages: u64 },
    Fork,
    Exit,
    Idle,
}

struct Program {
    space: Arc<AddressSpace>,
    model: Space,
}

pub struct World {
    machine: Machine,
    programs: Vec<Option<Program>>,
    files: Vec<Option<Arc<env::File>>>,
    model_files: Vec<model::File>,
    /// Which of the model's files an open file is.
    known: BTreeMap<usize, usize>,
    /// What each CPU has loaded, and the generation of its translations.
    loaded: [Option<(Arc<AddressSpace>, u64)>; CPUS],
    used_before: usize,
    committed_before: u64,
    /// Large pages come where they can: then what is present is not foretold.
    large_pages: bool,
}

fn used() -> usize {
    let stats = frames::stats();
    stats.total - stats.free
}

fn identity(area: &Area) -> Option<usize> {
    area.backing.as_ref().and_then(Object::file).map(|file| file.identity())
}

impl World {
    pub fn new(large_pages: bool) -> Self {
        let machine = Machine::take();
        env::install();
        crate::huge_policy::POLICY.store(if large_pages { 0 } else { 2 }, core::sync::atomic::Ordering::Relaxed);
        user_page::zero_page();
        let (used_before, committed_before) = (used(), account::committed());
        let mut world = Self {
            machine,
            programs: Vec::new(),
            files: Vec::new(),
            model_files: Vec::new(),
            known: BTreeMap::new(),
            loaded: [const { None }; CPUS],
            used_before,
            committed_before,
            large_pages,
        };
        for number in 0..FILES {
            let file = env::File::new(number as u64 + 1, 20, number == 1);
            world.known.insert(file.identity(), number);
            world.files.push(Some(file));
            world.model_files.push(model::File { pages: 20, shmem: number == 1, ..model::File::default() });
        }
        world.programs.resize_with(SPACES, || None);
        world.start();
        world
    }

    /// The first program.
    fn start(&mut self) {
        let space = AddressSpace::new().unwrap();
        space.enter();
        self.programs[0] = Some(Program { space, model: Space::default() });
    }

    /// Has `cpu` run the program, of those that there are.
    fn run(&mut self, cpu: usize, program: usize) -> Option<usize> {
        let program = self.there(program)?;
        let space = self.programs[program].as_ref()?.space.clone();
        self.machine.run_on(cpu);
        self.machine.set_lazy(cpu, false);
        match &mut self.loaded[cpu] {
            Some((loaded, have)) if Arc::ptr_eq(loaded, &space) => space.refresh(have),
            _ => {
                let generation = space.activate();
                if let Some((old, _)) = self.loaded[cpu].replace((space, generation)) {
                    old.deactivate();
                }
            }
        }
        Some(program)
    }

    fn there(&self, program: usize) -> Option<usize> {
        let there: Vec<usize> = (0..SPACES).filter(|n| self.programs[*n].is_some()).collect();
        there.get(program % there.len().max(1)).copied()
    }

    /// The call at one of the areas that there are: where it begins, or at the page in it that the
    /// call's own address ends with.
    pub fn aim(&self, program: usize, op: Op, area: usize) -> Op {
        let Some(program) = self.there(program).and_then(|program| self.programs[program].as_ref()) else { return op };
        let areas = program.model.areas();
        let Some(area) = areas.get(area % areas.len().max(1)) else { return op };
        let aimed = |at: PageNumber| area.start + if at.is_multiple_of(2) { 0 } else { at % (area.end - area.start) };
        match op {
            Op::Unmap { at, len } => Op::Unmap { at: aimed(at), len },
            Op::Protect { at, len, prot } => Op::Protect { at: aimed(at), len, prot },
            Op::Advise { at, len, advice } => Op::Advise { at: aimed(at), len, advice },
            Op::Lock { at, len, on_fault } => Op::Lock { at: aimed(at), len, on_fault },
            Op::Unlock { at, len } => Op::Unlock { at: aimed(at), len },
            Op::Touch { at, touch } => Op::Touch { at: aimed(at), touch },
            Op::Remap(call) => {
                let at = aimed(call.at);
                // Most lengths are those of what is there.
                let old = if call.old % 4 < 3 && call.old < 1024 { area.end - at } else { call.old };
                let new = if call.keep { old } else { call.new };
                Op::Remap(Remap { at, old, new, ..call })
            }
            _ => op,
        }
    }

    /// Does it on both sides, and compares.
    pub fn step(&mut self, cpu: usize, program: usize, op: Op) -> Result<(), String> {
        let Some(program) = self.run(cpu, program) else { return Ok(()) };
        let space = self.programs[program].as_ref().unwrap().space.clone();
        match op {
            Op::Map { at, len, prot, kind, offset, extra } => {
                self.map(program, &space, at, len, prot, kind, offset, extra)?
            }
            Op::Unmap { at, len } => {
                let real = space.munmap(at * PAGE_SIZE, len * PAGE_SIZE);
                let range = at..at + len;
                let expected = if range.end > model::END {
                    Err(Errno::EINVAL)
                } else {
                    self.model(program).unmap(range);
                    Ok(())
                };
                same(real, expected)?;
            }
            Op::Protect { at, len, prot } => {
                let real = space.mprotect(at * PAGE_SIZE, len * PAGE_SIZE, prot, false, &ANYONE);
                same(real, self.model(program).protect(at..at + len, prot))?;
            }
            Op::Remap(call) => self.remap(program, &space, call)?,
            Op::Advise { at, len, advice } => {
                let real = space.madvise(at * PAGE_SIZE, len * PAGE_SIZE, advice);
                let mut holes = Vec::new();
                let (model, files) = self.both(program);
                let expected = model.advise(at..at + len, advice, files, &mut holes);
                for (file, index) in holes {
                    self.model_files[file].cached.remove(&index);
                    self.forget(file, index..index + 1, false);
                }
                same(real, expected)?;
            }
            Op::Lock { at, len, on_fault } => {
                let real = space.mlock(at * PAGE_SIZE, len * PAGE_SIZE, on_fault, &ANYONE);
                let (model, files) = self.both(program);
                same(real, model.lock(at..at + len, on_fault, files))?;
            }
            Op::Unlock { at, len } => {
                let real = space.munlock(at * PAGE_SIZE, len * PAGE_SIZE);
                same(real, self.model(program).set_locked(at..at + len, VmFlags::empty()))?;
            }
            Op::Touch { at, touch } => {
                let real = self.touch(&space, at, touch);
                let (model, files) = self.both(program);
                same(real, model.touch(at, touch, files))?;
            }
            Op::Resize { file, pages } => {
                if let Some(open) = &self.files[file] {
                    open.mapping.grow(pages * PAGE_SIZE);
                    same(open.mapping.truncate(pages * PAGE_SIZE), Ok(()))?;
                }
                self.model_files[file].pages = pages;
                self.model_files[file].cached.retain(|index, _| *index < pages);
                self.forget(file, pages..u64::MAX, true);
            }
            Op::Fork => {
                if let Some(free) = self.programs.iter().position(Option::is_none) {
                    let child = space.fork().map_err(|error| format!("fork: {error:?}"))?;
                    child.enter();
                    let model = self.model(program).fork();
                    self.programs[free] = Some(Program { space: child, model });
                }
            }
            Op::Exit => {
                drop(space);
                self.exit(program);
                if self.programs.iter().all(Option::is_none) {
                    self.start();
                }
            }
            Op::Idle => self.machine.set_lazy(cpu, true),
        }
        self.compare()
    }

    fn model(&mut self, program: usize) -> &mut Space {
        &mut self.programs[program].as_mut().unwrap().model
    }

    fn both(&mut self, program: usize) -> (&mut Space, &mut [model::File]) {
        (&mut self.programs[program].as_mut().unwrap().model, &mut self.model_files)
    }

    fn forget(&mut self, file: usize, index: Range<u64>, own: bool) {
        self.programs.iter_mut().flatten().for_each(|program| program.model.forget(file, index.clone(), own));
    }

    fn exit(&mut self, program: usize) {
        let Some(Program { space, .. }) = self.programs[program].take() else { return };
        space.leave();
        for cpu in 0..CPUS {
            if self.loaded[cpu].as_ref().is_some_and(|(loaded, _)| Arc::ptr_eq(loaded, &space)) {
                self.machine.run_on(cpu);
                self.machine.unload();
                space.deactivate();
                self.loaded[cpu] = None;
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn map(
        &mut self,
        program: usize,
        space: &Arc<AddressSpace>,
        at: At,
        len: u64,
        prot: Prot,
        kind: Kind,
        offset: u64,
        extra: MapFlags,
    ) -> Result<(), String> {
        let (wanted, how) = match at {
            At::Anywhere => (0, MapFlags::empty()),
            At::Hint(at) => (at, MapFlags::empty()),
            At::Fixed(at) => (at, MapFlags::FIXED),
            At::NoReplace(at) => (at, MapFlags::FIXED_NOREPLACE),
        };
        let kind_flags = match kind {
            Kind::Private => MapFlags::PRIVATE | MapFlags::ANONYMOUS,
            Kind::Stack => MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::GROWSDOWN,
            Kind::Shared => MapFlags::SHARED | MapFlags::ANONYMOUS,
            Kind::PrivateFile(_) => MapFlags::PRIVATE,
            Kind::SharedFile(_) => MapFlags::SHARED,
        };
        let file = match kind {
            Kind::PrivateFile(file) | Kind::SharedFile(file) => Some(file),
            _ => None,
        };
        let may_write = file.is_none_or(|file| file + 1 < FILES);
        let request = MapRequest {
            addr: wanted * PAGE_SIZE,
            len: len * PAGE_SIZE,
            prot,
            flags: how | kind_flags | extra,
            file: file.and_then(|file| self.files[file].clone()).map(|file| MapFile {
                target: MapTarget::File(file),
                offset: offset * PAGE_SIZE,
                may_read: true,
                may_write,
                may_exec: true,
                write_sealed: false,
            }),
        };
        let real = space.mmap(request, &ANYONE);

        let shared = matches!(kind, Kind::Shared | Kind::SharedFile(_));
        let fixed = matches!(at, At::Fixed(_) | At::NoReplace(_));
        let model = self.model(program);
        let expected = if fixed && wanted > model::END - len {
            Err(Errno::ENOMEM)
        } else if fixed && wanted < 16 {
            Err(Errno::EPERM)
        } else if matches!(at, At::NoReplace(_)) && !model.is_free(wanted..wanted + len) {
            Err(Errno::EEXIST)
        } else if shared && prot.contains(Prot::WRITE) && !may_write {
            Err(Errno::EACCES)
        } else {
            Ok(())
        };
        let placed = match (real, expected) {
            (Ok(placed), Ok(())) => placed / PAGE_SIZE,
            (Err(real), Err(expected)) if real == expected => return Ok(()),
            _ => return Err(format!("{real:?} where {expected:?} was expected")),
        };
        let range = placed..placed + len;
        match at {
            At::Fixed(_) => model.unmap(range.clone()),
            At::NoReplace(_) => {}
            At::Hint(hint) if hint >= 16 && hint <= model::END - len && model.has_room(hint..hint + len) => {
                same(placed, hint)?
            }
            _ if model.has_room(range.clone()) && model.is_free(range.clone()) && placed >= 16 => {}
            _ => return Err(format!("{placed:#x} is not free for {len} pages")),
        }
        if fixed {
            same(placed, wanted)?;
        }
        let mut flags = VmFlags::MAYREAD | VmFlags::MAYWRITE | VmFlags::MAYEXEC;
        flags.set(VmFlags::GROWSDOWN, matches!(kind, Kind::Stack));
        flags.set(VmFlags::NORESERVE, extra.contains(MapFlags::NORESERVE));
        flags.set(VmFlags::LOCKED, extra.contains(MapFlags::LOCKED));
        if shared {
            flags |= VmFlags::SHARED | VmFlags::MAYSHARE;
        }
        if !may_write && shared {
            flags -= VmFlags::MAYWRITE | VmFlags::SHARED;
        }
        if prot.contains(Prot::WRITE) && !flags.intersects(VmFlags::SHARED | VmFlags::NORESERVE) {
            flags |= VmFlags::ACCOUNT;
        }
        let writable = shared && may_write;
        let source = match kind {
            Kind::Private | Kind::Stack => None,
            Kind::Shared => {
                let charged = if extra.contains(MapFlags::NORESERVE) { 0 } else { len };
                let number = self.model_files.len();
                self.model_files.push(model::File { pages: len, shmem: true, charged, ..model::File::default() });
                self.files.push(None);
                let inner = space.inner.read();
                let new = inner.areas.find(placed * PAGE_SIZE).and_then(identity);
                self.known.insert(new.ok_or("a shared area has no file")?, number);
                Some(Source { file: number, index: 0, writable })
            }
            Kind::PrivateFile(file) | Kind::SharedFile(file) => Some(Source { file, index: offset, writable }),
        };
        let (model, files) = self.both(program);
        model.insert(range.clone(), &Page { prot, flags, source, own: None, mapped: false });
        if extra.intersects(MapFlags::POPULATE | MapFlags::LOCKED) {
            let _ = model.populate(range, None, files);
        }
        Ok(())
    }

    fn remap(&mut self, program: usize, space: &AddressSpace, call: Remap) -> Result<(), String> {
        let mut flags = RemapFlags::empty();
        flags.set(RemapFlags::MAYMOVE, call.may_move);
        flags.set(RemapFlags::FIXED, call.fixed);
        flags.set(RemapFlags::DONTUNMAP, call.keep);
        let [at, old, new, to] = [call.at, call.old, call.new, call.to].map(|pages| pages.wrapping_mul(PAGE_SIZE));
        let real = space.mremap(at, old, new, flags, to, &ANYONE);
        let placed = real.map_or(0, |at| at / PAGE_SIZE);
        let (model, files) = self.both(program);
        let moved = placed != call.at && !call.fixed && real.is_ok();
        if moved && !(model.is_free(placed..placed + call.new) && model.has_room(placed..placed + call.new)) {
            return Err(format!("{placed:#x} is not free"));
        }
        let expected = model.remap(call, placed, files);
        same(real.map(|at| at / PAGE_SIZE), expected)
    }

    /// The program goes to the page until it is there, or is told that it never will.
    fn touch(&self, space: &AddressSpace, at: PageNumber, touch: Touch) -> Result<u64, FaultError> {
        let addr = at * PAGE_SIZE;
        let (how, access) = match touch {
            Touch::Read => (host::Touch::Read, Access::READ),
            Touch::Write(_) => (host::Touch::Write, Access::WRITE),
            Touch::Execute => (host::Touch::Execute, Access { write: false, exec: true }),
        };
        for _ in 0..8 {
            let Ok(phys) = self.machine.access(addr, how) else {
                space.handle_fault(addr, access, &ANYONE)?;
                continue;
            };
            if let Touch::Write(value) = touch {
                PLACES.iter().for_each(|place| user_page::write(phys, *place, &value.to_le_bytes()));
                return Ok(0);
            }
            return Ok(content(phys));
        }
        panic!("faults at {addr:#x} without an end");
    }

    fn compare(&mut self) -> Result<(), String> {
        self.machine.check();
        if let Some(violation) = self.machine.violations().first() {
            return Err(violation.clone());
        }
        let mut counted = BTreeMap::new();
        let (mut leaves, mut tables, mut promised) = (BTreeMap::new(), 0, 0);
        for program in self.programs.iter().flatten() {
            self.compare_areas(program)?;
            self.compare_pages(program)?;
            count_frames(&program.space, &mut counted, &mut leaves);
            tables += program.space.memory_use().vm_pte / PAGE_SIZE;
            promised += program.model.count(VmFlags::ACCOUNT);
        }
        for (number, file) in self.model_files.iter().enumerate() {
            let in_use = |page: &Page| page.source.is_some_and(|source| source.file == number);
            if self.programs.iter().flatten().any(|program| program.model.pages.values().any(in_use)) {
                promised += file.charged;
            }
        }
        same(account::committed() - self.committed_before, promised).map_err(|e| format!("promised pages: {e}"))?;
        for file in self.mappings().values() {
            file.each_cached(0, u64::MAX, &mut |_, page| *counted.entry(page.phys()).or_insert(0) += 1);
        }
        for (phys, count) in &counted {
            same(frames::refcount(*phys), *count).map_err(|e| format!("references to {phys:#x}: {e}"))?;
        }
        for (phys, count) in &leaves {
            same(huge::users(*phys), *count).map_err(|e| format!("users of the large page {phys:#x}: {e}"))?;
        }
        same((used() - self.used_before) as u64, counted.len() as u64 + tables).map_err(|e| format!("frames in use: {e}"))
    }

    /// The page caches of all files that somebody has, by the model's number.
    fn mappings(&self) -> BTreeMap<usize, Arc<fs::Mapping>> {
        let mut mappings = BTreeMap::new();
        for (number, file) in self.files.iter().enumerate() {
            if let Some(file) = file {
                mappings.insert(number, file.mapping.clone());
            }
        }
        for program in self.programs.iter().flatten() {
            for area in program.space.inner.read().areas.iter() {
                if let Some(file) = area.backing.as_ref().and_then(Object::file) {
                    mappings.insert(self.known[&file.identity()], file.mapping().clone());
                }
            }
        }
        mappings
    }

    fn compare_areas(&self, program: &Program) -> Result<(), String> {
        let inner = program.space.inner.read();
        let expected = program.model.areas();
        let real: Vec<Range<u64>> = inner.areas.iter().map(|area| area.start / PAGE_SIZE..area.end / PAGE_SIZE).collect();
        same(&real, &expected)?;
        for area in inner.areas.iter() {
            let first = &program.model.pages[&(area.start / PAGE_SIZE)];
            same((area.prot, area.flags), (first.prot, first.flags))?;
            let source = identity(area).map(|file| (self.known[&file], area.offset / PAGE_SIZE));
            same(source, first.source.map(|source| (source.file, source.index)))?;
        }
        same(inner.areas.bytes(), program.model.pages.len() as u64 * PAGE_SIZE)?;
        same(inner.locked, program.model.count(VmFlags::LOCKED)).map_err(|e| format!("locked: {e}"))?;
        same(inner.charged, program.model.count(VmFlags::ACCOUNT)).map_err(|e| format!("charged: {e}"))
    }

    fn compare_pages(&self, program: &Program) -> Result<(), String> {
        let inner = program.space.inner.read();
        let mappings = self.mappings();
        let mut resident = [0; RssKind::ALL.len()];
        let mut present = [0; RssKind::ALL.len()];
        for (at, page) in &program.model.pages {
            let leaf = inner.table.leaf(at * PAGE_SIZE);
            let found = leaf.as_ref().map(|leaf| (leaf.get(), leaf.get().phys() + (at * PAGE_SIZE - leaf.addr)));
            let own = found.filter(|(pte, _)| pte.has(ANON)).map(|(_, phys)| content(phys));
            let expected = page.own.or(own.filter(|_| self.large_pages && page.source.is_none()).map(|_| 0));
            same(own, expected).map_err(|e| format!("own content of page {at:#x}: {e}"))?;
            let of_file = found.filter(|(pte, _)| !pte.has(ANON) && !pte.has(SPECIAL)).map(|(_, phys)| phys);
            let source = page.source.filter(|_| page.mapped);
            let cached = source.and_then(|s| mappings[&s.file].get_page(s.index)).map(|page| page.phys());
            same(of_file, cached).map_err(|e| format!("the file's page at {at:#x}: {e}"))?;
            if let (Some(phys), Some(source)) = (of_file, source) {
                let expected = self.model_files[source.file].cached.get(&source.index).copied();
                same(Some(content(phys)), expected).map_err(|e| format!("the file's content at {at:#x}: {e}"))?;
            }
            let kind = match page.source {
                _ if page.own.is_some() => Some(RssKind::Anon),
                Some(source) if page.mapped && self.model_files[source.file].shmem => Some(RssKind::Shmem),
                Some(_) if page.mapped => Some(RssKind::File),
                _ => None,
            };
            resident[RssKind::Anon as usize] += u64::from(own.is_some());
            if let Some(kind) = kind.filter(|kind| *kind != RssKind::Anon) {
                resident[kind as usize] += 1;
            }
            if let Some(kind) = kind {
                present[kind as usize] += 1;
            }
        }
        for kind in RssKind::ALL {
            let expected = if self.large_pages { resident } else { present };
            same(program.space.rss.get(kind), expected[kind as usize]).map_err(|e| format!("resident {kind:?}: {e}"))?;
        }
        Ok(())
    }

    /// All programs and files go, and nothing is left of them.
    pub fn end(mut self) -> Result<(), String> {
        (0..SPACES).for_each(|program| self.exit(program));
        self.compare()?;
        self.files.clear();
        if let Some(violation) = self.machine.violations().first() {
            return Err(violation.clone());
        }
        same(used(), self.used_before).map_err(|e| format!("frames that nobody has: {e}"))
    }
}

fn count_frames(space: &AddressSpace, counted: &mut BTreeMap<u64, u32>, leaves: &mut BTreeMap<u64, u32>) {
    let inner = space.inner.read();
    inner.table.for_each(0, model::END * PAGE_SIZE, |leaf| {
        let pte = leaf.get();
        if pte.has(SPECIAL) {
            return;
        }
        if !leaf.is_huge() {
            *counted.entry(pte.phys()).or_insert(0) += 1;
            return;
        }
        let count = leaves.entry(pte.phys()).or_insert(0);
        *count += 1;
        if *count == 1 {
            for phys in (pte.phys()..pte.phys() + leaf.size).step_by(PAGE_SIZE as usize) {
                *counted.entry(phys).or_insert(0) += 1;
            }
        }
    });
}

/// What the program has written into a page.
fn content(phys: u64) -> u64 {
    let [first, last] = PLACES.map(|place| {
        let mut bytes = [0; 8];
        user_page::read(phys, place, &mut bytes);
        u64::from_le_bytes(bytes)
    });
    assert_eq!(first, last, "a page is of two parts");
    first
}

fn same<T: PartialEq + core::fmt::Debug>(real: T, expected: T) -> Result<(), String> {
    if real == expected { Ok(()) } else { Err(format!("{real:x?} where {expected:x?} was expected")) }
}
