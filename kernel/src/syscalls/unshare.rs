//! What tasks share: unshare(2), setns(2), kcmp(2).

use alloc::sync::Arc;

use syscall_shim::{CloneFlags, Errno, SysResult};

use super::identity::may_inspect;
use super::paths;
use crate::sync::Use;
use crate::usermem::UserPtr;
use fd::epoll::Epoll;
use task::{Task, current, table};

/// What a thread can stop to share with others.
const OWN: CloneFlags = CloneFlags::CLONE_FS.union(CloneFlags::CLONE_FILES).union(CloneFlags::CLONE_SYSVSEM);
/// What only a process with one thread can, which has it by itself.
const OF_PROCESS: CloneFlags = CloneFlags::CLONE_THREAD.union(CloneFlags::CLONE_SIGHAND).union(CloneFlags::CLONE_VM);

/// unshare(2). There are no namespaces to leave: `EPERM`, as for the unprivileged.
pub fn unshare(flags: u64) -> SysResult {
    const CLONE_NEWTIME: u64 = 0x80;
    let new_time = flags & CLONE_NEWTIME != 0;
    let flags = CloneFlags::from_bits(flags & !CLONE_NEWTIME).ok_or(Errno::EINVAL)?;
    let others = flags - OWN - OF_PROCESS;
    if !(others - task::clone::NAMESPACES).is_empty() {
        return Err(Errno::EINVAL);
    }
    let task = current();
    // Users' ids are those of a process, not of a thread.
    let of_process = OF_PROCESS | CloneFlags::CLONE_NEWUSER;
    if flags.intersects(of_process) && task.process.thread_count() > 1 {
        return Err(Errno::EINVAL);
    }
    if new_time || !others.is_empty() {
        return Err(Errno::EPERM);
    }
    if flags.contains(CloneFlags::CLONE_FS) {
        let own = Use::new(Arc::new(task.fs().duplicate()));
        let shared = core::mem::replace(&mut *task.fs.lock(), own);
        drop(shared);
    }
    if flags.contains(CloneFlags::CLONE_FILES) {
        task::exec::unshare_files(task)?;
    }
    if flags.contains(CloneFlags::CLONE_SYSVSEM) {
        ipc::sem::leave(&task.undo, task.process.pid);
    }
    Ok(0)
}

/// setns(2): there is one namespace of each kind, and everybody is in it. `EINVAL` for a descriptor
/// of something else.
pub fn setns(fd: i32, _kind: u32) -> SysResult {
    paths::file(fd)?;
    Err(Errno::EINVAL)
}

fn order<T>(a: &Arc<T>, b: &Arc<T>) -> SysResult {
    order_of(Arc::as_ptr(a).addr(), Arc::as_ptr(b).addr())
}

/// Those who have nothing of the kind are equal.
fn order_if_some<T>(a: &Option<Arc<T>>, b: &Option<Arc<T>>) -> SysResult {
    let place = |shared: &Option<Arc<T>>| shared.as_ref().map_or(0, |shared| Arc::as_ptr(shared).addr());
    order_of(place(a), place(b))
}

fn order_of(a: usize, b: usize) -> SysResult {
    Ok(match a.cmp(&b) {
        core::cmp::Ordering::Equal => 0,
        core::cmp::Ordering::Less => 1,
        core::cmp::Ordering::Greater => 2,
    })
}

fn inspected(pid: i32) -> SysResult<Arc<Task>> {
    let task = table::task(pid).ok_or(Errno::ESRCH)?;
    may_inspect(&task)?;
    Ok(task)
}

/// kcmp(2).
pub fn kcmp(pid1: i32, pid2: i32, kind: i32, index1: u64, index2: u64) -> SysResult {
    let (a, b) = (inspected(pid1)?, inspected(pid2)?);
    match kind {
        0 => {
            let file = |task: &Task, fd: u64| task.files()?.get_any(fd as i32);
            order(&file(&a, index1)?, &file(&b, index2)?)
        }
        1 => order(&a.process.mm(), &b.process.mm()),
        2 => order(&a.files()?, &b.files()?),
        3 => order(&a.fs(), &b.fs()),
        4 => order_of(a.process.sighand.identity(), b.process.sighand.identity()),
        5 => order_if_some(&a.io_context.lock().clone(), &b.io_context.lock().clone()),
        6 => order_if_some(&a.undo.lock().clone(), &b.undo.lock().clone()),
        // The second index is the address of a `struct kcmp_epoll_slot`: an instance, and which of
        // its entries.
        7 => {
            let [efd, tfd, toff] = UserPtr::<[u32; 3]>::new(index2).read()?;
            let file = a.files()?.get_any(index1 as i32)?;
            let instance = b.files()?.get_any(efd as i32)?;
            let epoll = instance.ops_as::<Epoll>().ok_or(Errno::EINVAL)?;
            order(&file, &epoll.target(tfd as i32, toff as usize)?)
        }
        _ => Err(Errno::EINVAL),
    }
}
