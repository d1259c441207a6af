//! The symbol table as text, and where it is in an archive.

/// How many members are looked at: the kernel's own come first.
const MAX_MEMBERS_SCANNED: usize = 4;

/// The data of one of the first members of a cpio archive (cpio(5), "New ASCII Format").
pub fn cpio_member<'a>(archive: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    const HEADER_SIZE: usize = 110;
    const MAGIC: &[u8] = b"070701";
    const FILE_SIZE: usize = 54;
    const NAME_SIZE: usize = 94;

    let mut rest = archive;
    for _ in 0..MAX_MEMBERS_SCANNED {
        let field = |at: usize| -> Option<usize> {
            usize::from_str_radix(core::str::from_utf8(rest.get(at..at + 8)?).ok()?, 16).ok()
        };
        if !rest.starts_with(MAGIC) {
            return None;
        }
        let (file_size, name_size) = (field(FILE_SIZE)?, field(NAME_SIZE)?);
        let name = rest.get(HEADER_SIZE..HEADER_SIZE + name_size)?;
        let data = rest.get((HEADER_SIZE + name_size).next_multiple_of(4)..)?;
        if name.split(|byte| *byte == 0).next() == Some(wanted.as_bytes()) {
            return data.get(..file_size);
        }
        rest = data.get(file_size.next_multiple_of(4)..)?;
    }
    None
}

/// Binary search over the lines of `table` for the last one at or below `addr`.
pub fn lookup_in(table: &str, addr: u64) -> Option<(&str, u64)> {
    let line_at = |offset: usize| {
        let start = table.get(..offset)?.rfind('\n').map_or(0, |newline| newline + 1);
        let line = table.get(start..)?.lines().next()?;
        let (address, name) = line.split_once(' ')?;
        Some((u64::from_str_radix(address, 16).ok()?, name, start, start + line.len() + 1))
    };
    let mut found = None;
    let (mut low, mut high) = (0, table.len());
    while low < high {
        // The table is ASCII but for names; `get` answers `None` inside a character, and the search
        // ends.
        let (address, name, start, end) = line_at(low + (high - low) / 2)?;
        if address <= addr {
            found = Some((name, addr - address));
            low = end;
        } else {
            high = start;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "1000 first\n1040 second::<with spaces>\nffff800000000000 last\n";

    #[test]
    fn an_address_belongs_to_the_last_symbol_at_or_below_it() {
        assert_eq!(lookup_in(TABLE, 0xfff), None);
        assert_eq!(lookup_in(TABLE, 0x1000), Some(("first", 0)));
        assert_eq!(lookup_in(TABLE, 0x103f), Some(("first", 0x3f)));
        assert_eq!(lookup_in(TABLE, 0x1041), Some(("second::<with spaces>", 1)));
        assert_eq!(lookup_in(TABLE, u64::MAX), Some(("last", 0x7fff_ffff_ffff)));
        assert_eq!(lookup_in("", 1), None);
        assert_eq!(lookup_in("no address here", 1), None);
    }

    #[test]
    fn finds_a_member_behind_a_padded_name() {
        let member = |name: &[u8], data: &[u8]| {
            let mut bytes = b"070701".to_vec();
            for field in 0..13 {
                let value = match field {
                    6 => data.len(),
                    11 => name.len(),
                    _ => 0,
                };
                bytes.extend(format!("{value:08x}").bytes());
            }
            bytes.extend(name);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(data);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let archive = [member(b"other\0", b"12345"), member(b"wanted\0\0\0\0", b"data")].concat();
        assert_eq!(cpio_member(&archive, "wanted"), Some(&b"data"[..]));
        assert_eq!(cpio_member(&archive, "missing"), None);
        for cut in 0..archive.len() - 4 {
            assert_eq!(cpio_member(&archive[..cut], "wanted"), None);
        }
    }
}
