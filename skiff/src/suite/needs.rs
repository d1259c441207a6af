//! Which files of a directory of tests a test needs: not the other tests, unless it names them.

use crate::error::{On, Result};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What is Linux's own way to read the kernel's configuration: who names the file runs `zcat` on it, by the shell.
const CONFIGURATION: &[u8] = b"/proc/config.gz";
/// The commands for that, where the host has them.
const CONFIGURATION_READERS: [&str; 3] = ["/bin/sh?", "/bin/zcat?", "/bin/gzip?"];

/// A directory, taken apart.
#[derive(Debug, Default)]
pub struct Needs {
    /// Data and subdirectories: every test gets them.
    common: Vec<PathBuf>,
    /// The executable files by name, and which of the others each names in its own text.
    executables: HashMap<String, (PathBuf, Vec<String>)>,
    /// Those that read the kernel's configuration.
    of_configuration: HashSet<PathBuf>,
}

impl Needs {
    /// Reads a directory, and the executable files in it.
    pub fn of(dir: &Path) -> Result<Self> {
        let mut needs = Self::default();
        for path in super::build::listed(dir)? {
            let about = fs::metadata(&path).on(path.display().to_string())?;
            if about.is_file() && about.permissions().mode() & 0o111 != 0 {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                needs.executables.insert(name, (path, Vec::new()));
            } else {
                needs.common.push(path);
            }
        }
        let names: HashSet<String> = needs.executables.keys().cloned().collect();
        for (own, (path, others)) in &mut needs.executables {
            let text = fs::read(&*path).on(path.display().to_string())?;
            if text.windows(CONFIGURATION.len()).any(|part| part == CONFIGURATION) {
                needs.of_configuration.insert(path.clone());
            }
            let part_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.+".contains(byte);
            let words: HashSet<&str> =
                text.split(|byte| !part_of_name(byte)).filter_map(|word| std::str::from_utf8(word).ok()).collect();
            others.extend(words.into_iter().filter(|word| *word != own && names.contains(*word)).map(str::to_owned));
        }
        Ok(needs)
    }

    /// The files for these commands, with those that they name, and those in turn, as `--add` takes them.
    pub fn files<'a>(&self, commands: impl Iterator<Item = &'a [String]>) -> Vec<PathBuf> {
        let mut wanted = BTreeSet::new();
        let words = commands.flatten().flat_map(|word| word.split([' ', '\t', ';', '&', '|', '=', '/']));
        let mut pending: Vec<String> = words.map(str::to_owned).collect();
        while let Some(name) = pending.pop() {
            if let Some((path, others)) = self.executables.get(&name)
                && wanted.insert(path.clone())
            {
                pending.extend(others.iter().cloned());
            }
        }
        let reads = wanted.iter().any(|path| self.of_configuration.contains(path));
        let readers = CONFIGURATION_READERS.iter().filter(|_| reads).map(PathBuf::from);
        self.common.iter().cloned().chain(wanted.iter().cloned()).chain(readers).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_brings_its_helpers_and_the_data() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str, mode: u32| {
            fs::write(dir.path().join(name), text).unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        put("a", "exec ./a_child x", 0o755);
        put("a_child", "\0helper2\0", 0o755);
        put("helper2", "", 0o755);
        put("b", "", 0o755);
        put("c", "zcat /proc/config.gz", 0o755);
        put("data", "", 0o644);
        let needs = Needs::of(dir.path()).unwrap();
        let of = |command: &str| -> Vec<String> {
            let command = [dir.path().join(command).display().to_string()];
            let files = needs.files([&command[..]].into_iter());
            files.iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(of("a"), ["data", "a", "a_child", "helper2"]);
        assert_eq!(of("b"), ["data", "b"]);
        assert_eq!(of("c"), ["data", "c", "sh?", "zcat?", "gzip?"]);
    }
}
