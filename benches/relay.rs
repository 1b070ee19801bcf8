//! The proxy beside its peers: CPU for each GiB, round trip and connection, all in one run.
//!
//! ```text
//! cargo bench --bench relay                 # every kind, every contestant, under ten minutes
//! cargo bench --bench relay -- --quick      # some of it with short windows, under a minute
//! cargo bench --bench relay -- --json       # for machines
//! cargo bench --bench relay -- --svg FILE   # the curve as a picture as well
//! cargo bench --bench relay -- --kinds bulk,round-trips-1024 --contestants spliceway,bare
//! ```
//!
//! The proxy under measurement has one CPU for itself; the load generator and the origin, which
//! are threads of this process, share another. Every sample starts a fresh process, and rounds
//! are interleaved: each round measures every contestant once, so that a machine that gets slower
//! or faster on the way treats all alike. Tables show medians, and the range beside them.
//!
//! To add a kind of load: an entry in [`kind::Kind`], and a file in `load/` when the existing
//! engines cannot produce it. To add a contestant: an entry in [`contestant::Contestant::all`].
//! To add something to reach: an entry in [`targets`]. What touches neither a socket nor a process
//! is tested in `tests/benchmark.rs`.

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
#[path = "relay/markdown.rs"]
mod markdown;
#[path = "relay/names.rs"]
mod names;
#[path = "relay/picture.rs"]
mod picture;
#[path = "relay/process.rs"]
mod process;
#[path = "relay/results.rs"]
mod results;
#[path = "relay/sample.rs"]
mod sample;
#[path = "relay/statistics.rs"]
mod statistics;
#[path = "relay/targets.rs"]
mod targets;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::arguments::{Arguments, Mode};
use crate::contestant::Contestant;
use crate::kind::Kind;
use crate::results::{Named, Results};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.mode {
        Some(Mode::BareSplice { listen, to, pipe_size, low_water }) => {
            let low_water = Some(*low_water).filter(|bytes| *bytes > 0);
            bare_loop::run(*listen, *to, low_water, &mut bare_splice::Splice::new(*pipe_size))
        }
        Some(Mode::BareCopy { listen, to }) => {
            bare_loop::run(*listen, *to, None, &mut bare_copy::Copy::new())
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
    let chosen =
        arguments.select_kinds().and_then(|kinds| Ok((kinds, arguments.select_contestants()?)));
    let (kinds, contestants) = match chosen {
        Ok(chosen) => chosen,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = raise_descriptors() {
        eprintln!("the limit on open files stays as it is: {error}");
    }
    let results = run(arguments, &kinds, &contestants);
    if arguments.json {
        println!("{:#}", results.to_json());
    } else {
        print!("{}", markdown::write(&results));
    }
    let drawn = arguments.svg.as_deref().map_or(Ok(()), |path| draw(&results, path));
    if let Err(message) = &drawn {
        eprintln!("{message}");
    }
    if results.has_failures() || drawn.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn run(arguments: &Arguments, kinds: &[Kind], contestants: &[Contestant]) -> Results {
    let cpus = machine::Cpus::choose();
    let named = |it: &Contestant| Named { name: it.name, version: it.version().map(str::to_owned) };
    let named = contestants.iter().map(named).collect();
    let mut results = Results::new(machine::Machine::probe(), cpus.are_apart(), named);
    let effort = arguments.effort();
    let rounds = effort.rounds;
    let started = Instant::now();
    for round in 1..=rounds {
        for kind in kinds.iter().copied() {
            let present = contestants.iter().filter(|contestant| contestant.is_installed());
            for contestant in present.filter(|contestant| contestant.takes_part_in(kind)) {
                let name = contestant.name;
                let seconds = started.elapsed().as_secs();
                let place = format!("{seconds:>4} s {round}/{rounds}  {kind:<22} {name:<32}");
                match sample::take(contestant, kind, effort.for_kind(kind), cpus) {
                    Ok(sample) => {
                        eprintln!("{place} {}", sample.figures);
                        results.add_cpu_disagreement(sample.cpu_disagreement);
                        results.add(kind, name, sample.figures);
                    }
                    Err(error) => {
                        eprintln!("{place} FAILED: {error}");
                        results.add_failure(kind, name, &error.to_string());
                    }
                }
            }
        }
    }
    results
}

/// Idle connections need two descriptors each here, and as many in the proxies, which inherit
/// the limit.
fn raise_descriptors() -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
}

fn draw(results: &Results, path: &Path) -> Result<(), String> {
    let svg = picture::draw(results).ok_or("--svg: nothing was measured that could be drawn")?;
    std::fs::write(path, svg).map_err(|error| format!("--svg {}: {error}", path.display()))
}
