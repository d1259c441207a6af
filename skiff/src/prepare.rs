//! From what the user named to an image that boots: an image file, an application, or a program;
//! built images are kept.

use crate::app::App;
use crate::disk::Disk;
use crate::error::{Error, On, Result};
use crate::folder;
use crate::outlet;
use crate::volume::Root;
use mkimage::{Image, Kernel, Manifest, Options};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Built images take at most this much room; the longest unused go first.
const CACHE_LIMIT: u64 = 4 << 30;

/// What the user asked for.
#[derive(Debug, Default)]
pub struct Request {
    /// Image, application or program.
    pub target: String,
    /// Arguments of the program; none means the application's or image's own.
    pub args: Vec<String>,
    /// `NAME=value` beyond the application's or image's own.
    pub env: Vec<String>,
    /// As for mkimage.
    pub cwd: Option<String>,
    /// As for mkimage.
    pub rootfs: Option<PathBuf>,
    /// As for mkimage.
    pub add: Vec<String>,
    /// As for mkimage.
    pub packages: Vec<String>,
    /// As for mkimage.
    pub learn: bool,
    /// The kernel to build with.
    pub kernel: Option<PathBuf>,
    /// The disk that is to have the files, and the size to make it with if it is missing.
    pub root: Option<(Root, Option<u64>)>,
    /// The terminal's type, for the guest's environment.
    pub term: Option<String>,
}

/// An image, and what differs from its own manifest this time.
#[derive(Debug)]
pub struct Prepared {
    /// The image.
    pub image: Image,
    /// What goes over its manifest.
    pub manifest: Option<Manifest>,
    /// The application's memory size.
    pub memory: Option<String>,
    /// The application's ports, as for `--publish`.
    pub publish: Vec<String>,
    /// How the first of them is shown.
    pub url: Option<String>,
}

impl Prepared {
    /// The disk that the image's files are on, beside it.
    pub fn disk(&self, read_only: bool) -> Result<Option<Disk>> {
        let Some(name) = &self.image.manifest.disk else { return Ok(None) };
        let path = self.image.path.with_file_name(OsStr::from_bytes(name));
        match path.exists() {
            true => Ok(Some(Disk::of_image(path, read_only))),
            false => {
                let image = self.image.path.display();
                Err(Error::Usage(format!(
                    "{image}: its disk {} is missing: put it beside the image, or make both again",
                    path.display()
                )))
            }
        }
    }
}

/// Finds or builds the image.
pub fn prepare(request: &Request) -> Result<Prepared> {
    let path = Path::new(&request.target);
    let app = App::find(&request.target)?;
    let (memory, publish, url) = match &app {
        Some(app) => (app.memory.clone(), app.publish.clone(), app.url.clone()),
        None => (None, Vec::new(), None),
    };
    let image = match app {
        Some(app) => build(request, from_app(request, app))?,
        None if path.is_file() && mkimage::image::is_image(path) => {
            if request.root.is_some() {
                let why = "an image brings its root: make one with mkimage --disk";
                return Err(Error::Usage(format!("--root-disk: {}: {why}", path.display())));
            }
            if request.rootfs.is_some() || !request.add.is_empty() || !request.packages.is_empty() || request.learn {
                return Err(Error::Usage(format!(
                    "{}: an image is complete: give --rootfs, --add, --package and --learn to mkimage",
                    path.display()
                )));
            }
            Image::open(path)?
        }
        None => build(request, options(request, request.target.clone()))?,
    };
    let manifest = changes(request, &image);
    Ok(Prepared { manifest, image, memory, publish, url })
}

fn options(request: &Request, program: String) -> Options {
    Options {
        program,
        // A learning run needs the arguments; else they travel apart, so that one image serves all.
        args: if request.learn { request.args.clone() } else { Vec::new() },
        env: request.env.clone(),
        cwd: request.cwd.clone(),
        rootfs: request.rootfs.clone(),
        add: request.add.clone(),
        packages: request.packages.clone(),
        learn: request.learn,
    }
}

fn from_app(request: &Request, app: App) -> Options {
    let own = options(request, app.program);
    Options {
        args: if request.args.is_empty() { app.args } else { own.args },
        env: [app.env, own.env].concat(),
        cwd: own.cwd.or(app.cwd),
        rootfs: own.rootfs.or(app.rootfs),
        add: [app.add, own.add].concat(),
        packages: [app.packages, own.packages].concat(),
        ..own
    }
}

fn build(request: &Request, options: Options) -> Result<Image> {
    let kernel_path = request.kernel.clone().unwrap_or_else(mkimage::default_kernel);
    let mut gathered = mkimage::gather(&options)?;
    for warning in &gathered.warnings {
        outlet::tell(format_args!("skiff: note: {warning}\n"));
    }
    for arg in request.args.iter().filter(|a| Path::new(a).is_file()) {
        let inside = Path::new(options.cwd.as_deref().unwrap_or("/")).join(arg);
        if gathered.tree.find(&inside).is_ok_and(|f| f.is_none()) || !taken(&gathered.tree, &inside) {
            outlet::tell(format_args!(
                "skiff: note: {arg} is not in the image: if the program is to read it, give --add {arg}\n"
            ));
        }
    }
    if let Some((root, size)) = &request.root {
        // Not a disk that is of no use without a kernel.
        Kernel::open(&kernel_path)?;
        let made = root.make(&gathered, *size)?;
        if !made && (request.rootfs.is_some() || !request.add.is_empty() || !request.packages.is_empty() || request.learn) {
            let text = "--root-disk is there already: what --rootfs, --add, --package and --learn bring is not put on it";
            outlet::tell(format_args!("skiff: note: {text}\n"));
        }
        gathered = mkimage::on_disk(&gathered, None, None);
    }
    // Where the kernel is missing, its own error says how to get one.
    let key = mkimage::key(&kernel_path, &gathered).or_else(|e| Kernel::open(&kernel_path).and(Err(e)))?;
    let cache = cache_dir()?;
    let name = Path::new(&options.program).file_name().unwrap_or("image".as_ref()).to_string_lossy();
    let path = cache.join(format!("{name}-{key:016x}.img"));
    if let Ok(image) = Image::open(&path) {
        let _ = fs::File::open(&path).and_then(|f| f.set_modified(SystemTime::now()));
        return Ok(image);
    }
    mkimage::build(&Kernel::open(&kernel_path)?, &gathered, &path)?;
    prune(&cache, &path);
    Ok(Image::open(&path)?)
}

/// Whether a path is in the tree itself and not only in a layer below it.
fn taken(tree: &mkimage::Tree, path: &Path) -> bool {
    let found = tree.find(path).ok().flatten();
    found.is_some_and(|f| tree.iter().any(|(p, _)| p == f.guest))
}

fn cache_dir() -> Result<PathBuf> {
    let dir = match mkimage::checkout() {
        Some(root) => root.join("build"),
        None => match folder::cache() {
            Some(cache) => cache,
            None => {
                let own = folder::path();
                folder::Folder::open(own.clone(), true).on(own.display().to_string())?;
                own
            }
        },
    };
    fs::create_dir_all(&dir).on(dir.display().to_string())?;
    Ok(dir)
}

fn prune(cache: &Path, keep: &Path) {
    let Ok(entries) = fs::read_dir(cache) else {
        return;
    };
    let mut images: Vec<_> = entries
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|x| x == "img") && e.path() != keep)
        .filter_map(|e| e.metadata().ok().and_then(|m| Some((m.modified().ok()?, m.len(), e.path()))))
        .collect();
    images.sort_by(|a, b| b.cmp(a));
    let mut total = 0;
    for (_, len, path) in images {
        total += len;
        if total > CACHE_LIMIT {
            let _ = fs::remove_file(path);
        }
    }
}

/// What this run has that the image's manifest has not.
fn changes(request: &Request, image: &Image) -> Option<Manifest> {
    let own = &image.manifest;
    let args: Vec<Vec<u8>> = request.args.iter().map(|a| a.clone().into_bytes()).collect();
    let args = (!args.is_empty()).then(|| {
        let argv0 = own.args.iter().flatten().take(1).cloned();
        argv0.chain(args).collect::<Vec<_>>()
    });
    let own_env: Vec<String> = own.env.iter().flatten().map(|e| String::from_utf8_lossy(e).into_owned()).collect();
    let set = |name: &str| own_env.iter().chain(&request.env).any(|e| e.split('=').next() == Some(name));
    let term = request.term.iter().filter(|_| !set("TERM")).map(|t| format!("TERM={t}"));
    let env = mkimage::environment(&own_env.iter().cloned().chain(request.env.clone()).chain(term).collect::<Vec<_>>());
    let env: Vec<Vec<u8>> = env.into_iter().map(String::into_bytes).collect();
    let changed = Manifest {
        args: args.filter(|a| own.args.as_ref() != Some(a)),
        env: Some(env).filter(|e| own.env.as_ref() != Some(e)),
        cwd: request.cwd.clone().map(String::into_bytes).filter(|c| own.cwd.as_ref() != Some(c)),
        ..Manifest::default()
    };
    (changed != Manifest::default()).then_some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        let manifest = Manifest {
            exec: Some(b"/bin/x".to_vec()),
            args: Some(vec![b"x".to_vec()]),
            env: Some(mkimage::environment(&[]).into_iter().map(String::into_bytes).collect()),
            cwd: Some(b"/".to_vec()),
            ..Manifest::default()
        };
        Image { path: "x".into(), memory_end: 0, manifest, payload: (0, 0) }
    }

    #[test]
    fn nothing_changed_needs_no_archive() {
        assert_eq!(changes(&Request::default(), &image()), None);
    }

    #[test]
    fn arguments_and_environment_go_over_the_images_own() {
        let request = Request {
            args: vec!["-c".into(), "1".into()],
            env: vec!["HOME=/x".into()],
            term: Some("xterm".into()),
            ..Request::default()
        };
        let changed = changes(&request, &image()).unwrap();
        assert_eq!(changed.args.unwrap(), [&b"x"[..], b"-c", b"1"]);
        let env = changed.env.unwrap();
        assert!(env.contains(&b"HOME=/x".to_vec()) && env.contains(&b"TERM=xterm".to_vec()));
        assert_eq!(changed.exec, None);
    }
}
