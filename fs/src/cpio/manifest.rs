//! `.skiff/manifest`: what to run, as NUL-terminated `key=value` entries.

use super::CpioError;
use alloc::vec::Vec;

/// What the image says about the program. Keys that are absent stay `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// `exec=`: the program's path in the guest.
    pub exec: Option<Vec<u8>>,
    /// `arg=`, repeated: the arguments, `argv[0]` included.
    pub args: Option<Vec<Vec<u8>>>,
    /// `env=`, repeated: the environment, as `NAME=value`.
    pub env: Option<Vec<Vec<u8>>>,
    /// `cwd=`: the working directory.
    pub cwd: Option<Vec<u8>>,
    /// `hostname=`.
    pub hostname: Option<Vec<u8>>,
    /// `root=`: the disk that is `/`, as on the kernel's command line.
    pub root: Option<Vec<u8>>,
    /// `disk=`: the file beside the image that is this disk, for whoever starts the machine.
    pub disk: Option<Vec<u8>>,
}

impl Manifest {
    /// Reads a manifest. An entry without `=` or with an unknown key is an error, which names it.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, CpioError> {
        let mut out = Manifest::default();
        for entry in bytes.split(|b| *b == 0).filter(|e| !e.is_empty()) {
            let bad = || CpioError::BadManifest { entry: super::lossy(entry) };
            let equals = entry.iter().position(|b| *b == b'=').ok_or_else(bad)?;
            let (key, value) = entry.split_at(equals);
            let value = value.get(1..).unwrap_or_default().to_vec();
            match key {
                b"exec" => out.exec = Some(value),
                b"arg" => out.args.get_or_insert_default().push(value),
                b"env" => out.env.get_or_insert_default().push(value),
                b"cwd" => out.cwd = Some(value),
                b"hostname" => out.hostname = Some(value),
                b"root" => out.root = Some(value),
                b"disk" => out.disk = Some(value),
                _ => return Err(bad()),
            }
        }
        Ok(out)
    }

    /// Lets a later archive's manifest replace what it mentions: arguments and environment as whole
    /// lists.
    pub fn merge(&mut self, later: Manifest) {
        fn put<T>(slot: &mut Option<T>, value: Option<T>) {
            if value.is_some() {
                *slot = value;
            }
        }
        put(&mut self.exec, later.exec);
        put(&mut self.args, later.args);
        put(&mut self.env, later.env);
        put(&mut self.cwd, later.cwd);
        put(&mut self.hostname, later.hostname);
        put(&mut self.root, later.root);
        put(&mut self.disk, later.disk);
    }
}
