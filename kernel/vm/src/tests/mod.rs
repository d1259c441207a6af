//! The crate on the machine of [`mem::host`]: random sequences of calls against a plain [`model`],
//! and single calls.

mod areas;
mod calls;
mod env;
mod model;
mod patching;
pub(crate) mod put_back;
mod random;
mod world;

sync::scheduler!(env::Alone);
