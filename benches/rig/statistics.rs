//! Medians, ranges and percentiles: those of the library.

// No benchmark uses all of them.
#[allow(unused_imports)]
pub use spliceway::statistics::*;
