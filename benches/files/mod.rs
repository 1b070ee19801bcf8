//! What the benchmark of files measures, of whom, and how it reports.

pub mod contestant;
pub mod kind;
pub mod picture;
mod sample;
mod site;
pub mod tables;
pub mod targets;

use std::io;

use self::contestant::Program;
use self::kind::Kind;
use crate::rig::contestant::Contestant;
use crate::rig::results::{Marks, Results};
use crate::rig::run::Benchmark;
use crate::rig::sample::{Conditions, Sample};

/// The benchmark of files.
pub struct Files;

impl Benchmark for Files {
    type Kind = Kind;
    type Program = Program;

    fn kinds() -> Vec<Kind> {
        Kind::all()
    }

    fn quick_kinds() -> Vec<Kind> {
        Kind::all()
    }

    fn contestants() -> Vec<Contestant<Program>> {
        contestant::all()
    }

    fn takes_part(_program: Program, _kind: Kind) -> bool {
        true
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
