//! Files into a volume and out of one, with modes, times of change, and symbolic links. What comes
//! in is the super-user's, what comes out the user's own.

use super::Image;
use crate::error::{Error, On, Result};
use ext4::ROOT_INO;
use fs::inode::NewNode;
use fs::{FileType, SetAttr, Timespec};
use std::fs::{File, FileTimes, Permissions};
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use syscall_shim::Errno;

const CHUNK: usize = 1 << 20;
/// Longest path of directories that are copied; deeper ones may be a loop on a damaged disk.
const MAX_DEPTH: usize = 256;

/// The inode at a path, without following symbolic links; `None` where it is missing.
fn find(image: &Image, path: &str) -> Result<Option<u32>> {
    let mut at = ROOT_INO;
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        at = match image.files.lookup(at, name.as_bytes()) {
            Ok(ino) => ino,
            Err(e) if e.errno() == Errno::ENOENT => return Ok(None),
            Err(e) => return Err(image.wrong(path, e)),
        };
    }
    Ok(Some(at))
}

fn file_type(image: &Image, place: &str, ino: u32) -> Result<Option<FileType>> {
    image.files.metadata(ino).map(|about| FileType::from_mode(about.mode)).map_err(|e| image.wrong(place, e))
}

/// Copies from the volume at `place` to `to`, or into that if it is a directory.
pub fn out(image: &Image, place: &str, to: &Path) -> Result<()> {
    let ino = find(image, place)?.ok_or_else(|| image.wrong(place, "there is no such file"))?;
    let last = place.rsplit('/').find(|name| !name.is_empty() && *name != ".");
    let target = match last.filter(|_| to.is_dir()) {
        Some(name) => to.join(name),
        None => to.to_owned(),
    };
    out_one(image, ino, place, &target, 0)
}

fn out_one(image: &Image, ino: u32, place: &str, to: &Path, depth: usize) -> Result<()> {
    let about = image.files.metadata(ino).map_err(|e| image.wrong(place, e))?;
    let said = to.display().to_string();
    // Below what the user named, nothing leads elsewhere: a link there may be one of a damaged disk
    // with two files of a name.
    if depth > 0 && to.is_symlink() {
        std::fs::remove_file(to).on(&said)?;
    }
    match FileType::from_mode(about.mode) {
        Some(FileType::Regular) => {
            // Not readable for others before it has its mode.
            let mut options = File::options();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(to).on(&said)?;
            let mut buffer = vec![0; CHUNK];
            let mut at = 0;
            loop {
                let n = image.files.read(ino, at, &mut buffer).map_err(|e| image.wrong(place, e))?;
                if n == 0 {
                    break;
                }
                file.write_all(buffer.get(..n).unwrap_or(&[])).on(&said)?;
                at += n as u64;
            }
            file.set_permissions(Permissions::from_mode(about.mode & 0o777)).on(&said)?;
            set_time(&file, about.mtime).on(&said)
        }
        Some(FileType::Dir) => {
            if depth > MAX_DEPTH {
                return Err(image.wrong(place, "directories are too deep"));
            }
            if !to.is_dir() {
                std::fs::DirBuilder::new().mode(0o700).create(to).on(&said)?;
            }
            for (name, ino) in entries(image, ino, place)? {
                let inner = format!("{place}/{}", String::from_utf8_lossy(&name));
                out_one(image, ino, &inner, &to.join(std::ffi::OsString::from_vec(name)), depth + 1)?;
            }
            let dir = File::open(to).on(&said)?;
            set_time(&dir, about.mtime).on(&said)?;
            dir.set_permissions(Permissions::from_mode(about.mode & 0o777)).on(&said)
        }
        Some(FileType::Symlink) => {
            let text = image.files.readlink(ino).map_err(|e| image.wrong(place, e))?;
            std::os::unix::fs::symlink(std::ffi::OsString::from_vec(text), to).on(&said)
        }
        // Sockets, FIFOs and devices have nothing to be copied.
        _ => Ok(()),
    }
}

/// Sets the time of change of a file of the host's; one before 1970 becomes that, one that the host
/// cannot have is left out.
fn set_time(file: &File, time: Timespec) -> std::io::Result<()> {
    let since = Duration::from_secs(time.sec.max(0) as u64) + Duration::from_nanos(time.nsec as u64);
    UNIX_EPOCH.checked_add(since).map_or(Ok(()), |time| file.set_times(FileTimes::new().set_modified(time)))
}

/// Names and inodes of a directory. A name with a slash, as only a damaged disk has it, would lead
/// elsewhere.
fn entries(image: &Image, dir: u32, place: &str) -> Result<Vec<(Vec<u8>, u32)>> {
    let mut all = Vec::new();
    let mut bad = false;
    let listed = image.files.readdir(dir, 2, &mut |entry| {
        bad |= entry.name.is_empty() || entry.name.contains(&b'/') || matches!(entry.name, b"." | b"..");
        all.push((entry.name.to_vec(), entry.ino as u32));
        true
    });
    match listed {
        Err(e) => Err(image.wrong(place, e)),
        Ok(_) if bad => Err(image.wrong(place, "has a name that is none")),
        Ok(_) => Ok(all),
    }
}

/// Copies `from` to `place` of the volume, or into that if it is a directory.
pub fn into(image: &Image, from: &Path, place: &str) -> Result<()> {
    let place = place.trim_end_matches('/');
    if let Some(ino) = find(image, place)?
        && file_type(image, place, ino)? == Some(FileType::Dir)
    {
        // `.` and `/` have no name of their own: what is in them is copied.
        let Some(name) = from.file_name() else { return into_dir(image, from, ino, place) };
        return into_one(image, from, ino, name.as_bytes(), place);
    }
    let (parent, name) = place.rsplit_once('/').unwrap_or(("", place));
    let dir = find(image, parent)?.ok_or_else(|| image.wrong(parent, "there is no such directory"))?;
    into_one(image, from, dir, name.as_bytes(), parent)
}

fn into_dir(image: &Image, from: &Path, dir: u32, place: &str) -> Result<()> {
    let said = from.display().to_string();
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(from).on(&said)? {
        paths.push(entry.on(&said)?.path());
    }
    paths.sort();
    paths.iter().try_for_each(|path| into_one(image, path, dir, path.file_name().unwrap_or_default().as_bytes(), place))
}

/// Makes `name` of a directory what `from` is. A file that is there is replaced; a directory is
/// added to.
fn into_one(image: &Image, from: &Path, dir: u32, name: &[u8], parent: &str) -> Result<()> {
    let said = from.display().to_string();
    let place = format!("{parent}/{}", String::from_utf8_lossy(name));
    let wrong = |e: ext4::Error| image.wrong(&place, e);
    let about = from.symlink_metadata().on(&said)?;
    let node = NewNode { mode: about.mode(), uid: 0, gid: 0 };
    let there = image.files.lookup(dir, name).ok();
    let is_dir = there.map(|ino| file_type(image, &place, ino)).transpose()?.flatten() == Some(FileType::Dir);
    if is_dir != about.is_dir() && there.is_some() && (is_dir || about.is_dir()) {
        return Err(image.wrong(&place, "one is a directory, the other is none"));
    }
    if let Some(old) = there.filter(|_| !is_dir) {
        image.files.unlink(dir, name).map_err(wrong)?;
        image.files.release(old).map_err(wrong)?;
    }
    let ino = if about.is_dir() {
        let ino = match there {
            Some(ino) => ino,
            None => image.files.create(dir, name, node).map_err(wrong)?,
        };
        into_dir(image, from, ino, &place)?;
        ino
    } else if about.is_symlink() {
        let text = std::fs::read_link(from).on(&said)?;
        image.files.symlink(dir, name, text.as_os_str().as_bytes(), node).map_err(wrong)?;
        return Ok(());
    } else if about.is_file() {
        let mut file = File::open(from).on(&said)?;
        let ino = image.files.create(dir, name, node).map_err(wrong)?;
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        loop {
            let n = fill(&mut file, &mut buffer).map_err(|e| Error::Host { what: said.clone(), source: e })?;
            let bytes = buffer.get(..n).unwrap_or(&[]);
            // Blocks of zeros stay holes.
            if bytes.iter().any(|byte| *byte != 0) {
                image.files.write(ino, at, bytes).map_err(wrong)?;
            }
            at += n as u64;
            if n < CHUNK {
                break;
            }
        }
        image.files.truncate(ino, at).map_err(wrong)?;
        ino
    } else {
        return Err(image.wrong(&place, format!("{said} is neither a file nor a directory nor a symbolic link")));
    };
    let mtime = Timespec { sec: about.mtime(), nsec: about.mtime_nsec() as _ };
    let attr = SetAttr { mode: Some(about.mode()), mtime: Some(mtime), ..SetAttr::default() };
    image.files.setattr(ino, &attr).map_err(wrong)
}

/// Reads until the buffer is full or the file at its end.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}
