//! Extended attributes (xattr(7)): who may touch which name space.

use super::{Namespace, inode_permission, want_write};
use crate::acl;
use crate::creds::Cap;
use crate::inode::InodeRef;
use crate::notify::{self, event};
use crate::path::Path;
use crate::types::*;
use crate::walk::FsContext;
use alloc::vec::Vec;
use syscall_shim::{Errno, SysResult};

/// Longest attribute name (`XATTR_NAME_MAX`).
const NAME_LIMIT: usize = 255;
/// Largest value (`XATTR_SIZE_MAX`).
const VALUE_LIMIT: usize = 65536;

const TRUSTED: &[u8] = b"trusted.";
const SECURITY: &[u8] = b"security.";
const USER: &[u8] = b"user.";
/// POSIX ACLs, where the file system has them.
const SYSTEM: &[u8] = b"system.";

impl Namespace {
    /// getxattr(2): the value.
    pub fn getxattr(&self, ctx: &FsContext<'_>, path: &Path, name: &[u8]) -> SysResult<Vec<u8>> {
        check_name(name)?;
        if is_acl(name) {
            acl::check(path.inode()?)?;
            return path.inode()?.getxattr(name);
        }
        permission(ctx, path, name, false)?;
        path.inode()?.getxattr(name)
    }

    /// setxattr(2).
    pub fn setxattr(&self, ctx: &FsContext<'_>, path: &Path, name: &[u8], value: &[u8], flags: XattrFlags) -> SysResult<()> {
        if !(XattrFlags::CREATE | XattrFlags::REPLACE).contains(flags) {
            return Err(Errno::EINVAL);
        }
        check_name(name)?;
        if value.len() > VALUE_LIMIT {
            return Err(Errno::E2BIG);
        }
        want_write(&path.mount)?;
        let inode = path.inode()?;
        check_changeable(inode)?;
        if !is_acl(name) {
            permission(ctx, path, name, true)?;
        }
        let guard = inode.common().lock.lock();
        if is_acl(name) {
            acl::set(ctx.creds, inode, name, value)?;
        } else {
            inode.setxattr(name, value, flags)?;
        }
        drop(guard);
        notify::notify_path(path, event::ATTRIB);
        Ok(())
    }

    /// listxattr(2): the names, each with its NUL. `trusted.` names show only to `CAP_SYS_ADMIN`.
    pub fn listxattr(&self, ctx: &FsContext<'_>, path: &Path) -> SysResult<Vec<u8>> {
        let mut out = Vec::new();
        for name in path.inode()?.listxattr()? {
            if !name.starts_with(TRUSTED) || ctx.creds.capable(Cap::SysAdmin) {
                out.extend_from_slice(&name);
                out.push(0);
            }
        }
        Ok(out)
    }

    /// removexattr(2).
    pub fn removexattr(&self, ctx: &FsContext<'_>, path: &Path, name: &[u8]) -> SysResult<()> {
        check_name(name)?;
        want_write(&path.mount)?;
        let inode = path.inode()?;
        check_changeable(inode)?;
        if !is_acl(name) {
            permission(ctx, path, name, true)?;
        }
        let guard = inode.common().lock.lock();
        if is_acl(name) {
            acl::set(ctx.creds, inode, name, b"")?;
        } else {
            inode.removexattr(name)?;
        }
        drop(guard);
        notify::notify_path(path, event::ATTRIB);
        Ok(())
    }
}

fn is_acl(name: &[u8]) -> bool {
    name == acl::ACCESS || name == acl::DEFAULT
}

/// `EPERM` for what nobody may change the attributes of.
fn check_changeable(inode: &InodeRef) -> SysResult<()> {
    if inode.access_attrs().mode & (IMMUTABLE | APPEND_ONLY) != 0 { Err(Errno::EPERM) } else { Ok(()) }
}

fn check_name(name: &[u8]) -> SysResult<()> {
    if name.is_empty() || name.len() > NAME_LIMIT { Err(Errno::ERANGE) } else { Ok(()) }
}

/// `xattr_permission`, then what the handler of the prefix asks.
fn permission(ctx: &FsContext<'_>, path: &Path, name: &[u8], write: bool) -> SysResult<()> {
    let inode = path.inode()?;
    let admin = ctx.creds.capable(Cap::SysAdmin);
    let refusal = if write { Errno::EPERM } else { Errno::ENODATA };
    if let Some(rest) = name.strip_prefix(SECURITY) {
        if rest.is_empty() {
            return Err(Errno::EINVAL);
        }
        return if write && !admin { Err(Errno::EPERM) } else { Ok(()) };
    }
    if let Some(rest) = name.strip_prefix(TRUSTED) {
        return match (admin, rest.is_empty()) {
            (false, _) => Err(refusal),
            (true, true) => Err(Errno::EINVAL),
            (true, false) => Ok(()),
        };
    }
    let mask = if write { AccessMask::WRITE } else { AccessMask::READ };
    let Some(rest) = name.strip_prefix(USER) else {
        if !name.starts_with(SYSTEM) {
            inode_permission(ctx.creds, &path.mount, inode, mask)?;
        }
        return Err(Errno::EOPNOTSUPP);
    };
    let attrs = inode.access_attrs();
    match attrs.mode & S_IFMT {
        S_IFREG => {}
        S_IFDIR => {
            if write && attrs.mode & S_ISVTX != 0 && !ctx.creds.owner_or_capable(&attrs) {
                return Err(Errno::EPERM);
            }
        }
        _ => return Err(refusal),
    }
    inode_permission(ctx.creds, &path.mount, inode, mask)?;
    if rest.is_empty() { Err(Errno::EINVAL) } else { Ok(()) }
}
