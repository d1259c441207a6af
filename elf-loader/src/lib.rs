//! Parses an ELF program, plans its mapping, and builds its initial stack and auxiliary vector.
#![no_std]
#![forbid(unsafe_code)]
