//! Single calls.
