//! POSIX access control lists (acl(5)): what they grant, and how they go with the mode. A list is
//! kept as the extended attribute that programs set, in the form of linux/posix_acl_xattr.h; a bit
//! beside the mode says that there is one ([`crate::types::HAS_ACL`]).

use crate::creds::{Cap, Credentials};
use crate::inode::{Inode, InodeRef};
use crate::types::*;
use alloc::vec::Vec;
use syscall_shim::{Errno, SysResult};

/// The list that says who may do what.
pub const ACCESS: &[u8] = b"system.posix_acl_access";
/// The list that new files of a directory get.
pub const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
const HEAD: usize = 4;
const ENTRY: usize = 8;
/// The id of an entry that needs none.
const NO_ID: u32 = u32::MAX;

/// Tags of entries, in the order in which they stand.
const USER_OBJ: u16 = 1;
const USER: u16 = 2;
const GROUP_OBJ: u16 = 4;
const GROUP: u16 = 8;
const MASK: u16 = 16;
const OTHER: u16 = 32;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    tag: u16,
    perm: u16,
    id: u32,
}

/// A valid list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acl(Vec<Entry>);

impl Acl {
    /// Reads the attribute; `None` for one without entries, which stands for no list. `EINVAL` for
    /// what is no list, `EOPNOTSUPP` for another version.
    pub fn parse(value: &[u8]) -> SysResult<Option<Acl>> {
        if value.is_empty() {
            return Ok(None);
        }
        let (head, rest) = value.split_at_checked(HEAD).ok_or(Errno::EINVAL)?;
        if head != VERSION.to_le_bytes() {
            return Err(Errno::EOPNOTSUPP);
        }
        if rest.len() % ENTRY != 0 {
            return Err(Errno::EINVAL);
        }
        let entry = |bytes: &[u8]| match *bytes {
            [a, b, c, d, e, f, g, h] => Entry {
                tag: u16::from_le_bytes([a, b]),
                perm: u16::from_le_bytes([c, d]),
                id: u32::from_le_bytes([e, f, g, h]),
            },
            _ => Entry { tag: 0, perm: 0, id: NO_ID },
        };
        let mut entries = Vec::new();
        entries.try_reserve_exact(rest.len() / ENTRY).map_err(|_| Errno::ENOMEM)?;
        entries.extend(rest.chunks_exact(ENTRY).map(entry));
        if entries.is_empty() {
            return Ok(None);
        }
        let acl = Acl(entries);
        if acl.is_valid() { Ok(Some(acl)) } else { Err(Errno::EINVAL) }
    }

    /// The attribute.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = VERSION.to_le_bytes().to_vec();
        for entry in &self.0 {
            let id = if matches!(entry.tag, USER | GROUP) { entry.id } else { NO_ID };
            out.extend_from_slice(&entry.tag.to_le_bytes());
            out.extend_from_slice(&entry.perm.to_le_bytes());
            out.extend_from_slice(&id.to_le_bytes());
        }
        out
    }

    /// One owner, users, one group, groups, at most one mask, one for all others, in this order; a
    /// mask where there are users or groups (`posix_acl_valid`).
    fn is_valid(&self) -> bool {
        let rank = |tag| match tag {
            USER_OBJ => 0,
            USER => 1,
            GROUP_OBJ => 2,
            GROUP => 3,
            MASK => 4,
            OTHER => 5,
            _ => usize::MAX,
        };
        let mut counts = [0; 6];
        let mut last = 0;
        for entry in &self.0 {
            let rank = rank(entry.tag);
            let named = matches!(entry.tag, USER | GROUP);
            if rank < last || entry.perm & !7 != 0 || named && entry.id == NO_ID {
                return false;
            }
            last = rank;
            match counts.get_mut(rank) {
                Some(count) => *count += 1,
                None => return false,
            }
        }
        let [owner, users, group, groups, mask, other] = counts;
        owner == 1 && group == 1 && other == 1 && (mask == 1 || mask == 0 && users + groups == 0)
    }

    fn perm(&self, tag: u16) -> Option<u16> {
        self.0.iter().find(|entry| entry.tag == tag).map(|entry| entry.perm)
    }

    /// The permission bits that go with the list, and whether they say all that it says
    /// (`posix_acl_equiv_mode`).
    pub fn mode(&self) -> (u32, bool) {
        let perm = |tag| u32::from(self.perm(tag).unwrap_or(0));
        let class = self.perm(MASK).map_or_else(|| perm(GROUP_OBJ), u32::from);
        let same = self.0.iter().all(|entry| matches!(entry.tag, USER_OBJ | GROUP_OBJ | OTHER));
        (perm(USER_OBJ) << 6 | class << 3 | perm(OTHER), same)
    }

    fn change(&mut self, new: impl Fn(u16, u16) -> u16) {
        let has_mask = self.perm(MASK).is_some();
        for entry in &mut self.0 {
            match entry.tag {
                USER_OBJ | MASK | OTHER => entry.perm = new(entry.tag, entry.perm),
                GROUP_OBJ if !has_mask => entry.perm = new(entry.tag, entry.perm),
                _ => {}
            }
        }
    }

    /// Follows a chmod(2) (`__posix_acl_chmod_masq`).
    fn follow_mode(&mut self, mode: u32) {
        self.change(|tag, _| class_of(tag, mode));
    }

    /// Becomes the list of a new file that is created with `mode`; answers its mode
    /// (`posix_acl_create_masq`).
    fn restrict(&mut self, mode: u32) -> u32 {
        self.change(|tag, perm| perm & class_of(tag, mode));
        mode & !0o777 | self.mode().0
    }

    /// Whether the list grants `want` to somebody who does not own the file
    /// (`posix_acl_permission`).
    fn grants(&self, creds: &Credentials<'_>, gid: u32, want: AccessMask) -> bool {
        let want = want.bits() as u16 & 7;
        let mask = self.perm(MASK).unwrap_or(7);
        let has = |perm: u16| perm & want == want;
        if let Some(user) = self.0.iter().find(|entry| entry.tag == USER && entry.id == creds.fsuid) {
            return has(user.perm & mask);
        }
        let mut member = false;
        for entry in &self.0 {
            let own = entry.tag == GROUP_OBJ && creds.in_group(gid) || entry.tag == GROUP && creds.in_group(entry.id);
            if own && has(entry.perm) {
                return has(entry.perm & mask);
            }
            member |= own;
        }
        !member && has(self.perm(OTHER).unwrap_or(0))
    }
}

/// The bits of `mode` that go with an entry's tag.
fn class_of(tag: u16, mode: u32) -> u16 {
    let shift = match tag {
        USER_OBJ => 6,
        OTHER => 0,
        _ => 3,
    };
    (mode >> shift) as u16 & 7
}

/// As [`Credentials::permission`], heeding the list of a file that has one.
#[inline]
pub fn permission(creds: &Credentials<'_>, inode: &InodeRef, attrs: &AccessAttrs, want: AccessMask) -> SysResult<()> {
    if attrs.mode & HAS_ACL == 0 || creds.fsuid == attrs.uid {
        return creds.permission(attrs, want);
    }
    by_list(creds, inode, attrs, want)
}

#[cold]
fn by_list(creds: &Credentials<'_>, inode: &InodeRef, attrs: &AccessAttrs, want: AccessMask) -> SysResult<()> {
    let granted = match of(&**inode, ACCESS)? {
        // An empty class of the group: the list can grant nothing that the mode does not.
        Some(acl) if attrs.mode & 0o070 != 0 => acl.grants(creds, attrs.gid, want),
        _ => return creds.permission(attrs, want),
    };
    if granted {
        return Ok(());
    }
    // Without the bits of the mode only capabilities are left; whether somebody may execute it at
    // all counts for them.
    let closed = AccessAttrs { uid: NO_ID, gid: NO_ID, mode: attrs.mode & !0o007 };
    creds.permission(&closed, want)
}

/// The list of a file.
fn of(inode: &dyn Inode, name: &[u8]) -> SysResult<Option<Acl>> {
    match inode.getxattr(name) {
        Ok(value) => Acl::parse(&value),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn store(inode: &dyn Inode, name: &[u8], acl: Option<&Acl>) -> SysResult<()> {
    match acl {
        Some(acl) => inode.setxattr(name, &acl.to_bytes(), XattrFlags::default()),
        None => match inode.removexattr(name) {
            Err(Errno::ENODATA) => Ok(()),
            result => result,
        },
    }
}

/// Sets or removes a list, under the file's lock (`vfs_set_acl`).
pub fn set(creds: &Credentials<'_>, inode: &InodeRef, name: &[u8], value: &[u8]) -> SysResult<()> {
    let acl = Acl::parse(value)?;
    let attrs = inode.access_attrs();
    let kind = attrs.mode & S_IFMT;
    if !inode.supports_acl() || kind == S_IFLNK {
        return Err(Errno::EOPNOTSUPP);
    }
    if name == DEFAULT && kind != S_IFDIR {
        return if acl.is_some() { Err(Errno::EACCES) } else { Ok(()) };
    }
    if !creds.owner_or_capable(&attrs) {
        return Err(Errno::EPERM);
    }
    let Some(acl) = acl else { return store(&**inode, name, None) };
    if name == DEFAULT {
        return store(&**inode, name, Some(&acl));
    }
    let (bits, same) = acl.mode();
    let mut mode = attrs.mode & 0o7000 | bits;
    if !creds.in_group(attrs.gid) && !creds.capable(Cap::Fsetid) {
        mode &= !S_ISGID;
    }
    store(&**inode, name, (!same).then_some(&acl))?;
    inode.setattr(&SetAttr { mode: Some(mode), ..SetAttr::default() })
}

/// Whether there are lists on a file (`EOPNOTSUPP`), for getxattr(2).
pub fn check(inode: &InodeRef) -> SysResult<()> {
    let is_link = inode.access_attrs().mode & S_IFMT == S_IFLNK;
    if inode.supports_acl() && !is_link { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
}

/// The list follows a new mode (`posix_acl_chmod`), under the file's lock.
pub fn follow_mode(inode: &InodeRef, attrs: &AccessAttrs, mode: u32) -> SysResult<()> {
    if attrs.mode & HAS_ACL == 0 {
        return Ok(());
    }
    let Some(mut acl) = of(&**inode, ACCESS)? else { return Ok(()) };
    acl.follow_mode(mode);
    store(&**inode, ACCESS, Some(&acl))
}

/// The lists that a new file gets from its directory.
#[derive(Default)]
pub struct Inherited {
    access: Option<Acl>,
    default: Option<Acl>,
}

/// What a new file of `mode` (with its type) gets from `dir`, and its mode then. `None`: nothing,
/// so that the umask counts.
pub fn inherit(dir: &InodeRef, dir_attrs: &AccessAttrs, mode: u32) -> SysResult<Option<(Inherited, u32)>> {
    if dir_attrs.mode & HAS_DEFAULT_ACL == 0 || mode & S_IFMT == S_IFLNK {
        return Ok(None);
    }
    let Some(default) = of(&**dir, DEFAULT)? else { return Ok(None) };
    let mut access = default.clone();
    let mode = access.restrict(mode);
    let (_, same) = access.mode();
    let default = (mode & S_IFMT == S_IFDIR).then_some(default);
    Ok(Some((Inherited { access: (!same).then_some(access), default }, mode)))
}

impl Inherited {
    /// Puts the lists on the new file.
    pub fn apply(&self, inode: &InodeRef) -> SysResult<()> {
        if let Some(acl) = &self.access {
            store(&**inode, ACCESS, Some(acl))?;
        }
        match &self.default {
            Some(acl) => store(&**inode, DEFAULT, Some(acl)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Acl {
        Acl(entries.iter().map(|(tag, perm, id)| Entry { tag: *tag, perm: *perm, id: *id }).collect())
    }

    #[test]
    fn a_list_and_its_bytes() {
        let list = acl(&[(USER_OBJ, 6, NO_ID), (USER, 4, 7), (GROUP_OBJ, 4, NO_ID), (MASK, 4, NO_ID), (OTHER, 0, NO_ID)]);
        assert_eq!(Acl::parse(&list.to_bytes()), Ok(Some(list.clone())));
        assert_eq!(list.mode(), (0o640, false));
        assert_eq!(Acl::parse(&[2, 0, 0, 0]), Ok(None));
        assert_eq!(Acl::parse(&[3, 0, 0, 0]), Err(Errno::EOPNOTSUPP));
        assert_eq!(Acl::parse(&list.to_bytes()[..13]), Err(Errno::EINVAL));
    }

    #[test]
    fn the_mask_bounds_users_and_groups() {
        let list = acl(&[(USER_OBJ, 7, NO_ID), (USER, 7, 7), (GROUP_OBJ, 7, NO_ID), (MASK, 4, NO_ID), (OTHER, 7, NO_ID)]);
        assert!(list.grants(&Credentials::user(7, 9, &[]), 1, AccessMask::READ));
        assert!(!list.grants(&Credentials::user(7, 9, &[]), 1, AccessMask::WRITE));
        assert!(!list.grants(&Credentials::user(8, 1, &[]), 1, AccessMask::WRITE));
        assert!(list.grants(&Credentials::user(8, 9, &[]), 1, AccessMask::WRITE), "others are not masked");
    }

    #[test]
    fn modes_go_both_ways() {
        let mut list =
            acl(&[(USER_OBJ, 7, NO_ID), (USER, 6, 5), (GROUP_OBJ, 5, NO_ID), (MASK, 7, NO_ID), (OTHER, 5, NO_ID)]);
        assert_eq!(list.restrict(S_IFREG | 0o666), S_IFREG | 0o664);
        list.follow_mode(0o701);
        assert_eq!(list.mode(), (0o701, false));
        assert_eq!(list.perm(GROUP_OBJ), Some(5), "with a mask the group stays");
    }
}
