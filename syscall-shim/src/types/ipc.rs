//! System V interprocess communication: shmctl(2), semctl(2), msgctl(2), semop(2); POSIX message
//! queues: mq_open(2).

abi_structs! {
    /// `struct ipc64_perm` (shmctl(2)).
    IpcPerm [48] {
        key: i32, uid: u32, gid: u32, cuid: u32, cgid: u32, mode: u32, seq: u16, pad: [u16; 3], unused: [u64; 2],
    }
    /// `struct shmid64_ds` (shmctl(2)).
    ShmidDs [112] {
        shm_perm: IpcPerm, shm_segsz: u64, shm_atime: i64, shm_dtime: i64, shm_ctime: i64, shm_cpid: i32, shm_lpid: i32, shm_nattch: u64,
        unused: [u64; 2],
    }
    /// `struct shminfo64` (shmctl(2), `IPC_INFO`).
    Shminfo [72] { shmmax: u64, shmmin: u64, shmmni: u64, shmseg: u64, shmall: u64, unused: [u64; 4], }
    /// `struct semid64_ds` (semctl(2)).
    SemidDs [104] {
        sem_perm: IpcPerm, sem_otime: i64, unused1: u64, sem_ctime: i64, unused2: u64, sem_nsems: u64, unused: [u64; 2],
    }
    /// `struct sembuf` (semop(2)).
    Sembuf [6] { sem_num: u16, sem_op: i16, sem_flg: i16, }
    /// `struct msqid64_ds` (msgctl(2)).
    MsqidDs [120] {
        msg_perm: IpcPerm, msg_stime: i64, msg_rtime: i64, msg_ctime: i64, msg_cbytes: u64, msg_qnum: u64, msg_qbytes: u64,
        msg_lspid: i32, msg_lrpid: i32, unused: [u64; 2],
    }
    /// `struct mq_attr` (mq_open(3)).
    MqAttr [64] { mq_flags: i64, mq_maxmsg: i64, mq_msgsize: i64, mq_curmsgs: i64, reserved: [i64; 4], }
}
