//! What the checks of `skiff` as a tool share: named checks one after the other, in a folder of
//! their own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};

/// What a check is told by, and the check. Its error says what was seen.
pub type Check = (&'static str, fn(&Lab) -> Result<(), String>);

/// A folder to work in, and the `skiff` beside this program.
pub struct Lab {
    /// The folder, `build/NAME` of the checkout.
    pub dir: PathBuf,
    /// The tool.
    pub skiff: PathBuf,
}

impl Lab {
    /// Makes the folder.
    pub fn new(name: &str) -> Result<Self, String> {
        let dir = mkimage::checkout().ok_or("not in a Skiff checkout")?.join("build").join(name);
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let skiff = std::env::current_exe().map_err(|e| e.to_string())?.with_file_name("skiff");
        Ok(Self { dir, skiff })
    }

    /// Compiles a C program with these options of gcc.
    pub fn compile(&self, name: &str, source: &str, options: &[&str]) -> Result<PathBuf, String> {
        let (program, file) = (self.dir.join(name), self.dir.join(format!("{name}.c")));
        fs::write(&file, source).map_err(|e| e.to_string())?;
        let done = Command::new("gcc").args(options).arg("-o").arg(&program).arg(&file).status();
        if done.is_ok_and(|status| status.success()) { Ok(program) } else { Err(format!("gcc {}", file.display())) }
    }

    /// `skiff` with these arguments, in the folder, with nothing to read.
    pub fn skiff(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.skiff);
        command.args(arguments).current_dir(&self.dir).stdin(Stdio::null());
        command
    }
}

/// Runs the checks whose names contain one of the program's arguments, or all, and prints a line
/// for each. `name` is the program's.
pub fn run(name: &str, checks: &[Check]) -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).collect();
    let lab = match Lab::new(name) {
        Ok(lab) => lab,
        Err(e) => {
            eprintln!("{name}: {e}");
            return ExitCode::FAILURE;
        }
    };
    let mut good = true;
    for (name, check) in checks.iter().filter(|(name, _)| is_wanted(name, &filters)) {
        good &= told(name, check(&lab));
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether a check is to be run: there is no filter, or its name contains one.
pub fn is_wanted(name: &str, filters: &[String]) -> bool {
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
}

/// Prints how a check ended, and returns whether well.
pub fn told(what: &str, result: Result<(), String>) -> bool {
    match &result {
        Ok(()) => println!("ok   {what}"),
        Err(e) => println!("FAIL {what}: {e}"),
    }
    result.is_ok()
}

/// What a command prints, and its status.
pub fn output(command: &mut Command) -> Result<Output, String> {
    command.output().map_err(|e| format!("{command:?}: {e}"))
}
