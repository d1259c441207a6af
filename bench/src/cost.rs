//! `bench cost`: what it costs to be able to explain, while nobody asks. Traces, histograms,
//! samples and the watch of debuggers are in every kernel; counted instructions of system calls on
//! the kernel as it is, beside one that was built without (`bare`), tell. `--limits` holds the
//! counts of the kernel as it is against a list, and so finds a path that has become longer.

use crate::How;
use crate::build::{self, Link};
use crate::error::{On, Result, fail};
use crate::report::{self, Cell, Table};
use crate::sample::Samples;
use crate::vm::{Kernel, Vm};
use mkimage::Options;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `bench cost` can be asked for instead.
#[derive(clap::Args)]
pub struct Cost {
    /// Build no other kernel, and fail where an operation takes more instructions than this list
    /// says: name, tab, number
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
}

/// Counts, and prints a table.
pub fn run(cost: &Cost, how: &How) -> Result<()> {
    match &cost.limits {
        Some(list) => hold(list),
        None => {
            let (usual, bare) = (count(&mkimage::default_kernel(), "usual")?, count(&bare()?, "bare")?);
            let columns = ["operation", "bare kernel", "usual kernel", "difference"];
            let mut table = Table::new("instructions of an operation while nothing is traced or sampled", &columns);
            for name in usual.names() {
                let (with, without) = (usual.ticks(name), bare.ticks(name));
                let difference = with.zip(without).map(|(with, without)| with - without);
                table.row(
                    [Cell::Text(name.clone())].into_iter().chain([without, with, difference].map(Cell::Number)).collect(),
                );
            }
            report::publish(&[table], how.tsv.as_deref())
        }
    }
}

/// Builds the kernel without them, in a directory of its own so that neither build undoes the
/// other.
fn bare() -> Result<PathBuf> {
    let Some(root) = mkimage::checkout() else { fail!("not in a Skiff checkout") };
    let target = root.join("target/bare");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(&root).args(["kbuild", "--quiet", "--features", "bare", "--target-dir"]).arg(&target);
    if !cargo.status().on("cargo")?.success() {
        fail!("cargo kbuild --features bare");
    }
    Ok(target.join("x86_64-unknown-none/release/skiff-kernel"))
}

/// Counted instructions of each operation of `programs/calls.c`.
fn count(kernel: &Path, name: &str) -> Result<Samples> {
    let options = Options {
        program: build::c("calls", Link::Static)?.display().to_string(),
        args: vec!["--round-us=1000".into(), "--rounds=3".into()],
        ..Options::default()
    };
    let image = build::dir()?.join(format!("cost-{name}.img"));
    mkimage::build(&mkimage::Kernel::open(kernel)?, &mkimage::gather(&options)?, &image)?;
    let guest = Kernel { kernel: image, initrd: None, options: "stdio=ppp".into(), tsc_option: None };
    let mut samples = Samples::default();
    samples.add(&Vm { icount: true, ..Vm::new() }.start(&guest)?.report()?);
    Ok(samples)
}

/// The list of limits: what is behind a `#` is a comment.
fn limits(text: &str) -> Vec<(&str, f64)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter_map(|line| line.rsplit_once('\t')).filter_map(|(name, n)| Some((name.trim(), n.parse().ok()?))).collect()
}

fn hold(list: &Path) -> Result<()> {
    let text = fs::read_to_string(list).on(list.display())?;
    let limits = limits(&text);
    if limits.is_empty() {
        fail!("{}: no limits", list.display());
    }
    let counted = count(&mkimage::default_kernel(), "usual")?;
    let mut over = Vec::new();
    for (name, most) in limits {
        let Some(instructions) = counted.ticks(name) else { fail!("no operation is called {name}") };
        let verdict = if instructions <= most { "ok  " } else { "OVER" };
        println!("{verdict} {name}: {instructions:.1} instructions, at most {most}");
        if instructions > most {
            over.push(name);
        }
    }
    if over.is_empty() { Ok(()) } else { fail!("takes more than it should: {}", over.join(", ")) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_list_of_limits() {
        let text = "# heading\nnull,own-site\t40\nread 1\t12.5 # why\nno number\tx\n";
        assert_eq!(super::limits(text), [("null,own-site", 40.0), ("read 1", 12.5)]);
    }
}
