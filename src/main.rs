//! Command line -> config -> run; exit codes only.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use rustls::RootCertStore;
use spliceway::address::Address;
use spliceway::capacity::{self, Machine, Plan};
use spliceway::cli::{Action, Cli, Target};
use spliceway::config::ConfigError;
use spliceway::control::ConfigSource;
use spliceway::demo::{self, Demo};
use spliceway::files::error_pages::ErrorPages;
use spliceway::listen::Inheritance;
use spliceway::load::{self, Base, Loaded, Sources};
use spliceway::measure::output::Outputs;
use spliceway::measure::{self, Options};
use spliceway::operate::{self, OperateError, Request};
use spliceway::run::{Beginning, RunError};
use spliceway::secrets::Secrets;
use spliceway::site;
use spliceway::tls::authorities::system_roots;
use spliceway::tls::inspect::{Inspection, inspect};
use spliceway::tls::keeper::Keeper;
use spliceway::{control, explain, logging, sys};

/// The configuration is wrong.
const EXIT_CONFIG: u8 = 1;

/// An address cannot be bound.
const EXIT_BIND: u8 = 3;

/// No process answers at the control socket.
const EXIT_UNREACHABLE: u8 = 5;

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
        Action::Operate { target, request } => operate(target, &request),
        Action::Measure { options, outputs } => measure(&options, &outputs),
    }
}

/// Why the proxy cannot run: what to print, and the exit code.
struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    fn of_config(errors: &[ConfigError]) -> Failure {
        Failure { text: explain::errors(errors), code: EXIT_CONFIG }
    }

    fn other(problem: impl fmt::Display) -> Failure {
        Failure { text: format!("{problem}\n"), code: EXIT_FAILURE }
    }
}

/// Runs, or says why not: here, and to the process that was to be succeeded.
fn run(sources: Sources) -> ExitCode {
    let (inheritance, predecessor) = match Inheritance::take() {
        Ok(inheritance) => inheritance.with_predecessor(),
        Err(error) => {
            return finish(&mut io::stderr(), &format!("{error}\n"), ExitCode::from(EXIT_BIND));
        }
    };
    let Err(Failure { text, code }) = try_run(sources, inheritance) else {
        return ExitCode::SUCCESS;
    };
    control::tell_failure(predecessor, &text);
    finish(&mut io::stderr(), &text, ExitCode::from(code))
}

fn try_run(mut sources: Sources, inheritance: Inheritance) -> Result<(), Failure> {
    logging::install().map_err(Failure::other)?;
    let is_demo = matches!(sources.base, Base::Embedded(_));
    if is_demo {
        let Demo { web, echo } = demo::start().map_err(|error| {
            Failure::other(format_args!("the demo origin cannot start: {error}"))
        })?;
        sources.supplied = load::demo_servers(&Address::Ip(web), &Address::Ip(echo));
    }
    let loaded = load::load(sources.clone()).map_err(|errors| Failure::of_config(&errors))?;
    let (machine, plan) = probe(&loaded)?;
    let tls = read_tls(&loaded)?;
    let secrets = read_secrets(&loaded)?;
    let error_pages = read_site(&loaded)?;
    let ended = spliceway::run::run(Beginning {
        config: loaded.config,
        plan,
        machine,
        tls,
        secrets,
        error_pages,
        source: again(sources),
        inheritance,
        is_demo,
    });
    ended.map_err(|error| {
        let code = match error {
            RunError::AccessLog(_) => EXIT_CONFIG,
            RunError::Bind(_) => EXIT_BIND,
            RunError::Start(_) | RunError::Control(_) => EXIT_FAILURE,
        };
        Failure { text: format!("{error}\n"), code }
    })
}

/// How the configuration is read again. Files may have changed by then, and nothing else.
fn again(sources: Sources) -> ConfigSource {
    let files = match &sources.base {
        Base::Files(files) => files.clone(),
        Base::Flags | Base::Embedded(_) => Vec::new(),
    };
    let read = move || load::load(sources.clone()).map(|loaded| loaded.config);
    ConfigSource { files, read: Box::new(read) }
}

/// What the machine offers, and what follows for this configuration.
fn probe(loaded: &Loaded) -> Result<(Machine, Plan), Failure> {
    let machine = sys::probe::machine()
        .map_err(|error| Failure::other(format_args!("the machine cannot be probed: {error}")))?;
    let plan = capacity::plan(&loaded.config, &machine);
    Ok((machine, plan))
}

fn failed(Failure { text, code }: Failure) -> ExitCode {
    finish(&mut io::stderr(), &text, ExitCode::from(code))
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
        Err(errors) => failed(Failure::of_config(&errors)),
    }
}

/// The files that the configuration names.
fn read_tls(loaded: &Loaded) -> Result<Keeper, Failure> {
    let keeper = Keeper::load(&loaded.config);
    keeper.map_err(|findings| Failure::of_config(&explain::tls::as_errors(&findings, loaded)))
}

/// What signs cookies.
fn read_secrets(loaded: &Loaded) -> Result<Secrets, Failure> {
    let secrets = Secrets::read(&loaded.config);
    secrets.map_err(|problems| Failure::of_config(&explain::file_errors(problems, loaded)))
}

/// The directories and pages that it names.
fn read_site(loaded: &Loaded) -> Result<ErrorPages, Failure> {
    let read = site::read(&loaded.config, &ErrorPages::default());
    read.map_err(|findings| Failure::of_config(&explain::tls::as_errors(&findings, loaded)))
}

fn check_tls(files: &str, loaded: &Loaded) -> ExitCode {
    let keeper = match read_tls(loaded) {
        Ok(keeper) => keeper,
        Err(failure) => return failed(failure),
    };
    if let Err(failure) = read_secrets(loaded) {
        return failed(failure);
    }
    if let Err(failure) = read_site(loaded) {
        return failed(failure);
    }
    let none = RootCertStore::empty();
    let system = system_roots();
    let system = system.as_deref().unwrap_or(&none);
    let now = jiff::Timestamp::now().as_second();
    let Inspection { errors, warnings } = inspect(&loaded.config, &keeper, system, now);
    let warnings = explain::tls::warnings(&warnings, loaded);
    if !errors.is_empty() {
        let code = failed(Failure::of_config(&explain::tls::as_errors(&errors, loaded)));
        return finish(&mut io::stderr(), &warnings, code);
    }
    let summary = explain::summary(files, loaded);
    finish(&mut io::stdout(), &format!("{warnings}{summary}"), ExitCode::SUCCESS)
}

fn explain(sources: Sources, json: bool) -> ExitCode {
    let loaded: Loaded = match load::load(sources) {
        Ok(loaded) => loaded,
        Err(errors) => return failed(Failure::of_config(&errors)),
    };
    let read = probe(&loaded).and_then(|probed| Ok((probed, read_tls(&loaded)?)));
    let ((machine, plan), keeper) = match read {
        Ok(read) => read,
        Err(failure) => return failed(failure),
    };
    let show = if json { explain::as_json } else { explain::as_text };
    finish(&mut io::stdout(), &show(&loaded, &plan, &machine, &keeper), ExitCode::SUCCESS)
}

fn operate(target: Target, request: &Request) -> ExitCode {
    let socket = match target {
        Target::Socket(path) => Ok(path),
        Target::Configured(sources) => match load::load(sources) {
            Ok(loaded) => operate::socket_of(&loaded.config),
            Err(errors) => return failed(Failure::of_config(&errors)),
        },
    };
    let error = match socket.and_then(|socket| operate::operate(&socket, request)) {
        Ok(text) => return finish(&mut io::stdout(), &text, ExitCode::SUCCESS),
        Err(error) => error,
    };
    let code = match error {
        OperateError::Config(_) => EXIT_CONFIG,
        OperateError::Off | OperateError::Unreachable { .. } => EXIT_UNREACHABLE,
        OperateError::Broken(_) | OperateError::Refused(_) => EXIT_FAILURE,
    };
    failed(Failure { text: format!("{error}\n"), code })
}

fn measure(options: &Options, outputs: &Outputs) -> ExitCode {
    if let Err(error) = outputs.check() {
        return failed(Failure::other(error));
    }
    let report = match measure::run(options) {
        Ok(report) => report,
        Err(error) => return failed(Failure::other(error)),
    };
    // What took minutes to measure is shown first, whatever becomes of the files.
    let printed = finish(&mut io::stdout(), &outputs.print(&report), ExitCode::SUCCESS);
    match outputs.save(&report) {
        Ok(()) => printed,
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            failed(Failure::other(lines.join("\n")))
        }
    }
}

/// Prints `text` and ends with `code`. A reader that has gone (`spliceway explain | head`) is no
/// reason to end otherwise.
fn finish(stream: &mut dyn Write, text: &str, code: ExitCode) -> ExitCode {
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => code,
    }
}
