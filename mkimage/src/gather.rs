//! From options to a root file system: the program, its closure, added files and packages, and the
//! little that every guest has.

use crate::closure::Closure;
use crate::error::{At, Error, Result};
use crate::manifest::Manifest;
use crate::tree::{Kind, Node, Tree};
use crate::{learn, packages};
use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// The environment that a program gets where nothing else is said: as from login(1), with the
/// locale that every Debian has.
pub const DEFAULT_ENV: [&str; 5] = [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "USER=root",
    "LOGNAME=root",
    "LANG=C.UTF-8",
];

const DIRECTORIES: [(&str, u32); 10] = [
    ("/etc", 0o755),
    ("/dev", 0o755),
    ("/proc", 0o555),
    ("/sys", 0o555),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/tmp", 0o1777),
    ("/usr", 0o755),
    ("/var", 0o755),
    ("/var/tmp", 0o1777),
];
/// With a merged /usr these are links; the paths of programs and scripts go through them.
const MERGED_USR: [&str; 4] = ["/bin", "/lib", "/lib64", "/sbin"];
const ETC: [(&str, &str); 5] = [
    ("/etc/passwd", include_str!("passwd")),
    ("/etc/group", include_str!("group")),
    ("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tskiff\n"),
    (
        "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n",
    ),
    ("/etc/hostname", "skiff\n"),
];

/// What to put into an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// A path, or a name to be searched on PATH.
    pub program: String,
    /// Arguments after `argv[0]`.
    pub args: Vec<String>,
    /// `NAME=value`, over [`DEFAULT_ENV`].
    pub env: Vec<String>,
    /// Working directory in the guest.
    pub cwd: Option<String>,
    /// A directory that becomes the guest's root, whole.
    pub rootfs: Option<PathBuf>,
    /// `PATH[:GUESTPATH]`; a `?` behind it: only where it exists.
    pub add: Vec<String>,
    /// Installed Debian packages; a `?` behind a name: only where it is installed.
    pub packages: Vec<String>,
    /// Run the program natively first, and take what it opens.
    pub learn: bool,
}

/// A root file system and what to start in it.
#[derive(Debug)]
pub struct Gathered {
    /// The files.
    pub tree: Tree,
    /// What to start.
    pub manifest: Manifest,
    /// Lines worth telling the user.
    pub warnings: Vec<String>,
}

/// The environment with the later value of each variable.
pub fn environment(own: &[String]) -> Vec<String> {
    let mut env: Vec<String> = Vec::new();
    for pair in DEFAULT_ENV.iter().map(|s| s.to_string()).chain(own.iter().cloned()) {
        let name = pair.split('=').next().unwrap_or_default().to_owned();
        match env.iter_mut().find(|e| e.split('=').next() == Some(&name)) {
            Some(slot) => *slot = pair,
            None => env.push(pair),
        }
    }
    env
}

/// Gathers the files.
pub fn gather(options: &Options) -> Result<Gathered> {
    if let Some(bad) = options.env.iter().find(|e| !e.contains('=') || e.starts_with('=')) {
        return Err(Error::Usage(format!("--env {bad}: expected NAME=value")));
    }
    let env = environment(&options.env);
    let cwd = options.cwd.clone().unwrap_or_else(|| "/".into());
    let (mut tree, exec) = locate(options, &env)?;
    if let Some(rootfs) = &options.rootfs {
        tree.place_host(rootfs, Path::new("/"))?;
    }
    base(&mut tree)?;
    if cwd != "/" && tree.take(Path::new(&cwd))?.is_none() {
        tree.place(Path::new(&cwd), Node::dir(0o755))?;
    }

    let (mut further, mut warnings) = (Vec::new(), Vec::new());
    for spec in &options.add {
        further.extend(add(&mut tree, spec, &cwd, &mut warnings)?);
    }
    for package in &options.packages {
        let (name, optional) = optional(package);
        let files = match packages::files(tree.layers(), name) {
            Err(Error::NoPackage(_)) if optional => continue,
            files => files?,
        };
        for path in files {
            let is_dir = tree.find(&path)?.is_some_and(|f| f.node.kind == Kind::Dir);
            further.extend(tree.take_link(&path)?.filter(|_| !is_dir));
        }
    }
    if options.learn {
        let learned = learn::run(&exec, &options.args, &env)?;
        warnings.extend(learned.warnings);
        for path in learned.paths.into_iter().filter(|p| p.symlink_metadata().is_ok()) {
            // A link that leads nowhere is brought as that.
            tree.take_link(&path)?;
            further.push(path);
        }
    }

    let mut closure = Closure::new(&mut tree, &env)?;
    closure.program(&exec)?;
    for path in further {
        closure.file(&path)?;
    }
    closure.locale()?;
    let (missing, cut_off) = (std::mem::take(&mut closure.missing), std::mem::take(&mut closure.cut_off));
    // A library that is there, if not where its user's own loader would look, is loaded by other
    // means first.
    let absent = missing.into_iter().filter(|(_, name)| !tree.iter().any(|(p, _)| p.ends_with(name)));
    warnings.extend(absent.map(|(path, name)| format!("{} needs {name}, which is not there", path.display())));
    warnings.extend(cut_off.iter().map(|path| format!("{} ends before its last segment (is it cut off?)", path.display())));
    let bare_name = !options.program.contains('/');
    let argv0 = if bare_name { options.program.clone() } else { exec.display().to_string() };
    let args = std::iter::once(&argv0).chain(&options.args).map(|a| a.clone().into_bytes()).collect();
    let manifest = Manifest {
        exec: Some(exec.into_os_string().into_vec()),
        args: Some(args),
        env: Some(env.into_iter().map(String::into_bytes).collect()),
        cwd: Some(cwd.into_bytes()),
        hostname: Some(b"skiff".to_vec()),
        ..Manifest::default()
    };
    Ok(Gathered { tree, manifest, warnings })
}

/// Decides which program is meant and whose files it runs with: a program in the root file system
/// with those alone, one of the host with the host's behind them.
fn locate(options: &Options, env: &[String]) -> Result<(Tree, PathBuf)> {
    let program = Path::new(&options.program);
    let bare_name = !options.program.contains('/');
    let host = || vec![PathBuf::from("/")];
    if let Some(rootfs) = &options.rootfs {
        let rootfs = fs::canonicalize(rootfs).map_err(|_| Error::NoFile { path: rootfs.clone(), option: "--rootfs" })?;
        if !rootfs.is_dir() {
            return Err(Error::Usage(format!("--rootfs {}: not a directory", rootfs.display())));
        }
        let mut tree = Tree::new(vec![rootfs.clone()]);
        if bare_name {
            if let Some(path) = Closure::new(&mut tree, env)?.on_path(&options.program)? {
                return Ok((tree, path));
            }
        } else if program.is_absolute() && tree.find(program)?.is_some() {
            return Ok((tree, program.into()));
        }
        if let Ok(inside) = std::path::absolute(program).at(program)?.strip_prefix(&rootfs) {
            return Ok((tree, Path::new("/").join(inside)));
        }
        let (_, path) = locate_on_host(options, env, vec![rootfs.clone(), "/".into()])?;
        return Ok((Tree::new(vec![rootfs, "/".into()]), path));
    }
    locate_on_host(options, env, host())
}

fn locate_on_host(options: &Options, env: &[String], layers: Vec<PathBuf>) -> Result<(Tree, PathBuf)> {
    let program = Path::new(&options.program);
    let mut tree = Tree::new(layers);
    if !options.program.contains('/') {
        let host_path = std::env::var("PATH").unwrap_or_default();
        for env in [env, &[format!("PATH={host_path}")]] {
            if let Some(path) = Closure::new(&mut tree, env)?.on_path(&options.program)? {
                return Ok((tree, path));
            }
        }
    }
    let path = std::path::absolute(program).at(program)?;
    match fs::metadata(&path) {
        Ok(meta) if meta.is_file() => Ok((tree, path)),
        Ok(_) => Err(Error::NotAProgram(program.into())),
        Err(_) => Err(Error::NoProgram(options.program.clone())),
    }
}

/// `--add PATH[:GUESTPATH]`. An absolute path keeps its place, a relative one goes below the
/// guest's working directory.
fn add(tree: &mut Tree, spec: &str, cwd: &str, warnings: &mut Vec<String>) -> Result<Vec<PathBuf>> {
    let (spec, optional) = optional(spec);
    let (host, guest) = match spec.split_once(':') {
        Some((host, guest)) => (PathBuf::from(host), Path::new(cwd).join(guest)),
        None => (PathBuf::from(spec), Path::new(cwd).join(spec)),
    };
    if host.symlink_metadata().is_err() {
        if optional {
            return Ok(Vec::new());
        }
        return Err(Error::NoFile { path: host, option: "--add" });
    }
    tree.place_host(&host, &guest)?;
    targets(tree, &host, &guest, warnings)?;
    // What links lead to comes along where it stands at the same path.
    let prefix = tree.find(&guest)?.map_or(guest, |found| found.guest);
    let below = tree.iter().filter(|(p, n)| p.starts_with(&prefix) && n.kind != Kind::Dir);
    Ok(below.map(|(p, _)| p.to_path_buf()).collect())
}

/// Brings what links lead to that were placed with `host` at `guest`, and would lead nowhere in the
/// guest.
fn targets(tree: &mut Tree, host: &Path, guest: &Path, warnings: &mut Vec<String>) -> Result<()> {
    let mut pending = vec![(host.to_path_buf(), guest.to_path_buf())];
    let mut seen = HashSet::new();
    while let Some((host, guest)) = pending.pop() {
        let placed = guest.strip_prefix("/").map_or(Path::new("/").join(&guest), |_| guest.clone());
        let link = |(path, node): (&Path, &Node)| match &node.kind {
            Kind::Symlink(to) if path.starts_with(&placed) => Some((path.to_path_buf(), to.clone())),
            _ => None,
        };
        for (path, to) in tree.iter().filter_map(link).collect::<Vec<_>>() {
            if tree.find(&path).is_ok_and(|found| found.is_some()) || !seen.insert(path.clone()) {
                continue;
            }
            let below = path.strip_prefix(&placed).unwrap_or(Path::new(""));
            let on_host = if below.as_os_str().is_empty() { host.clone() } else { host.join(below) };
            let parent = |of: &Path| of.parent().map_or(PathBuf::new(), Path::to_path_buf);
            let (from, into) = (parent(&on_host).join(&to), plain(&parent(&path).join(&to)));
            if from.symlink_metadata().is_ok() {
                tree.place_host(&from, &into)?;
                pending.push((from, into));
            } else {
                warnings.push(format!("{} is a link to {}, which is not there", on_host.display(), to.display()));
            }
        }
    }
    Ok(())
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
        plain
    })
}

/// Splits off the `?` of what need not be there.
fn optional(text: &str) -> (&str, bool) {
    text.strip_suffix('?').map_or((text, false), |rest| (rest, true))
}

/// Directories, links and files of /etc that every guest has, where the root file system brings
/// none.
fn base(tree: &mut Tree) -> Result<()> {
    for link in MERGED_USR {
        if tree.find(Path::new(link))?.is_some() {
            tree.take(Path::new(link))?;
        }
    }
    for (path, mode) in DIRECTORIES {
        if !tree.iter().any(|(p, _)| p == Path::new(path)) {
            tree.place(Path::new(path), Node::dir(mode))?;
        }
    }
    for (path, content) in ETC {
        if !tree.iter().any(|(p, _)| p == Path::new(path)) {
            tree.place(Path::new(path), Node::bytes(content, 0o644))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn later_variables_win() {
        let env = environment(&["HOME=/x".into(), "A=1".into(), "A=2".into()]);
        assert_eq!(env.len(), DEFAULT_ENV.len() + 1);
        assert!(env.contains(&"HOME=/x".into()) && env.contains(&"A=2".into()));
    }

    #[test]
    fn a_dynamic_program_comes_with_loader_and_libc() {
        let g = gather(&Options { program: "/proc/self/exe".into(), ..Options::default() });
        // /proc/self/exe leads to the test binary itself.
        let g = g.unwrap();
        let has = |name: &str| g.tree.iter().any(|(p, _)| p.ends_with(name));
        assert!(has("libc.so.6") && has("ld-linux-x86-64.so.2") && has("passwd"));
    }

    #[test]
    fn an_added_link_brings_its_target_or_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("data"), "x").unwrap();
        symlink("data", at("middle")).unwrap();
        symlink("middle", at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        let spec = |name: &str| format!("{}:/in/{name}", at(name).display());
        let add = vec![spec("link"), spec("dangling")];
        let gathered = gather(&Options { program: "/bin/true".into(), add, ..Options::default() }).unwrap();
        let found = gathered.tree.find(Path::new("/in/link")).unwrap().unwrap();
        assert_eq!((found.guest.as_path(), found.node.size), (Path::new("/in/data"), 1));
        assert!(gathered.warnings.iter().any(|w| w.contains("dangling is a link to nowhere")), "{:?}", gathered.warnings);
        assert_eq!(gathered.warnings.len(), 1);
    }

    #[test]
    fn what_is_missing_is_named() {
        let gather = |o: Options| gather(&o).unwrap_err().to_string();
        let e = gather(Options { program: "no-such-program-at-all".into(), ..Options::default() });
        assert!(e.contains("no-such-program-at-all"), "{e}");
        let e = gather(Options { program: "/bin/sh".into(), add: vec!["/no/such".into()], ..Options::default() });
        assert!(e.contains("/no/such") && e.contains("--add"), "{e}");
        let e = gather(Options { program: "/etc/debian_version".into(), ..Options::default() });
        assert!(e.contains("neither an ELF"), "{e}");
        let e = gather(Options { program: "/bin/sh".into(), env: vec!["X".into()], ..Options::default() });
        assert!(e.contains("NAME=value"), "{e}");
    }

    #[test]
    fn a_rootfs_is_taken_whole_and_supplies_its_own_program() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("bin")).unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), "me").unwrap();
        fs::write(root.path().join("bin/tool"), "#!/bin/none\n").unwrap();
        fs::write(root.path().join("data"), "x").unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(root.path().join("bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
        let options = Options { program: "tool".into(), rootfs: Some(root.path().into()), ..Options::default() };
        let e = gather(&options).unwrap_err().to_string();
        assert!(e.contains("/bin/none: interpreter not found"), "{e}");
        let options = Options { program: "/bin/true".into(), ..options };
        let g = gather(&options).unwrap();
        assert!(g.tree.iter().any(|(p, _)| p == Path::new("/data")));
        assert_eq!(g.tree.content(Path::new("/etc/passwd")).unwrap().unwrap(), b"me");
    }
}
