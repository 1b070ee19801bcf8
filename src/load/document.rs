//! Reads one text of configuration: its values with the `config` crate, its places beside them.

use std::path::Path;

use ::config::{FileFormat, Format as _};

use super::layer::Layer;
use super::places::{self, SyntaxError};
use super::whole;
use crate::config::ConfigError;
use crate::config::raw::{Origin, Place};

/// What a text of configuration is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Toml,
    Yaml,
    Json,
}

impl Format {
    /// The format of a file, by its extension.
    pub(super) fn of(path: &Path) -> Format {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml" | "yml") => Format::Yaml,
            Some("json") => Format::Json,
            _ => Format::Toml,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Format::Toml => "TOML",
            Format::Yaml => "YAML",
            Format::Json => "JSON",
        }
    }
}

/// Reads `text`; `origin` says where a place in it is.
///
/// # Errors
/// Where the text breaks the rules of its format.
pub(super) fn read_document(
    text: &str,
    format: Format,
    origin: &dyn Fn(Place) -> Origin,
) -> Result<Layer, Box<ConfigError>> {
    let (places, file_format) = match format {
        Format::Toml => (places::of_toml(text), FileFormat::Toml),
        Format::Yaml => (places::of_yaml(text), FileFormat::Yaml),
        Format::Json => (places::of_json(text), FileFormat::Json),
    };
    let syntax_error = |SyntaxError { message, place }: SyntaxError| {
        let message = message.lines().collect::<Vec<_>>().join(", ");
        Box::new(whole(origin(place), &format!("this is not {}: {message}", format.name())))
    };
    let places = places.map_err(syntax_error)?;
    let values = file_format.parse(None, text).map_err(|error| {
        syntax_error(SyntaxError { message: error.to_string(), place: Place::Whole })
    })?;
    let marks = places.into_iter().map(|place| place.into_mark(origin)).collect();
    Ok(Layer { values, marks })
}
