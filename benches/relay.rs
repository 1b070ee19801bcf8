//! The proxy beside its peers: CPU for each GiB, round trip and connection, all in one run.
//!
//! ```text
//! cargo bench --bench relay                 # every kind, every contestant, under ten minutes
//! cargo bench --bench relay -- --quick      # the same with short windows, under a minute
//! cargo bench --bench relay -- --json       # for machines
//! ```
//!
//! The proxy under measurement has one CPU for itself; the load generator and the origin, which
//! are threads of this process, share another. Every sample starts a fresh process, and rounds
//! are interleaved: each round measures every contestant once, so that a machine that gets slower
//! or faster on the way treats all alike. Tables show medians, and the range beside them.
//!
//! To add a kind of load: an entry in [`kind::Kind`], and a file in `load/` when the existing
//! engines cannot produce it. To add a contestant: an entry in [`contestant::Contestant::all`].

// `pub` says here what a file offers to the others; nothing outside this benchmark can reach it.
#![allow(unreachable_pub)]

#[path = "relay/arguments.rs"]
mod arguments;
#[path = "relay/bare_copy.rs"]
mod bare_copy;
#[path = "relay/bare_loop.rs"]
mod bare_loop;
#[path = "relay/bare_splice.rs"]
mod bare_splice;
#[path = "relay/contestant.rs"]
mod contestant;
#[path = "relay/kind.rs"]
mod kind;
#[path = "relay/load/mod.rs"]
mod load;
#[path = "relay/machine.rs"]
mod machine;
#[path = "relay/process.rs"]
mod process;
#[path = "relay/report.rs"]
mod report;
#[path = "relay/sample.rs"]
mod sample;
#[path = "relay/statistics.rs"]
mod statistics;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Mode};
use crate::contestant::Contestant;
use crate::report::Report;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.mode {
        Some(Mode::BareSplice { listen, to, pipe_size }) => {
            bare_loop::run(*listen, *to, &mut bare_splice::Splice::new(*pipe_size))
        }
        Some(Mode::BareCopy { listen, to }) => {
            bare_loop::run(*listen, *to, &mut bare_copy::Copy::new())
        }
        None => return measure(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare loop: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all rounds and prints the report. Fails when a contestant that is there could not be
/// measured: a benchmark that quietly leaves out what broke would praise the rest.
fn measure(arguments: &Arguments) -> ExitCode {
    let contestants = match arguments.select_contestants(Contestant::all()) {
        Ok(contestants) => contestants,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    let cpus = machine::Cpus::choose();
    let mut report = Report::new(machine::Machine::probe(), cpus, &contestants);
    let effort = arguments.effort();
    let rounds = effort.rounds;
    for round in 1..=rounds {
        for kind in arguments.kinds() {
            for contestant in contestants.iter().filter(|contestant| contestant.is_installed()) {
                let name = contestant.name;
                match sample::take(contestant, kind, effort, cpus) {
                    Ok(sample) => {
                        let figures = kind.figures(&sample);
                        eprintln!("round {round}/{rounds}  {kind:<22} {name:<26} {figures}");
                        report.add(kind, name, &sample, figures);
                    }
                    Err(error) => {
                        eprintln!("round {round}/{rounds}  {kind:<22} {name:<26} FAILED: {error}");
                        report.add_failure(kind, name, &error.to_string());
                    }
                }
            }
        }
    }
    if arguments.json {
        println!("{:#}", report.to_json());
    } else {
        print!("{}", report.to_markdown());
    }
    if report.has_failures() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
