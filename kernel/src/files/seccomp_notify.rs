//! The descriptor by which a supervisor decides over other threads' system calls
//! (seccomp_unotify(2)).

use alloc::sync::Arc;

use fs::OpenFlags;
use syscall_shim::types::{SeccompAddfd, SeccompData, SeccompNotif, SeccompResponse};
use syscall_shim::{Errno, SysResult};
use zerocopy::IntoBytes;

use crate::usermem::{UserAddr, copy_out, read_extensible};
use fd::poll::PollTable;
use fd::{FileOps, OpenFile, anon};
use task::current;
use task::seccomp::ARCH;
use task::seccomp::notify::{Answer, Descriptor, Notifier};

/// `SECCOMP_IOCTL_NOTIF_*`
const RECV: u32 = 0xc050_2100;
const SEND: u32 = 0xc018_2101;
const ID_VALID: u32 = 0x4008_2102;
/// As it was numbered at first.
const ID_VALID_WRONG_DIR: u32 = 0x8008_2102;
const SET_FLAGS: u32 = 0x4008_2104;
/// Without its size, which grows with the structure.
const ADDFD: u32 = 0x4000_2103;
const SIZE_MASK: u32 = 0x3fff << 16;
/// `SECCOMP_NOTIFY_ADDFD_SIZE_VER0`
const FIRST_ADDFD_SIZE: usize = 24;
const PAGE_SIZE: usize = 4096;

struct Listener(Arc<Notifier>);

/// A new one for a filter's notifier, open.
pub fn open(notifier: Arc<Notifier>) -> Arc<OpenFile> {
    let (path, inode) = anon::anon_inode("seccomp notify");
    OpenFile::new(path, inode, Arc::new(Listener(notifier)), OpenFlags::RDWR)
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Listener {
    fn receive(&self, to: UserAddr) -> SysResult {
        // What a later version has to tell is asked for by what is not zero.
        let before: SeccompNotif = read_extensible(to, size_of::<SeccompNotif>())?;
        if before.as_bytes().iter().any(|byte| *byte != 0) {
            return Err(Errno::EINVAL);
        }
        let (id, tid, call) = self.0.receive()?;
        let data =
            SeccompData { nr: call.nr as i32, arch: ARCH, instruction_pointer: call.instruction_pointer, args: call.args };
        let told = SeccompNotif { id, pid: tid as u32, flags: 0, data };
        copy_out(to, told.as_bytes()).inspect_err(|_| self.0.put_back(id))?;
        Ok(0)
    }

    fn send(&self, from: UserAddr) -> SysResult {
        const CONTINUE: u32 = linux_raw_sys::ptrace::SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        let SeccompResponse { id, val, error, flags } = read_extensible(from, size_of::<SeccompResponse>())?;
        let answer = match (flags, error, val) {
            (CONTINUE, 0, 0) => Answer::Continue,
            (0, 0, value) => Answer::Value(value),
            (0, error, _) => Answer::Value(error.into()),
            _ => return Err(Errno::EINVAL),
        };
        self.0.answer(id, answer).map(|()| 0)
    }

    fn add_descriptor(&self, from: UserAddr, size: usize) -> SysResult {
        use linux_raw_sys::ptrace::{SECCOMP_ADDFD_FLAG_SEND, SECCOMP_ADDFD_FLAG_SETFD};
        if !(FIRST_ADDFD_SIZE..PAGE_SIZE).contains(&size) {
            return Err(Errno::EINVAL);
        }
        let asked: SeccompAddfd = read_extensible(from, size)?;
        let known = SECCOMP_ADDFD_FLAG_SEND | SECCOMP_ADDFD_FLAG_SETFD;
        let sets = asked.flags & SECCOMP_ADDFD_FLAG_SETFD != 0;
        if asked.newfd_flags & !OpenFlags::CLOEXEC.bits() != 0 || asked.flags & !known != 0 || asked.newfd != 0 && !sets {
            return Err(Errno::EINVAL);
        }
        let file = current().files()?.get_any(asked.srcfd as i32)?;
        let number = sets.then_some(asked.newfd as i32);
        let answers = asked.flags & SECCOMP_ADDFD_FLAG_SEND != 0;
        let descriptor = Descriptor::new(file, number, asked.newfd_flags != 0, answers);
        self.0.add_descriptor(asked.id, &descriptor).map(|fd| fd as usize)
    }
}

impl FileOps for Listener {
    fn can_read_and_write(&self) -> (bool, bool) {
        (false, false)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        let (events, queue) = self.0.poll();
        table.add(queue);
        events
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        /// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`: a hint where the threads should run.
        const SYNC_WAKE_UP: u64 = 1;
        match request {
            RECV => self.receive(arg),
            SEND => self.send(arg),
            ID_VALID | ID_VALID_WRONG_DIR => {
                if self.0.is_valid(arg.cast::<u64>().read()?) {
                    Ok(0)
                } else {
                    Err(Errno::ENOENT)
                }
            }
            SET_FLAGS if arg.0 & !SYNC_WAKE_UP == 0 => Ok(0),
            other if other & !SIZE_MASK == ADDFD => self.add_descriptor(arg, (other >> 16 & 0x3fff) as usize),
            _ => Err(Errno::EINVAL),
        }
    }
}
