//! The two guests, made from one set of files.

use crate::build;
use crate::error::Result;
use crate::linux::Linux;
use crate::vm::Kernel;
use mkimage::{Gathered, Options};

/// Which system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// The peer.
    Linux,
    /// Ours.
    Skiff,
}

impl System {
    /// Both, in the order in which they take turns.
    pub const BOTH: [Self; 2] = [Self::Linux, Self::Skiff];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::Skiff => "Skiff",
        }
    }
}

/// Both guests for one program, ready to start.
pub struct Guests {
    linux: Kernel,
    skiff: Kernel,
}

impl Guests {
    /// Packs a program with all it needs, once for each system. `name` tells the files of different
    /// programs apart.
    pub fn new(name: &str, options: &Options, linux: &Linux) -> Result<Self> {
        Self::of(name, &mkimage::gather(options)?, linux)
    }

    /// The same for files that were gathered before.
    pub fn of(name: &str, gathered: &Gathered, linux: &Linux) -> Result<Self> {
        let image = build::dir()?.join(format!("{name}.img"));
        mkimage::build(&mkimage::Kernel::open(&mkimage::default_kernel())?, gathered, &image)?;
        let skiff = Kernel { kernel: image, initrd: None, options: "stdio=ppp".into(), tsc_option: None };
        Ok(Self { linux: linux.guest(name, gathered)?, skiff })
    }

    /// One of them.
    pub fn kernel(&self, system: System) -> &Kernel {
        match system {
            System::Linux => &self.linux,
            System::Skiff => &self.skiff,
        }
    }
}
