//! Memory sizes: as a user writes them, and how much an image needs.

use crate::error::{Error, Result};
use mkimage::{Image, size};

const MIB: u64 = 1 << 20;
/// What the kernel needs beside the image at the very least: page tables, heap, a program's first
/// pages.
const KERNEL: u64 = 128 << 10;
/// The default is at least this.
const DEFAULT_MIB: u64 = 128;

/// A size such as `512M`, `2G`, `65536K`; a bare number counts MiB, as for QEMU's `-m`. The result
/// is in MiB.
pub fn parse(text: &str) -> std::result::Result<u64, String> {
    size::bytes(text).map(|bytes| bytes.div_ceil(MIB))
}

/// The memory to give a machine, in MiB: what was asked for if the image fits, else enough for it.
pub fn choose(image: &Image, asked: Option<u64>) -> Result<u64> {
    let needs = image.memory_end.saturating_add(KERNEL).div_ceil(MIB);
    match asked {
        Some(has) if has < needs => Err(Error::Memory { image: image.path.clone(), needs, has }),
        Some(has) => Ok(has),
        // What the program itself will need is unknown; a large image means a large program.
        None => Ok(DEFAULT_MIB.max(2 * needs).next_multiple_of(16)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, mib) in [("64", 64), ("64M", 64), ("64MiB", 64), ("2G", 2048), ("2gb", 2048), ("1025K", 2)] {
            assert_eq!(parse(text), Ok(mib), "{text}");
        }
        for text in ["", "M", "0", "12x", "-1", "99999999999999999999G", "18446744073709551615G"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn too_little_names_the_need() {
        let image = Image { path: "x.img".into(), memory_end: 60 * MIB, manifest: Default::default(), payload: (0, 0) };
        let e = choose(&image, Some(32)).unwrap_err().to_string();
        assert_eq!(e, "x.img needs 61 MiB, has 32: raise --memory");
        assert_eq!(choose(&image, None).unwrap(), 128);
    }
}
