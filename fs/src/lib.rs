//! VFS, page cache, tmpfs and the formats of the pseudo file systems, as pure, host-tested code.
#![no_std]
#![forbid(unsafe_code)]
