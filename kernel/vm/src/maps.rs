//! What `/proc/PID/maps`, `smaps`, `status` and `statm` tell about an address space (proc(5)); the
//! formats are procfs's.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use syscall_shim::{Errno, SysResult};

use super::account::RssKind;
use super::address_space::{AddressSpace, Area, Layout};
use super::flags::{HUGE_SIZE, PAGE_SIZE, Prot, USER_END, VmFlags};
use super::object::{MappedFile, Object};
use super::page_table::{A, ANON, D, Leaf, Pte, SPECIAL};
use super::{huge, shortage, user_page};

/// One line of `/proc/PID/maps`.
#[derive(Clone, Debug)]
pub struct MapsEntry {
    /// First byte.
    pub start: u64,
    /// First byte after the area.
    pub end: u64,
    /// Access granted.
    pub prot: Prot,
    /// `s` in the fourth place, else `p`.
    pub shared: bool,
    /// Offset in the file, 0 without one.
    pub offset: u64,
    /// `st_dev`, 0 without a file.
    pub dev: u64,
    /// `st_ino`, 0 without a file.
    pub ino: u64,
    /// Path, or a name in brackets, or nothing.
    pub path: Vec<u8>,
    /// Flags, for core dumps and `VmFlags`.
    pub flags: VmFlags,
}

/// The numbers of one area in `/proc/PID/smaps`, in bytes.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct SmapsCounts {
    pub rss: u64,
    /// Each page divided by its number of users, times 4096 (proportional set size, scaled to stay
    /// exact).
    pub pss_x4096: u64,
    pub shared_clean: u64,
    pub shared_dirty: u64,
    pub private_clean: u64,
    pub private_dirty: u64,
    pub referenced: u64,
    pub anonymous: u64,
    pub anon_huge: u64,
    pub locked: u64,
}

/// Sizes in bytes, by the names of `/proc/PID/status`.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct MemoryUse {
    pub vm_peak: u64,
    pub vm_size: u64,
    pub vm_lck: u64,
    pub vm_hwm: u64,
    pub rss_anon: u64,
    pub rss_file: u64,
    pub rss_shmem: u64,
    pub vm_data: u64,
    pub vm_stk: u64,
    pub vm_exe: u64,
    pub vm_lib: u64,
    pub vm_pte: u64,
}

impl MemoryUse {
    /// `VmRSS`.
    pub fn vm_rss(&self) -> u64 {
        self.rss_anon + self.rss_file + self.rss_shmem
    }
}

/// A present page, for `/proc/PID/pagemap`.
#[derive(Clone, Copy, Debug)]
pub struct PageEntry {
    /// Physical address of the frame.
    pub phys: u64,
    /// Neither a page of a file nor shared anonymous memory.
    pub anonymous: bool,
    /// Mapped here alone.
    pub exclusive: bool,
}

impl AddressSpace {
    /// The page at `addr`, if one is present.
    pub fn page(&self, addr: u64) -> Option<PageEntry> {
        let inner = self.inner.read();
        let leaf = inner.table.leaf(addr)?;
        let pte = leaf.get();
        if !pte.has_page() {
            return None;
        }
        let anonymous = pte.has(ANON);
        let exclusive = !pte.has(SPECIAL) && users(&leaf, pte) == 1;
        Some(PageEntry { phys: pte.phys() + (addr - leaf.addr), anonymous, exclusive })
    }

    /// The parts of `start..end` that have pages, in order.
    pub fn present(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let locked = self.lock();
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        locked.inner.table.for_each(start, end, |leaf| {
            let (from, to) = (leaf.addr.max(start), (leaf.addr + leaf.size).min(end));
            match ranges.last_mut() {
                _ if !leaf.get().has_page() => {}
                Some(last) if last.1 == from => last.1 = to,
                _ => ranges.push((from, to)),
            }
        });
        ranges
    }

    /// Takes the referenced marks away from anonymous pages, pages of files, or both
    /// (`/proc/PID/clear_refs` 1 to 3).
    pub fn clear_referenced(&self, anonymous: bool, of_files: bool) {
        let mut locked = self.lock();
        let (areas, pages) = locked.parts();
        for area in areas.iter() {
            pages.table.for_each(area.start, area.end, |leaf| {
                let wanted = if leaf.get().has(ANON) { anonymous } else { of_files };
                if wanted && leaf.clear(A).has(A) {
                    pages.batch.touch(leaf.addr, leaf.size);
                }
            });
        }
    }

    /// Starts `VmHWM` anew.
    pub fn reset_peak_rss(&self) {
        self.rss.reset_peak();
    }

    /// All areas as `/proc/PID/maps` lists them.
    pub fn maps(&self) -> SysResult<Vec<MapsEntry>> {
        let mut entries = room(self.inner.read().areas.count())?;
        self.each_area(false, |entry, _| push(&mut entries, entry))?;
        Ok(entries)
    }

    /// All areas with their page counts.
    pub fn smaps(&self) -> SysResult<Vec<(MapsEntry, SmapsCounts)>> {
        let mut entries = room(self.inner.read().areas.count())?;
        self.each_area(true, |entry, counts| push(&mut entries, (entry, counts)))?;
        Ok(entries)
    }

    /// Tells `take` of each area. `ENOMEM` where there is no memory for the list of them.
    fn each_area(&self, count: bool, mut take: impl FnMut(MapsEntry, SmapsCounts) -> SysResult<()>) -> SysResult<()> {
        let inner = self.inner.read();
        let (layout, brk) = (inner.layout, inner.brk);
        let mut rows: Vec<(Area, SmapsCounts)> = room(inner.areas.count())?;
        for area in inner.areas.iter() {
            rows.push((area.clone(), if count { counts(&inner.table, area) } else { SmapsCounts::default() }));
        }
        drop(inner);
        // Paths are asked for without the lock: the file system has its own.
        for (area, counts) in rows {
            shortage::check()?;
            take(entry(&area, &layout, brk), counts)?;
        }
        Ok(())
    }

    /// Totals for `/proc/PID/status` and `statm`.
    pub fn memory_use(&self) -> MemoryUse {
        let inner = &self.inner.read();
        let sum = |f: &dyn Fn(&Area) -> bool| inner.areas.iter().filter(|a| f(a)).map(Area::size).sum::<u64>();
        let text = inner.layout.end_code.saturating_sub(inner.layout.start_code).next_multiple_of(PAGE_SIZE);
        let exec =
            sum(&|a| a.prot.contains(Prot::EXEC) && !a.prot.contains(Prot::WRITE) && !a.flags.contains(VmFlags::GROWSDOWN));
        MemoryUse {
            vm_peak: inner.peak,
            vm_size: inner.areas.bytes(),
            vm_lck: inner.locked * PAGE_SIZE,
            vm_hwm: self.rss.peak() * PAGE_SIZE,
            rss_anon: self.rss.get(RssKind::Anon) * PAGE_SIZE,
            rss_file: self.rss.get(RssKind::File) * PAGE_SIZE,
            rss_shmem: self.rss.get(RssKind::Shmem) * PAGE_SIZE,
            vm_data: inner.data_bytes(),
            vm_stk: sum(&|a| a.flags.contains(VmFlags::GROWSDOWN)),
            vm_exe: text.min(exec),
            vm_lib: exec.saturating_sub(text),
            vm_pte: inner.table.bytes(),
        }
    }

    /// Bytes of one kind that are in memory.
    pub fn resident(&self, kind: RssKind) -> u64 {
        self.rss.get(kind) * PAGE_SIZE
    }

    /// `VmHWM` in bytes (`ru_maxrss` of getrusage(2)).
    pub fn peak_rss(&self) -> u64 {
        self.rss.peak() * PAGE_SIZE
    }

    /// The file that is mapped at `addr`, and the offset in it, for names in backtraces.
    pub fn file_at(&self, addr: u64) -> Option<(Arc<dyn MappedFile>, u64)> {
        let inner = self.inner.read();
        let area = inner.areas.find(addr)?;
        let file = area.backing.as_ref().and_then(Object::file)?;
        Some((file.clone(), area.offset_of(addr)))
    }

    /// The System V segment that was attached at `addr`, if some of it still lies where it lay
    /// then.
    pub fn file_attached_at(&self, addr: u64) -> Option<Arc<dyn MappedFile>> {
        let inner = self.inner.read();
        let attached = |area: &Area| area.start >= addr && area.offset == area.start - addr;
        let file =
            |area: &Area| area.backing.as_ref().and_then(Object::file).filter(|f| f.attached_size().is_some()).cloned();
        inner.areas.overlapping(addr, USER_END).filter(|area| attached(area)).find_map(file)
    }

    /// What may be executed, each range as far as it goes on: an instruction may begin in one area
    /// and end in the next. `ENOMEM`.
    pub fn executable(&self) -> SysResult<Vec<Range<u64>>> {
        let inner = self.inner.read();
        let areas = || inner.areas.iter().filter(|area| area.prot.contains(Prot::EXEC));
        let mut ranges: Vec<Range<u64>> = room(areas().count())?;
        for area in areas() {
            match ranges.last_mut() {
                Some(last) if last.end == area.start => last.end = area.end,
                _ => ranges.push(area.start..area.end),
            }
        }
        Ok(ranges)
    }

    /// The area that holds `addr`, for crash reports.
    pub fn describe(&self, addr: u64) -> Option<MapsEntry> {
        let inner = self.inner.read();
        let (layout, brk) = (inner.layout, inner.brk);
        let area = inner.areas.find(addr)?.clone();
        drop(inner);
        Some(entry(&area, &layout, brk))
    }
}

/// A list with room for `len`; `ENOMEM`.
fn room<T>(len: usize) -> SysResult<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
    Ok(list)
}

/// Adds to a list that [`room`] was made for, though there may be more by now.
fn push<T>(list: &mut Vec<T>, entry: T) -> SysResult<()> {
    list.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    list.push(entry);
    Ok(())
}

fn entry(area: &Area, layout: &Layout, brk: u64) -> MapsEntry {
    let (mut dev, mut ino) = (0, 0);
    let path = match &area.backing {
        Some(Object::File(map)) => {
            (dev, ino) = map.file.id();
            map.file.path()
        }
        Some(Object::Special(special)) => special.name.as_bytes().to_vec(),
        None if area.start <= brk && area.end >= layout.start_brk => b"[heap]".to_vec(),
        None if area.start <= layout.start_stack && area.end >= layout.start_stack => b"[stack]".to_vec(),
        None => area.name.as_ref().map_or_else(Vec::new, |name| [b"[anon:", &name[..], b"]"].concat()),
    };
    let offset = if matches!(area.backing, Some(Object::File(_))) { area.offset } else { 0 };
    MapsEntry {
        start: area.start,
        end: area.end,
        prot: area.prot,
        shared: area.flags.contains(VmFlags::MAYSHARE),
        offset,
        dev,
        ino,
        path,
        flags: area.flags,
    }
}

/// How many map the page. The page cache holds one reference to each file page; it is not a user.
fn users(leaf: &Leaf<'_>, pte: Pte) -> u32 {
    if leaf.is_huge() {
        return huge::users(pte.phys());
    }
    user_page::users(pte.phys()).saturating_sub(u32::from(!pte.has(ANON))).max(1)
}

fn counts(table: &super::page_table::PageTable, area: &Area) -> SmapsCounts {
    let mut c = SmapsCounts::default();
    table.for_each(area.start, area.end, |leaf| {
        let pte = leaf.get();
        if pte.has(SPECIAL) {
            return;
        }
        let size = leaf.size.min(area.end - area.start);
        c.rss += size;
        if pte.has(A) {
            c.referenced += size;
        }
        if pte.has(ANON) {
            c.anonymous += size;
            if leaf.size == HUGE_SIZE {
                c.anon_huge += size;
            }
        }
        let users = users(&leaf, pte).max(1);
        c.pss_x4096 += size * 4096 / u64::from(users);
        let dirty = pte.has(D) || pte.has(ANON);
        *match (users > 1, dirty) {
            (true, true) => &mut c.shared_dirty,
            (true, false) => &mut c.shared_clean,
            (false, true) => &mut c.private_dirty,
            (false, false) => &mut c.private_clean,
        } += size;
    });
    if area.flags.contains(VmFlags::LOCKED) {
        c.locked = c.pss_x4096 / 4096;
    }
    c
}

/// The two-letter flags of the `VmFlags` line in `/proc/PID/smaps`.
pub fn vm_flags_line(prot: Prot, flags: VmFlags) -> String {
    let rows = [
        (prot.contains(Prot::READ), "rd "),
        (prot.contains(Prot::WRITE), "wr "),
        (prot.contains(Prot::EXEC), "ex "),
        (flags.contains(VmFlags::SHARED), "sh "),
        (flags.contains(VmFlags::MAYREAD), "mr "),
        (flags.contains(VmFlags::MAYWRITE), "mw "),
        (flags.contains(VmFlags::MAYEXEC), "me "),
        (flags.contains(VmFlags::MAYSHARE), "ms "),
        (flags.contains(VmFlags::GROWSDOWN), "gd "),
        (flags.contains(VmFlags::LOCKED), "lo "),
        (flags.contains(VmFlags::SEQ_READ), "sr "),
        (flags.contains(VmFlags::RAND_READ), "rr "),
        (flags.contains(VmFlags::DONTCOPY), "dc "),
        (flags.contains(VmFlags::DONTEXPAND), "de "),
        (flags.contains(VmFlags::ACCOUNT), "ac "),
        (flags.contains(VmFlags::NORESERVE), "nr "),
        (flags.contains(VmFlags::WIPEONFORK), "wf "),
        (flags.contains(VmFlags::DONTDUMP), "dd "),
        (flags.contains(VmFlags::HUGEPAGE), "hg "),
        (flags.contains(VmFlags::NOHUGEPAGE), "nh "),
        (flags.contains(VmFlags::MERGEABLE), "mg "),
        (flags.contains(VmFlags::DROPPABLE), "dp "),
        (flags.contains(VmFlags::SEALED), "sl "),
    ];
    rows.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect()
}
