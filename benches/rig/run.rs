//! A whole run: its rounds, and what is printed of them.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::arguments::Arguments;
use super::bare;
use super::contestant::{Contestant, Program};
use super::kind::{Kind, select};
use super::machine::{Machine, allowed_cpus};
use super::markdown;
use super::results::{Marks, Named, Results};
use super::sample::{Conditions, Sample};

/// What a benchmark brings to the rig.
pub trait Benchmark {
    type Kind: Kind;
    type Program: Program;

    /// All that the full run measures, in the order of the report.
    fn kinds() -> Vec<Self::Kind>;

    /// What a quick run measures.
    fn quick_kinds() -> Vec<Self::Kind>;

    /// All that this benchmark knows, installed or not.
    fn contestants() -> Vec<Contestant<Self::Program>>;

    /// Whether it is measured under this kind of load.
    fn takes_part(program: Self::Program, kind: Self::Kind) -> bool;

    /// What the figures are held against.
    fn marks() -> Marks<Self::Kind>;

    /// Measures `program` once under one kind of load.
    ///
    /// # Errors
    /// When the proxy does not start, or any end of the load fails.
    fn take(
        program: Self::Program,
        kind: Self::Kind,
        conditions: &Conditions,
    ) -> io::Result<Sample>;

    /// The tables of the report.
    fn tables(results: &Results<Self::Kind>) -> String;

    /// The picture of the report; `None` where nothing was measured that it shows.
    fn draw(results: &Results<Self::Kind>) -> Option<String>;
}

/// What `main` does: runs all rounds and prints the report, or is a contestant of another run.
pub fn main<B: Benchmark>() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(mode) = &arguments.mode else { return measure::<B>(&arguments) };
    match bare::relay(mode) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare loop: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Fails when a contestant that is there could not be measured: a benchmark that quietly leaves
/// out what broke would praise the rest.
fn measure<B: Benchmark>(arguments: &Arguments) -> ExitCode {
    let kinds = select_kinds::<B>(arguments);
    let (kinds, contestants) =
        match kinds.and_then(|it| Ok((it, select_contestants::<B>(arguments)?))) {
            Ok(chosen) => chosen,
            Err(message) => {
                eprintln!("{message}");
                return ExitCode::FAILURE;
            }
        };
    if let Err(error) = raise_descriptors() {
        eprintln!("the limit on open files stays as it is: {error}");
    }
    let results = run::<B>(arguments, &kinds, &contestants);
    if arguments.json {
        println!("{:#}", results.to_json());
    } else {
        print!("{}", markdown::write(&results, &B::tables(&results)));
    }
    let drawn = arguments.svg.as_deref().map_or(Ok(()), |path| draw::<B>(&results, path));
    if let Err(message) = &drawn {
        eprintln!("{message}");
    }
    if results.has_failures() || drawn.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The kinds of load to measure: those of the quick form, if that is asked for, or any by name.
fn select_kinds<B: Benchmark>(arguments: &Arguments) -> Result<Vec<B::Kind>, String> {
    if arguments.kinds.is_empty() && arguments.quick {
        return Ok(B::quick_kinds());
    }
    select("kind", B::kinds(), B::Kind::to_string, &arguments.kinds)
}

/// Those contestants that were asked for.
fn select_contestants<B: Benchmark>(
    arguments: &Arguments,
) -> Result<Vec<Contestant<B::Program>>, String> {
    let name = |it: &Contestant<B::Program>| it.name.to_owned();
    select("contestant", B::contestants(), name, &arguments.contestants)
}

fn run<B: Benchmark>(
    arguments: &Arguments,
    kinds: &[B::Kind],
    contestants: &[Contestant<B::Program>],
) -> Results<B::Kind> {
    let conditions = Conditions { effort: arguments.effort(), allowed: allowed_cpus() };
    let named = |it: &Contestant<_>| Named { name: it.name, version: it.version().map(Into::into) };
    let named = contestants.iter().map(named).collect();
    let mut results = Results::new(Machine::probe(&conditions.allowed), named, B::marks());
    let rounds = conditions.effort.rounds;
    let started = Instant::now();
    for round in 1..=rounds {
        for kind in kinds.iter().copied() {
            let present = contestants.iter().filter(|contestant| contestant.is_installed());
            for contestant in present.filter(|it| B::takes_part(it.program, kind)) {
                let name = contestant.name;
                let seconds = started.elapsed().as_secs();
                let place = format!("{seconds:>4} s {round}/{rounds}  {kind:<22} {name:<32}");
                match B::take(contestant.program, kind, &conditions) {
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

fn draw<B: Benchmark>(results: &Results<B::Kind>, path: &Path) -> Result<(), String> {
    let svg = B::draw(results).ok_or("--svg: nothing was measured that could be drawn")?;
    std::fs::write(path, svg).map_err(|error| format!("--svg {}: {error}", path.display()))
}
