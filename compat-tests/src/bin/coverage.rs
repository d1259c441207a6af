//! `coverage`: which lines of the kernel the tests on the host run.
//!
//! It builds the tests of all crates that the kernel is made of with LLVM's counters, runs them,
//! and prints for each crate how many lines it has, and how many of those that can be counted were
//! run. Lines of tests are not counted. At the end stands what share of the kernel's lines lies in
//! crates that build and test on the host. With names of crates only their tests run.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use serde_json::Value;

/// What is asked for.
#[derive(clap::Parser)]
#[command(about = "Shows which lines of the kernel the tests on the host run")]
struct Args {
    /// Show each file as well
    #[arg(long)]
    files: bool,
    /// Fail where one of the crates has less of its lines run than so many per cent
    #[arg(long, value_name = "PERCENT")]
    require: Option<f64>,
    /// Run the tests of these crates alone (`fd` is kernel-fd) [default: of all that have some]
    #[arg(value_name = "CRATE")]
    crates: Vec<String>,
}

/// A crate of the kernel.
struct Part {
    /// Its folder.
    folder: PathBuf,
    /// The package.
    name: String,
    /// Whether it builds and tests on the host.
    tested: bool,
}

impl Part {
    fn is(&self, name: &str) -> bool {
        self.name == name || self.name.strip_prefix("kernel-") == Some(name)
    }
}

/// Lines of a crate or file.
#[derive(Clone, Copy, Default)]
struct Lines {
    /// All but those of tests.
    all: usize,
    /// Those with code in a test program.
    counted: usize,
    /// Those of them that were run.
    run: usize,
}

impl Lines {
    fn add(&mut self, other: Lines) {
        self.all += other.all;
        self.counted += other.counted;
        self.run += other.run;
    }

    fn percent(&self) -> f64 {
        percent(self.run, self.counted)
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// How often each line of a file was run.
type Counts = BTreeMap<PathBuf, BTreeMap<usize, u64>>;

fn main() -> ExitCode {
    match run(&<Args as clap::Parser>::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("coverage: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<bool, String> {
    let root = mkimage::checkout().ok_or("not in a Skiff checkout")?;
    let parts = parts(&root)?;
    if let Some(name) = args.crates.iter().find(|name| !parts.iter().any(|part| part.is(name))) {
        return Err(format!("no part of the kernel is called {name}"));
    }
    let is_wanted = |part: &Part| args.crates.is_empty() || args.crates.iter().any(|name| part.is(name));
    // The kernel itself has no library; what it has to test is in its tests/.
    let measured: Vec<&Part> =
        parts.iter().filter(|part| part.tested || part.name == "kernel").filter(|part| is_wanted(part)).collect();
    let tools = Tools::find()?;
    let counts = tools.measure(&root, &measured)?;

    let mut sums: BTreeMap<&str, Lines> = BTreeMap::new();
    let mut files: BTreeMap<&str, Vec<(PathBuf, Lines)>> = BTreeMap::new();
    for path in rust_files(&root) {
        let Some(part) =
            parts.iter().filter(|part| path.starts_with(&part.folder)).max_by_key(|part| part.folder.as_os_str().len())
        else {
            continue;
        };
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let lines = lines_of(&text, counts.get(&path));
        sums.entry(&part.name).or_default().add(lines);
        files.entry(&part.name).or_default().push((path.strip_prefix(&root).unwrap_or(&path).to_owned(), lines));
    }

    println!("{:<32} {:>7}  {:>7}  {:>7}", "crate", "lines", "counted", "run");
    let (mut all, mut tested) = (0, Lines::default());
    for part in &parts {
        let sum = sums.get(part.name.as_str()).copied().unwrap_or_default();
        all += sum.all;
        if part.tested {
            tested.add(sum);
        }
        print(&part.name, sum);
        if args.files && is_wanted(part) {
            for (path, lines) in files.get(part.name.as_str()).into_iter().flatten() {
                print(&format!("  {}", path.display()), *lines);
            }
        }
    }
    println!();
    print("in crates that test on the host", tested);
    println!("{:.1} % of the kernel's {all} lines lie in crates that build and test on the host.", percent(tested.all, all));

    let mut enough = true;
    for part in measured {
        let sum = sums.get(part.name.as_str()).copied().unwrap_or_default();
        if let Some(least) = args.require.filter(|least| sum.percent() < *least) {
            eprintln!("coverage: {} has {:.1} % of its lines run, wanted are {least}", part.name, sum.percent());
            enough = false;
        }
    }
    Ok(enough)
}

fn print(name: &str, lines: Lines) {
    if lines.counted == 0 {
        println!("{name:<32} {:>7}  {:>7}", lines.all, "-");
    } else {
        println!("{name:<32} {:>7}  {:>7}  {:>5.1} %", lines.all, lines.counted, lines.percent());
    }
}

/// The crates of the workspace that the kernel is made of, in the order of cargo.
fn parts(root: &Path) -> Result<Vec<Part>, String> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    let said = output(cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(root))?;
    let all: Value = serde_json::from_slice(&said).map_err(|e| format!("cargo metadata: {e}"))?;
    let packages: Vec<&Value> = list(&all["packages"]).collect();
    let named = |name: &str| packages.iter().find(|package| package["name"] == name);
    let (mut reached, mut left) = (BTreeSet::new(), vec!["kernel"]);
    while let Some(name) = left.pop() {
        let Some(package) = named(name) else { continue };
        if reached.insert(name) {
            let shipped = list(&package["dependencies"]).filter(|on| on["kind"].is_null());
            left.extend(shipped.filter_map(|on| on["name"].as_str()));
        }
    }
    let is_library = |target: &&Value| list(&target["kind"]).any(|kind| kind == "lib");
    Ok(packages
        .iter()
        .filter(|package| package["name"].as_str().is_some_and(|name| reached.contains(name)))
        .map(|package| Part {
            folder: Path::new(package["manifest_path"].as_str().unwrap_or_default()).parent().unwrap_or(root).to_owned(),
            name: package["name"].as_str().unwrap_or_default().to_owned(),
            tested: list(&package["targets"]).filter(is_library).any(|target| target["test"] == true),
        })
        .collect())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.stderr(Stdio::inherit()).output().map_err(|e| format!("{name}: {e}"))?;
    if out.status.success() { Ok(out.stdout) } else { Err(format!("{name}: {}", out.status)) }
}

/// LLVM's tools of the version that the compiler has.
struct Tools {
    profdata: PathBuf,
    cov: PathBuf,
}

impl Tools {
    /// Those that rustup brings with the toolchain (rust-toolchain.toml names them), or Debian's.
    fn find() -> Result<Self, String> {
        let rustc =
            |args: &[&str]| output(Command::new("rustc").args(args)).map(|out| String::from_utf8_lossy(&out).into_owned());
        let version = rustc(&["-vV"])?;
        let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let own = Path::new(rustc(&["--print", "sysroot"])?.trim()).join("lib/rustlib").join(field("host: ")).join("bin");
        let major = field("LLVM version: ").split('.').next().unwrap_or_default();
        let debian = PathBuf::from(format!("/usr/lib/llvm-{major}/bin"));
        let folder = [own, debian].into_iter().find(|folder| folder.join("llvm-cov").exists());
        let folder = folder
            .ok_or(format!("no llvm-cov of LLVM {major}: `rustup component add llvm-tools`, or Debian's llvm-{major}"))?;
        Ok(Self { profdata: folder.join("llvm-profdata"), cov: folder.join("llvm-cov") })
    }

    /// Builds and runs the tests of `parts`.
    fn measure(&self, root: &Path, parts: &[&Part]) -> Result<Counts, String> {
        let target = root.join("target/coverage");
        let profiles = target.join("profiles");
        let _ = fs::remove_dir_all(&profiles);
        fs::create_dir_all(&profiles).map_err(|e| format!("{}: {e}", profiles.display()))?;
        let cargo = |more: &[&str]| {
            let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
            cargo.arg("test").args(more).args(["--quiet", "--tests"]).current_dir(root);
            for part in parts {
                cargo.args(["--package", &part.name]);
            }
            cargo
                .env("CARGO_TARGET_DIR", &target)
                .env("CARGO_INCREMENTAL", "0")
                .env("RUSTFLAGS", "-Cinstrument-coverage")
                .env("LLVM_PROFILE_FILE", profiles.join("%p-%m.profraw"));
            cargo
        };
        let built = output(&mut cargo(&["--no-run", "--message-format", "json"]))?;
        let programs: Vec<String> = String::from_utf8_lossy(&built)
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["executable"].as_str().map(str::to_owned))
            .collect();
        let (first, others) = programs.split_first().ok_or("there are no tests")?;
        eprint!("{}", String::from_utf8_lossy(&output(&mut cargo(&[]))?));

        let raw: Vec<PathBuf> = fs::read_dir(&profiles)
            .map_err(|e| format!("{}: {e}", profiles.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        let merged = target.join("tests.profdata");
        output(Command::new(&self.profdata).args(["merge", "-sparse", "-o"]).arg(&merged).args(raw))?;
        let mut cov = Command::new(&self.cov);
        cov.args(["export", "-format=lcov", "-instr-profile"]).arg(&merged).arg(first);
        for other in others {
            cov.args(["-object", other]);
        }
        Ok(counts(&String::from_utf8_lossy(&output(&mut cov)?)))
    }
}

/// What a report in the format of lcov says (geninfo(1): `SF:` a file, `DA:` a line and its count).
fn counts(report: &str) -> Counts {
    let mut counts = Counts::new();
    let mut file = PathBuf::new();
    for line in report.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            // Files that tests name by a path with `..` in it.
            file = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        } else if let Some((at, count)) = line.strip_prefix("DA:").and_then(|rest| rest.split_once(','))
            && let (Ok(at), Ok(count)) = (at.parse(), count.parse())
        {
            let known: &mut u64 = counts.entry(file.clone()).or_default().entry(at).or_default();
            *known = (*known).max(count);
        }
    }
    counts
}

/// The files of the checkout, without those that are tests as a whole.
fn rust_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "build", "tests", "fuzz"].contains(&&*name) {
                    left.push(path);
                }
            } else if name.ends_with(".rs") && !["tests.rs", "testing.rs", "build.rs"].contains(&&*name) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The lines of a file, without those of its tests: what follows a `#[cfg(test)]` that begins a
/// line, to the line that ends the item.
fn lines_of(text: &str, counts: Option<&BTreeMap<usize, u64>>) -> Lines {
    let mut lines = Lines::default();
    let mut in_tests = false;
    for (at, line) in text.lines().enumerate() {
        if line == "#[cfg(test)]" {
            in_tests = true;
        } else if in_tests {
            in_tests = !(line == "}" || line.ends_with(';') && !line.starts_with(' '));
        } else {
            lines.all += 1;
            if let Some(count) = counts.and_then(|counts| counts.get(&(at + 1))) {
                lines.counted += 1;
                lines.run += usize::from(*count > 0);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tests_do_not_count() {
        let text = "fn a() {\n}\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n#[cfg(test)]\nmod more;\n";
        let counts = BTreeMap::from([(1, 3), (2, 0), (5, 1), (8, 0)]);
        let lines = lines_of(text, Some(&counts));
        assert_eq!((lines.all, lines.counted, lines.run), (3, 3, 1));
    }

    #[test]
    fn a_line_has_the_most_of_all_its_counts() {
        let report =
            "SF:/nowhere/a.rs\nFN:1,a\nDA:1,0\nDA:2,7\nend_of_record\nSF:/nowhere/a.rs\nDA:1,4\nDA:2,0\nend_of_record\n";
        assert_eq!(counts(report)[Path::new("/nowhere/a.rs")], BTreeMap::from([(1, 4), (2, 7)]));
    }
}
