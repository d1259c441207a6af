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
    /// The status of one that leaves itself out.
    pub skip: i32,
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
        tests.push(Test {
            id: name,
            limit: choice.limit,
            dir: choice.cwd.clone(),
            command,
            judged_by: JudgedBy::Results { skip: choice.skip },
        });
    }
    if tests.is_empty() {
        return Err(Error::Usage(format!("{}: no executable file to test", dir.display())));
    }
    Ok(tests)
}

/// The tests of a list: a name and a command a line, `#` begins a comment. A program is a file of
/// `dir`, or on PATH; a command that is more than words is the shell's.
pub fn from_list(dir: &Path, list: &Path, choice: &Choice) -> Result<Vec<Test>> {
    let dir = fs::canonicalize(dir).on(dir.display().to_string())?;
    let text = fs::read_to_string(list).on(list.display().to_string())?;
    let wrong = |line: &str, what: &str| Error::Usage(format!("{}: {line:?}: {what}", list.display()));
    let mut tests: Vec<Test> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, command) = line.split_once(char::is_whitespace).ok_or_else(|| wrong(line, "has no command"))?;
        let fits = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, name));
        if (!choice.allow.is_empty() && !fits(&choice.allow))
            || fits(&choice.deny)
            || (!choice.filters.is_empty() && !choice.filters.iter().any(|f| name.contains(f.as_str())))
        {
            continue;
        }
        if tests.iter().any(|test| test.id == name) {
            return Err(wrong(line, "the name comes twice"));
        }
        let command = command.trim();
        let mut words = match words(command) {
            Some(words) if !words.is_empty() => words,
            _ => vec!["/bin/sh".into(), "-c".into(), format!("PATH={}:$PATH; {command}", dir.display())],
        };
        if words.iter().any(|word| word.contains(['\t', '\n'])) || words.len() > MAX_WORDS {
            return Err(wrong(line, "tabs, or too many words"));
        }
        if !words[0].contains('/') {
            let path = std::env::var("PATH").unwrap_or_default();
            let places = std::iter::once(dir.clone()).chain(path.split(':').map(Into::into));
            let found = places.map(|place| place.join(&words[0])).find(|file| file.is_file());
            words[0] = found.ok_or_else(|| wrong(line, "no such program"))?.display().to_string();
        }
        words.extend(choice.args.iter().cloned());
        let judged_by = JudgedBy::Results { skip: choice.skip };
        tests.push(Test { id: name.into(), limit: choice.limit, dir: choice.cwd.clone(), command: words, judged_by });
    }
    if tests.is_empty() {
        return Err(Error::Usage(format!("{}: no test", list.display())));
    }
    Ok(tests)
}

/// What the batch program takes of a line, less what it needs itself.
const MAX_WORDS: usize = 60;

/// The words of a command, with quotes taken off; `None` where only a shell knows.
fn words(command: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some('"'), '$' | '`' | '\\') => return None,
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            (None, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' | '\\' | '*' | '?' | '[' | '#' | '~' | '!') => {
                return None;
            }
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    // A word with `=` in front is an assignment.
    (quote.is_none() && !words.first().is_some_and(|first: &String| first.contains('='))).then_some(words)
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
        let list = dir.path().join("list");
        fs::write(&list, "# tests\none a -x 'b c'\ntwo b; true\n\nthree b \"\"\n").unwrap();
        let tests = from_list(dir.path(), &list, &Choice { skip: 32, ..Choice::default() }).unwrap();
        let program = |name: &str| dir.path().canonicalize().unwrap().join(name).display().to_string();
        assert_eq!(tests[0].command, [program("a"), "-x".into(), "b c".into()]);
        assert_eq!((tests[1].id.as_str(), tests[1].command[0].as_str()), ("two", "/bin/sh"));
        assert_eq!(tests[2].command, [program("b"), String::new()]);
        fs::write(&list, "one a\none b\n").unwrap();
        assert!(from_list(dir.path(), &list, &Choice::default()).is_err());
        assert_eq!(names(Choice { allow: vec!["c".into()], ..Choice::default() }), [""; 0]);
    }
}
