//! Structures that cross the system-call boundary, laid out as Linux on x86-64 lays them out and with the field names
//! of the man pages. All are plain bytes (`zerocopy`), padding is explicit, and sizes are checked at compile time.

macro_rules! abi_structs {
    ($($(#[$doc:meta])* $name:ident [$size:literal] { $($field:ident: $ty:ty,)* })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable,
            zerocopy::KnownLayout)]
        #[repr(C)]
        #[allow(missing_docs)]
        pub struct $name { $(pub $field: $ty,)* }
        const _: () = assert!(core::mem::size_of::<$name>() == $size);
        impl Default for $name {
            fn default() -> Self { zerocopy::FromZeros::new_zeroed() }
        }
    )* };
}

mod file;
mod poll;
mod process;
mod signal;
mod time;
mod tty;

pub use file::*;
pub use poll::*;
pub use process::*;
pub use signal::*;
pub use time::*;
pub use tty::*;
