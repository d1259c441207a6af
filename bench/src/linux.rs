//! The Linux guest: Debian's kernel for virtual machines, as it is shipped, with an initial file
//! system that holds the same files as Skiff's image and an init that does the least
//! (`programs/init.c`).
//!
//! The kernel comes from the archive that apt knows; it is unpacked under `build/`, not installed.

use crate::build::{self, Link};
use crate::error::{On, Result, fail};
use crate::vm::Kernel;
use mkimage::{Gathered, Node};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const META_PACKAGE: &str = "linux-image-cloud-amd64";
/// In the order in which they need each other.
const MODULES: [&str; 6] = ["virtio_ring", "virtio", "virtio_mmio", "failover", "net_failover", "virtio_net"];
/// This machine has no other clock that Linux could measure its time-stamp counter by, or doubt it.
const KERNEL_OPTIONS: &str = "console=ttyS0 quiet panic=-1 tsc=reliable";

/// An unpacked kernel package.
pub struct Linux {
    root: PathBuf,
    /// As of `uname -r`.
    pub release: String,
    init: PathBuf,
    /// The guest's address where it has a network.
    pub address: Option<String>,
}

impl Linux {
    /// Fetches the kernel, unless it is there.
    pub fn fetch() -> Result<Self> {
        let root = build::dir()?.join("linux");
        let init = build::c("init", Link::Static)?;
        if release(&root).is_none() {
            fs::create_dir_all(&root).on(root.display())?;
            let depends = build::run(Command::new("apt-cache").args(["depends", META_PACKAGE]))?;
            let package =
                depends.lines().find_map(|l| l.trim().strip_prefix("Depends: ").filter(|p| p.contains("linux-image")));
            let Some(package) = package else {
                fail!("apt knows no {META_PACKAGE}: the Linux guest needs Debian's archive (apt-get update)")
            };
            eprintln!("bench: fetching {package}");
            build::run(Command::new("apt-get").args(["download", "-q", package]).current_dir(&root))?;
            for entry in fs::read_dir(&root).on(root.display())?.flatten() {
                if entry.path().extension().is_some_and(|e| e == "deb") {
                    build::run(Command::new("dpkg-deb").arg("-x").arg(entry.path()).arg(&root))?;
                    fs::remove_file(entry.path()).on(entry.path().display())?;
                }
            }
        }
        match release(&root) {
            Some(release) => Ok(Self { root, release, init, address: None }),
            None => fail!("{}: no kernel in it: remove it, and it will be fetched again", root.display()),
        }
    }

    /// Packs a guest that runs what was gathered.
    pub fn guest(&self, name: &str, gathered: &Gathered) -> Result<Kernel> {
        let mut run = Vec::new();
        let mut line = |key: &str, value: &[u8]| {
            run.extend_from_slice(key.as_bytes());
            run.extend_from_slice(value);
            run.push(b'\n');
        };
        let init = Node::bytes(fs::read(&self.init).on("init")?, 0o755);
        let mut own = vec![(PathBuf::from("/init"), init), ("/bench".into(), Node::dir(0o755))];
        if let Some(address) = &self.address {
            for module in MODULES {
                let guest = format!("/bench/{module}.ko");
                line("module ", guest.as_bytes());
                own.push((guest.into(), Node::bytes(self.module(module)?, 0o644)));
            }
            line("address ", address.as_bytes());
        }
        let manifest = &gathered.manifest;
        let program = manifest.exec.as_deref().unwrap_or_default();
        let args = manifest.args.iter().flatten().skip(1).map(Vec::as_slice);
        std::iter::once(program).chain(args).for_each(|arg| line("arg ", arg));
        manifest.env.iter().flatten().for_each(|env| line("env ", env));
        own.push(("/bench/run".into(), Node::bytes(run, 0o644)));

        let initrd = build::dir()?.join(format!("{name}.cpio"));
        let mut sink = BufWriter::new(File::create(&initrd).on(initrd.display())?);
        mkimage::plain_archive(&gathered.tree, &own, &mut sink)?;
        sink.flush().on(initrd.display())?;
        let kernel = self.root.join(format!("boot/vmlinuz-{}", self.release));
        Ok(Kernel { kernel, initrd: Some(initrd), options: KERNEL_OPTIONS.into(), tsc_option: Some("tsc_early_khz") })
    }

    fn module(&self, name: &str) -> Result<Vec<u8>> {
        let modules = self.root.join("lib/modules").join(&self.release).join("kernel");
        match find(&modules, &format!("{name}.ko")) {
            Some(path) => fs::read(&path).on(path.display()),
            None => fail!("{}: no {name}.ko in it", modules.display()),
        }
    }
}

fn release(root: &Path) -> Option<String> {
    let names = fs::read_dir(root.join("boot")).ok()?.flatten().map(|e| e.file_name());
    names.filter_map(|n| n.to_string_lossy().strip_prefix("vmlinuz-").map(str::to_owned)).max()
}

fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(dir).ok()?.flatten().find_map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => find(&entry.path(), name),
        _ => (entry.file_name().as_bytes() == name.as_bytes()).then(|| entry.path()),
    })
}
