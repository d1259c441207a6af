//! `internals`: who imports whom, between the crates of the workspace and between the top modules
//! inside each; and the pages of docs/internals that are made from the code.
//!
//! It fails where modules import each other in a cycle that is not among the known ones of
//! docs/internals/cycles.tsv, where one of these has become larger, where a page is not what the
//! code is, and where a comment is wider than 100 columns. `--write` writes the pages, and what has
//! become less of the cycles; a cycle that grows is written down only with `--write --grow`.

#![forbid(unsafe_code)]

mod comments;
mod cycles;
mod graph;
mod locks;
mod picture;
mod source;
mod workspace;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use graph::Graph;
use workspace::Package;

/// What is asked for.
#[derive(clap::Parser)]
#[command(about = "Shows and checks who imports whom, and the pages of docs/internals that are made from the code")]
struct Args {
    /// Write the pages, and what has become less of the cycles
    #[arg(long)]
    write: bool,
    /// With --write: also the cycles that have grown
    #[arg(long, requires = "write")]
    grow: bool,
    /// Print the matrix of the modules of these crates [default: of all that have a cycle]
    #[arg(value_name = "CRATE")]
    crates: Vec<String>,
}

fn main() -> ExitCode {
    let args = <Args as clap::Parser>::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("internals: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<bool, String> {
    let root = mkimage::checkout().ok_or("not in a Skiff checkout")?;
    let packages = workspace::packages(&root)?;
    let mut crates = Graph::default();
    let mut modules = Vec::new();
    let mut locks = Vec::new();
    for package in &packages {
        crates.node(&package.name);
        // Others have modules of the same names.
        let may_import = |other: &&Package| other.name == package.name || package.dependencies.contains(&other.name);
        let names: Vec<String> = packages.iter().filter(may_import).map(|other| other.ident.clone()).collect();
        let parsed = source::read(package, &names)?;
        for (to, count) in &parsed.crates {
            let to = packages.iter().find(|other| other.ident == *to).map_or(to.as_str(), |other| &other.name);
            crates.add(&package.name, to, *count);
        }
        if package.in_kernel(&root) || package.name == locks::FILE_SYSTEMS {
            locks.extend(locks::find(&parsed, &root));
        }
        modules.push((package, parsed.modules));
    }

    println!("Crates: a row imports its columns so many times.\n\n{}", crates.matrix());
    let shown = |package: &Package, graph: &Graph| match args.crates.as_slice() {
        [] => !graph.cycles().is_empty() && package.in_kernel(&root),
        names => names.contains(&package.name),
    };
    for (package, graph) in &modules {
        if shown(package, graph) {
            println!("Modules of {}:\n\n{}", package.name, graph.matrix());
        }
    }

    let folder = root.join("docs/internals");
    let found = modules.iter().flat_map(|(package, graph)| cycles::of(&package.name, graph)).collect::<Vec<_>>();
    let mut good = cycles::check(&folder.join("cycles.tsv"), &found, args.write, args.grow)?;
    good &= comments::check(&root, &root)?;
    for cycle in crates.cycles() {
        println!("FAIL crates import each other in a cycle: {}", cycle.join(" "));
        good = false;
    }
    good &= page(&folder.join("crates.svg"), &picture::draw(&crates), args.write)?;
    good &= page(&folder.join("locks.md"), &locks::table(&locks), args.write)?;
    Ok(good)
}

/// Writes a page, or says whether it is what the code is.
fn page(path: &Path, text: &str, write: bool) -> Result<bool, String> {
    if write {
        return fs::write(path, text).map(|()| true).map_err(|e| format!("{}: {e}", path.display()));
    }
    let same = fs::read_to_string(path).is_ok_and(|there| there == text);
    if !same {
        println!("FAIL {} is not what the code is: target/debug/internals --write", path.display());
    }
    Ok(same)
}
