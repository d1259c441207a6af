//! Finding the file to execute: permissions, and `#!` scripts down to the interpreter that is an
//! ELF file.

use alloc::sync::Arc;
use alloc::vec::Vec;
use elf_loader::{ElfError, Kind, LoadPlan, ReadAt, script};
use fs::file::ExecAccess;
use fs::notify::{self, event};
use fs::{AccessMask, InodeRef, LookupFlags, Mapping, MountFlags};
use syscall_shim::{Errno, SysResult};

use super::{ExecError, Request};
use fd::with_fs;
use vm::MappedFile;

/// An ELF file to load, and the arguments that its program gets.
pub struct Program {
    /// Its place.
    pub path: fs::Path,
    /// Its path as text: what `AT_EXECFN` and messages name.
    pub name: Vec<u8>,
    /// The path that execve was given.
    pub execfn: Vec<u8>,
    /// Its file, for mappings.
    pub file: Arc<ProgramFile>,
    /// How to load it.
    pub plan: LoadPlan,
    /// Arguments; a script's interpreter gets more than the caller gave.
    pub argv: Vec<Vec<u8>>,
    /// Mode and owner of the file, for the set-id bits.
    pub mode: u32,
    /// See `mode`.
    pub uid: u32,
    /// See `mode`.
    pub gid: u32,
    /// The set-id bits do not count on its mount.
    pub nosuid: bool,
    /// What the process is called: the last part of the path that execve was given, or of the
    /// file's where that was a descriptor.
    pub comm: Vec<u8>,
}

impl Program {
    /// Looks the program up and plans it, taking the request's arguments. Follows `#!` lines.
    pub fn find(request: &mut Request<'_>) -> Result<Self, ExecError> {
        let mut name = request.shown.to_vec();
        let mut lookup_name = request.path.to_vec();
        let mut argv = core::mem::take(&mut request.argv);
        let (mut at, mut lookup) = (request.at.clone(), request.lookup);
        for _ in 0..=script::MAX_DEPTH {
            let (path, file) = open(at.as_ref(), &lookup_name, lookup).map_err(|errno| ExecError::new(errno, &name))?;
            match elf_loader::identify(&*file).map_err(|error| ExecError::elf(error, &name))? {
                Kind::Elf => {
                    let plan = LoadPlan::parse(&*file).map_err(|error| ExecError::elf(error, &name))?;
                    let attrs = file.inode.access_attrs();
                    let nosuid = path.mount.flags().contains(MountFlags::NOSUID);
                    let execfn = request.shown.to_vec();
                    let comm = match request.path {
                        [] => path.dentry.name().to_vec(),
                        given => given.rsplit(|&b| b == b'/').next().unwrap_or_default().to_vec(),
                    };
                    let (mode, uid, gid) = (attrs.mode, attrs.uid, attrs.gid);
                    return Ok(Self { path, name, execfn, file, plan, argv, mode, uid, gid, nosuid, comm });
                }
                Kind::Script(script) => {
                    // With the descriptor by which its path would be opened gone, nobody could read
                    // it.
                    if request.unreachable {
                        return Err(ExecError::new(Errno::ENOENT, &name));
                    }
                    if script.interpreter.is_empty() {
                        // That is the working directory, which is no file to execute.
                        return Err(ExecError::new(Errno::EACCES, &name));
                    }
                    argv = script.argv(&name, argv).map_err(|_| ExecError::new(Errno::ENOMEM, &name))?;
                    name = script.interpreter;
                    lookup_name = name.clone();
                    (at, lookup) = (None, LookupFlags::FOLLOW);
                }
            }
        }
        Err(ExecError::new(Errno::ELOOP, &name))
    }
}

/// Opens a file for execution: regular, executable for the caller, not on a `noexec` mount, not
/// open for writing.
pub fn open(at: Option<&fs::Path>, name: &[u8], lookup: LookupFlags) -> SysResult<(fs::Path, Arc<ProgramFile>)> {
    let namespace = crate::namespace();
    let path = with_fs(|ctx| {
        let path = namespace.resolve(ctx, at, name, lookup)?;
        let inode = path.inode()?;
        if inode.file_type() == fs::FileType::Symlink {
            // Not to be followed, or it would have been.
            return Err(Errno::ELOOP);
        }
        if inode.file_type() != fs::FileType::Regular || path.mount.flags().contains(MountFlags::NOEXEC) {
            return Err(Errno::EACCES);
        }
        namespace.access(ctx, &path, AccessMask::EXEC)?;
        Ok(path)
    })?;
    let inode = path.inode()?.clone();
    if inode.mapping().is_none() {
        return Err(Errno::EACCES);
    }
    let hold = ExecAccess::get(&inode)?;
    let file = Arc::new(ProgramFile { path: path.clone(), inode, _hold: hold });
    notify::notify_open_file(&path, event::OPEN);
    Ok((path, file))
}

/// The file of a program or its interpreter, held against writing as long as it is mapped.
pub struct ProgramFile {
    path: fs::Path,
    /// The file.
    pub inode: InodeRef,
    _hold: ExecAccess,
}

impl Drop for ProgramFile {
    fn drop(&mut self) {
        notify::notify_open_file(&self.path, event::CLOSE_NOWRITE);
    }
}

impl ReadAt for ProgramFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let mut done = 0;
        fs::file::read(&self.inode, offset, buffer.len(), &mut |page, at, len| {
            let part = buffer.get_mut(done..done + len).ok_or(Errno::EIO)?;
            match page {
                Some(page) => {
                    page.read(at, part);
                }
                None => part.fill(0),
            }
            done += len;
            Ok(len)
        })
        .inspect(|n| {
            if *n > 0 {
                notify::notify_open_file(&self.path, event::ACCESS);
            }
        })
    }

    fn size(&self) -> u64 {
        self.inode.metadata().size
    }
}

impl MappedFile for ProgramFile {
    fn mapping(&self) -> &Arc<Mapping> {
        match self.inode.mapping() {
            Some(mapping) => mapping,
            None => unreachable!("`open` refuses files without page cache"),
        }
    }

    fn id(&self) -> (u64, u64) {
        let metadata = self.inode.metadata();
        (metadata.dev, metadata.ino)
    }

    fn path(&self) -> Vec<u8> {
        with_fs(|ctx| Ok(self.path.display(&ctx.root))).unwrap_or_default()
    }

    fn is_shmem(&self) -> bool {
        false
    }

    fn punch_hole(&self, _start: u64, _end: u64) -> SysResult<()> {
        // Programs are mapped privately, which `MADV_REMOVE` refuses before it comes here.
        Err(Errno::EINVAL)
    }
}

impl From<ElfError> for ExecError {
    fn from(error: ElfError) -> Self {
        Self::elf(error, b"")
    }
}
