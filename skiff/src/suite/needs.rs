//! Which files of a directory of tests a test needs: not the other tests, unless it names them.

use crate::error::{On, Result};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where commands are looked for.
const COMMANDS: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// A directory, taken apart.
#[derive(Debug, Default)]
pub struct Needs {
    /// Data and subdirectories: every test gets them.
    common: Vec<PathBuf>,
    /// The executable files by name, and which of the others each names in its own text.
    executables: HashMap<String, (PathBuf, Vec<String>)>,
    /// The commands of the host that some of them have a shell run, by the executable.
    commands: HashMap<PathBuf, BTreeSet<PathBuf>>,
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
            needs.commands.insert(path.clone(), commands_in(&text));
            let part_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.+".contains(byte);
            let words: HashSet<&str> =
                text.split(|byte| !part_of_name(byte)).filter_map(|word| std::str::from_utf8(word).ok()).collect();
            others.extend(words.into_iter().filter(|word| *word != own && names.contains(*word)).map(str::to_owned));
        }
        Ok(needs)
    }

    /// The files for these commands, with those that they name, and those in turn, as `--add` takes
    /// them.
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
        let commands: BTreeSet<&PathBuf> = wanted.iter().filter_map(|path| self.commands.get(path)).flatten().collect();
        let shell = (!commands.is_empty()).then(|| PathBuf::from("/bin/sh"));
        self.common.iter().chain(&wanted).chain(commands).cloned().chain(shell).collect()
    }
}

/// The host's commands that a text has a shell run, as in `popen("ps -e | wc -l", "r")`: a command,
/// and behind it what looks like an option, a path or something quoted. That prose begins so is
/// rare, and costs a file.
fn commands_in(text: &[u8]) -> BTreeSet<PathBuf> {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~');
    let lines = text.split(|byte| !printable(byte)).filter_map(|line| std::str::from_utf8(line).ok());
    let parts = lines.flat_map(|line| {
        let is_pipeline = line.contains('|');
        line.split(['|', ';', '&']).map(move |part| (part.trim(), is_pipeline))
    });
    let mut found = BTreeSet::new();
    let mut pipeline_began = false;
    for (part, in_pipeline) in parts {
        let (name, rest) = part.split_once(' ').unwrap_or((part, ""));
        let begins = rest.starts_with(['-', '/', '\'', '"']);
        pipeline_began = in_pipeline && (begins || pipeline_began);
        if (begins || pipeline_began)
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && !name.contains('/')
            && let Some(path) = COMMANDS.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
        {
            // A script runs another command in its turn.
            let script = fs::read(&path).ok().filter(|script| script.starts_with(b"#!"));
            let runs = script.as_deref().map(|script| String::from_utf8_lossy(script).into_owned()).unwrap_or_default();
            let others = runs.lines().filter_map(|line| line.trim().strip_prefix("exec ")?.split_whitespace().next());
            let others =
                others.filter_map(|name| COMMANDS.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file()));
            found.extend(others);
            found.insert(path);
        }
    }
    found
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
        put("c", "\0ls -l | sort\0sort of words\0cat is one", 0o755);
        put("data", "", 0o644);
        let needs = Needs::of(dir.path()).unwrap();
        let of = |command: &str| -> Vec<String> {
            let command = [dir.path().join(command).display().to_string()];
            let files = needs.files([&command[..]].into_iter());
            files.iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(of("a"), ["data", "a", "a_child", "helper2"]);
        assert_eq!(of("b"), ["data", "b"]);
        assert_eq!(of("c"), ["data", "c", "ls", "sort", "sh"]);
    }
}
