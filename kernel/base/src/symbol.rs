//! Addresses of code as text, with the names of functions as soon as somebody can tell them.

use core::fmt;

use spin::Once;

/// Names longer than this many characters are cut.
const NAME_LIMIT: usize = 120;

/// Tells the function that an address lies in, and how far into it.
pub type Lookup = fn(u64) -> Option<(&'static str, u64)>;

static LOOKUP: Once<Lookup> = Once::new();

/// From now on `lookup` is asked for names; the first that is set stays.
pub fn set_lookup(lookup: Lookup) {
    LOOKUP.call_once(|| lookup);
}

fn lookup(address: u64) -> Option<(&'static str, u64)> {
    LOOKUP.get().and_then(|lookup| lookup(address))
}

/// An address with its function's name, if there is one: `ffffffff80201234 mm::init+0x34`.
pub struct Symbolised(pub u64);

impl fmt::Display for Symbolised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_symbolised(f, self.0, lookup(self.0))
    }
}

/// A return address with the name of the function that will be returned to. A call can be a
/// function's last instruction, and what it returns to then belongs to the next function: so the
/// byte before is looked up.
pub struct ReturnAddress(pub u64);

impl fmt::Display for ReturnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_symbolised(f, self.0, lookup(self.0.wrapping_sub(1)).map(|(name, offset)| (name, offset + 1)))
    }
}

fn write_symbolised(f: &mut fmt::Formatter<'_>, address: u64, symbol: Option<(&str, u64)>) -> fmt::Result {
    write!(f, "{address:016x}")?;
    symbol.map_or(Ok(()), |(name, offset)| write!(f, " {name:.NAME_LIMIT$}+{offset:#x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_return_address_belongs_to_the_call_before_it() {
        assert_eq!(Symbolised(0x1000).to_string(), "0000000000001000");
        set_lookup(|address| match address {
            0x1000..0x1010 => Some(("first", address - 0x1000)),
            0x1010.. => Some(("second", address - 0x1010)),
            _ => None,
        });
        assert_eq!(Symbolised(0x1010).to_string(), "0000000000001010 second+0x0");
        assert_eq!(ReturnAddress(0x1010).to_string(), "0000000000001010 first+0x10");
    }
}
