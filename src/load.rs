//! Puts the configuration together: embedded default or files < what the program supplies <
//! environment < flags. The `config` crate reads and merges; where each value was written is
//! kept beside it, for errors and for `explain`.

mod document;
mod layer;
mod places;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::document::{Format, read_document};
use self::layer::{Layer, merge};
use crate::address::Address;
use crate::config::raw::{Origin, Place};
use crate::config::{Config, ConfigError, Effective, valid};

/// What variables of the environment that set configuration begin with. Keys follow, in any
/// case, separated by `__`: `SPLICEWAY__LISTENERS__WEB__RELAY__MODE=copy`.
pub const ENVIRONMENT_PREFIX: &str = "SPLICEWAY__";

/// The configuration that `spliceway run` begins with where no file is given: listeners in front
/// of the demo origin, whose addresses are not known before it runs ([`demo_servers`]).
pub const EMBEDDED_DEFAULT: &str = include_str!("../config/default.toml");

/// Keys deeper than this are not looked at: none that is known comes near.
const KEY_DEPTH_MAX: usize = 16;

/// Where configuration comes from; what stands later here overrides what stands earlier.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The texts to begin with.
    pub base: Base,
    /// What parts of the program know better than the texts, such as the addresses of the demo
    /// origin.
    pub supplied: Vec<Assignment>,
    /// Variables of the environment by name; those without [`ENVIRONMENT_PREFIX`] are ignored.
    pub environment: Vec<(String, String)>,
    /// What was said on the command line, in its order.
    pub flags: Vec<Assignment>,
}

/// The texts that configuration begins with.
#[derive(Debug, Clone)]
pub enum Base {
    /// None: everything is said by flags.
    Flags,
    /// The TOML text that is part of the program.
    Embedded(&'static str),
    /// Files, of which a later one overrides an earlier one. The extension tells the format:
    /// `.yaml` and `.yml`, `.json`, and TOML for everything else.
    Files(Vec<PathBuf>),
}

/// One value for one key, from outside of a file.
#[derive(Debug, Clone)]
pub struct Assignment {
    key: Vec<String>,
    value: Assigned,
    origin: Origin,
}

#[derive(Debug, Clone)]
enum Assigned {
    Text(String),
    List(Vec<String>),
}

impl Assignment {
    /// A flag that sets `key`, such as `relay.mode`, to `value`. `flag` is shown as its origin:
    /// `--relay`.
    pub fn flag(key: &str, value: impl Into<String>, flag: &str) -> Assignment {
        let value = Assigned::Text(value.into());
        Assignment { key: split_key(key), value, origin: Origin::Flag(flag.into()) }
    }

    /// The same for a flag that was given several times, or with several values.
    pub fn flag_list(key: &str, values: Vec<String>, flag: &str) -> Assignment {
        let value = Assigned::List(values);
        Assignment { key: split_key(key), value, origin: Origin::Flag(flag.into()) }
    }

    /// A list that a part of the program supplies, which `part` names: `demo origin`.
    pub fn supplied_list(key: &str, values: Vec<String>, part: &str) -> Assignment {
        let value = Assigned::List(values);
        Assignment { key: split_key(key), value, origin: Origin::Program(part.into()) }
    }

    fn variable(name: &str, key: &str, value: String) -> Assignment {
        let key = key.to_ascii_lowercase().split("__").map(str::to_owned).collect();
        Assignment { key, value: Assigned::Text(value), origin: Origin::Environment(name.into()) }
    }
}

/// What [`EMBEDDED_DEFAULT`] leaves open: where the demo origin serves its page and its echo.
pub fn demo_servers(web: &Address, echo: &Address) -> Vec<Assignment> {
    let servers = |key, address: &Address| {
        Assignment::supplied_list(key, vec![address.to_string()], "demo origin")
    };
    vec![servers("upstreams.demo_web.servers", web), servers("upstreams.demo_echo.servers", echo)]
}

fn split_key(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

/// A configuration that is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What the program runs with.
    pub config: Config,
    /// Each value of it with its origin, in the order of the reference.
    pub effective: Vec<Effective>,
}

/// Reads, merges and checks.
///
/// # Errors
/// Everything that is wrong, at least one thing. Where a file cannot be read or parsed, only
/// that, since the rest cannot be judged without it.
pub fn load(sources: Sources) -> Result<Loaded, Vec<ConfigError>> {
    let root_origin = sources.base.origin();
    let (mut layers, mut errors) = read_base(sources.base);
    layers.extend(sources.supplied.into_iter().map(Layer::from));
    layers.extend(environment(sources.environment).into_iter().map(Layer::from));
    layers.extend(sources.flags.into_iter().map(Layer::from));
    let too_deep = layers.iter().filter_map(Layer::too_deep);
    errors.extend(too_deep.map(|origin| whole(origin, "the key has too many parts")));
    if !errors.is_empty() {
        return Err(errors);
    }
    let tree = merge(layers, &root_origin)
        .map_err(|error| vec![whole(root_origin.clone(), &error.to_string())])?;
    let (config, effective) = valid::validate(&tree)?;
    Ok(Loaded { config, effective })
}

impl Base {
    /// The place of what is missing altogether.
    fn origin(&self) -> Origin {
        match self {
            Base::Flags => Origin::Flag("command line".into()),
            Base::Embedded(_) => Origin::Embedded(Place::Whole),
            Base::Files(files) => match files.first() {
                Some(file) => Origin::File(Arc::from(file.as_path()), Place::Whole),
                None => Origin::Default,
            },
        }
    }
}

fn read_base(base: Base) -> (Vec<Layer>, Vec<ConfigError>) {
    let results: Vec<Result<Layer, Box<ConfigError>>> = match base {
        Base::Flags => Vec::new(),
        Base::Embedded(text) => vec![read_document(text, Format::Toml, &Origin::Embedded)],
        Base::Files(files) => files.iter().map(|file| read_file(file)).collect(),
    };
    let mut layers = Vec::new();
    let mut errors = Vec::new();
    for result in results {
        match result {
            Ok(layer) => layers.push(layer),
            Err(error) => errors.push(*error),
        }
    }
    (layers, errors)
}

fn read_file(path: &Path) -> Result<Layer, Box<ConfigError>> {
    let shared: Arc<Path> = Arc::from(path);
    let origin = |place: Place| Origin::File(Arc::clone(&shared), place);
    let text = fs::read_to_string(path)
        .map_err(|error| whole(origin(Place::Whole), &format!("cannot be read: {error}")))
        .map_err(Box::new)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    read_document(text, Format::of(path), &origin)
}

/// The variables that set configuration, sorted by name so that the result does not depend on
/// the order in which the environment happens to be.
fn environment(mut variables: Vec<(String, String)>) -> Vec<Assignment> {
    variables.sort();
    variables
        .into_iter()
        .filter_map(|(name, value)| {
            let key = name.strip_prefix(ENVIRONMENT_PREFIX)?;
            Some(Assignment::variable(&name, key, value))
        })
        .collect()
}

/// An error of a source as such, rather than of one of its keys.
fn whole(origin: Origin, problem: &str) -> ConfigError {
    ConfigError {
        origin,
        key: String::new(),
        problem: problem.to_owned(),
        expected: String::new(),
        nearest: None,
    }
}
