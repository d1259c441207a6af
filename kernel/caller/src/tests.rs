//! Ids and capabilities as credentials(7) and capabilities(7) say, and the view of the file system.

use std::thread;
use std::vec::Vec;

use fs::{LookupFlags, MountFlags, Namespace};
use syscall_shim::{Errno, Signal};

use crate::testing::{become_user, take_signals};
use crate::{ALL_CAPABILITIES, Credentials, PerUser, Target, with_fs, with_fs_as};

const KEEP: u32 = u32::MAX;
const CAP_CHOWN: u32 = 0;
const CAP_SETUID: u32 = 7;

fn user(uid: u32) -> Credentials {
    Credentials {
        uid,
        euid: uid,
        suid: uid,
        fsuid: uid,
        gid: uid,
        egid: uid,
        sgid: uid,
        fsgid: uid,
        ..Credentials::default()
    }
}

fn uids(c: &Credentials) -> [u32; 4] {
    [c.uid, c.euid, c.suid, c.fsuid]
}

fn gids(c: &Credentials) -> [u32; 4] {
    [c.gid, c.egid, c.sgid, c.fsgid]
}

#[test]
fn the_super_user_gives_itself_up_for_good() {
    let mut c = Credentials::root();
    assert!(c.capable(CAP_SETUID) && c.cap_effective == ALL_CAPABILITIES);
    c.setuid(1000).unwrap();
    assert_eq!(uids(&c), [1000; 4]);
    assert_eq!((c.cap_effective, c.cap_permitted), (0, 0));
    assert_eq!(c.setuid(0), Err(Errno::EPERM));
    assert_eq!(c.setuid(KEEP), Err(Errno::EINVAL));
}

#[test]
fn a_saved_id_leads_back() {
    let mut c = Credentials::root();
    c.setresuid(KEEP, 1000, KEEP).unwrap();
    assert_eq!(uids(&c), [0, 1000, 0, 1000]);
    assert_eq!((c.cap_effective, c.cap_permitted), (0, ALL_CAPABILITIES));
    c.setresuid(KEEP, 0, KEEP).unwrap();
    assert_eq!(c.cap_effective, ALL_CAPABILITIES);
    c.keep_caps = true;
    c.securebits |= Credentials::KEEP_CAPS;
    c.setresuid(1000, 1000, 1000).unwrap();
    assert_eq!((c.cap_effective, c.cap_permitted), (0, ALL_CAPABILITIES));
}

#[test]
fn others_choose_among_what_they_are() {
    let mut c = user(1000);
    c.suid = 1001;
    c.setreuid(1000, 1001).unwrap();
    assert_eq!(uids(&c), [1000, 1001, 1001, 1001]);
    assert_eq!(c.setreuid(1001, 1002), Err(Errno::EPERM));
    c.setreuid(1001, KEEP).unwrap();
    assert_eq!(c.setresuid(KEEP, 5, KEEP), Err(Errno::EPERM));
    assert_eq!(c.setuid(1002), Err(Errno::EPERM));
    let mut c = user(1000);
    assert_eq!(c.setregid(2, KEEP), Err(Errno::EPERM));
    assert_eq!(c.setresgid(KEEP, KEEP, 7), Err(Errno::EPERM));
    assert_eq!(c.setgid(7), Err(Errno::EPERM));
    c.setgid(1000).unwrap();
    let mut root = Credentials::root();
    root.setregid(5, 6).unwrap();
    assert_eq!(gids(&root), [5, 6, 6, 6]);
    root.setresgid(1, 2, 3).unwrap();
    assert_eq!(gids(&root), [1, 2, 3, 2]);
    root.setgid(9).unwrap();
    assert_eq!(gids(&root), [9; 4]);
}

#[test]
fn ids_for_files_alone() {
    let mut c = Credentials::root();
    assert_eq!(c.setfsuid(1000), 0);
    assert!(!c.capable(CAP_CHOWN) && c.capable(CAP_SETUID), "only what concerns files is lost");
    assert_eq!(c.setfsuid(0), 1000);
    assert!(c.capable(CAP_CHOWN));
    assert_eq!((c.setfsgid(12), c.setfsgid(KEEP)), (0, 12));
    let mut c = user(1000);
    assert_eq!((c.setfsuid(0), c.setfsuid(KEEP)), (1000, 1000));
    assert_eq!(c.setfsgid(0), 1000);
}

#[test]
fn users_have_limits() {
    let counts = PerUser::new();
    assert!(counts.add(1, 3, 5) && counts.add(2, 5, 5) && !counts.add(1, 3, 5));
    assert_eq!((counts.count(1), counts.count(2), counts.count(3)), (3, 5, 0));
    counts.sub(1, 9);
    counts.sub(3, 1);
    assert_eq!(counts.count(1), 0);
    assert!(!counts.add(1, u64::MAX, u64::MAX - 1));
}

#[test]
fn paths_begin_where_the_caller_is() {
    fs::testing::install();
    let tmpfs = fs::tmpfs::Tmpfs::new(fs::tmpfs::TmpfsOptions { mode: 0o777, ..Default::default() }).unwrap();
    let tree = Namespace::new(tmpfs, "rootfs", MountFlags::default());
    let own = crate::testing::with(|own| own.context.clone());
    own.set_root(tree.root());
    own.set_cwd(tree.root());
    let dir = with_fs(|ctx| tree.mkdir(ctx, None, b"dir", 0o777)).unwrap();
    let child = own.duplicate();
    own.set_cwd(dir.clone());
    assert!(own.cwd() == dir && child.cwd() == tree.root() && own.root() == child.root());
    assert_eq!((own.set_umask(0o77777), own.umask(), child.umask()), (0o022, 0o777, 0o022));
    with_fs(|ctx| tree.resolve(ctx, None, b"../dir", LookupFlags::default())).unwrap();
    // access(2) asks as another user than the one who calls.
    let nobody = user(65534);
    let as_nobody = crate::fs_credentials(&nobody);
    assert_eq!(with_fs_as(&as_nobody, |ctx| Ok((ctx.creds.fsuid, ctx.umask))), Ok((65534, 0o777)));
    assert_eq!(with_fs(|_| Err::<(), _>(Errno::EXDEV)), Err(Errno::EXDEV));
}

#[test]
fn each_thread_is_a_process() {
    let pids: Vec<i32> = (0..4).map(|_| thread::spawn(crate::pid).join().unwrap()).collect();
    assert!(pids.iter().enumerate().all(|(at, pid)| !pids[..at].contains(pid)));
    become_user(1000, 100);
    assert!(!crate::capable(CAP_CHOWN) && crate::credentials().egid == 100);
    crate::raise(Signal::SIGXFSZ);
    assert_eq!(take_signals(Target::Thread, crate::tid()).len(), 1);
    assert!(crate::broken_pipe());
    crate::set_broken_pipe(false);
    assert!(!crate::broken_pipe() && !crate::is_dying());
    crate::count_read(3);
    crate::count_written(4);
    assert_eq!(crate::testing::with(|own| own.counts), [3, 4]);
    assert!(crate::check_memory().is_ok() && crate::pages_available(1) && !crate::pages_available(1 << 40));
}
