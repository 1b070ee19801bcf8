//! Command line -> config -> run; exit codes only.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use rustls::RootCertStore;
use spliceway::address::Address;
use spliceway::capacity::{self, Machine, Plan};
use spliceway::cli::{Action, Cli};
use spliceway::config::ConfigError;
use spliceway::demo::{self, Demo};
use spliceway::load::{self, Base, Loaded, Sources};
use spliceway::measure::output::Outputs;
use spliceway::measure::{self, Options};
use spliceway::run::RunError;
use spliceway::tls::authorities::system_roots;
use spliceway::tls::inspect::{Inspection, inspect};
use spliceway::tls::keeper::Keeper;
use spliceway::{explain, logging, sys};

/// The configuration is wrong.
const EXIT_CONFIG: u8 = 1;

/// An address cannot be bound.
const EXIT_BIND: u8 = 3;

/// Something failed that is neither: the system lacks what every process needs, or a worker died.
const EXIT_FAILURE: u8 = 4;

fn main() -> ExitCode {
    let environment = std::env::vars_os()
        .map(|(name, value)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        })
        .collect();
    match Cli::parse().into_action(environment) {
        Action::Run(sources) => run(sources),
        Action::Check(sources) => check(sources),
        Action::Explain { sources, json } => explain(sources, json),
        Action::Measure { options, outputs } => measure(&options, &outputs),
    }
}

fn run(mut sources: Sources) -> ExitCode {
    if let Err(error) = logging::install() {
        return failure(&error.to_string());
    }
    let is_demo = matches!(sources.base, Base::Embedded(_));
    if is_demo {
        match demo::start() {
            Ok(Demo { web, echo }) => {
                sources.supplied = load::demo_servers(&Address::Ip(web), &Address::Ip(echo));
            }
            Err(error) => return failure(&format!("the demo origin cannot start: {error}")),
        }
    }
    let loaded = match load::load(sources) {
        Ok(loaded) => loaded,
        Err(errors) => return config_errors(&errors),
    };
    let (machine, plan) = match probe(&loaded) {
        Ok(probed) => probed,
        Err(code) => return code,
    };
    let tls = match read_tls(&loaded) {
        Ok(tls) => tls,
        Err(code) => return code,
    };
    let Err(error) = spliceway::run::run(loaded.config, plan, machine, tls, is_demo) else {
        return ExitCode::SUCCESS;
    };
    let code = match error {
        RunError::AccessLog(_) => EXIT_CONFIG,
        RunError::Bind(_) => EXIT_BIND,
        RunError::Start(_) | RunError::Control(_) => EXIT_FAILURE,
    };
    finish(&mut io::stderr(), &format!("{error}\n"), ExitCode::from(code))
}

/// What the machine offers, and what follows for this configuration.
fn probe(loaded: &Loaded) -> Result<(Machine, Plan), ExitCode> {
    let machine = sys::probe::machine()
        .map_err(|error| failure(&format!("the machine cannot be probed: {error}")))?;
    let plan = capacity::plan(&loaded.config, &machine);
    Ok((machine, plan))
}

fn failure(problem: &str) -> ExitCode {
    finish(&mut io::stderr(), &format!("{problem}\n"), ExitCode::from(EXIT_FAILURE))
}

fn check(sources: Sources) -> ExitCode {
    let files = match &sources.base {
        Base::Files(files) => {
            files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
        }
        Base::Flags | Base::Embedded(_) => String::new(),
    };
    match load::load(sources) {
        Ok(loaded) => check_tls(&files, &loaded),
        Err(errors) => config_errors(&errors),
    }
}

/// The files that the configuration names.
fn read_tls(loaded: &Loaded) -> Result<Keeper, ExitCode> {
    let keeper = Keeper::load(&loaded.config);
    keeper.map_err(|findings| config_errors(&explain::tls::as_errors(&findings, loaded)))
}

fn check_tls(files: &str, loaded: &Loaded) -> ExitCode {
    let keeper = match read_tls(loaded) {
        Ok(keeper) => keeper,
        Err(code) => return code,
    };
    let none = RootCertStore::empty();
    let system = system_roots();
    let system = system.as_deref().unwrap_or(&none);
    let now = jiff::Timestamp::now().as_second();
    let Inspection { errors, warnings } = inspect(&loaded.config, &keeper, system, now);
    let warnings = explain::tls::warnings(&warnings, loaded);
    if !errors.is_empty() {
        let code = config_errors(&explain::tls::as_errors(&errors, loaded));
        return finish(&mut io::stderr(), &warnings, code);
    }
    let summary = explain::summary(files, loaded);
    finish(&mut io::stdout(), &format!("{warnings}{summary}"), ExitCode::SUCCESS)
}

fn explain(sources: Sources, json: bool) -> ExitCode {
    let loaded: Loaded = match load::load(sources) {
        Ok(loaded) => loaded,
        Err(errors) => return config_errors(&errors),
    };
    let (machine, plan) = match probe(&loaded) {
        Ok(probed) => probed,
        Err(code) => return code,
    };
    let keeper = match read_tls(&loaded) {
        Ok(keeper) => keeper,
        Err(code) => return code,
    };
    let show = if json { explain::as_json } else { explain::as_text };
    finish(&mut io::stdout(), &show(&loaded, &plan, &machine, &keeper), ExitCode::SUCCESS)
}

fn measure(options: &Options, outputs: &Outputs) -> ExitCode {
    if let Err(error) = outputs.check() {
        return failure(&error.to_string());
    }
    let report = match measure::run(options) {
        Ok(report) => report,
        Err(error) => return failure(&error.to_string()),
    };
    match outputs.write(&report) {
        Ok(text) => finish(&mut io::stdout(), &text, ExitCode::SUCCESS),
        Err(error) => failure(&error.to_string()),
    }
}

fn config_errors(errors: &[ConfigError]) -> ExitCode {
    finish(&mut io::stderr(), &explain::errors(errors), ExitCode::from(EXIT_CONFIG))
}

/// Prints `text` and ends with `code`. A reader that has gone (`spliceway explain | head`) is no
/// reason to end otherwise.
fn finish(stream: &mut dyn Write, text: &str, code: ExitCode) -> ExitCode {
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => code,
    }
}
