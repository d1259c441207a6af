//! The manifest: which program an image starts, and how.
//!
//! It travels as the archive member [`MEMBER`]: NUL-terminated `key=value` strings. `exec`, all `arg`, all `env` and `cwd` of
//! a later archive replace an earlier one's.

/// Name of the archive member that holds the manifest. It does not appear in the guest's file system.
pub const MEMBER: &str = ".skiff/manifest";
/// Name of the archive member with the kernel's symbols, `hexaddress name` lines sorted by address, for its backtraces.
pub const SYMBOLS: &str = ".skiff/symbols";

/// Which program to start, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// Path of the program in the guest.
    pub exec: Option<String>,
    /// Arguments, including `argv[0]`; `None` leaves an earlier manifest's.
    pub args: Option<Vec<Vec<u8>>>,
    /// `NAME=value` strings; `None` leaves an earlier manifest's.
    pub env: Option<Vec<Vec<u8>>>,
    /// Working directory.
    pub cwd: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
}

impl Manifest {
    /// The member's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut line = |key: &str, value: &[u8]| {
            out.extend_from_slice(key.as_bytes());
            out.push(b'=');
            out.extend_from_slice(value);
            out.push(0);
        };
        for (key, value) in [
            ("exec", &self.exec),
            ("cwd", &self.cwd),
            ("hostname", &self.hostname),
        ] {
            if let Some(value) = value {
                line(key, value.as_bytes());
            }
        }
        for (key, list) in [("arg", &self.args), ("env", &self.env)] {
            for value in list.iter().flatten() {
                line(key, value);
            }
        }
        out
    }

    /// Reads a member's bytes; unknown keys are left out.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut m = Self::default();
        for line in bytes.split(|b| *b == 0) {
            let Some(at) = line.iter().position(|b| *b == b'=') else {
                continue;
            };
            let (key, value) = (&line[..at], &line[at + 1..]);
            let text = || Some(String::from_utf8_lossy(value).into_owned());
            match key {
                b"exec" => m.exec = text(),
                b"cwd" => m.cwd = text(),
                b"hostname" => m.hostname = text(),
                b"arg" => m.args.get_or_insert_default().push(value.to_vec()),
                b"env" => m.env.get_or_insert_default().push(value.to_vec()),
                _ => {}
            }
        }
        m
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encode_decode() {
        let m = Manifest {
            exec: Some("/bin/x".into()),
            args: Some(vec![b"x".to_vec(), b"a=b".to_vec(), b"".to_vec()]),
            env: Some(vec![b"K=V=W".to_vec()]),
            cwd: Some("/".into()),
            hostname: None,
        };
        assert_eq!(Manifest::decode(&m.encode()), m);
    }
}
