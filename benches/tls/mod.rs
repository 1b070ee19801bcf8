//! What the TLS benchmark measures, of whom, and how it reports.

pub mod contestant;
pub mod kind;
pub mod load;
pub mod picture;
mod sample;
pub mod tables;
pub mod targets;

use std::io;

use self::contestant::Program;
use self::kind::Kind;
use crate::rig::contestant::Contestant;
use crate::rig::results::{Marks, Results};
use crate::rig::run::Benchmark;
use crate::rig::sample::{Conditions, Sample};

/// The benchmark of TLS.
pub struct Tls;

impl Benchmark for Tls {
    type Kind = Kind;
    type Program = Program;

    fn kinds() -> Vec<Kind> {
        Kind::all()
    }

    fn quick_kinds() -> Vec<Kind> {
        Kind::quick()
    }

    fn contestants() -> Vec<Contestant<Program>> {
        contestant::all()
    }

    fn takes_part(program: Program, kind: Kind) -> bool {
        program.takes_part_in(kind)
    }

    fn marks() -> Marks<Kind> {
        targets::marks()
    }

    fn take(program: Program, kind: Kind, conditions: &Conditions) -> io::Result<Sample> {
        sample::take(program, kind, conditions)
    }

    fn tables(results: &Results<Kind>) -> String {
        tables::write(results)
    }

    fn draw(results: &Results<Kind>) -> Option<String> {
        picture::draw(results)
    }
}
