//! The cycles that are known. They may only become less.

use std::fs;
use std::path::Path;

use super::graph::Graph;

/// Modules of a crate that import each other in a cycle.
#[derive(Clone, PartialEq)]
pub struct Cycle {
    package: String,
    modules: Vec<String>,
    /// How many pairs of them import one the other.
    pairs: usize,
}

const HEAD: &str = "# Modules of one crate that import each other in a cycle, and how many pairs of them do: the way left to go. Kept by\n\
    # `target/debug/internals`, which fails where one of these grows or a new one comes.\n\
    # crate\tpairs\tmodules\n";

/// The cycles of a crate.
pub fn of(package: &str, graph: &Graph) -> Vec<Cycle> {
    let cycle = |modules: Vec<String>| Cycle { package: package.to_owned(), pairs: graph.pairs_within(&modules), modules };
    graph.cycles().into_iter().map(cycle).collect()
}

/// Whether all cycles are known and none has grown; writes down what has become less.
pub fn check(list: &Path, found: &[Cycle], write: bool, grow: bool) -> Result<bool, String> {
    let text = fs::read_to_string(list).unwrap_or_default();
    let known: Vec<Cycle> = text.lines().filter_map(parse).collect();
    let mut good = true;
    for cycle in found {
        let within =
            |old: &&Cycle| old.package == cycle.package && cycle.modules.iter().all(|module| old.modules.contains(module));
        let words = format!("modules of {} in a cycle ({} pairs): {}", cycle.package, cycle.pairs, cycle.modules.join(" "));
        match known.iter().find(within) {
            _ if grow => {}
            None => {
                println!("FAIL {words}");
                good = false;
            }
            Some(old) if cycle.pairs > old.pairs => {
                println!("FAIL {words}; there were {} pairs", old.pairs);
                good = false;
            }
            Some(old) if cycle.pairs < old.pairs => {
                println!("Less than the {} pairs that are written down: {words}", old.pairs)
            }
            Some(_) => {}
        }
    }
    if write && good {
        let mut cycles: Vec<&Cycle> = found.iter().collect();
        cycles.sort_by_key(|cycle| (&cycle.package, &cycle.modules));
        let lines: Vec<String> = cycles
            .iter()
            .map(|cycle| format!("{}\t{}\t{}\n", cycle.package, cycle.pairs, cycle.modules.join(" ")))
            .collect();
        fs::write(list, format!("{HEAD}{}", lines.concat())).map_err(|e| format!("{}: {e}", list.display()))?;
    }
    Ok(good)
}

fn parse(line: &str) -> Option<Cycle> {
    let mut fields = line.split('\t');
    let package = fields.next().filter(|name| !name.starts_with('#'))?.to_owned();
    let pairs = fields.next()?.parse().ok()?;
    Some(Cycle { package, pairs, modules: fields.next()?.split(' ').map(str::to_owned).collect() })
}
