//! Where the instructions go, by function of Skiff's kernel: exact, as each translated block is
//! counted.

use crate::error::Result;
use mkimage::Kernel;
use std::collections::BTreeMap;

/// Functions that are printed.
const MOST: usize = 30;
/// The kernel's half of the address space.
const KERNEL: u64 = 1 << 63;

/// The kernel's functions.
pub struct Symbols(BTreeMap<u64, String>);

impl Symbols {
    /// Those of the kernel that images are made from.
    pub fn load() -> Result<Self> {
        let kernel = Kernel::open(&mkimage::default_kernel())?;
        let text = String::from_utf8_lossy(kernel.symbols());
        let parse = |line: &str| {
            let (address, name) = line.split_once(' ')?;
            Some((u64::from_str_radix(address, 16).ok()?, name.to_owned()))
        };
        Ok(Self(text.lines().filter_map(parse).collect()))
    }

    /// For a kernel whose functions are not known.
    pub fn none() -> Self {
        Self(BTreeMap::new())
    }

    fn name(&self, address: u64) -> &str {
        if address < KERNEL {
            return "(the application)";
        }
        self.0.range(..=address).next_back().map_or("(the kernel)", |(_, name)| name)
    }
}

/// The functions with the most instructions between two readings, for one of so many operations.
pub fn print(title: &str, symbols: &Symbols, before: &BTreeMap<u64, u64>, after: &BTreeMap<u64, u64>, operations: f64) {
    let mut functions: BTreeMap<&str, u64> = BTreeMap::new();
    for (address, count) in after {
        let count = count.saturating_sub(before.get(address).copied().unwrap_or(0));
        *functions.entry(symbols.name(*address)).or_default() += count;
    }
    let mut functions: Vec<_> = functions.into_iter().collect();
    functions.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let all: u64 = functions.iter().map(|(_, count)| count).sum();
    println!("\n{title}: {:.1} instructions each, by function", all as f64 / operations);
    for (name, count) in functions.iter().take(MOST) {
        println!("  {:>9.1}  {name}", *count as f64 / operations);
    }
}
