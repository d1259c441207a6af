//! `mkimage`: a Linux program and its files in, one bootable file out.

#![forbid(unsafe_code)]

use clap::Parser;
use mkimage::disk::Format;
use mkimage::{Kernel, Options, size};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Build a bootable image from an unmodified Linux program.
///
/// The program's interpreter and shared libraries come along by themselves. Files that it opens
/// when it runs do not: name them with --add or --package, or let --learn watch a native run.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  mkimage /usr/bin/sqlite3 -o sqlite3.img\n  mkimage nginx --rootfs ./root -o nginx.img -- -g 'daemon off;'\n  mkimage redis-server --disk 1G -o redis.img\n  mkimage python3 --package libpython3.11-stdlib --add app.py -o app.img -- app.py"
)]
struct Cli {
    /// Path of the program, or its name on PATH
    program: String,
    /// Arguments of the program
    #[arg(last = true)]
    args: Vec<String>,
    /// Directory that becomes the guest's root; the program and its libraries are looked up in it
    /// first
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// Add a file or directory; a relative PATH goes below the guest's working directory
    #[arg(long, value_name = "PATH[:GUESTPATH]")]
    add: Vec<String>,
    /// Add all files of an installed Debian package
    #[arg(long, value_name = "NAME")]
    package: Vec<String>,
    /// Run the program natively under strace first, and add the files it opens
    #[arg(long)]
    learn: bool,
    /// Write the kernel and the archive apart, as OUT.kernel and OUT.initrd
    #[arg(long)]
    split: bool,
    /// Put the files on a disk of that size, which becomes the guest's root, and not into the
    /// image: NAME.disk beside it
    ///
    /// The disk is a sparse file with an ext4, in which programs keep what they write. It is made
    /// by mke2fs, and the same files make the same bytes. `skiff run` finds it beside the image;
    /// other monitors are to give it to the machine as a virtio disk.
    #[arg(long, value_name = "SIZE", value_parser = size::disk)]
    disk: Option<u64>,
    /// How the disk's file holds it
    #[arg(long, value_enum, default_value_t = DiskFormat::Raw, requires = "disk")]
    format: DiskFormat,
    /// The image to write [default: NAME.img]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Set an environment variable
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Working directory in the guest
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// The kernel [default: the checkout's, or $SKIFF_KERNEL]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
}

/// Values of `--format`.
#[derive(Clone, Copy, clap::ValueEnum)]
enum DiskFormat {
    /// Byte for byte: any monitor takes it, and a Linux mounts it
    Raw,
    /// QEMU's own: NAME.qcow2
    Qcow2,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("mkimage: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> mkimage::Result<()> {
    let options = Options {
        program: cli.program,
        args: cli.args,
        env: cli.env,
        cwd: cli.cwd,
        rootfs: cli.rootfs,
        add: cli.add,
        packages: cli.package,
        learn: cli.learn,
    };
    let mut gathered = mkimage::gather(&options)?;
    for warning in &gathered.warnings {
        eprintln!("mkimage: note: {warning}");
    }
    let kernel = Kernel::open(&cli.kernel.unwrap_or_else(mkimage::default_kernel))?;
    let out = cli.output.unwrap_or_else(|| {
        let name = Path::new(&options.program).file_name().unwrap_or("image".as_ref());
        PathBuf::from(name).with_added_extension("img")
    });
    if let Some(mib) = cli.disk {
        let (format, extension) = match cli.format {
            DiskFormat::Raw => (Format::Raw, "disk"),
            DiskFormat::Qcow2 => (Format::Qcow2, "qcow2"),
        };
        let disk = out.with_extension(extension);
        let root = mkimage::disk::make(&gathered, &disk, mib, format)?;
        eprintln!("mkimage: wrote {} ({mib} MiB, {root})", disk.display());
        gathered = mkimage::on_disk(&gathered, Some(root), disk.file_name());
    }
    if cli.split {
        let [kernel_out, initrd_out] = ["kernel", "initrd"].map(|e| out.with_added_extension(e));
        mkimage::build_split(&kernel, &gathered, &kernel_out, &initrd_out)?;
        eprintln!("mkimage: wrote {} and {}", kernel_out.display(), initrd_out.display());
    } else {
        mkimage::build(&kernel, &gathered, &out)?;
        let size = std::fs::metadata(&out).map_or(0, |m| m.len());
        eprintln!("mkimage: wrote {} ({:.1} MiB)", out.display(), size as f64 / (1 << 20) as f64);
    }
    Ok(())
}
