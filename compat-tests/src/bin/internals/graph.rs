//! Who imports whom, and how often.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A graph of imports between things that have names.
#[derive(Default)]
pub struct Graph {
    nodes: BTreeSet<String>,
    edges: BTreeMap<(String, String), usize>,
}

impl Graph {
    /// Adds a thing.
    pub fn node(&mut self, name: &str) {
        self.nodes.insert(name.to_owned());
    }

    /// Adds imports of one thing by another. What imports itself is no news.
    pub fn add(&mut self, from: &str, to: &str, count: usize) {
        self.node(from);
        self.node(to);
        if from != to && count > 0 {
            *self.edges.entry((from.to_owned(), to.to_owned())).or_default() += count;
        }
    }

    /// What a thing imports.
    pub fn imports<'a>(&'a self, from: &'a str) -> impl Iterator<Item = &'a str> {
        self.edges.keys().filter(move |(of, _)| of == from).map(|(_, to)| to.as_str())
    }

    /// How many pairs import each other's side among these.
    pub fn pairs_within(&self, names: &[String]) -> usize {
        self.edges.keys().filter(|(from, to)| names.contains(from) && names.contains(to)).count()
    }

    /// Everything that can be reached from a thing.
    fn reach<'a>(&'a self, from: &'a str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            open.extend(self.imports(at).filter(|to| found.insert(*to)));
        }
        found
    }

    /// The cycles: sets of things each of which reaches each other.
    pub fn cycles(&self) -> Vec<Vec<String>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            self.nodes.iter().map(|name| (name.as_str(), self.reach(name))).collect();
        let mut done = BTreeSet::new();
        let mut cycles = Vec::new();
        for (name, reached) in &reach {
            if done.contains(name) || !reached.contains(name) {
                continue;
            }
            let cycle: Vec<&str> =
                reached.iter().copied().filter(|to| reach.get(to).is_some_and(|back| back.contains(name))).collect();
            done.extend(cycle.iter().copied());
            cycles.push(cycle.into_iter().map(str::to_owned).collect());
        }
        cycles
    }

    /// How high a thing stands: above all that it imports. A cycle stands as high as its highest
    /// part would without it.
    pub fn levels(&self) -> BTreeMap<&str, usize> {
        let mut levels: BTreeMap<&str, usize> = self.nodes.iter().map(|name| (name.as_str(), 0)).collect();
        // As many rounds as there are things: then all that is no cycle has settled.
        for _ in 0..self.nodes.len() {
            for (from, to) in self.edges.keys() {
                let above = levels.get(to.as_str()).map_or(0, |level| level + 1);
                if above < self.nodes.len()
                    && let Some(level) = levels.get_mut(from.as_str())
                {
                    *level = above.max(*level);
                }
            }
        }
        levels
    }

    /// All things, the lowest first. In a cycle those come first that more others import than they
    /// import themselves.
    pub fn order(&self) -> Vec<&str> {
        let leaning = |name: &str| {
            let sum = |at: fn(&(String, String)) -> &str| -> i64 {
                self.edges.iter().filter(|(pair, _)| at(pair) == name).map(|(_, count)| *count as i64).sum()
            };
            sum(|(from, _)| from) - sum(|(_, to)| to)
        };
        let below: BTreeMap<&str, usize> = self.nodes.iter().map(|name| (name.as_str(), self.reach(name).len())).collect();
        let mut order: Vec<&str> = self.nodes.iter().map(String::as_str).collect();
        order.sort_by_key(|name| (below.get(name).copied(), leaning(name)));
        order
    }

    /// Rows import columns, both in [`Graph::order`]: what stands right of the diagonal points
    /// upward.
    pub fn matrix(&self) -> String {
        let order = self.order();
        let width = order.iter().map(|name| name.len()).max().unwrap_or(0);
        let mut out = String::new();
        let _ = write!(out, "{:width$}    ", "");
        (1..=order.len()).for_each(|column| _ = write!(out, "{column:>5}"));
        for (row, from) in order.iter().enumerate() {
            let _ = write!(out, "\n{from:width$} {:>3}", row + 1);
            for (column, to) in order.iter().enumerate() {
                let count = self.edges.get(&((*from).to_owned(), (*to).to_owned()));
                let _ = match count {
                    Some(count) => write!(out, "{count:>5}"),
                    None => write!(out, "{:>5}", if row == column { "\\" } else { "." }),
                };
            }
        }
        let upward = (0..order.len()).flat_map(|row| (row + 1..order.len()).map(move |column| (row, column)));
        let upward =
            upward.filter(|(row, column)| self.edges.contains_key(&(order[*row].to_owned(), order[*column].to_owned())));
        let _ = writeln!(out, "\n{} of {} pairs point upward.", upward.count(), self.edges.len());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        edges.iter().for_each(|(from, to)| graph.add(from, to, 1));
        graph
    }

    #[test]
    fn layers_have_no_knot_and_stand_in_order() {
        let graph = graph(&[("c", "b"), ("b", "a"), ("c", "a"), ("a", "a")]);
        assert!(graph.cycles().is_empty());
        assert_eq!(graph.order(), ["a", "b", "c"]);
        assert_eq!(graph.levels().into_values().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(graph.matrix().ends_with("0 of 3 pairs point upward.\n"));
    }

    #[test]
    fn cycles_are_found_apart() {
        let graph = graph(&[("a", "b"), ("b", "a"), ("c", "a"), ("c", "d"), ("d", "e"), ("e", "c")]);
        assert_eq!(graph.cycles(), [vec!["a", "b"], vec!["c", "d", "e"]]);
        assert_eq!(graph.pairs_within(&graph.cycles()[1]), 3);
    }
}
