//! How wide comments are.

use std::fs;
use std::path::Path;

/// Columns of a line that is a comment.
const MAX_WIDTH: usize = 100;

/// Prints each line of a comment below `folder` that is wider, and says whether there is none. What
/// cannot be broken may be: code within the comment, one long word.
pub fn check(folder: &Path, checkout: &Path) -> Result<bool, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut good = true;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if path.is_dir() {
            let name = entry.file_name();
            let made = [".git", "build", "target"].iter().any(|folder| name == *folder);
            good &= made || check(&path, checkout)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            for number in wide(&text) {
                let path = path.strip_prefix(checkout).unwrap_or(&path);
                println!("FAIL {}:{number}: a comment wider than {MAX_WIDTH} columns", path.display());
                good = false;
            }
        }
    }
    Ok(good)
}

/// The numbers of the lines that are too wide, from 1.
fn wide(text: &str) -> Vec<usize> {
    let mut in_code = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
        let comment = comment.trim_start_matches(['/', '!']);
        if comment.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        let code = in_code || comment.starts_with("     ");
        let breaks = comment.split_whitespace().nth(1).is_some();
        if line.chars().count() > MAX_WIDTH && !code && breaks {
            found.push(number);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_that_can_be_broken() {
        let long = "word ".repeat(30);
        let text = format!("// short\n/// {long}\nlet x = 1; // {long}\n//!     {long}\n    // {}\n", "x".repeat(120));
        assert_eq!(wide(&text), [2]);
    }
}
