//! User and group ids, and the capabilities that follow from them.

use alloc::vec::Vec;

/// The ids of a thread (credentials(7)).
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Credentials {
    pub uid: u32,
    pub euid: u32,
    pub suid: u32,
    pub fsuid: u32,
    pub gid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub fsgid: u32,
    pub groups: Vec<u32>,
    pub cap_permitted: u64,
    pub cap_effective: u64,
    pub cap_inheritable: u64,
    pub cap_bounding: u64,
    pub cap_ambient: u64,
    pub securebits: u32,
    pub keep_caps: bool,
}

/// All capabilities that Linux 6.1 knows: 0..=40, a bit each.
pub const ALL_CAPABILITIES: u64 = (1 << 41) - 1;

impl Credentials {
    /// `SECBIT_KEEP_CAPS` of `securebits`.
    pub const KEEP_CAPS: u32 = 1 << 4;

    /// The super-user's, as the first process has them.
    pub fn root() -> Self {
        Self {
            cap_permitted: ALL_CAPABILITIES,
            cap_effective: ALL_CAPABILITIES,
            cap_bounding: ALL_CAPABILITIES,
            ..Self::default()
        }
    }

    /// Whether capability number `cap` (`CAP_*`) is effective.
    pub fn capable(&self, cap: u32) -> bool {
        self.cap_effective >> cap & 1 != 0
    }
}
