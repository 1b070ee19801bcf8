//! Medians, ranges and percentiles: those of the library.

pub use spliceway::statistics::*;
