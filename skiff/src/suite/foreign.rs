//! Tests that a user brings: the files of a directory.

use super::build::listed;
use super::known::matches;
use super::{JudgedBy, Test};
use crate::error::{Error, On, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// Which files are run and how.
#[derive(Debug, Default)]
pub struct Choice {
    /// Only those that one of these patterns fits, if there are any.
    pub allow: Vec<String>,
    /// None that one of these fits.
    pub deny: Vec<String>,
    /// Only those whose name contains one of these, if there are any.
    pub filters: Vec<String>,
    /// What each may take.
    pub limit: Duration,
    /// Where each runs; `None` is a new and empty directory.
    pub cwd: Option<String>,
    /// Arguments of each.
    pub args: Vec<String>,
}

/// The executable files of a directory.
pub fn tests(dir: &Path, choice: &Choice) -> Result<Vec<Test>> {
    let dir = fs::canonicalize(dir).on(dir.display().to_string())?;
    let mut tests = Vec::new();
    for path in listed(&dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let meta = fs::metadata(&path).on(path.display().to_string())?;
        let fits = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, &name));
        if !meta.is_file()
            || meta.permissions().mode() & 0o111 == 0
            || name.contains(char::is_whitespace)
            || (!choice.allow.is_empty() && !fits(&choice.allow))
            || fits(&choice.deny)
            || (!choice.filters.is_empty() && !choice.filters.iter().any(|f| name.contains(f.as_str())))
        {
            continue;
        }
        let command = std::iter::once(path.display().to_string()).chain(choice.args.iter().cloned()).collect();
        tests.push(Test { id: name, limit: choice.limit, dir: choice.cwd.clone(), command, judged_by: JudgedBy::Results });
    }
    if tests.is_empty() {
        return Err(Error::Usage(format!("{}: no executable file to test", dir.display())));
    }
    Ok(tests)
}

/// Patterns of a file, one a line; `#` begins a comment.
pub fn patterns(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).on(path.display().to_string())?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned());
    Ok(lines.filter(|line| !line.is_empty()).collect())
}

#[cfg(test)]
mod tests_of_choice {
    use super::*;

    #[test]
    fn executables_that_are_wanted() {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [("a", 0o755), ("b", 0o755), ("c", 0o644)] {
            fs::write(dir.path().join(name), "").unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let names = |choice: Choice| -> Vec<String> {
            tests(dir.path(), &choice).map_or(Vec::new(), |t| t.into_iter().map(|t| t.id).collect())
        };
        assert_eq!(names(Choice::default()), ["a", "b"]);
        assert_eq!(names(Choice { deny: vec!["a*".into()], ..Choice::default() }), ["b"]);
        assert_eq!(names(Choice { allow: vec!["c".into()], ..Choice::default() }), [""; 0]);
    }
}
