//! Figures as a picture: the library's, with the machine below the title.

use spliceway::picture as library;

// No benchmark uses all of them.
#[allow(unused_imports)]
pub use library::{BarRow, Bars, Chart, Curve, Picture, decades};

use super::machine::Machine;

/// The picture; `None` where it would be empty.
pub fn draw(picture: &Picture, machine: &Machine) -> Option<String> {
    let Machine { kernel, cpu, cpus } = machine;
    library::draw(picture, &format!("Linux {kernel}, {cpu}, {cpus} CPUs; lower is better"))
}
