//! /proc/sys/fs.

use alloc::format;

use ::fs::namespace::protection;

use super::setting::Settings;
use ::ipc::mqueue;
use fd::{dnotify, epoll, fd_table, inotify, lease, open_file, pipe, pipe_share};
use task::core_dump;

pub fn fill(s: &Settings) {
    s.fixed("fs/aio-max-nr", "65536");
    s.fixed("fs/aio-nr", "0");
    s.number(
        "fs/epoll/max_user_watches",
        0..=i64::MAX,
        || i64::try_from(epoll::max_user_watches()).unwrap_or(i64::MAX),
        |new| {
            epoll::set_max_user_watches(new.unsigned_abs());
            Ok(())
        },
    );
    s.int("fs/inotify/max_queued_events", &inotify::MAX_QUEUED, 0..=i32::MAX);
    s.int("fs/inotify/max_user_instances", &inotify::users::MAX_INSTANCES, 0..=i32::MAX);
    s.int("fs/inotify/max_user_watches", &inotify::users::MAX_WATCHES, 0..=i32::MAX);
    s.number(
        "fs/file-max",
        0..=i64::MAX,
        || open_file::limit() as i64,
        |most| {
            open_file::set_limit(most as usize);
            Ok(())
        },
    );
    s.shown("fs/file-nr", || format!("{}\t0\t{}", open_file::count(), open_file::limit()));
    s.uint("fs/nr_open", &fd_table::NR_OPEN, 64..=fd_table::NR_OPEN_LIMIT);
    s.int("fs/lease-break-time", &lease::BREAK_TIME, i32::MIN..=i32::MAX);
    s.int("fs/leases-enable", &lease::ENABLED, i32::MIN..=i32::MAX);
    s.int("fs/dir-notify-enable", &dnotify::ENABLED, i32::MIN..=i32::MAX);
    s.uint("fs/mount-max", &fs::namespace::MAX_MOUNTS, 1..=u32::MAX);
    s.kept("fs/overflowgid", 65534, 0..=65535);
    s.kept("fs/overflowuid", 65534, 0..=65535);
    s.number(
        "fs/pipe-max-size",
        0..=u32::MAX.into(),
        || pipe::max_size() as i64,
        |bytes| pipe::set_max_size(bytes as usize),
    );
    s.ulong("fs/pipe-user-pages-hard", &pipe_share::USER_PAGES_HARD, 0..=u64::MAX);
    s.ulong("fs/pipe-user-pages-soft", &pipe_share::USER_PAGES_SOFT, 0..=u64::MAX);
    s.uint("fs/protected_fifos", &protection::FIFOS, 0..=2);
    s.uint("fs/protected_hardlinks", &protection::HARDLINKS, 0..=1);
    s.uint("fs/protected_regular", &protection::REGULAR, 0..=2);
    s.uint("fs/protected_symlinks", &protection::SYMLINKS, 0..=1);
    s.uint("fs/suid_dumpable", &core_dump::SUID_DUMPABLE, 0..=2);
    s.uint("fs/mqueue/msg_default", &mqueue::MSG_DEFAULT, 1..=65536);
    s.uint("fs/mqueue/msg_max", &mqueue::MSG_MAX, 1..=65536);
    s.uint("fs/mqueue/msgsize_default", &mqueue::MSGSIZE_DEFAULT, 128..=16 << 20);
    s.uint("fs/mqueue/msgsize_max", &mqueue::MSGSIZE_MAX, 128..=16 << 20);
    s.uint("fs/mqueue/queues_max", &mqueue::QUEUES_MAX, 0..=i32::MAX as u32);
}
