//! Children that ignore no signal, whatever the shell that called had them ignore: one in the
//! background of a script has SIGINT and SIGQUIT ignored, and a program under test would tell.

use std::ffi::OsStr;
use std::process::Command;

/// A command whose signals all have their default action.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(program);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_not_inherited() {
        let script = "trap '' INT QUIT HUP; exec \"$@\"";
        let ignored = |fresh: Command| {
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "sh"]).arg(fresh.get_program()).args(fresh.get_args());
            shell.args(["grep", "^SigIgn:", "/proc/self/status"]);
            let line = String::from_utf8(shell.output().unwrap().stdout).unwrap();
            let mask = u64::from_str_radix(line.split_whitespace().next_back().unwrap(), 16).unwrap();
            // The C library keeps 32 and 33 to itself.
            mask & 0x7fff_ffff
        };
        assert_eq!(ignored(command("env")), 0);
        assert_eq!(ignored(Command::new("env")), 7);
    }
}
