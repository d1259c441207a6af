//! System V interprocess communication: shmget(2), semop(2), msgsnd(2) and their kin.

use core::sync::atomic::Ordering::Relaxed;

use ipc::{IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, limits, msg, sem, shm};
use syscall_shim::types::{MsqidDs, Sembuf, SemidDs, ShmidDs, Shminfo, Timespec};
use syscall_shim::{Errno, SysResult};

use crate::arch::clock::monotonic_ns;
use crate::ipc::shm as attach;
use crate::usermem::{UserAddr, UserPtr};
use task::current;

/// Programs of old pass it along with the command; on x86-64 it changes nothing.
const IPC_64: u32 = 0x100;
const SHM_LOCK: u32 = 11;
const SHM_UNLOCK: u32 = 12;
const SHM_STAT: u32 = 13;
const SHM_INFO: u32 = 14;
const SHM_STAT_ANY: u32 = 15;
const MSG_STAT: u32 = 11;
const MSG_INFO: u32 = 12;
const MSG_STAT_ANY: u32 = 13;
const SEM_STAT: u32 = 18;
const SEM_INFO: u32 = 19;
const SEM_STAT_ANY: u32 = 20;
const GETPID: u32 = 11;
const GETVAL: u32 = 12;
const GETALL: u32 = 13;
const GETNCNT: u32 = 14;
const GETZCNT: u32 = 15;
const SETVAL: u32 = 16;
const SETALL: u32 = 17;

/// shmget(2).
pub fn shmget(key: i32, size: u64, flags: u32) -> SysResult {
    attach::get(key, size, flags).map(|id| id as usize)
}

/// shmat(2).
pub fn shmat(id: i32, addr: u64, flags: u32) -> SysResult {
    attach::attach(id, addr, flags).map(|addr| addr as usize)
}

/// shmdt(2).
pub fn shmdt(addr: u64) -> SysResult {
    attach::detach(addr).map(|()| 0)
}

/// shmctl(2).
pub fn shmctl(id: i32, command: u32, buffer: UserAddr) -> SysResult {
    let data = buffer.cast::<ShmidDs>();
    match command & !IPC_64 {
        IPC_INFO => {
            let (shmmax, shmall) = (limits::SHMMAX.load(Relaxed), limits::SHMALL.load(Relaxed));
            let shmmni = limits::SHMMNI.load(Relaxed).into();
            buffer.cast().write(Shminfo { shmmax, shmmin: 1, shmmni, shmseg: shmmni, shmall, unused: [0; 4] })?;
            return Ok(shm::highest());
        }
        SHM_INFO => {
            // struct shm_info: used_ids, shm_tot, shm_rss, and three about what is swapped out.
            let [used, pages, present] = shm::totals();
            buffer.cast::<u64>().write_slice(&[used, pages, present, 0, 0, 0])?;
            return Ok(shm::highest());
        }
        IPC_STAT => data.write(shm::find(id)?.stat(false)?)?,
        command @ (SHM_STAT | SHM_STAT_ANY) => {
            let segment = shm::at(id)?;
            data.write(segment.stat(command == SHM_STAT_ANY)?)?;
            return Ok(segment.id() as usize);
        }
        IPC_SET => {
            let new = data.read()?;
            shm::find(id)?.set(&new)?;
        }
        IPC_RMID => shm::remove(&shm::find(id)?)?,
        command @ (SHM_LOCK | SHM_UNLOCK) => shm::find(id)?.lock_in_memory(command == SHM_LOCK)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// semget(2).
pub fn semget(key: i32, count: i32, flags: u32) -> SysResult {
    sem::get(key, count, flags).map(|id| id as usize)
}

/// semop(2).
pub fn semop(id: i32, operations: UserPtr<Sembuf>, count: usize) -> SysResult {
    semtimedop(id, operations, count, UserPtr::new(0))
}

/// semtimedop(2).
pub fn semtimedop(id: i32, operations: UserPtr<Sembuf>, count: usize, timeout: UserPtr<Timespec>) -> SysResult {
    if count == 0 || id < 0 {
        return Err(Errno::EINVAL);
    }
    if count > limits::semopm() {
        return Err(Errno::E2BIG);
    }
    let operations = operations.read_vec(count)?;
    let deadline = match timeout.non_null() {
        Some(timeout) => Some(monotonic_ns().saturating_add(timeout.read()?.to_ns()?)),
        None => None,
    };
    sem::find(id)?.operate(&operations, deadline, &current().undo).map(|()| 0)
}

/// semctl(2).
pub fn semctl(id: i32, number: i32, command: u32, argument: u64) -> SysResult {
    let command = command & !IPC_64;
    let data = UserPtr::<SemidDs>::new(argument);
    let array = UserPtr::<u16>::new(argument);
    if matches!(command, IPC_INFO | SEM_INFO) {
        // struct seminfo: semmap, semmni, semmns, semmnu, semmsl, semopm, semume, semusz, semvmx,
        // semaem.
        const ALL: i32 = 1_024_000_000;
        let [semmsl, semmns, semopm, semmni] = limits::SEM.each_ref().map(|limit| limit.load(Relaxed));
        let [size, adjust] = if command == IPC_INFO { [20, sem::SEMVMX] } else { sem::totals().map(|count| count as i32) };
        let limits = [ALL, semmni, semmns, ALL, semmsl, semopm, 500, size, sem::SEMVMX, adjust];
        UserPtr::<i32>::new(argument).write_slice(&limits)?;
        return Ok(sem::highest());
    }
    if matches!(command, SEM_STAT | SEM_STAT_ANY) {
        let set = sem::at(id)?;
        data.write(set.stat(command == SEM_STAT_ANY)?)?;
        return Ok(set.id() as usize);
    }
    let set = sem::find(id)?;
    match command {
        IPC_STAT => data.write(set.stat(false)?)?,
        IPC_SET => set.set(&data.read()?)?,
        IPC_RMID => sem::remove(&set)?,
        GETALL => {
            let values: alloc::vec::Vec<u16> = set.semaphores()?.iter().map(|semaphore| semaphore.value as u16).collect();
            array.write_slice(&values)?;
        }
        SETALL => {
            let count = set.semaphores()?.len();
            let values: alloc::vec::Vec<i32> = array.read_vec(count)?.into_iter().map(i32::from).collect();
            set.set_values(0, &values)?;
        }
        SETVAL => {
            let number = usize::try_from(number).map_err(|_| Errno::EINVAL)?;
            set.set_values(number, &[argument as i32])?;
        }
        GETVAL | GETPID | GETNCNT | GETZCNT => {
            let number = usize::try_from(number).map_err(|_| Errno::EINVAL)?;
            let semaphore = *set.semaphores()?.get(number).ok_or(Errno::EINVAL)?;
            return Ok(match command {
                GETVAL => semaphore.value as usize,
                GETPID => semaphore.pid as usize,
                GETNCNT => semaphore.growers as usize,
                _ => semaphore.zeroers as usize,
            });
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// msgget(2).
pub fn msgget(key: i32, flags: u32) -> SysResult {
    msg::get(key, flags).map(|id| id as usize)
}

/// msgsnd(2): `buffer` holds the type and then `size` bytes.
pub fn msgsnd(id: i32, buffer: UserAddr, size: isize, flags: u32) -> SysResult {
    let kind = buffer.cast::<i64>().read()?;
    let size =
        usize::try_from(size).ok().filter(|size| *size <= limits::MSGMAX.load(Relaxed) as usize).ok_or(Errno::EINVAL)?;
    if kind < 1 || id < 0 {
        return Err(Errno::EINVAL);
    }
    let text = buffer.add(8).cast::<u8>().read_vec(size)?;
    msg::find(id)?.send(msg::Message { kind, text }, flags).map(|()| 0)
}

/// msgrcv(2).
pub fn msgrcv(id: i32, buffer: UserAddr, size: isize, kind: i64, flags: u32) -> SysResult {
    let room = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    let message = msg::find(id)?.receive(room, kind, flags)?;
    buffer.cast::<i64>().write(message.kind)?;
    buffer.add(8).cast::<u8>().write_slice(&message.text)?;
    Ok(message.text.len())
}

/// msgctl(2).
pub fn msgctl(id: i32, command: u32, buffer: UserPtr<MsqidDs>) -> SysResult {
    match command & !IPC_64 {
        command @ (IPC_INFO | MSG_INFO) => {
            // struct msginfo: msgpool, msgmap, msgmax, msgmnb, msgmni, msgssz, msgtql, msgseg.
            const BYTES: i32 = 16384;
            let [max, bytes, queues] =
                [&limits::MSGMAX, &limits::MSGMNB, &limits::MSGMNI].map(|limit| limit.load(Relaxed) as i32);
            let [pool, map, all] =
                if command == IPC_INFO { [512_000, BYTES, BYTES] } else { msg::totals().map(|count| count as i32) };
            buffer.addr().cast::<i32>().write_slice(&[pool, map, max, bytes, queues, 16, all, 0xffff])?;
            return Ok(msg::highest());
        }
        IPC_STAT => buffer.write(msg::find(id)?.stat(false)?)?,
        command @ (MSG_STAT | MSG_STAT_ANY) => {
            let queue = msg::at(id)?;
            buffer.write(queue.stat(command == MSG_STAT_ANY)?)?;
            return Ok(queue.id() as usize);
        }
        IPC_SET => msg::find(id)?.set(&buffer.read()?)?,
        IPC_RMID => msg::remove(&msg::find(id)?)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}
