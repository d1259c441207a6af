//! `/etc/ld.so.cache`, the index that glibc's loader searches before the default directories.
//!
//! Format: glibc `sysdeps/generic/dl-cache.h`. A file may open with the old table ("ld.so-1.7.0"),
//! which is stepped over.

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0\0";
const NEW_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
const NEW_HEADER: usize = 48;
const NEW_ENTRY: usize = 24;
/// FLAG_ELF_LIBC6 | FLAG_X8664_LIB64.
const X86_64_LIBC6: u32 = 0x0303;

/// The x86-64 entries of a cache: library name and path, in the file's order, for any x86-64 CPU
/// (no hwcaps variant).
#[derive(Debug, Default)]
pub struct LdCache {
    entries: Vec<(String, String)>,
}

impl LdCache {
    /// Reads a cache; one that is damaged or of an unknown format has no entries, as for the
    /// loader.
    pub fn parse(bytes: &[u8]) -> Self {
        Self { entries: entries(bytes).unwrap_or_default() }
    }

    /// The path of a library.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|(n, _)| n == name).map(|(_, path)| path.as_str())
    }
}

fn entries(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let mut cache = bytes;
    if cache.starts_with(OLD_MAGIC) {
        let count = word(cache, OLD_MAGIC.len())? as usize;
        let end = OLD_HEADER.checked_add(count.checked_mul(OLD_ENTRY)?)?;
        cache = cache.get(end.next_multiple_of(8)..)?;
    }
    if !cache.starts_with(NEW_MAGIC) {
        return None;
    }
    let count = word(cache, NEW_MAGIC.len())? as usize;
    let table = cache.get(NEW_HEADER..NEW_HEADER.checked_add(count.checked_mul(NEW_ENTRY)?)?)?;
    let mut found = Vec::new();
    for entry in table.chunks_exact(NEW_ENTRY) {
        let hwcap = (word(entry, 16)?, word(entry, 20)?);
        if word(entry, 0)? & 0xffff == X86_64_LIBC6 && hwcap == (0, 0) {
            found.push((text(cache, word(entry, 4)?)?, text(cache, word(entry, 8)?)?));
        }
    }
    Some(found)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn text(cache: &[u8], offset: u32) -> Option<String> {
    let rest = cache.get(offset as usize..)?;
    let end = rest.iter().position(|b| *b == 0)?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(u32, &str, &str, u64)]) -> Vec<u8> {
        let mut strings = Vec::new();
        let mut table = Vec::new();
        let base = NEW_HEADER + entries.len() * NEW_ENTRY;
        for (flags, name, path, hwcap) in entries {
            let mut put = |s: &str| {
                let at = (base + strings.len()) as u32;
                strings.extend_from_slice(s.as_bytes());
                strings.push(0);
                at
            };
            let (name, path) = (put(name), put(path));
            for w in [*flags, name, path, 0] {
                table.extend_from_slice(&w.to_le_bytes());
            }
            table.extend_from_slice(&hwcap.to_le_bytes());
        }
        let mut out = NEW_MAGIC.to_vec();
        out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
        out.extend_from_slice(&(strings.len() as u32).to_le_bytes());
        out.resize(NEW_HEADER, 0);
        out.extend(table);
        out.extend(strings);
        out
    }

    #[test]
    fn picks_the_baseline_x86_64_entry() {
        let c = LdCache::parse(&cache(&[
            (0x0803, "libz.so.1", "/lib32/libz.so.1", 0),
            (0x0303, "libz.so.1", "/lib/glibc-hwcaps/x86-64-v3/libz.so.1", 1 << 62),
            (0x0303, "libz.so.1", "/lib/x86_64-linux-gnu/libz.so.1", 0),
        ]));
        assert_eq!(c.find("libz.so.1"), Some("/lib/x86_64-linux-gnu/libz.so.1"));
        assert_eq!(c.find("libq.so.1"), None);
    }

    #[test]
    fn an_old_table_in_front_is_stepped_over() {
        let mut bytes = OLD_MAGIC.to_vec();
        bytes.extend_from_slice(&2u32.to_le_bytes());
        bytes.resize(40, 0);
        bytes.extend(cache(&[(0x0303, "libc.so.6", "/lib/libc.so.6", 0)]));
        assert_eq!(LdCache::parse(&bytes).find("libc.so.6"), Some("/lib/libc.so.6"));
    }

    #[test]
    fn damage_gives_no_entries_and_no_panic() {
        let whole = cache(&[(0x0303, "libc.so.6", "/lib/libc.so.6", 0)]);
        for len in 0..whole.len() {
            assert!(LdCache::parse(&whole[..len]).entries.is_empty());
        }
        let mut huge = whole.clone();
        huge[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(LdCache::parse(&huge).entries.is_empty());
    }

    #[test]
    fn reads_this_machines_cache() {
        if let Ok(bytes) = std::fs::read("/etc/ld.so.cache") {
            assert!(LdCache::parse(&bytes).find("libc.so.6").is_some());
        }
    }
}
