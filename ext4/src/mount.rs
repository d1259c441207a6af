//! Mounting, which replays the journal and ends what a crash left, and unmounting.

use crate::cache::Cache;
use crate::device::{BlockDevice, Environment};
use crate::error::{Error, Result};
use crate::features;
use crate::geometry::Geometry;
use crate::journal::Journal;
use crate::layout::Superblock;
use crate::volume::Volume;
use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use syscall_shim::Errno;
use zerocopy::FromBytes;

/// How to mount.
#[derive(Clone, Copy, Debug)]
pub struct MountOptions {
    /// Write nothing, but for a replay of the journal.
    pub read_only: bool,
    /// Leave the journal alone (`noload`): only with `read_only`, and what is read may be torn.
    pub no_replay: bool,
    /// Blocks of metadata that are kept in memory beside those that are yet to be written.
    pub cache_blocks: usize,
}

impl Default for MountOptions {
    fn default() -> MountOptions {
        MountOptions { read_only: false, no_replay: false, cache_blocks: 1024 }
    }
}

/// `s_state`: cleanly unmounted; with errors.
const STATE_VALID: u16 = 1;
const STATE_ERROR: u16 = 2;

fn read_super(device: &dyn BlockDevice) -> Result<Superblock> {
    let mut data = crate::cache::zeroed(4096)?;
    if device.size() < 4096 {
        return Err(Error::Unsupported("the disk is too small for a file system".into()));
    }
    device.read(0, &mut data)?;
    let bytes = data.get(1024..2048).unwrap_or(&[]);
    Superblock::read_from_bytes(bytes).map_err(|_| Error::Corrupt("superblock"))
}

/// Not inlined: the superblock and the volume's copies of it are off the stack, which need not be
/// large, when the work begins.
#[inline(never)]
fn read(device: Arc<dyn BlockDevice>, env: Arc<dyn Environment>, options: MountOptions) -> Result<Box<Volume>> {
    let sb = read_super(&*device)?;
    if sb.magic.get() == crate::layout::MAGIC && sb.rev_level.get() >= 1 {
        features::check(&sb)?;
    }
    let geo = Geometry::new(&sb, device.size())?;
    Ok(Volume::new(device, env, geo, sb, options.cache_blocks.max(64)))
}

pub(crate) fn mount(device: Arc<dyn BlockDevice>, env: Arc<dyn Environment>, options: MountOptions) -> Result<Box<Volume>> {
    let mut vol = read(device, env, options)?;
    let mut journal = Journal::load(&mut vol)?;
    let recover = vol.sb.feature_incompat.get() & features::INCOMPAT_RECOVER != 0;
    if let Some(journal) = journal.as_mut().filter(|_| recover && !(options.read_only && options.no_replay)) {
        vol.recover(journal)?;
    }
    let forbidden = features::check(&vol.sb)?;
    if let Some(names) = forbidden.as_ref().filter(|_| !options.read_only) {
        vol.env.message(format!("ext4: mounted read-only: unknown features: {names}"));
    }
    if vol.sb.state.get() & STATE_ERROR != 0 {
        vol.env.message("ext4: an error was noted on this file system: check it with e2fsck".into());
    }
    if options.read_only || forbidden.is_some() || vol.device.read_only() {
        return Ok(vol);
    }
    vol.begin_writing(journal)?;
    Ok(vol)
}

impl Volume {
    fn recover(&mut self, journal: &mut Journal) -> Result<()> {
        if self.device.read_only() {
            return Err(Error::Unsupported("the journal has to be replayed, and the disk is read-only".into()));
        }
        let count = journal.replay(&*self.device, self.geo.blocks)?;
        // All that was read before may be old.
        self.cache = Cache::new(self.cache.limit());
        self.sb = read_super(&*self.device)?;
        self.geo = Geometry::new(&self.sb, self.device.size())?;
        self.env.message(format!("ext4: {count} transactions replayed from the journal"));
        let fast = journal.fast_commits(&*self.device)?;
        if !fast.is_empty() {
            self.read_only = false;
            let done = self.count_free().and_then(|()| self.replay_fast(&fast));
            self.read_only = true;
            done?;
            self.env.message(format!("ext4: {} tags replayed from fast commits", fast.len()));
        }
        journal.clear(&*self.device)?;
        let incompat = self.sb.feature_incompat.get();
        self.sb.feature_incompat.set(incompat & !features::INCOMPAT_RECOVER);
        self.sb_dirty = true;
        // Without a journal yet: straight to its place.
        self.commit()
    }

    fn begin_writing(&mut self, journal: Option<Journal>) -> Result<()> {
        self.read_only = false;
        if let Some(mut journal) = journal {
            journal.set_features(self.geo.has_incompat(features::INCOMPAT_64BIT), self.geo.csum);
            journal.clear(&*self.device)?;
            let incompat = self.sb.feature_incompat.get();
            self.sb.feature_incompat.set(incompat | features::INCOMPAT_RECOVER);
            // The mark comes before the first transaction, past the journal.
            self.begin_mount_count();
            self.commit()?;
            self.txn_limit = journal.limit().min(2 * self.cache.limit());
            self.journal = Some(journal);
        } else {
            self.sb.state.set(self.sb.state.get() & !STATE_VALID);
            self.begin_mount_count();
            self.commit()?;
        }
        match self.count_free().and_then(|()| self.recover_orphans()) {
            Err(error) if error.is_internal() => {
                self.fail(&error);
                Ok(())
            }
            other => other,
        }
    }

    pub(crate) fn make_writable(&mut self) -> Result<()> {
        if !self.read_only {
            return Ok(());
        }
        let unplayed = self.sb.feature_incompat.get() & features::INCOMPAT_RECOVER != 0;
        if self.failed || unplayed || self.device.read_only() || features::check(&self.sb)?.is_some() {
            return Err(Errno::EROFS.into());
        }
        let journal = Journal::load(self)?;
        let begun = self.begin_writing(journal);
        if let Err(error) = &begun {
            // What was begun may be half on the disk: it stays as it is until it is mounted anew.
            if error.is_internal() {
                self.fail(error);
            } else {
                (self.failed, self.read_only) = (true, true);
            }
        }
        begun
    }

    /// Totals of the superblock are only written now and then: those of the groups are right.
    fn count_free(&mut self) -> Result<()> {
        let (mut blocks, mut inodes) = (0u64, 0u32);
        for group in 0..self.geo.groups {
            let desc = self.desc(group)?;
            blocks += u64::from(desc.free_blocks());
            inodes = inodes.saturating_add(desc.free_inodes());
        }
        if blocks != self.free_blocks_count() || inodes != self.sb.free_inodes_count.get() {
            self.sb.free_inodes_count.set(inodes);
            self.set_free_blocks_count(blocks);
        }
        Ok(())
    }

    fn begin_mount_count(&mut self) {
        self.sb.mnt_count.set(self.sb.mnt_count.get().saturating_add(1));
        self.sb.mtime.set(self.env.now().sec as u32);
        self.sb_dirty = true;
    }

    /// Makes everything durable and marks the file system clean.
    pub(crate) fn unmount(&mut self) -> Result<()> {
        if self.read_only {
            return if self.failed { Err(Error::Device) } else { Ok(()) };
        }
        self.commit()?;
        self.checkpoint()?;
        if let Some(mut journal) = self.journal.take() {
            journal.clear(&*self.device)?;
        }
        let incompat = self.sb.feature_incompat.get();
        self.sb.feature_incompat.set(incompat & !features::INCOMPAT_RECOVER);
        self.sb.state.set(self.sb.state.get() | STATE_VALID);
        self.sb_dirty = true;
        self.commit()?;
        self.read_only = true;
        Ok(())
    }
}
