//! The files of installed Debian packages, from dpkg's own lists (dpkg-query(1), `info/*.list`).

use crate::error::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

const INFO: &str = "var/lib/dpkg/info";
/// Left out of images: no program reads them at run time.
const DOCUMENTATION: [&str; 4] = ["/usr/share/doc", "/usr/share/man", "/usr/share/lintian", "/usr/share/info"];

/// All paths of a package, without its documentation.
pub fn files(layers: &[PathBuf], package: &str) -> Result<Vec<PathBuf>> {
    if package.is_empty() || package.contains('/') {
        return Err(Error::NoPackage(package.into()));
    }
    for layer in layers {
        for name in [package.to_owned(), format!("{package}:amd64")] {
            if let Ok(list) = fs::read_to_string(layer.join(INFO).join(format!("{name}.list"))) {
                let wanted = |p: &&str| p.starts_with('/') && !DOCUMENTATION.iter().any(|d| p.starts_with(d));
                let listed = list.lines().filter(wanted).map(PathBuf::from);
                return Ok(listed.flat_map(|p| compiled(layer, &p).into_iter().chain([p])).collect());
            }
        }
    }
    Err(Error::NoPackage(package.into()))
}

/// The byte code that the package's installation made of a Python module: start-up takes several
/// times as long without.
fn compiled(layer: &Path, module: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(stem)) = (module.parent(), module.file_stem()) else {
        return Vec::new();
    };
    if module.extension().is_none_or(|e| e != "py") {
        return Vec::new();
    }
    let cache = dir.join("__pycache__");
    let host = layer.join(cache.strip_prefix("/").unwrap_or(&cache));
    let names = fs::read_dir(host).into_iter().flatten().flatten().map(|e| e.file_name());
    let own = |n: &std::ffi::OsString| {
        let name = n.to_string_lossy();
        name.strip_prefix(&*stem.to_string_lossy())
            .is_some_and(|rest| rest.starts_with(".cpython-") && !rest.contains(".opt-"))
    };
    let mut files: Vec<PathBuf> = names.filter(own).map(|n| cache.join(n)).collect();
    files.sort();
    files
}

/// The installed package that has a file of this name in some directory, and its path, as `dpkg -S
/// '*/NAME'` finds it.
pub fn owner_of(layer: &Path, name: &str) -> Option<(String, PathBuf)> {
    let suffix = format!("/{name}");
    let mut lists: Vec<_> = fs::read_dir(layer.join(INFO)).ok()?.flatten().map(|e| e.path()).collect();
    lists.retain(|p| p.extension().is_some_and(|e| e == "list"));
    lists.sort();
    lists.iter().find_map(|list| {
        let content = fs::read_to_string(list).ok()?;
        let path = content.lines().find(|l| l.ends_with(&suffix))?;
        let package = list.file_stem()?.to_string_lossy();
        Some((package.split(':').next()?.to_owned(), PathBuf::from(path)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_without_documentation() {
        let root = tempfile::tempdir().unwrap();
        let info = root.path().join(INFO);
        fs::create_dir_all(&info).unwrap();
        fs::write(info.join("tool:amd64.list"), "/.\n/usr/bin/tool\n/usr/share/doc/tool/copyright\n/usr/lib/libt.so.1\n")
            .unwrap();
        let layers = [root.path().to_path_buf()];
        assert_eq!(
            files(&layers, "tool").unwrap(),
            [Path::new("/."), Path::new("/usr/bin/tool"), Path::new("/usr/lib/libt.so.1")]
        );
        assert_eq!(owner_of(root.path(), "libt.so.1").unwrap().0, "tool");
        let e = files(&layers, "other").unwrap_err().to_string();
        assert!(e.contains("apt-get install other"), "{e}");
    }
}
