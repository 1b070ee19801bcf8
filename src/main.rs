//! Command line -> config -> run; exit codes only.

mod stand_in;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use spliceway::cli::{Action, Cli};
use spliceway::config::ConfigError;
use spliceway::load::{self, Base, Loaded, Sources};
use spliceway::{capacity, explain};

/// The configuration is wrong.
const EXIT_CONFIG: u8 = 1;

/// An address cannot be bound.
const EXIT_BIND: u8 = 3;

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
    }
}

fn run(mut sources: Sources) -> ExitCode {
    let demo = match sources.base {
        Base::Embedded(_) => Some(stand_in::Demo::start()),
        Base::Flags | Base::Files(_) => None,
    };
    if let Some(demo) = &demo {
        sources.supplied = load::demo_servers(&demo.web, &demo.echo);
    }
    let loaded = match load::load(sources) {
        Ok(loaded) => loaded,
        Err(errors) => return config_errors(&errors),
    };
    let machine = stand_in::machine();
    let plan = capacity::plan(&loaded.config, &machine);
    match stand_in::run(loaded, plan, machine, demo) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => finish(&mut io::stderr(), &format!("{error}\n"), ExitCode::from(EXIT_BIND)),
    }
}

fn check(sources: Sources) -> ExitCode {
    let files = match &sources.base {
        Base::Files(files) => {
            files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
        }
        Base::Flags | Base::Embedded(_) => String::new(),
    };
    match load::load(sources) {
        Ok(loaded) => {
            finish(&mut io::stdout(), &explain::summary(&files, &loaded), ExitCode::SUCCESS)
        }
        Err(errors) => config_errors(&errors),
    }
}

fn explain(sources: Sources, json: bool) -> ExitCode {
    let loaded: Loaded = match load::load(sources) {
        Ok(loaded) => loaded,
        Err(errors) => return config_errors(&errors),
    };
    let machine = stand_in::machine();
    let plan = capacity::plan(&loaded.config, &machine);
    let show = if json { explain::as_json } else { explain::as_text };
    finish(&mut io::stdout(), &show(&loaded, &plan, &machine), ExitCode::SUCCESS)
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
