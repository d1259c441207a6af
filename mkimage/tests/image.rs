//! Whole images, made with a kernel of a few bytes.

use ::fs::cpio::Reader;
use ::fs::cpio::seal::unsealed;
use goblin::elf::Elf;
use goblin::elf::program_header::PT_LOAD;
use mkimage::{Image, Kernel, Options, build, build_split, gather, image, key, manifest};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const BASE: u64 = 0xffff_ffff_8000_0000;

/// An ELF file with one PT_LOAD that holds the payload record at its start, and a note; no
/// sections.
fn kernel(dir: &Path) -> PathBuf {
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    let mut put = |bytes: &[u8]| elf.extend_from_slice(bytes);
    put(&2u16.to_le_bytes());
    put(&62u16.to_le_bytes());
    put(&1u32.to_le_bytes());
    for word in [0x20_0000u64, 64, 0] {
        put(&word.to_le_bytes());
    }
    put(&0u32.to_le_bytes());
    for half in [64u16, 56, 2, 64, 0, 0] {
        put(&half.to_le_bytes());
    }
    for (kind, offset, paddr, size, memory) in
        [(1u32, 0x1000u64, 0x20_0000u64, 0x100u64, 0x2345u64), (4, 0x1080, 0x20_0080, 24, 24)]
    {
        put(&kind.to_le_bytes());
        put(&6u32.to_le_bytes());
        for word in [offset, paddr + BASE, paddr, size, memory, 0x1000] {
            put(&word.to_le_bytes());
        }
    }
    elf.resize(0x1100, 0);
    elf[0x1000..0x1010].copy_from_slice(image::MAGIC);
    elf.extend_from_slice(b"debug information that images do without");
    let path = dir.join("kernel");
    fs::write(&path, elf).unwrap();
    path
}

fn root(dir: &Path) -> PathBuf {
    let root = dir.join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy("/proc/self/exe", root.join("bin/big")).unwrap();
    fs::hard_link(root.join("bin/big"), root.join("bin/again")).unwrap();
    symlink("big", root.join("bin/link")).unwrap();
    fs::write(root.join("page"), vec![7; 4096]).unwrap();
    root
}

fn options(dir: &Path) -> Options {
    Options {
        program: "/bin/true".into(),
        args: vec!["a b".into(), "".into()],
        env: vec!["LANG=C.UTF-8".into()],
        rootfs: Some(root(dir)),
        ..Options::default()
    }
}

#[test]
fn an_image_is_an_elf_file_whose_payload_the_kernel_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let gathered = gather(&options(dir.path())).unwrap();
    let out = dir.path().join("x.img");
    build(&Kernel::open(&kernel(dir.path())).unwrap(), &gathered, &out).unwrap();

    let bytes = fs::read(&out).unwrap();
    let elf = Elf::parse(&bytes).unwrap();
    let payload = elf.program_headers.iter().rfind(|p| p.p_type == PT_LOAD).unwrap();
    assert_eq!(payload.p_paddr, 0x20_3000, "the first page behind the kernel's memory");
    assert_eq!(payload.p_vaddr, payload.p_paddr + BASE);
    assert_eq!(payload.p_offset % 4096, 0);
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!((word(0x1010), word(0x1018)), (payload.p_paddr, payload.p_filesz));

    let archive = &bytes[payload.p_offset as usize..][..payload.p_filesz as usize];
    let archive = unsealed(archive, true, true).unwrap();
    let members: Vec<_> = Reader::new(archive).map(|m| m.unwrap()).collect();
    let find = |name: &str| members.iter().find(|m| m.name == name.as_bytes()).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(find("bin/link").data, b"big");
    assert_eq!(find("page").data, [7; 4096]);
    assert_eq!(find("page").data_offset % 4096, 0);
    assert_eq!(find("tmp").mode, 0o041777);
    // Both names of a hard link share an inode; the first carries the data.
    let (first, second) = (find("bin/again"), find("bin/big"));
    assert_eq!((first.ino, first.nlink, second.nlink), (second.ino, 2, 2));
    assert_eq!((first.data.len() as u64, second.data.len()), (fs::metadata("/proc/self/exe").unwrap().len(), 0));

    let image = Image::open(&out).unwrap();
    assert_eq!(image.memory_end, payload.p_paddr + payload.p_memsz);
    assert_eq!(image.manifest.args.unwrap(), [&b"/bin/true"[..], b"a b", b""]);
    assert!(image.manifest.env.unwrap().contains(&b"LANG=C.UTF-8".to_vec()));
    assert!(image::is_image(&out) && !image::is_image(Path::new("/bin/true")));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let kernel_path = kernel(dir.path());
    let (a, b) = (dir.path().join("a.img"), dir.path().join("b.img"));
    let options = options(dir.path());
    let mut keys = Vec::new();
    for out in [&a, &b] {
        let gathered = gather(&options).unwrap();
        keys.push(key(&kernel_path, &gathered).unwrap());
        build(&Kernel::open(&kernel_path).unwrap(), &gathered, out).unwrap();
    }
    assert!(fs::read(a).unwrap() == fs::read(b).unwrap());
    assert_eq!(keys[0], keys[1]);
    let other = Options { cwd: Some("/tmp".into()), ..options };
    assert_ne!(key(&kernel_path, &gather(&other).unwrap()).unwrap(), keys[0]);
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x.img");
    let small = Options { rootfs: None, ..options(dir.path()) };
    build(&Kernel::open(&kernel(dir.path())).unwrap(), &gather(&small).unwrap(), &out).unwrap();
    let whole = fs::read(&out).unwrap();
    let damaged = dir.path().join("damaged.img");
    // Kernel, record, headers and files, and the seal at the end.
    let places =
        [0x1008, 0x1012, 0x1019, 0x1024, 0x102c, 0x1100, 0x2000, 0x2100, whole.len() / 2, whole.len() - 30, whole.len() - 1];
    for place in places {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        fs::write(&damaged, bytes).unwrap();
        let error = Image::open(&damaged).unwrap_err().to_string();
        assert!(error.contains("damaged.img") && error.contains("build it again"), "{place:#x}: {error}");
    }
    assert!(Image::open(&out).is_ok());
}

#[test]
fn split_gives_a_bare_kernel_and_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    let gathered = gather(&options(dir.path())).unwrap();
    let (k, i) = (dir.path().join("x.kernel"), dir.path().join("x.initrd"));
    build_split(&Kernel::open(&kernel(dir.path())).unwrap(), &gathered, &k, &i).unwrap();
    assert_eq!(fs::metadata(&k).unwrap().len(), 0x1100, "without what no segment holds");
    assert!(Kernel::open(&k).is_ok());
    let archive = fs::read(i).unwrap();
    assert_eq!(Reader::new(&archive).next().unwrap().unwrap().name, manifest::MEMBER.as_bytes());
}

#[test]
fn a_truncated_image_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let gathered = gather(&options(dir.path())).unwrap();
    let out = dir.path().join("x.img");
    build(&Kernel::open(&kernel(dir.path())).unwrap(), &gathered, &out).unwrap();
    let whole = fs::read(&out).unwrap();
    for len in [0, 10, 64, 0x1000, 0x1108, 0x1200, whole.len() / 2, whole.len() - 1] {
        fs::write(&out, &whole[..len]).unwrap();
        let e = Image::open(&out).unwrap_err().to_string();
        assert!(e.contains("x.img") && e.contains("mkimage"), "length {len}: {e}");
    }
    fs::write(&out, &whole[..whole.len() / 2]).unwrap();
    assert!(image::is_image(&out) && Image::open(&out).unwrap_err().to_string().contains("truncated"));
}

#[test]
fn an_image_or_a_stranger_is_no_kernel() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &Path| Kernel::open(path).unwrap_err().to_string();
    assert!(open(Path::new("/bin/true")).contains("no Skiff kernel"));
    assert!(open(&dir.path().join("none")).contains("cargo kbuild"));
    let gathered = gather(&options(dir.path())).unwrap();
    let out = dir.path().join("x.img");
    build(&Kernel::open(&kernel(dir.path())).unwrap(), &gathered, &out).unwrap();
    assert!(open(&out).contains("an image already"));
}
