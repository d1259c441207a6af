//! Applications: `apps/NAME/app.toml` says which program one is and which files it needs beyond its
//! libraries.

use crate::error::{Error, On, Result};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// An application's manifest.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Path or name of the program.
    pub program: String,
    /// One line about it.
    #[serde(default)]
    pub description: String,
    /// Debian packages whose files come along.
    #[serde(default)]
    pub packages: Vec<String>,
    /// `PATH[:GUESTPATH]`; a relative PATH is in the application's folder.
    #[serde(default)]
    pub add: Vec<String>,
    /// Arguments where the user gives none.
    #[serde(default)]
    pub args: Vec<String>,
    /// `NAME=value`.
    #[serde(default)]
    pub env: Vec<String>,
    /// Working directory in the guest.
    pub cwd: Option<String>,
    /// Memory, as for `--memory`.
    pub memory: Option<String>,
    /// Ports that are published where the user publishes none, as for `--publish`. Where the host's
    /// is taken, another is found.
    #[serde(default)]
    pub publish: Vec<String>,
    /// How the first of these is written for a user, `{}` standing for address and port.
    pub url: Option<String>,
    /// Directory that becomes the guest's root, in the application's folder.
    pub rootfs: Option<PathBuf>,
    /// Smoke tests: run natively and on Skiff, output and status must be equal.
    #[serde(default)]
    pub test: Vec<Test>,
}

/// A smoke test of an application.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// What it shows.
    pub name: String,
    /// Arguments of the program.
    #[serde(default)]
    pub args: Vec<String>,
    /// Its standard input.
    #[serde(default)]
    pub stdin: String,
    /// Instead of standard input: a session at a terminal.
    #[serde(default)]
    pub talk: Vec<Talk>,
    /// Files of the application's folder that come along for it.
    #[serde(default)]
    pub files: Vec<String>,
    /// Whether Linux itself is asked first what is right; else `status` says it.
    #[serde(default = "yes")]
    pub native: bool,
    /// Exit status to expect where Linux is not asked.
    #[serde(default)]
    pub status: i32,
    /// Seconds it may take on Skiff.
    pub timeout: Option<u64>,
    /// How many percent of its system calls must be direct (`skiff run --stats`).
    pub direct: Option<u32>,
}

/// A step of a session at a terminal.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Talk {
    /// What the program shows first.
    pub expect: String,
    /// What is typed then.
    #[serde(default)]
    pub send: String,
    /// Milliseconds in between, for a program that shows nothing when it is ready.
    #[serde(default)]
    pub pause: u64,
}

fn yes() -> bool {
    true
}

impl App {
    /// The application of this name, with paths made absolute; `None` where there is none.
    pub fn find(name: &str) -> Result<Option<Self>> {
        if name.contains('/') || name.starts_with('.') {
            return Ok(None);
        }
        let Some(checkout) = mkimage::checkout() else {
            return Ok(None);
        };
        let path = checkout.join("apps").join(name).join("app.toml");
        if path.exists() { Self::load(&path).map(Some) } else { Ok(None) }
    }

    /// Reads a manifest.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).on(path.display().to_string())?;
        let mut app: App = toml::from_str(&text).map_err(|e| Error::App { path: path.into(), reason: e.to_string() })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for spec in &mut app.add {
            let (host, guest) = spec.split_once(':').unwrap_or((spec, spec));
            if !host.starts_with('/') {
                *spec = format!("{}:{guest}", folder.join(host).display());
            }
        }
        if app.program.contains('/') && !app.program.starts_with('/') {
            app.program = folder.join(&app.program).display().to_string();
        }
        app.rootfs = app.rootfs.map(|dir| folder.join(dir));
        Ok(app)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_folders() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.toml");
        fs::write(&path, "program = \"x\"\nadd = [\"a.py\", \"b:/etc/b\", \"/c\"]\nmemory = \"64M\"").unwrap();
        let app = App::load(&path).unwrap();
        assert_eq!(app.program, "x");
        let d = dir.path().display();
        assert_eq!(app.add, [format!("{d}/a.py:a.py"), format!("{d}/b:/etc/b"), "/c".into()]);
        fs::write(&path, "program = \"../x\"").unwrap();
        assert_eq!(App::load(&path).unwrap().program, format!("{d}/../x"));
        fs::write(&path, "program = \"x\"\nadds = []").unwrap();
        assert!(App::load(&path).unwrap_err().to_string().contains("adds"));
    }
}
