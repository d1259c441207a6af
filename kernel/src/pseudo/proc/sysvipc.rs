//! /proc/sysvipc: what there is of System V interprocess communication (proc_sysvipc(5)).

use alloc::format;
use alloc::string::String;

use ipc::{msg, sem, shm};

/// `shm`
pub fn shared_memory() -> String {
    let mut out =
        String::from("       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid");
    out += "      atime      dtime      ctime                   rss                  swap\n";
    for segment in (0..=shm::highest()).filter_map(|index| shm::at(index as i32).ok()) {
        let Ok(s) = segment.stat(true) else { continue };
        let p = &s.shm_perm;
        out += &format!(
            "{:10} {:10}  {:4o} {:21} {:5} {:5}  {:5} {:5} {:5} {:5} {:5} {:10} {:10} {:10} {:21} {:21}\n",
            p.key,
            segment.id(),
            p.mode,
            s.shm_segsz,
            s.shm_cpid,
            s.shm_lpid,
            s.shm_nattch,
            p.uid,
            p.gid,
            p.cuid,
            p.cgid,
            s.shm_atime,
            s.shm_dtime,
            s.shm_ctime,
            segment.resident(),
            0,
        );
    }
    out
}

/// `sem`
pub fn semaphores() -> String {
    let mut out = String::from("       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
    for set in (0..=sem::highest()).filter_map(|index| sem::at(index as i32).ok()) {
        let Ok(s) = set.stat(true) else { continue };
        let p = &s.sem_perm;
        out += &format!(
            "{:10} {:10}  {:4o} {:10} {:5} {:5} {:5} {:5} {:10} {:10}\n",
            p.key,
            set.id(),
            p.mode,
            s.sem_nsems,
            p.uid,
            p.gid,
            p.cuid,
            p.cgid,
            s.sem_otime,
            s.sem_ctime,
        );
    }
    out
}

/// `msg`
pub fn messages() -> String {
    let mut out = String::from(
        "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n",
    );
    for queue in (0..=msg::highest()).filter_map(|index| msg::at(index as i32).ok()) {
        let Ok(s) = queue.stat(true) else { continue };
        let p = &s.msg_perm;
        out += &format!(
            "{:10} {:10}  {:4o}  {:10} {:10} {:5} {:5} {:5} {:5} {:5} {:5} {:10} {:10} {:10}\n",
            p.key,
            queue.id(),
            p.mode,
            s.msg_cbytes,
            s.msg_qnum,
            s.msg_lspid,
            s.msg_lrpid,
            p.uid,
            p.gid,
            p.cuid,
            p.cgid,
            s.msg_stime,
            s.msg_rtime,
            s.msg_ctime,
        );
    }
    out
}
