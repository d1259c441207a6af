//! The list of known differences: `PATTERN<TAB>REASON` lines. A pattern is the name of a case or of
//! a test; a `*` in it stands for any text.

use crate::error::{Error, On, Result};
use std::fs;
use std::path::Path;

/// The list.
#[derive(Debug, Default)]
pub struct Known {
    rows: Vec<(String, String)>,
}

impl Known {
    /// Reads the list.
    pub fn load(path: &Path) -> Result<Self> {
        Self::parse(&fs::read_to_string(path).on(path.display().to_string())?)
    }

    /// Takes the list's text.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let rows = lines.map(|line| match line.split_once('\t') {
            Some((pattern, reason)) if !reason.trim().is_empty() => Ok((pattern.to_owned(), reason.trim().to_owned())),
            _ => Err(Error::Usage(format!("known differences: {line:?} has no reason behind a tab"))),
        });
        Ok(Self { rows: rows.collect::<Result<_>>()? })
    }

    /// Why this case differs.
    pub fn reason(&self, test: &str, case: &str) -> Option<&str> {
        let row = self.rows.iter().find(|(pattern, _)| matches(pattern, case) || matches(pattern, test));
        row.map(|(_, reason)| reason.as_str())
    }
}

/// Whether a pattern with `*` fits a text.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    while let Some((piece, more)) = rest.split_once('*') {
        let Some(at) = text.find(piece) else {
            return false;
        };
        text = &text[at + piece.len()..];
        rest = more;
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches("read/a", "read/a") && !matches("read/a", "read/ab"));
        assert!(matches("read/*", "read/a b") && matches("*", "") && matches("a*c*", "abcd"));
        assert!(!matches("a*c", "ab") && !matches("ab*b", "ab"));
        assert!(Known::parse("read/a\n").is_err());
        assert_eq!(Known::parse("# c\nread/*\twhy\n").unwrap().reason("t", "read/x"), Some("why"));
    }
}
