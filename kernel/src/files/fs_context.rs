//! A file system that is being set up or changed, as a file: fsopen(2), fspick(2), fsconfig(2).

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use fs::namespace::MountChange;
use fs::{FileSystem, MountFlags, OpenFlags, Path};
use syscall_shim::{Errno, SysResult};

use crate::sync::SpinLock;
use crate::vfs;
use fd::io::{Sink, put_all};
use fd::{FileOps, OpenFile, anon};
use task::namespace;

/// Messages that are kept until somebody reads them.
const MAX_MESSAGES: usize = 8;
/// Longest text of all options.
const MAX_OPTIONS: usize = 4096;

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Parameters, then `FSCONFIG_CMD_CREATE`.
    Create,
    /// fsmount(2).
    Mount,
    /// Parameters, then `FSCONFIG_CMD_RECONFIGURE`.
    Reconfigure,
    Failed,
}

struct State {
    phase: Phase,
    options: String,
    source: Option<String>,
    read_only: Option<bool>,
    made: Option<Arc<dyn FileSystem>>,
    messages: VecDeque<String>,
}

/// The context.
pub struct FsContextFile {
    kind: String,
    /// Held over the making of a file system, which does not sleep.
    state: SpinLock<State>,
}

/// The value of a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// `FSCONFIG_SET_FLAG`
    Flag,
    /// `FSCONFIG_SET_STRING`
    Text(&'a str),
    /// Bytes, a path or a descriptor: no file system here has a parameter like that.
    Other,
}

impl FsContextFile {
    /// A new file system of type `kind`. `ENODEV` for an unknown one.
    pub fn open(kind: String) -> SysResult<Arc<OpenFile>> {
        if !vfs::can_mount(&kind) {
            return Err(Errno::ENODEV);
        }
        Ok(Self::file(kind, Phase::Create, None))
    }

    /// One that is mounted. `EINVAL` unless `at` is the root of a mount.
    pub fn pick(at: &Path) -> SysResult<Arc<OpenFile>> {
        if !at.is_mount_root() {
            return Err(Errno::EINVAL);
        }
        let fs = at.mount.fs.clone();
        Ok(Self::file(String::from(fs.name()), Phase::Reconfigure, Some(fs)))
    }

    fn file(kind: String, phase: Phase, made: Option<Arc<dyn FileSystem>>) -> Arc<OpenFile> {
        let (options, messages) = (String::new(), VecDeque::new());
        let state = State { phase, options, source: None, read_only: None, made, messages };
        let (path, inode) = anon::anon_inode("[fscontext]");
        OpenFile::new(path, inode, Arc::new(Self { kind, state: SpinLock::new(state) }), OpenFlags::RDWR)
    }

    /// The context that a file is. `EINVAL` for another kind.
    pub fn of(file: &OpenFile) -> SysResult<&FsContextFile> {
        file.ops_as::<FsContextFile>().ok_or(Errno::EINVAL)
    }

    /// Sets a parameter. What is wrong with it is told by a message, too.
    pub fn set(&self, key: &str, value: Value<'_>) -> SysResult<()> {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Create | Phase::Reconfigure) {
            return Err(Errno::EBUSY);
        }
        match key {
            "ro" | "rw" => state.read_only = Some(key == "ro"),
            // Nothing here is written later than at once, or locked by force.
            "sync" | "async" | "dirsync" | "mand" | "nomand" | "lazytime" | "nolazytime" => {}
            "source" => {
                let Value::Text(text) = value else { return state.refuse(String::from("Non-string source")) };
                if state.source.is_some() {
                    return state.refuse(String::from("Multiple sources"));
                }
                state.source = Some(String::from(text));
            }
            _ if !vfs::parameters(&self.kind).contains(&key) => {
                return state.refuse(format!("{}: Unknown parameter '{key}'", self.kind));
            }
            _ => {
                let option = match value {
                    Value::Text(text) if !text.contains(',') => format!("{key}={text}"),
                    _ if vfs::is_flag(key) && value == Value::Flag => String::from(key),
                    _ => return state.refuse(format!("{}: Bad value for '{key}'", self.kind)),
                };
                if vfs::check_options(&self.kind, &option).is_err() {
                    return state.refuse(format!("{}: Bad value for '{key}'", self.kind));
                }
                if state.options.len() + option.len() > MAX_OPTIONS {
                    return Err(Errno::EINVAL);
                }
                if !state.options.is_empty() {
                    state.options.push(',');
                }
                state.options.push_str(&option);
            }
        }
        Ok(())
    }

    /// `FSCONFIG_CMD_CREATE`.
    pub fn create(&self) -> SysResult<()> {
        let mut state = self.state.lock();
        if state.phase != Phase::Create {
            return Err(Errno::EBUSY);
        }
        state.phase = Phase::Failed;
        let source = state.source.as_deref().map(str::as_bytes);
        let made = vfs::file_system(&self.kind, source, &state.options, state.read_only == Some(true))?;
        state.made = Some(made);
        state.phase = Phase::Mount;
        Ok(())
    }

    /// `FSCONFIG_CMD_RECONFIGURE`.
    pub fn reconfigure(&self) -> SysResult<()> {
        let mut state = self.state.lock();
        if state.phase != Phase::Reconfigure {
            return Err(Errno::EBUSY);
        }
        let fs = state.made.clone().ok_or(Errno::EINVAL)?;
        state.phase = Phase::Failed;
        let read_only = state.read_only.unwrap_or_else(|| fs.read_only());
        namespace().reconfigure_file_system(&fs, &state.options, read_only)?;
        state.forget_parameters();
        Ok(())
    }

    /// fsmount(2): the file system that was created, mounted by itself. `EINVAL` where there is
    /// none, `EBUSY` for one that is mounted.
    pub fn mount(&self, flags: MountFlags) -> SysResult<Path> {
        let mut state = self.state.lock();
        let fs = state.made.clone().ok_or(Errno::EINVAL)?;
        if state.phase != Phase::Mount {
            return Err(Errno::EBUSY);
        }
        let source = state.source.take();
        let mounted = namespace().mount_detached(fs, source.as_deref().unwrap_or("none"), flags);
        state.forget_parameters();
        Ok(mounted)
    }
}

impl State {
    /// `EINVAL`, and says why.
    fn refuse(&mut self, why: String) -> SysResult<()> {
        if self.messages.len() == MAX_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(format!("e {why}\n"));
        Err(Errno::EINVAL)
    }

    /// What was done is the beginning of a change.
    fn forget_parameters(&mut self) {
        self.options.clear();
        self.source = None;
        self.read_only = None;
        self.phase = Phase::Reconfigure;
    }
}

impl FileOps for FsContextFile {
    /// One message, the oldest. `EMSGSIZE` where there is no room for it.
    fn read(&self, _file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        let mut state = self.state.lock();
        let message = state.messages.front().ok_or(Errno::ENODATA)?;
        if message.len() > to.remaining() {
            return Err(Errno::EMSGSIZE);
        }
        let Some(message) = state.messages.pop_front() else { return Err(Errno::ENODATA) };
        drop(state);
        put_all(to, message.as_bytes())?;
        Ok(message.len())
    }

    fn can_read_and_write(&self) -> (bool, bool) {
        (true, false)
    }

    fn pollable(&self) -> bool {
        false
    }
}

/// The flags of a mount for `MOUNT_ATTR_*`, with what of a mount that is there they leave. `EINVAL`
/// for others.
pub fn attributes(set: u64, clear: u64) -> SysResult<MountChange> {
    const TIMES: u64 = 0x70;
    const NOATIME: u64 = 0x10;
    const STRICTATIME: u64 = 0x20;
    const PLAIN: [(u64, MountFlags); 6] = [
        (0x1, MountFlags::RDONLY),
        (0x2, MountFlags::NOSUID),
        (0x4, MountFlags::NODEV),
        (0x8, MountFlags::NOEXEC),
        (0x80, MountFlags::NODIRATIME),
        (0x20_0000, MountFlags::NOSYMFOLLOW),
    ];
    let known = PLAIN.iter().fold(TIMES, |all, (bit, _)| all | bit);
    if (set | clear) & !known != 0 {
        return Err(Errno::EINVAL);
    }
    let flags = |bits: u64| {
        let chosen = PLAIN.iter().filter(|(bit, _)| bits & bit != 0);
        chosen.fold(MountFlags::empty(), |all, (_, flag)| all | *flag)
    };
    let (mut to_set, mut to_clear) = (flags(set), flags(clear));
    match clear & TIMES {
        0 if set & TIMES == 0 => {}
        TIMES => {
            to_clear |= MountFlags::NOATIME | MountFlags::RELATIME | MountFlags::STRICTATIME;
            to_set |= match set & TIMES {
                0 => MountFlags::RELATIME,
                NOATIME => MountFlags::NOATIME,
                STRICTATIME => MountFlags::empty(),
                _ => return Err(Errno::EINVAL),
            };
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(MountChange { clear: to_clear, set: to_set, propagation: None })
}
