//! Sizes as a user writes them.

const MIB: u64 = 1 << 20;

/// Bytes of a size such as `512M`, `2G`, `65536K`; a bare number counts MiB, as for QEMU's `-m`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
        "k" => 1 << 10,
        "" | "m" => MIB,
        "g" => 1 << 30,
        _ => return Err(format!("{text}: expected a size such as 64M or 2G")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text}: expected a size such as 64M or 2G"))?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0).ok_or_else(|| format!("{text}: not a possible size"))
}

/// MiB of a disk. It has a whole number of them: another size would become one that nobody asked
/// for.
pub fn disk(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        bytes if bytes.is_multiple_of(MIB) => Ok(bytes / MIB),
        bytes => Err(format!("{text}: a disk has whole MiB: {}M is the next", bytes.div_ceil(MIB))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_as_large_as_was_said() {
        assert_eq!((disk("64"), disk("1G"), disk("2048K")), (Ok(64), Ok(1024), Ok(2)));
        assert_eq!(disk("10K").unwrap_err(), "10K: a disk has whole MiB: 1M is the next");
        for text in ["", "M", "0", "12x", "-1", "99999999999999999999G", "18446744073709551615G"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
