//! The manifest: which program an image starts, and how. `fs::cpio::Manifest` reads it.
//!
//! It travels as the archive member [`MEMBER`]: NUL-terminated `key=value` strings. `exec`, all
//! `arg`, all `env` and `cwd` of a later archive replace an earlier one's.

pub use fs::cpio::Manifest;

/// Name of the archive member that holds the manifest. It does not appear in the guest's file
/// system.
pub const MEMBER: &str = ".skiff/manifest";
/// Name of the archive member with the kernel's symbols, `hexaddress name` lines sorted by address,
/// for its backtraces.
pub const SYMBOLS: &str = ".skiff/symbols";

/// The member's bytes.
pub fn encode(manifest: &Manifest) -> Vec<u8> {
    let mut out = Vec::new();
    let mut line = |key: &str, value: &[u8]| {
        out.extend_from_slice(key.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value);
        out.push(0);
    };
    let Manifest { exec, cwd, hostname, root, disk, .. } = manifest;
    for (key, value) in [("exec", exec), ("cwd", cwd), ("hostname", hostname), ("root", root), ("disk", disk)] {
        if let Some(value) = value {
            line(key, value);
        }
    }
    for (key, list) in [("arg", &manifest.args), ("env", &manifest.env)] {
        for value in list.iter().flatten() {
            line(key, value);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_reads_what_is_encoded() {
        let m = Manifest {
            exec: Some(b"/bin/x".to_vec()),
            args: Some(vec![b"x".to_vec(), b"a=b".to_vec(), b"".to_vec()]),
            env: Some(vec![b"K=V=W".to_vec()]),
            cwd: Some(b"/".to_vec()),
            root: Some(b"UUID=1".to_vec()),
            ..Manifest::default()
        };
        assert_eq!(Manifest::parse(&encode(&m)).unwrap(), m);
    }
}
