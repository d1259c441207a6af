//! Packs what was gathered: archive, image, and the key under which an image may be kept.

use crate::cpio::{Header, Writer};
use crate::error::{At, Error, Result};
use crate::gather::Gathered;
use crate::image::Kernel;
use crate::manifest::{self, Manifest};
use crate::tree::{Kind, Node, Tree, archive_name};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const S_IFDIR: u32 = 0o040000;
const S_IFREG: u32 = 0o100000;
const S_IFLNK: u32 = 0o120000;
/// Work that takes longer shows its progress.
const QUIET: Duration = Duration::from_secs(1);

/// Builds one file that boots by itself.
pub fn build(kernel: &Kernel, gathered: &Gathered, out: &Path) -> Result<()> {
    atomically(out, |part| kernel.write_image(part, |sink| archive(kernel, gathered, sink)))
}

/// Builds kernel and archive apart.
pub fn build_split(kernel: &Kernel, gathered: &Gathered, kernel_out: &Path, initrd_out: &Path) -> Result<()> {
    atomically(kernel_out, |part| kernel.write(part))?;
    atomically(initrd_out, |part| {
        let mut sink = BufWriter::with_capacity(1 << 20, File::create(part).at(part)?);
        archive(kernel, gathered, &mut sink)?;
        sink.flush().at(part)
    })
}

/// What an image holds whose files are on a disk: nothing but how to start. `root` names the disk's
/// file system, `disk` its file.
pub fn on_disk(gathered: &Gathered, root: Option<String>, disk: Option<&OsStr>) -> Gathered {
    let disk = disk.map(|name| name.as_bytes().to_vec());
    let manifest = Manifest { root: root.map(String::into_bytes), disk, ..gathered.manifest.clone() };
    Gathered { tree: Tree::new(Vec::new()), manifest, warnings: Vec::new() }
}

/// Writes a tree and further nodes, in their order, as an archive that Linux takes as its initial
/// file system.
pub fn plain_archive(tree: &Tree, more: &[(PathBuf, Node)], sink: &mut dyn Write) -> Result<()> {
    let mut writer = Writer::plain(sink);
    let mut inodes = Inodes::count(tree);
    for (path, node) in tree.iter().chain(more.iter().map(|(path, node)| (path.as_path(), node))) {
        member(&mut writer, path, node, &mut inodes)?;
    }
    writer.finish().map(drop).at("archive")
}

/// An archive with a manifest alone, to go over an image's own.
pub fn override_archive(manifest: &Manifest) -> io::Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new());
    meta_member(&mut writer, manifest::MEMBER, &manifest::encode(manifest))?;
    writer.finish().map(|(bytes, _)| bytes)
}

/// A number that changes when the image would: from the files' paths, attributes, sizes and times,
/// and the kernel's.
pub fn key(kernel: &Path, gathered: &Gathered) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    let meta = fs::metadata(kernel).at(kernel)?;
    (kernel, meta.len(), meta.modified().ok()).hash(&mut hasher);
    manifest::encode(&gathered.manifest).hash(&mut hasher);
    for (path, node) in gathered.tree.iter() {
        (path, node.mode, node.uid, node.gid, node.size, node.mtime, node.nanoseconds).hash(&mut hasher);
        match &node.kind {
            Kind::Dir => {}
            Kind::HostFile(host) => {
                let meta = fs::metadata(host).at(host)?;
                (host, meta.modified().ok()).hash(&mut hasher);
            }
            Kind::Bytes(bytes) => bytes.hash(&mut hasher),
            Kind::Symlink(target) => target.hash(&mut hasher),
            Kind::Special { file_type, rdev } => (file_type, rdev).hash(&mut hasher),
        }
    }
    Ok(hasher.finish())
}

/// Writes beside the target and renames, so that a half-written image is never taken for one.
pub(crate) fn atomically(out: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = out.file_name().ok_or_else(|| Error::Usage(format!("-o {}: not a file name", out.display())))?;
    let part = out.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    write(&part).and_then(|()| fs::rename(&part, out).at(out)).inspect_err(|_| drop(fs::remove_file(&part)))
}

fn archive(kernel: &Kernel, gathered: &Gathered, sink: &mut dyn Write) -> Result<u64> {
    let mut writer = Writer::new(sink);
    meta_member(&mut writer, manifest::MEMBER, &manifest::encode(&gathered.manifest)).at(manifest::MEMBER)?;
    meta_member(&mut writer, manifest::SYMBOLS, kernel.symbols()).at(manifest::SYMBOLS)?;
    let mut inodes = Inodes::count(&gathered.tree);
    let progress = Progress::new(gathered.tree.iter().map(|(_, n)| n.size).sum());
    for (path, node) in gathered.tree.iter() {
        member(&mut writer, path, node, &mut inodes)?;
        progress.add(node.size);
    }
    progress.finish();
    writer.finish().map(|(_, len)| len).at("archive")
}

fn meta_member<W: Write>(writer: &mut Writer<W>, name: &str, mut data: &[u8]) -> io::Result<()> {
    let header = Header { mode: S_IFREG | 0o400, nlink: 1, ..Header::default() };
    writer.member(name.as_bytes(), header, data.len() as u64, &mut data)
}

fn member<W: Write>(writer: &mut Writer<W>, path: &Path, node: &Node, inodes: &mut Inodes) -> Result<()> {
    let (ino, nlink, first) = inodes.next(node);
    let mut header = Header {
        ino,
        nlink,
        mode: node.mode,
        uid: node.uid,
        gid: node.gid,
        mtime: node.mtime,
        nanoseconds: node.nanoseconds,
        rdev: (0, 0),
    };
    let name = archive_name(path);
    let (file_type, size, mut data): (u32, u64, Box<dyn Read + '_>) = match &node.kind {
        Kind::Dir => (S_IFDIR, 0, Box::new(io::empty())),
        Kind::Symlink(target) => {
            let target = target.as_os_str().as_bytes();
            (S_IFLNK, target.len() as u64, Box::new(target))
        }
        // Data of hard-linked files comes with the first name.
        Kind::HostFile(_) | Kind::Bytes(_) if !first => (S_IFREG, 0, Box::new(io::empty())),
        Kind::HostFile(host) => (S_IFREG, node.size, Box::new(File::open(host).at(host)?)),
        Kind::Bytes(bytes) => (S_IFREG, node.size, Box::new(&bytes[..])),
        Kind::Special { file_type, rdev } => {
            header.rdev = *rdev;
            (*file_type, 0, Box::new(io::empty()))
        }
    };
    header.mode |= file_type;
    writer.member(name, header, size, &mut data).at(path)
}

/// Gives out inode numbers, the same one to all names of a file.
struct Inodes {
    next: u32,
    links: HashMap<(u64, u64), (u32, u32)>,
}

impl Inodes {
    fn count(tree: &Tree) -> Self {
        let mut links: HashMap<_, (u32, u32)> = HashMap::new();
        for (_, node) in tree.iter() {
            if let Some(id) = node.hard_link {
                links.entry(id).or_default().1 += 1;
            }
        }
        Self { next: 1, links }
    }

    /// Inode number, link count, and whether this is the first name.
    fn next(&mut self, node: &Node) -> (u32, u32, bool) {
        let ino = self.next;
        match node.hard_link.and_then(|id| self.links.get_mut(&id)) {
            Some((given, count)) if *given != 0 => (*given, *count, false),
            Some((given, count)) => {
                *given = ino;
                self.next += 1;
                (ino, *count, true)
            }
            None => {
                self.next += 1;
                (ino, if node.kind == Kind::Dir { 2 } else { 1 }, true)
            }
        }
    }
}

struct Progress {
    bar: ProgressBar,
    start: Instant,
}

impl Progress {
    fn new(total: u64) -> Self {
        let bar = ProgressBar::hidden();
        bar.set_length(total);
        Self { bar, start: Instant::now() }
    }

    fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
        if self.bar.is_hidden() && self.start.elapsed() > QUIET && io::stderr().is_terminal() {
            self.bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("packing {bar:40} {bytes}/{total_bytes}") {
                self.bar.set_style(style);
            }
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
