//! `maps`, open: the text, and the request that asks for one area (`PROCMAP_QUERY` of linux/fs.h).

use syscall_shim::types::ProcmapQuery;
use syscall_shim::{Errno, SysResult};

use super::memory;
use super::target::Target;
use crate::usermem::UserAddr;
use fd::io::Sink;
use fd::pseudo_file::Text;
use fd::{FileOps, OpenFile};
use mem::PAGE_SIZE;
use vm::Prot;
use vm::maps::MapsEntry;

/// `_IOWR('f', 17, struct procmap_query)`
const PROCMAP_QUERY: u32 = 0xc068_6611;
/// Bytes of the structure up to what the first kernels with it had (`build_id_addr`).
const FIRST_SIZE: u64 = 104;
/// `PROCMAP_QUERY_*`: what an area must have, and how it is looked for.
const READABLE: u64 = 1;
const WRITABLE: u64 = 2;
const EXECUTABLE: u64 = 4;
const SHARED: u64 = 8;
const COVERING_OR_NEXT: u64 = 0x10;
const FILE_BACKED: u64 = 0x20;
const KNOWN: u64 = 0x3f;

/// An open `maps`.
pub struct Maps {
    target: Target,
    text: Text,
}

impl Maps {
    /// Opens it. `EACCES` for those who may not look into the process.
    pub fn open(target: &Target) -> SysResult<alloc::sync::Arc<dyn FileOps>> {
        target.check_access()?;
        Ok(alloc::sync::Arc::new(Maps { target: target.clone(), text: Text::default() }))
    }

    fn query(&self, arg: UserAddr) -> SysResult {
        let at = arg.cast::<ProcmapQuery>();
        let size = arg.cast::<u64>().read()?;
        if size > PAGE_SIZE as u64 {
            return Err(Errno::E2BIG);
        }
        if size < FIRST_SIZE {
            return Err(Errno::EINVAL);
        }
        let mut query = at.read()?;
        let named = query.vma_name_size != 0;
        if query.query_flags & !KNOWN != 0
            || named != (query.vma_name_addr != 0)
            || (query.build_id_size != 0) != (query.build_id_addr != 0)
        {
            return Err(Errno::EINVAL);
        }
        let areas = self.target.mm()?.ok_or(Errno::ESRCH)?.maps()?;
        let area = find(&areas, query.query_addr, query.query_flags).ok_or(Errno::ENOENT)?;
        (query.vma_start, query.vma_end) = (area.start, area.end);
        query.vma_flags = permissions(area);
        query.vma_page_size = PAGE_SIZE as u64;
        (query.vma_offset, query.inode) = (area.offset, area.ino);
        (query.dev_major, query.dev_minor) = (fs::major(area.dev), fs::minor(area.dev));
        if named {
            self.give_name(area, &mut query)?;
        }
        // No file's notes are kept.
        query.build_id_size = 0;
        at.write(query)?;
        Ok(0)
    }

    fn give_name(&self, area: &MapsEntry, query: &mut ProcmapQuery) -> SysResult<()> {
        if area.path.is_empty() {
            query.vma_name_size = 0;
            return Ok(());
        }
        let mut name = area.path.clone();
        name.push(0);
        if name.len() > query.vma_name_size as usize {
            return Err(Errno::ENAMETOOLONG);
        }
        query.vma_name_size = name.len() as u32;
        UserAddr(query.vma_name_addr).cast::<u8>().write_slice(&name)
    }
}

fn permissions(area: &MapsEntry) -> u64 {
    [(Prot::READ, READABLE), (Prot::WRITE, WRITABLE), (Prot::EXEC, EXECUTABLE)].into_iter().fold(
        if area.shared { SHARED } else { 0 },
        |all, (prot, bit)| if area.prot.contains(prot) { all | bit } else { all },
    )
}

/// The area at `addr`, or the next one where that is asked for, that has what `flags` want.
fn find(areas: &[MapsEntry], addr: u64, flags: u64) -> Option<&MapsEntry> {
    let wanted = flags & (READABLE | WRITABLE | EXECUTABLE | SHARED);
    let fits = |area: &&MapsEntry| permissions(area) & wanted == wanted && (flags & FILE_BACKED == 0 || area.ino != 0);
    let mut later = areas.iter().filter(|area| area.end > addr);
    if flags & COVERING_OR_NEXT != 0 {
        return later.find(fits);
    }
    later.next().filter(|area| area.start <= addr).filter(fits)
}

impl FileOps for Maps {
    fn seekable(&self) -> bool {
        true
    }

    fn read_at(&self, _file: &OpenFile, pos: u64, to: &mut Sink<'_>) -> SysResult<usize> {
        self.text.read_at(pos, to, || memory::maps(&self.target))
    }

    fn seek(&self, _file: &OpenFile, pos: u64, offset: i64, whence: u32) -> SysResult<u64> {
        fd::pseudo_file::seek_text(pos, offset, whence)
    }

    fn pollable(&self) -> bool {
        false
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        if request == PROCMAP_QUERY { self.query(arg) } else { Err(Errno::ENOTTY) }
    }
}
