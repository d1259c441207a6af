//! Images to begin with, of mke2fs: each with directories of both kinds, long and sparse files,
//! links and attributes; as it was made, and with a journal that is to be replayed.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ext4::{Ext4, MountOptions, ROOT_INO};
use fs::inode::NewNode;
use fs::{FallocateMode, XattrFlags};

use super::disk::{BLOCK, Disk, Quiet};

/// An image, and the numbers of its blocks that hold anything.
pub struct Image {
    pub bytes: Arc<[u8]>,
    pub used: Vec<usize>,
}

impl Image {
    fn new(bytes: Arc<[u8]>) -> Image {
        let used = bytes.chunks(BLOCK).enumerate().filter(|(_, block)| block.iter().any(|byte| *byte != 0));
        let used = used.map(|(number, _)| number).collect();
        Image { bytes, used }
    }
}

/// Options of mke2fs. Where metadata have checksums, most changes end there, so most images have
/// none.
const KINDS: [&str; 6] = [
    "-t ext4 -O ^metadata_csum,^64bit",
    "-t ext4 -O ^metadata_csum,inline_data,large_dir,sparse_super2",
    "-t ext4 -O ^metadata_csum,fast_commit,orphan_file,meta_bg,^resize_inode",
    "-t ext4 -O ^has_journal,^metadata_csum,uninit_bg",
    "-t ext3",
    "-t ext4 -O metadata_csum_seed,orphan_file",
];

/// Makes them all. Panics where mke2fs is not to be had: there is nothing to test then.
pub fn make() -> Vec<Image> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tree = folder.path().join("tree");
    plant(&tree);
    KINDS.iter().flat_map(|options| both(&mke2fs(folder.path(), &tree, options))).collect()
}

/// What every image has in it.
fn plant(tree: &Path) {
    std::fs::create_dir_all(tree.join("many")).expect("a folder");
    for n in 0..60 {
        std::fs::write(tree.join(format!("many/a-long-name-for-a-file-{n}")), b"x").expect("a file");
    }
    std::fs::write(tree.join("large"), vec![3; 40_000]).expect("a file");
    std::fs::write(tree.join("tiny"), b"tiny").expect("a file");
    std::os::unix::fs::symlink("tiny", tree.join("link")).expect("a link");
    std::os::unix::fs::symlink("long/".repeat(30), tree.join("long-link")).expect("a link");
}

fn mke2fs(folder: &Path, tree: &Path, options: &str) -> Arc<[u8]> {
    let image = folder.join("image");
    let mut command = Command::new("mke2fs");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args("-q -F -b 1024 -N 128 -J size=1".split(' '));
    if options.contains("^has_journal") {
        command = Command::new("mke2fs");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args("-q -F -b 1024 -N 128".split(' '));
    }
    let status = command.args(options.split(' ')).arg("-d").arg(tree).arg(&image).arg("3M").status();
    assert!(status.expect("mke2fs").success(), "mke2fs {options}");
    std::fs::read(image).expect("the image").into()
}

/// The image as it was made, and as a machine leaves it that ends while it is mounted.
fn both(bytes: &Arc<[u8]>) -> [Image; 2] {
    let disk = Disk::new(bytes.clone());
    let fs = Ext4::mount(disk.clone(), Arc::new(Quiet), MountOptions::default()).expect("an image of mke2fs");
    let node = |mode| NewNode { mode, uid: 0, gid: 0 };
    let file = node(fs::S_IFREG | 0o600);
    let sparse = fs.create(ROOT_INO, b"sparse", file).expect("create");
    for n in 0..40 {
        fs.write(sparse, n * 9000, b"a piece").expect("write");
    }
    fs.fallocate(sparse, FallocateMode::PUNCH_HOLE | FallocateMode::KEEP_SIZE, 9000, 9000).expect("fallocate");
    fs.setxattr(sparse, b"user.small", b"value", XattrFlags::empty()).expect("setxattr");
    fs.setxattr(sparse, b"user.large", &[7; 500], XattrFlags::empty()).expect("setxattr");
    fs.create(ROOT_INO, b"folder", node(fs::S_IFDIR | 0o700)).expect("mkdir");
    fs.sync().expect("sync");
    for n in 0..8 {
        fs.create(ROOT_INO, format!("logged-{n}").as_bytes(), file).expect("create");
        fs.tmpfile(ROOT_INO, file).expect("tmpfile");
    }
    fs.unlink(ROOT_INO, b"large").expect("unlink");
    fs.sync().expect("sync");
    let mut dirty = vec![0; bytes.len()];
    ext4::BlockDevice::read(&*disk, 0, &mut dirty).expect("the whole");
    fs.unmount().expect("unmount");
    let mut clean = vec![0; bytes.len()];
    ext4::BlockDevice::read(&*disk, 0, &mut clean).expect("the whole");
    [Image::new(clean.into()), Image::new(dirty.into())]
}
