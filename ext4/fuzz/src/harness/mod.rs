//! What an input stands for: an image of mke2fs with some bytes changed, and what is done with it.
//! Nothing that it holds may panic, run without end or take memory without bound.
//!
//! An input's first byte chooses the image, the second says how many changes follow; the rest are
//! steps. Places are counted in the blocks that the image uses, for most of a disk is empty.

mod disk;
mod images;
mod steps;

use std::sync::{Arc, LazyLock};

use ext4::{Ext4, MountOptions};

use disk::{Disk, Quiet};
use images::Image;
use steps::{Input, Steps};

static IMAGES: LazyLock<Vec<Image>> = LazyLock::new(images::make);

/// Blocks of metadata that are kept: few, so that they are read and checked again.
const CACHE_BLOCKS: usize = 64;

/// Makes the images, which takes a while.
pub fn init() {
    fs::testing::install();
    LazyLock::force(&IMAGES);
}

/// Does what an input says. Returns whether it says anything.
pub fn run(bytes: &[u8]) -> bool {
    let mut input = Input(bytes);
    let (Some(which), Some(changes)) = (input.byte(), input.byte()) else { return false };
    let image = &IMAGES[usize::from(which) % IMAGES.len()];
    let disk = Disk::new(image.bytes.clone());
    for _ in 0..changes % 16 {
        change(&disk, image, &mut input);
    }
    let options = MountOptions { cache_blocks: CACHE_BLOCKS, ..MountOptions::default() };
    if let Ok(fs) = Ext4::mount(disk.clone(), Arc::new(Quiet), options) {
        Steps::new(&fs).run(&mut input);
        let _ = (fs.sync(), fs.trim(0), fs.unmount());
    }
    // What it has left, finished or not.
    if let Ok(fs) = Ext4::mount(disk, Arc::new(Quiet), options) {
        Steps::new(&fs).run(&mut Input(&[]));
    }
    true
}

/// Changes some bytes of one of the blocks that the image uses.
fn change(disk: &Disk, image: &Image, input: &mut Input) {
    let (Some(kind), Some(block), Some(other)) = (input.byte(), input.word(), input.word()) else { return };
    let used = |n: u16| image.used[usize::from(n) % image.used.len()];
    let at = usize::from(other) % disk::BLOCK;
    match kind % 4 {
        0 => disk.copy(used(other), used(block)),
        1 => disk.change(used(block), |data| data.fill(kind)),
        2 => {
            let value = input.number().to_le_bytes();
            disk.change(used(block), |data| data[at..].iter_mut().zip(value).for_each(|(old, new)| *old = new));
        }
        _ => {
            let new = input.take(usize::from(kind >> 2) % 32);
            disk.change(used(block), |data| data[at..].iter_mut().zip(new).for_each(|(old, new)| *old = *new));
        }
    }
}
