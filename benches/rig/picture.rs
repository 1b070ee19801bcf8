//! Figures as a picture: the library's, with the machine below the title.

use spliceway::picture::{self, Picture};

use super::machine::Machine;

/// The picture; `None` where it would be empty.
pub fn draw(picture: &Picture, machine: &Machine) -> Option<String> {
    let Machine { kernel, cpu, cpus } = machine;
    picture::draw(picture, &format!("Linux {kernel}, {cpu}, {cpus} CPUs; lower is better"))
}
