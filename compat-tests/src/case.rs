//! What there is to test: the sources in `programs/` and the smoke tests of the applications.

use crate::disk::Wanted;
use skiff::app::{App, Talk};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Seconds a program may take on Skiff where it says nothing else.
const TIMEOUT: u64 = 60;
/// Where in a source file its settings may stand.
const HEAD_LINES: usize = 20;

/// What is run.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A source file, to be built in this way.
    Source {
        /// The file.
        path: PathBuf,
        /// How to link it; empty for languages with one way.
        variant: String,
    },
    /// An application of `apps/`.
    App {
        /// Its name.
        name: String,
        /// Its program on the host.
        program: String,
        /// Its folder.
        folder: PathBuf,
        /// Files of the folder that the test reads.
        files: Vec<String>,
    },
    /// A script that starts machines by itself, in a network of its own.
    Network,
}

/// One test.
#[derive(Debug, Clone)]
pub struct Case {
    /// Unique name.
    pub name: String,
    /// What is run.
    pub subject: Subject,
    /// Compiler flags.
    pub cflags: Vec<String>,
    /// Options of the Java machine.
    pub jvm: Vec<String>,
    /// Arguments.
    pub args: Vec<String>,
    /// Standard input.
    pub stdin: String,
    /// A session at a terminal, instead.
    pub talk: Vec<Talk>,
    /// Seconds it may take on Skiff.
    pub timeout: u64,
    /// Further options of `skiff run`.
    pub flags: Vec<String>,
    /// How many percent of the system calls must be direct.
    pub direct: Option<u32>,
    /// What Skiff's standard error must contain.
    pub stderr: Option<String>,
    /// The expected exit status where Linux is not asked.
    pub status: Option<i32>,
    /// Why it does not run.
    pub skip: Option<String>,
    /// A script on the host that is the program's client.
    pub client: Option<Client>,
    /// Disks that the program is given.
    pub disks: Vec<Wanted>,
}

/// A client outside the machine.
#[derive(Debug, Clone)]
pub struct Client {
    /// A script for bash.
    pub script: PathBuf,
    /// The guest's ports that it asks; none if it starts the machine by itself.
    pub ports: Vec<u16>,
}

/// All tests, in order of their names.
pub fn all(root: &Path) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for path in listed(&root.join("compat-tests/programs"))? {
        if path.extension().is_some_and(|e| ["c", "cpp", "go", "rs", "java"].iter().any(|x| e == *x)) {
            cases.extend(of_source(&path)?);
        }
    }
    for folder in listed(&root.join("apps"))? {
        if folder.join("app.toml").exists() {
            cases.extend(of_app(&folder)?);
            for script in listed(&folder)?.iter().filter(|path| path.to_string_lossy().ends_with(".client.sh")) {
                cases.push(of_client(&folder, script)?);
            }
        }
    }
    let scripts = listed(&root.join("compat-tests/network"))?;
    for script in scripts.iter().filter(|path| path.extension().is_some_and(|e| e == "sh") && !path.ends_with("lib.sh")) {
        cases.push(of_network(script)?);
    }
    Ok(cases)
}

/// A script of `network/`.
fn of_network(script: &Path) -> Result<Case, String> {
    let settings = script_settings(script, &["timeout"])?;
    let name = script.file_stem().unwrap_or_default().to_string_lossy();
    let client = Client { script: script.into(), ports: Vec::new() };
    Ok(Case { name: format!("network: {name}"), subject: Subject::Network, ..of_script(&settings, client) })
}

fn script_settings(script: &Path, known: &[&str]) -> Result<HashMap<String, String>, String> {
    let text = fs::read_to_string(script).map_err(|e| format!("{}: {e}", script.display()))?;
    let settings = settings(&text);
    match settings.keys().find(|k| !known.contains(&k.as_str())) {
        Some(unknown) => Err(format!("{}: unknown setting {unknown}", script.display())),
        None => Ok(settings),
    }
}

/// What the cases that are scripts have in common.
fn of_script(settings: &HashMap<String, String>, client: Client) -> Case {
    Case {
        name: String::new(),
        subject: Subject::Network,
        cflags: Vec::new(),
        jvm: Vec::new(),
        args: Vec::new(),
        stdin: String::new(),
        talk: Vec::new(),
        timeout: settings.get("timeout").and_then(|t| t.parse().ok()).unwrap_or(TIMEOUT),
        flags: Vec::new(),
        direct: None,
        stderr: None,
        status: Some(0),
        skip: None,
        client: Some(client),
        disks: Vec::new(),
    }
}

fn listed(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    Ok(paths)
}

fn of_source(path: &Path) -> Result<Vec<Case>, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let settings = settings(&text);
    let get = |key: &str| settings.get(key).cloned();
    let list = |key: &str| get(key).map(|v| split(&v)).unwrap_or_default();
    const KNOWN: [&str; 17] = [
        "variants", "cflags", "args", "stdin", "timeout", "memory", "cpus", "stderr", "flags", "native", "status", "skip",
        "jvm", "direct", "client", "publish", "disk",
    ];
    if let Some(unknown) = settings.keys().find(|k| !KNOWN.contains(&k.as_str())) {
        return Err(format!("{}: unknown setting {unknown}", path.display()));
    }
    let mut flags = list("flags");
    for key in ["memory", "cpus"] {
        flags.extend(get(key).map(|v| format!("--{key}={v}")));
    }
    let stem = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let client = match get("client") {
        Some(name) => Some(Client {
            script: path.parent().unwrap_or(Path::new(".")).join(name),
            ports: ports(path, &list("publish"))?,
        }),
        None => None,
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let disks: Result<Vec<Wanted>, String> = list("disk").iter().map(|text| Wanted::parse(text, folder)).collect();
    let disks = disks?;
    let compiled = path.extension().is_some_and(|e| e == "c" || e == "cpp" || e == "rs");
    let variants = match list("variants") {
        v if !v.is_empty() => v,
        _ if compiled => vec!["pie".into()],
        _ => vec![String::new()],
    };
    let case = |variant: &String| Case {
        name: if variants.len() > 1 { format!("{stem} ({variant})") } else { stem.clone() },
        subject: Subject::Source { path: path.into(), variant: variant.clone() },
        cflags: get("cflags").map_or_else(|| vec!["-O1".into(), "-pthread".into()], |v| split(&v)),
        jvm: list("jvm"),
        args: list("args"),
        stdin: get("stdin").unwrap_or_default().replace("\\n", "\n"),
        talk: Vec::new(),
        timeout: get("timeout").and_then(|t| t.parse().ok()).unwrap_or(TIMEOUT),
        flags: flags.clone(),
        direct: get("direct").and_then(|d| d.parse().ok()),
        stderr: get("stderr"),
        status: (get("native").as_deref() == Some("no")).then(|| get("status").and_then(|s| s.parse().ok()).unwrap_or(0)),
        skip: get("skip").map(|s| s.replace('_', " ")),
        client: client.clone(),
        disks: disks.clone(),
    };
    Ok(variants.iter().map(case).collect())
}

fn of_app(folder: &Path) -> Result<Vec<Case>, String> {
    let app = App::load(&folder.join("app.toml")).map_err(|e| e.to_string())?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let case = |test: &skiff::app::Test| Case {
        name: format!("{name}: {}", test.name),
        subject: Subject::App {
            name: name.clone(),
            program: app.program.clone(),
            folder: folder.into(),
            files: test.files.clone(),
        },
        cflags: Vec::new(),
        jvm: Vec::new(),
        args: test.args.clone(),
        stdin: test.stdin.clone(),
        talk: test.talk.clone(),
        timeout: test.timeout.unwrap_or(TIMEOUT),
        flags: Vec::new(),
        direct: test.direct,
        stderr: None,
        status: (!test.native).then_some(test.status),
        skip: None,
        client: None,
        disks: Vec::new(),
    };
    Ok(app.test.iter().map(case).collect())
}

/// An application as a server, and a script that is its client.
fn of_client(folder: &Path, script: &Path) -> Result<Case, String> {
    let app = App::load(&folder.join("app.toml")).map_err(|e| e.to_string())?;
    let known = ["publish", "args", "files", "timeout", "memory", "cpus", "flags"];
    let settings = script_settings(script, &known)?;
    let list = |key: &str| settings.get(key).map(|v| split(v)).unwrap_or_default();
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let what = script.file_name().unwrap_or_default().to_string_lossy().trim_end_matches(".client.sh").replace('-', " ");
    let mut flags = list("flags");
    for key in ["memory", "cpus"] {
        flags.extend(settings.get(key).map(|v| format!("--{key}={v}")));
    }
    let client = Client { script: script.into(), ports: ports(script, &list("publish"))? };
    Ok(Case {
        name: format!("{name}: clients outside, {what}"),
        subject: Subject::App { name, program: app.program, folder: folder.into(), files: list("files") },
        args: list("args"),
        flags,
        ..of_script(&settings, client)
    })
}

fn ports(path: &Path, listed: &[String]) -> Result<Vec<u16>, String> {
    let port = |text: &String| text.parse().map_err(|_| format!("{}: publish={text}: not a port", path.display()));
    match listed.iter().map(port).collect::<Result<Vec<u16>, String>>()? {
        none if none.is_empty() => Err(format!("{}: publish is missing", path.display())),
        ports => Ok(ports),
    }
}

fn split(value: &str) -> Vec<String> {
    value.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

/// `compat: key=value key="value with spaces"` lines.
fn settings(text: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    for line in text.lines().take(HEAD_LINES) {
        let Some((_, mut rest)) = line.split_once("compat: ") else {
            continue;
        };
        while let Some((key, after)) = rest.trim_start().split_once('=') {
            let quoted = after.strip_prefix('"').and_then(|a| a.split_once('"'));
            let (value, next) = quoted.unwrap_or_else(|| after.split_once(' ').unwrap_or((after, "")));
            found.insert(key.trim().to_owned(), value.trim_end_matches("*/").to_owned());
            rest = next;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stand_in_comments() {
        let s = settings("// compat: variants=pie,static stdin=\"a b\\n\" timeout=9\n/* compat: cpus=2 */\nint main;");
        assert_eq!(s["variants"], "pie,static");
        assert_eq!(s["stdin"], "a b\\n");
        assert_eq!(s["timeout"], "9");
        assert_eq!(s["cpus"], "2");
    }

    #[test]
    fn the_tests_of_this_checkout_are_readable() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let cases = all(root).unwrap();
        let names: std::collections::HashSet<_> = cases.iter().map(|c| &c.name).collect();
        assert_eq!(names.len(), cases.len(), "names are unique");
    }
}
