//! Call sites.
