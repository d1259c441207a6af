//! The crates as a picture: each above what it imports.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::graph::Graph;

const WIDTH: usize = 120;
const HEIGHT: usize = 32;
/// What a line takes that passes between the boxes of a row.
const LANE: usize = 8;
const GAP: usize = 24;
const ROW: usize = 84;

/// What stands in a row: a crate, or a line on its way down from a crate to another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Slot<'a> {
    Box(&'a str),
    Line(&'a str, &'a str),
}

impl Slot<'_> {
    fn width(&self) -> usize {
        if matches!(self, Slot::Box(_)) { WIDTH } else { LANE }
    }
}

/// An SVG. Lines that others imply (who imports what imports the third) are left out.
pub fn draw(graph: &Graph) -> String {
    let levels = graph.levels();
    let top = levels.values().max().copied().unwrap_or(0);
    let mut rows: Vec<Vec<Slot>> = vec![Vec::new(); top + 1];
    let lines: Vec<(&str, &str)> = levels
        .keys()
        .flat_map(|from| graph.imports(from).map(move |to| (*from, to)))
        .filter(|(from, to)| !implied(graph, from, to))
        .collect();
    for (name, level) in &levels {
        rows[top - level].push(Slot::Box(name));
    }
    for (from, to) in &lines {
        for level in levels[to] + 1..levels[from] {
            rows[top - level].push(Slot::Line(from, to));
        }
    }
    let places = arrange(&mut rows, &lines);
    let width = rows.iter().map(|row| extent(row)).max().unwrap_or(0);
    let height = rows.len() * ROW;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"14\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (from, to) in &lines {
        let (x, row) = places[&Slot::Box(from)];
        let mut way = format!("M{x} {}", y(row) + HEIGHT);
        for between in row + 1..top - levels[to] {
            let x = places.get(&Slot::Line(from, to)).map_or(x, |_| lane(&rows, between, from, to));
            let _ = write!(way, " L{x} {} V{}", y(between), y(between) + HEIGHT);
        }
        let (x, row) = places[&Slot::Box(to)];
        let _ = writeln!(out, "<path d=\"{way} L{x} {}\" stroke=\"gray\" fill=\"none\"/>", y(row));
    }
    for (slot, (x, row)) in &places {
        let Slot::Box(name) = slot else { continue };
        let _ = writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"4\" fill=\"#eef3f8\" stroke=\"#456\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{name}</text>",
            x - WIDTH / 2,
            y(*row),
            y(*row) + 21
        );
    }
    out + "</svg>\n"
}

fn y(row: usize) -> usize {
    GAP + row * ROW
}

fn extent(row: &[Slot]) -> usize {
    row.iter().map(|slot| slot.width() + GAP).sum::<usize>() + GAP
}

/// The middles of a row's slots.
fn middles(row: &[Slot], width: usize) -> Vec<usize> {
    let mut left = (width - extent(row)) / 2 + GAP;
    let mut place = |slot: &Slot| {
        let middle = left + slot.width() / 2;
        left += slot.width() + GAP;
        middle
    };
    row.iter().map(&mut place).collect()
}

fn lane(rows: &[Vec<Slot>], row: usize, from: &str, to: &str) -> usize {
    let width = rows.iter().map(|row| extent(row)).max().unwrap_or(0);
    let at = rows[row].iter().position(|slot| *slot == Slot::Line(from, to)).unwrap_or(0);
    middles(&rows[row], width)[at]
}

/// Orders each row by what its slots hang from, and says where each slot's middle is, and in which
/// row (the last, for lines).
fn arrange<'a>(rows: &mut [Vec<Slot<'a>>], lines: &[(&'a str, &'a str)]) -> BTreeMap<Slot<'a>, (usize, usize)> {
    let width = rows.iter().map(|row| extent(row)).max().unwrap_or(0);
    let mut places: BTreeMap<Slot, (usize, usize)> = BTreeMap::new();
    for (index, row) in rows.iter_mut().enumerate() {
        let above = |slot: &Slot<'a>| -> usize {
            let over: Vec<usize> = match slot {
                Slot::Line(from, _) => {
                    places.get(slot).or(places.get(&Slot::Box(from))).map(|(x, _)| *x).into_iter().collect()
                }
                Slot::Box(name) => lines
                    .iter()
                    .filter(|(_, to)| to == name)
                    .filter_map(|(from, to)| places.get(&Slot::Line(from, to)).or(places.get(&Slot::Box(from))))
                    .map(|(x, _)| *x)
                    .collect(),
            };
            if over.is_empty() { width } else { over.iter().sum::<usize>() / over.len() }
        };
        row.sort_by_cached_key(|slot| (above(slot), slot.clone()));
        for (slot, middle) in row.iter().zip(middles(row, width)) {
            places.insert(slot.clone(), (middle, index));
        }
    }
    places
}

/// Whether something else that `from` imports imports `to`, however far below.
fn implied(graph: &Graph, from: &str, to: &str) -> bool {
    let mut open: Vec<&str> = graph.imports(from).filter(|other| *other != to).collect();
    let mut seen = open.clone();
    while let Some(at) = open.pop() {
        for next in graph.imports(at) {
            if next == to {
                return true;
            }
            if !seen.contains(&next) && next != from {
                seen.push(next);
                open.push(next);
            }
        }
    }
    false
}
