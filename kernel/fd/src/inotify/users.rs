//! How much of inotify(7) each user has.

use core::sync::atomic::{AtomicI32, Ordering};

use litemap::LiteMap;
use syscall_shim::{Errno, SysResult};

use sync::SpinLock;

/// Instances of one user (`/proc/sys/fs/inotify/max_user_instances`).
pub static MAX_INSTANCES: AtomicI32 = AtomicI32::new(128);
/// Watches of one user (`/proc/sys/fs/inotify/max_user_watches`).
pub static MAX_WATCHES: AtomicI32 = AtomicI32::new(65536);

#[derive(Default)]
struct Counts {
    instances: i32,
    watches: i32,
}

/// By user id. A leaf lock.
static USERS: SpinLock<LiteMap<u32, Counts>> = SpinLock::new(LiteMap::new_vec());

/// One instance of the user who made it, who pays for its watches too.
pub struct Account(u32);

impl Account {
    /// Counts an instance of the caller's. `EMFILE` for one too many.
    pub fn open() -> SysResult<Account> {
        let uid = caller::credentials().euid;
        let mut users = USERS.lock();
        if users.get(&uid).is_none() {
            users.insert(uid, Counts::default());
        }
        let counts = users.get_mut(&uid).ok_or(Errno::ENOMEM)?;
        if counts.instances >= MAX_INSTANCES.load(Ordering::Relaxed) {
            return Err(Errno::EMFILE);
        }
        counts.instances += 1;
        Ok(Account(uid))
    }

    /// Counts a watch. `ENOSPC` for one too many.
    pub fn add_watch(&self) -> SysResult<()> {
        let most = MAX_WATCHES.load(Ordering::Relaxed);
        let mut users = USERS.lock();
        let counts = users.get_mut(&self.0).filter(|counts| counts.watches < most).ok_or(Errno::ENOSPC)?;
        counts.watches += 1;
        Ok(())
    }

    /// Gives back what `watches` watches were.
    pub fn remove_watches(&self, watches: i32) {
        if let Some(counts) = USERS.lock().get_mut(&self.0) {
            counts.watches -= watches;
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut users = USERS.lock();
        if let Some(counts) = users.get_mut(&self.0) {
            counts.instances -= 1;
            if counts.instances == 0 {
                users.remove(&self.0);
            }
        }
    }
}
