//! The closure of a program: its interpreter, and the shared libraries that its loader will find,
//! by that loader's own rules.
//!
//! glibc: ld.so(8). musl: ldso/dynlink.c and the page "Functional differences from glibc".

use crate::elf::{self, Object};
use crate::error::{Error, Result};
use crate::ldcache::LdCache;
use crate::packages;
use crate::tree::{Found, Tree, join};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Directories glibc's loader knows, as Debian builds it (ld.so --help), then as others do.
const GLIBC_DIRS: [&str; 6] =
    ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib", "/usr/lib", "/lib64", "/usr/lib64"];
/// musl's built-in search path.
const MUSL_DIRS: &str = "/lib:/usr/local/lib:/usr/lib";
const MUSL_PATH_FILE: &str = "/etc/ld-musl-x86_64.path";
/// Library names that musl's loader answers itself: `lib` + one of these + `.`.
const MUSL_BUILT_IN: [&str; 8] = ["c", "pthread", "rt", "m", "dl", "util", "xnet", "c.musl-x86_64"];
/// glibc opens it by dlopen(3) for pthread_exit(3) and pthread_cancel(3), and aborts where it is
/// not there.
const GLIBC_UNWINDER: &str = "libgcc_s.so.1";
const LD_SO_CACHE: &str = "/etc/ld.so.cache";
/// Where glibc has locales that are directories, and the variables that name one (locale(7)).
const LOCALES: &str = "/usr/lib/locale";
const LOCALE_VARIABLES: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];
/// Names of the one that is always there, and its directory.
const LOCALE_NAMES: [(&str, &str); 2] = [("C.UTF-8", "C.utf8"), ("C.utf8", "C.utf8")];
/// `#!` interpreters may be scripts themselves; execve(2) allows this many in a row.
const MAX_SCRIPTS: usize = 5;

/// Which loader's rules hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Libc {
    Glibc,
    Musl,
}

/// What to do where a library is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// It is an error: the program cannot start.
    Fatal,
    /// It is a warning: an optional module may never be loaded.
    Warn,
}

struct Loaded {
    real: PathBuf,
    object: Object,
    parent: Option<usize>,
}

/// Follows programs and libraries into a tree.
pub struct Closure<'a> {
    tree: &'a mut Tree,
    cache: LdCache,
    search_path: Vec<String>,
    library_path: Vec<String>,
    libc: Libc,
    done: HashSet<PathBuf>,
    /// The environment's locale is one of those below [`LOCALES`], and something takes it.
    locale: Option<&'static str>,
    localised: bool,
    /// Optional files, and the library that each misses.
    pub missing: Vec<(PathBuf, String)>,
    /// Programs and libraries of which a part is missing.
    pub cut_off: Vec<PathBuf>,
}

impl<'a> Closure<'a> {
    /// `env` is the guest's environment: PATH and LD_LIBRARY_PATH count.
    pub fn new(tree: &'a mut Tree, env: &[String]) -> Result<Self> {
        let variable = |name: &str| {
            let value = env.iter().rev().find_map(|kv| kv.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().split([':', ';']).filter(|s| !s.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let cache = tree.content(Path::new(LD_SO_CACHE))?.map(|b| LdCache::parse(&b)).unwrap_or_default();
        Ok(Self {
            cache,
            search_path: variable("PATH"),
            library_path: variable("LD_LIBRARY_PATH"),
            libc: Libc::Glibc,
            done: HashSet::new(),
            locale: locale_of(env),
            localised: false,
            missing: Vec::new(),
            cut_off: Vec::new(),
            tree,
        })
    }

    /// Takes a program along with all it needs to start.
    pub fn program(&mut self, path: &Path) -> Result<Found> {
        let found = self.follow(path, Missing::Fatal, 0)?;
        found.ok_or_else(|| Error::NoProgram(path.display().to_string()))
    }

    /// Takes a further file along; where it is a program or library, with what it needs.
    pub fn file(&mut self, path: &Path) -> Result<()> {
        self.follow(path, Missing::Warn, 0).map(drop)
    }

    /// Takes the locale along, if something of what was taken asks for it.
    pub fn locale(&mut self) -> Result<()> {
        let Some(dir) = self.locale.filter(|_| self.localised && self.libc == Libc::Glibc) else { return Ok(()) };
        let dir = Path::new(LOCALES).join(dir);
        let host =
            self.tree.layers().iter().map(|layer| layer.join(dir.strip_prefix("/").unwrap_or(&dir))).find(|d| d.is_dir());
        match host {
            Some(host) => self.tree.place_host(&host, &dir),
            None => Ok(()),
        }
    }

    fn follow(&mut self, path: &Path, missing: Missing, depth: usize) -> Result<Option<Found>> {
        let Some(found) = self.tree.take(path)? else {
            return Ok(None);
        };
        let Some(host) = found.host().map(Path::to_path_buf) else {
            return Ok(Some(found));
        };
        if !self.done.insert(found.guest.clone()) {
            return Ok(Some(found));
        }
        match elf::kind(&host)? {
            elf::Kind::Elf => self.elf(&found.guest, &host, missing)?,
            elf::Kind::Script(interpreter, argument) if missing == Missing::Fatal => {
                self.script(path, &interpreter, argument.as_deref(), depth)?
            }
            elf::Kind::Other if missing == Missing::Fatal => {
                return Err(Error::NotAProgram(path.into()));
            }
            _ => {}
        }
        Ok(Some(found))
    }

    fn script(&mut self, script: &Path, interpreter: &str, argument: Option<&str>, depth: usize) -> Result<()> {
        let missing = |name: &str| Error::MissingInterpreter {
            interpreter: name.into(),
            needed_by: script.into(),
            remedy: remedy(self.tree.layers(), name),
        };
        if depth >= MAX_SCRIPTS {
            return Err(Error::LinkLoop(script.into()));
        }
        if self.tree.find(Path::new(interpreter))?.is_none() {
            return Err(missing(interpreter));
        }
        // `#!/usr/bin/env NAME` and `env -S NAME ARGS` start NAME by PATH.
        if Path::new(interpreter).file_name().is_some_and(|n| n == "env") {
            let words = argument.unwrap_or_default().split_whitespace();
            if let Some(name) = words.into_iter().find(|w| !w.starts_with('-') && !w.contains('=')) {
                let path = self.on_path(name)?.ok_or_else(|| missing(name))?;
                self.follow(&path, Missing::Fatal, depth + 1)?;
            }
        }
        self.follow(Path::new(interpreter), Missing::Fatal, depth + 1).map(drop)
    }

    /// The guest path of a program by the guest's PATH.
    pub fn on_path(&self, name: &str) -> Result<Option<PathBuf>> {
        for dir in &self.search_path {
            let path = join(dir, name);
            if self.tree.find(&path)?.is_some_and(|f| f.host().is_some() && f.node.mode & 0o111 != 0) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    fn elf(&mut self, real: &Path, host: &Path, missing: Missing) -> Result<()> {
        let object = match elf::read(host) {
            Err(e) if missing == Missing::Warn => {
                // Object files, other machines' libraries and the like are data here.
                let _ = e;
                return Ok(());
            }
            object => object?,
        };
        if object.cut_off {
            self.cut_off.push(real.into());
        }
        if let Some(interp) = &object.interp {
            if missing == Missing::Fatal {
                let musl = Path::new(interp).file_name().is_some_and(|n| n.to_string_lossy().starts_with("ld-musl"));
                self.libc = if musl { Libc::Musl } else { Libc::Glibc };
                if self.libc == Libc::Glibc {
                    self.tree.take(Path::new(LD_SO_CACHE))?;
                } else {
                    self.tree.take(Path::new(MUSL_PATH_FILE))?;
                }
            }
            match self.tree.take(Path::new(interp))? {
                Some(found) => drop(self.done.insert(found.guest)),
                None if missing == Missing::Warn => {}
                None => {
                    return Err(Error::MissingInterpreter {
                        interpreter: interp.clone(),
                        needed_by: real.into(),
                        remedy: remedy(self.tree.layers(), interp),
                    });
                }
            }
        }
        self.localised |= object.localised;
        self.libraries(Loaded { real: real.into(), object, parent: None }, missing)
    }

    /// Breadth first, as the loaders do; a name that is loaded already is not searched again.
    fn libraries(&mut self, root: Loaded, missing: Missing) -> Result<()> {
        let mut loaded = vec![root];
        let mut names = HashSet::new();
        let mut next = 0;
        while next < loaded.len() {
            for name in loaded[next].object.needed.clone() {
                if !names.insert(name.clone()) || (self.libc == Libc::Musl && musl_built_in(&name)) {
                    continue;
                }
                self.library(&name, &mut loaded, next, missing)?;
            }
            // The C and C++ libraries have the functions that others call.
            let own = loaded[next].object.soname.as_deref().unwrap_or_default();
            self.localised |= loaded[next].object.localised && !own.starts_with("libc.") && !own.starts_with("libstdc++");
            let uses_libc = loaded[next].object.needed.iter().any(|n| n == "libc.so.6");
            if uses_libc
                && next == 0
                && names.insert(GLIBC_UNWINDER.into())
                && self.search(GLIBC_UNWINDER, &loaded, 0)?.is_some()
            {
                self.library(GLIBC_UNWINDER, &mut loaded, 0, missing)?;
            }
            next += 1;
        }
        Ok(())
    }

    fn library(&mut self, name: &str, loaded: &mut Vec<Loaded>, by: usize, missing: Missing) -> Result<()> {
        let Some((path, object)) = self.search(name, loaded, by)? else {
            let needed_by = loaded[by].real.clone();
            if missing == Missing::Warn {
                self.missing.push((needed_by, name.into()));
                return Ok(());
            }
            let remedy = remedy(self.tree.layers(), name);
            return Err(Error::MissingLibrary { name: name.into(), needed_by, remedy });
        };
        if let Some(found) = self.tree.take(&path)? {
            // What it needs in turn was followed when it was met first.
            if self.done.insert(found.guest.clone()) || missing == Missing::Fatal {
                loaded.push(Loaded { real: found.guest, object, parent: Some(by) });
            }
        }
        Ok(())
    }

    /// Finds a library as the loader would. Files of another machine are passed over, as it does.
    fn search(&self, name: &str, loaded: &[Loaded], by: usize) -> Result<Option<(PathBuf, Object)>> {
        if name.contains('/') {
            return self.usable(Path::new(&expand(name, &loaded[by].real)));
        }
        for path in self.candidates(name, loaded, by)? {
            if let Some(found) = self.usable(&path)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn candidates(&self, name: &str, loaded: &[Loaded], by: usize) -> Result<Vec<PathBuf>> {
        let mut paths: Vec<PathBuf> = Vec::new();
        let mut add = |dirs: &[String], origin: &Path| paths.extend(dirs.iter().map(|d| join(&expand(d, origin), name)));
        let chain = || std::iter::successors(Some(by), |i| loaded[*i].parent).map(|i| &loaded[i]);
        let own = &loaded[by];
        match self.libc {
            Libc::Glibc => {
                if own.object.runpath.is_empty() {
                    chain().filter(|l| l.object.runpath.is_empty()).for_each(|l| add(&l.object.rpath, &l.real));
                }
                add(&self.library_path, &own.real);
                add(&own.object.runpath, &own.real);
                paths.extend(self.cache.find(name).map(PathBuf::from));
                paths.extend(GLIBC_DIRS.iter().map(|d| join(d, name)));
            }
            Libc::Musl => {
                add(&self.library_path, &own.real);
                // musl treats RPATH and RUNPATH alike, and both as inherited.
                for l in chain() {
                    add(&l.object.rpath, &l.real);
                    add(&l.object.runpath, &l.real);
                }
                let file = self.tree.content(Path::new(MUSL_PATH_FILE))?;
                let dirs = file.map_or(MUSL_DIRS.into(), |f| String::from_utf8_lossy(&f).into_owned());
                paths.extend(dirs.split([':', '\n']).filter(|d| !d.is_empty()).map(|d| join(d, name)));
            }
        }
        Ok(paths)
    }

    fn usable(&self, path: &Path) -> Result<Option<(PathBuf, Object)>> {
        let Some(found) = self.tree.find(path)? else {
            return Ok(None);
        };
        let Some(host) = found.host() else {
            return Ok(None);
        };
        match elf::read(host) {
            Ok(object) => Ok(Some((path.into(), object))),
            Err(Error::WrongArchitecture { .. } | Error::BadElf { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// The directory of the locale that the environment names, where it is one that is always there.
fn locale_of(env: &[String]) -> Option<&'static str> {
    let named = |name: &str| {
        env.iter()
            .any(|pair| pair.split_once('=').is_some_and(|(key, value)| LOCALE_VARIABLES.contains(&key) && value == name))
    };
    LOCALE_NAMES.into_iter().find(|(name, _)| named(name)).map(|(_, dir)| dir)
}

fn musl_built_in(name: &str) -> bool {
    MUSL_BUILT_IN
        .iter()
        .any(|b| name.strip_prefix("lib").and_then(|n| n.strip_prefix(b)).is_some_and(|n| n.starts_with('.')))
}

/// `$ORIGIN`, `$LIB` and `$PLATFORM` of ld.so(8).
fn expand(text: &str, object: &Path) -> String {
    let origin = object.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let mut out = text.to_owned();
    for (name, value) in [("ORIGIN", &*origin), ("LIB", "lib/x86_64-linux-gnu"), ("PLATFORM", "x86_64")] {
        out = out.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
    }
    out
}

/// What a user can do about a file that is not there.
fn remedy(layers: &[PathBuf], wanted: &str) -> String {
    let name = Path::new(wanted).file_name().map_or(wanted.into(), |n| n.to_string_lossy());
    let owners = layers.iter().find_map(|l| packages::owner_of(l, &name));
    match owners {
        Some((package, path)) if path.exists() => format!(
            "package {package} has it in {dir}, where the loader does not look: add `--package {package} --env LD_LIBRARY_PATH={dir}`",
            dir = path.parent().unwrap_or(Path::new("/")).display()
        ),
        Some((package, _)) => {
            format!("reinstall the package that has it: apt-get install --reinstall {package}")
        }
        None => format!(
            "find the Debian package that has it (apt-file search {name}; dpkg -S '*/{name}') and install it, or give the file: --add HOSTFILE:{}",
            if wanted.starts_with('/') { wanted.into() } else { format!("/usr/lib/{name}") }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_expand() {
        let object = Path::new("/opt/app/bin/x");
        assert_eq!(expand("$ORIGIN/../lib", object), "/opt/app/bin/../lib");
        assert_eq!(expand("${ORIGIN}/$LIB", object), "/opt/app/bin/lib/x86_64-linux-gnu");
    }

    #[test]
    fn musl_answers_libc_itself() {
        assert!(musl_built_in("libc.so"));
        assert!(musl_built_in("libc.musl-x86_64.so.1"));
        assert!(musl_built_in("libpthread.so.0"));
        assert!(!musl_built_in("libcrypto.so.3"));
    }
}
