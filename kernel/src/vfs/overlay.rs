//! Overlays: of mount(2), and one over the root before the program starts (`overlay` on the command
//! line: what is written stays in memory; `overlay=/dev/NAME`: it stays on that volume, in a
//! directory `upper` beside the `work` that an overlay needs).

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use fs::overlay::{Options, Overlay, Places};
use fs::tmpfs::TmpfsOptions;
use fs::{FileSystem, LookupFlags, Mount, MountFlags, Namespace, Path, SetAttr};
use syscall_shim::{Errno, SysResult};

use super::{namespace, new_tmpfs};
use arch::boot;
use fd::with_fs;
use platform::rng;
use task::current;

/// Whether a value of the option means something.
pub fn is_device(text: &str) -> bool {
    text.len() > 5 && text.starts_with("/dev/")
}

/// The overlay that these options ask for. `EINVAL` for options that there are not, `ENOENT` and
/// others for the paths.
pub fn make(data: &str) -> SysResult<Arc<dyn FileSystem>> {
    let options = Options::parse(data)?;
    let lower = options.lower.iter().map(|path| place(path)).collect::<SysResult<_>>()?;
    let upper = match (&options.upper, &options.work) {
        (Some(upper), Some(work)) => Some((place(upper)?, place(work)?)),
        _ => None,
    };
    let overlay = Overlay::new(namespace(), Places { lower, upper }, options.user_xattr, data.into())?;
    Ok(overlay)
}

fn place(path: &str) -> SysResult<Path> {
    with_fs(|ctx| namespace().resolve(ctx, None, path.as_bytes(), LookupFlags::FOLLOW | LookupFlags::DIRECTORY))
}

/// Lays one over the root, if that is asked for, and makes it the root of the calling process. The
/// error is a message for the user.
pub fn over_root(ns: &Arc<Namespace>) -> Result<(), String> {
    let Some(device) = boot::options("overlay").last() else { return Ok(()) };
    let what = if device.is_empty() { "in memory" } else { device };
    let files: Arc<dyn FileSystem> = match device.strip_prefix("/dev/") {
        None => new_tmpfs(TmpfsOptions { mode: 0o755, ..TmpfsOptions::default() }).map_err(|errno| wrong(what, errno))?,
        Some(name) => {
            let found = block::registry::all().into_iter().find(|device| device.name() == name);
            let device = found.ok_or_else(|| format!("overlay={device}: there is no such disk"))?;
            ext4_mount::mount(device, "ext4", "", false, rng::next_u64).map_err(|errno| wrong(what, errno))?
        }
    };
    lay(ns, files).map_err(|errno| wrong(what, errno))
}

fn wrong(what: &str, errno: Errno) -> String {
    format!("no overlay {what} can be laid over the root: {errno:?}")
}

fn lay(ns: &Arc<Namespace>, files: Arc<dyn FileSystem>) -> SysResult<()> {
    let mount = Mount::new(files, None, "overlay", MountFlags::RELATIME);
    let top = Path::new(mount.clone(), mount.root.clone());
    let (upper, work) = (directory(ns, &top, "upper")?, directory(ns, &top, "work")?);
    let root = ns.root();
    let below = root.inode()?.metadata();
    let attr = SetAttr { mode: Some(below.mode), uid: Some(below.uid), gid: Some(below.gid), ..SetAttr::default() };
    upper.inode()?.setattr(&attr)?;
    let shown = String::from("lowerdir=/,upperdir=/upper,workdir=/work");
    let overlay = Overlay::new(ns, Places { lower: [root.clone()].into(), upper: Some((upper, work)) }, false, shown)?;
    ns.mount(overlay, "overlay", &root, MountFlags::RELATIME)?;
    current().fs().set_cwd(ns.root());
    current().fs().set_root(ns.root());
    Ok(())
}

fn directory(ns: &Namespace, top: &Path, name: &str) -> SysResult<Path> {
    let ctx = ns.kernel_context();
    match ns.mkdir(&ctx, Some(top), name.as_bytes(), 0o755) {
        Err(Errno::EEXIST) => ns.resolve(&ctx, Some(top), name.as_bytes(), LookupFlags::DIRECTORY),
        made => made,
    }
}
