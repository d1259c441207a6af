//! Files: stat(2), statx(2), statfs(2), getdents64(2), fcntl(2) locks, readv(2), openat2(2),
//! inotify(7).

use super::Timespec;
use linux_raw_sys::general as raw;
use zerocopy::IntoBytes;

abi_structs! {
    /// `struct stat` (`arch/x86/include/uapi/asm/stat.h`).
    Stat [144] {
        st_dev: u64, st_ino: u64, st_nlink: u64, st_mode: u32, st_uid: u32, st_gid: u32, pad0: u32, st_rdev: u64, st_size: i64,
        st_blksize: i64, st_blocks: i64, st_atim: Timespec, st_mtim: Timespec, st_ctim: Timespec, unused: [i64; 3],
    }
    /// `struct statx_timestamp`.
    StatxTimestamp [16] { tv_sec: i64, tv_nsec: u32, pad: i32, }
    /// `struct statx`.
    Statx [256] {
        stx_mask: u32, stx_blksize: u32, stx_attributes: u64, stx_nlink: u32, stx_uid: u32, stx_gid: u32, stx_mode: u16, pad0: u16,
        stx_ino: u64, stx_size: u64, stx_blocks: u64, stx_attributes_mask: u64, stx_atime: StatxTimestamp, stx_btime: StatxTimestamp,
        stx_ctime: StatxTimestamp, stx_mtime: StatxTimestamp, stx_rdev_major: u32, stx_rdev_minor: u32, stx_dev_major: u32,
        stx_dev_minor: u32, stx_mnt_id: u64, stx_dio_mem_align: u32, stx_dio_offset_align: u32, stx_subvol: u64,
        stx_atomic_write_unit_min: u32, stx_atomic_write_unit_max: u32, stx_atomic_write_segments_max: u32, pad1: u32, pad2: [u64; 9],
    }
    /// `struct statfs` (statfs(2)).
    Statfs [120] {
        f_type: i64, f_bsize: i64, f_blocks: u64, f_bfree: u64, f_bavail: u64, f_files: u64, f_ffree: u64, f_fsid: [i32; 2],
        f_namelen: i64, f_frsize: i64, f_flags: i64, f_spare: [i64; 4],
    }
    /// `struct file_attr` (file_getattr(2)).
    FileAttr [24] { fa_xflags: u64, fa_extsize: u32, fa_nextents: u32, fa_projid: u32, fa_cowextsize: u32, }
    /// `struct iovec` (readv(2)).
    Iovec [16] { iov_base: u64, iov_len: u64, }
    /// `struct flock` (fcntl(2)): also the form of open-file-description locks, where `l_pid` is 0.
    Flock [32] { l_type: i16, l_whence: i16, pad0: u32, l_start: i64, l_len: i64, l_pid: i32, pad1: u32, }
    /// `struct f_owner_ex` (fcntl(2)).
    FOwnerEx [8] { kind: i32, pid: i32, }
    /// `struct open_how` (openat2(2)).
    OpenHow [24] { flags: u64, mode: u64, resolve: u64, }
    /// Head of `struct file_handle` (name_to_handle_at(2)); `handle_bytes` bytes follow.
    FileHandle [8] { handle_bytes: u32, handle_type: i32, }
    /// Head of `struct inotify_event` (inotify(7)); a NUL-padded name of `len` bytes follows.
    InotifyEvent [16] { wd: i32, mask: u32, cookie: u32, len: u32, }
    /// `struct ustat` (ustat(2)).
    Ustat [32] { f_tfree: i32, pad0: u32, f_tinode: u64, f_fname: [u8; 6], f_fpack: [u8; 6], pad1: u32, }
    /// `struct mount_attr` (mount_setattr(2)).
    MountAttr [32] { attr_set: u64, attr_clr: u64, propagation: u64, userns_fd: u64, }
    /// `struct mnt_id_req` (statmount(2)).
    MntIdReq [32] { size: u32, spare: u32, mnt_id: u64, param: u64, mnt_ns_id: u64, }
    /// `struct statmount` (statmount(2)), behind which its strings follow.
    StatMount [512] {
        size: u32, mnt_opts: u32, mask: u64, sb_dev_major: u32, sb_dev_minor: u32, sb_magic: u64, sb_flags: u32, fs_type: u32,
        mnt_id: u64, mnt_parent_id: u64, mnt_id_old: u32, mnt_parent_id_old: u32, mnt_attr: u64, mnt_propagation: u64,
        mnt_peer_group: u64, mnt_master: u64, propagate_from: u64, mnt_root: u32, mnt_point: u32, mnt_ns_id: u64, fs_subtype: u32,
        sb_source: u32, opt_num: u32, opt_array: u32, opt_sec_num: u32, opt_sec_array: u32, supported_mask: u64,
        mnt_uidmap_num: u32, mnt_uidmap: u32, mnt_gidmap_num: u32, mnt_gidmap: u32, unused: [u64; 43],
    }
    /// `struct xattr_args` (setxattrat(2)).
    XattrArgs [16] { value: u64, size: u32, flags: u32, }
    /// `struct utimbuf` (utime(2)).
    Utimbuf [16] { actime: i64, modtime: i64, }
}

/// Linux's device number in user-visible structures (`new_encode_dev`).
pub const fn makedev(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12 | (major & !0xfff) << 32
}

/// The major part of a device number.
pub const fn major(dev: u64) -> u32 {
    ((dev >> 8 & 0xfff) | (dev >> 32 & !0xfff)) as u32
}

/// The minor part of a device number.
pub const fn minor(dev: u64) -> u32 {
    ((dev & 0xff) | (dev >> 12 & 0xffff_ff00)) as u32
}

/// The `d_type` of a file mode (readdir(3)): the type bits moved down.
pub const fn mode_to_d_type(mode: u32) -> u8 {
    ((mode & raw::S_IFMT) >> 12) as u8
}

/// Writes getdents64(2) records into a buffer, as many as fit.
pub struct DirentWriter<'a> {
    buffer: &'a mut [u8],
    used: usize,
}

/// Bytes before `d_name` in `struct linux_dirent64`.
const DIRENT64_HEAD: usize = 19;

impl<'a> DirentWriter<'a> {
    /// A writer over the caller's buffer.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, used: 0 }
    }

    /// Appends `struct linux_dirent64 { d_ino, d_off, d_reclen, d_type, d_name }`, padded to 8
    /// bytes. `off` is the position of the *next* entry. Answers false, and writes nothing, where
    /// it does not fit.
    #[must_use]
    pub fn push(&mut self, ino: u64, off: i64, d_type: u8, name: &[u8]) -> bool {
        let len = (DIRENT64_HEAD + name.len() + 1).next_multiple_of(8);
        let Some(record) = self.buffer.get_mut(self.used..).and_then(|rest| rest.get_mut(..len)) else { return false };
        let mut head = [0; DIRENT64_HEAD];
        let (ino_bytes, rest) = head.split_at_mut(8);
        ino_bytes.copy_from_slice(&ino.to_le_bytes());
        let (off_bytes, rest) = rest.split_at_mut(8);
        off_bytes.copy_from_slice(&off.to_le_bytes());
        let (len_bytes, type_byte) = rest.split_at_mut(2);
        len_bytes.copy_from_slice(&(len as u16).to_le_bytes());
        type_byte.copy_from_slice(&[d_type]);
        record.fill(0);
        let (record_head, tail) = record.split_at_mut(DIRENT64_HEAD);
        record_head.copy_from_slice(&head);
        let (record_name, _) = tail.split_at_mut(name.len());
        record_name.copy_from_slice(name);
        self.used += len;
        true
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }
}

/// Writes one inotify(7) record: the head and the name, NUL-padded to 16 bytes as Linux pads it.
/// Answers its length, or `None` where it does not fit.
pub fn write_inotify_event(buffer: &mut [u8], wd: i32, mask: u32, cookie: u32, name: &[u8]) -> Option<usize> {
    let padded = if name.is_empty() { 0 } else { (name.len() + 1).next_multiple_of(16) };
    let head = InotifyEvent { wd, mask, cookie, len: padded as u32 };
    let record = buffer.get_mut(..16 + padded)?;
    record.fill(0);
    record.get_mut(..16)?.copy_from_slice(head.as_bytes());
    record.get_mut(16..16 + name.len())?.copy_from_slice(name);
    Some(16 + padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers() {
        for (ma, mi) in [(1, 3), (136, 5), (254, 0), (0xabcde, 0xfedcb)] {
            assert_eq!((major(makedev(ma, mi)), minor(makedev(ma, mi))), (ma, mi));
        }
        assert_eq!(makedev(8, 1), 0x801);
    }

    #[test]
    fn dirents_fill_and_stop() {
        let mut buffer = [0xff; 64];
        let mut w = DirentWriter::new(&mut buffer);
        assert!(w.push(7, 1, raw::DT_DIR as u8, b".."));
        assert!(w.push(9, 2, raw::DT_REG as u8, b"hello"));
        assert_eq!(w.len(), 24 + 32);
        assert!(!w.push(9, 3, 0, b"x"));
        assert_eq!(buffer[16..22], [24, 0, 4, b'.', b'.', 0]);
        assert_eq!(&buffer[24 + 19..24 + 25], b"hello\0");
    }

    #[test]
    fn inotify_records_pad_their_names() {
        let mut buffer = [0; 64];
        assert_eq!(write_inotify_event(&mut buffer, 1, 2, 3, b""), Some(16));
        assert_eq!(write_inotify_event(&mut buffer, 1, 2, 3, b"a-name-of-16-byt"), Some(48));
        assert_eq!(write_inotify_event(&mut buffer[..20], 1, 2, 3, b"a"), None);
    }
}
