//! The circles that are known. They may only become less.

use std::fs;
use std::path::Path;

use super::graph::Graph;

/// Modules of a crate that import each other in a circle.
#[derive(Clone, PartialEq)]
pub struct Knot {
    package: String,
    modules: Vec<String>,
    /// How many pairs of them import one the other.
    pairs: usize,
}

const HEAD: &str = "# Modules of one crate that import each other in a circle, and how many pairs of them do: the way left to go. Kept by\n\
    # `target/debug/internals`, which fails where one of these grows or a new one comes.\n\
    # crate\tpairs\tmodules\n";

/// The knots of a crate.
pub fn of(package: &str, graph: &Graph) -> Vec<Knot> {
    let knot = |modules: Vec<String>| Knot { package: package.to_owned(), pairs: graph.pairs_within(&modules), modules };
    graph.knots().into_iter().map(knot).collect()
}

/// Whether all knots are known and none has grown; writes down what has become less.
pub fn check(list: &Path, found: &[Knot], write: bool, grow: bool) -> Result<bool, String> {
    let text = fs::read_to_string(list).unwrap_or_default();
    let known: Vec<Knot> = text.lines().filter_map(parse).collect();
    let mut good = true;
    for knot in found {
        let within =
            |old: &&Knot| old.package == knot.package && knot.modules.iter().all(|module| old.modules.contains(module));
        let words = format!("modules of {} in a circle ({} pairs): {}", knot.package, knot.pairs, knot.modules.join(" "));
        match known.iter().find(within) {
            _ if grow => {}
            None => {
                println!("FAIL {words}");
                good = false;
            }
            Some(old) if knot.pairs > old.pairs => {
                println!("FAIL {words}; there were {} pairs", old.pairs);
                good = false;
            }
            Some(old) if knot.pairs < old.pairs => {
                println!("Less than the {} pairs that are written down: {words}", old.pairs)
            }
            Some(_) => {}
        }
    }
    if write && good {
        let mut knots: Vec<&Knot> = found.iter().collect();
        knots.sort_by_key(|knot| (&knot.package, &knot.modules));
        let lines: Vec<String> =
            knots.iter().map(|knot| format!("{}\t{}\t{}\n", knot.package, knot.pairs, knot.modules.join(" "))).collect();
        fs::write(list, format!("{HEAD}{}", lines.concat())).map_err(|e| format!("{}: {e}", list.display()))?;
    }
    Ok(good)
}

fn parse(line: &str) -> Option<Knot> {
    let mut fields = line.split('\t');
    let package = fields.next().filter(|name| !name.starts_with('#'))?.to_owned();
    let pairs = fields.next()?.parse().ok()?;
    Some(Knot { package, pairs, modules: fields.next()?.split(' ').map(str::to_owned).collect() })
}
