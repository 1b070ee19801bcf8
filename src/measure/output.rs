//! Where the report goes: standard output, and files that were asked for.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::measure::{Report, drawing, json, table};

/// What stands around the part of a document that is written anew.
const MARKERS: [&str; 2] = ["<!-- measure -->\n", "<!-- /measure -->"];

/// What is to be written, besides what is printed.
#[derive(Debug, Clone, Default)]
pub struct Outputs {
    /// Print JSON instead of tables.
    pub json: bool,
    /// The recommendation, as a configuration.
    pub config: Option<PathBuf>,
    /// The picture.
    pub picture: Option<PathBuf>,
    /// A document in Markdown with [`MARKERS`].
    pub document: Option<PathBuf>,
}

/// What cannot be written.
#[derive(Debug)]
pub struct OutputError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be written: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for OutputError {}

impl Outputs {
    /// Looks whether all of it can be written, before a minute is spent on it.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check(&self) -> Result<(), OutputError> {
        let paths = [&self.config, &self.picture, &self.document];
        for path in paths.into_iter().flatten() {
            check_writable(path).map_err(|error| OutputError { path: path.clone(), error })?;
        }
        if let Some(path) = &self.document {
            let replaced = fs::read_to_string(path).and_then(|text| replace(&text, ""));
            replaced.map_err(|error| OutputError { path: path.clone(), error })?;
        }
        Ok(())
    }

    /// Writes the files; gives what is to be printed.
    ///
    /// # Errors
    /// The first that cannot be written.
    pub fn write(&self, report: &Report) -> Result<String, OutputError> {
        let Report { results, recommendation } = report;
        let save = |path: &Option<PathBuf>, text: &dyn Fn(&Path) -> io::Result<String>| {
            let Some(path) = path else { return Ok(()) };
            let saved = text(path).and_then(|text| fs::write(path, text));
            saved.map_err(|error| OutputError { path: path.clone(), error })
        };
        save(&self.config, &|_| Ok(recommendation.as_toml(results)))?;
        save(&self.picture, &|_| {
            drawing::draw(results).ok_or_else(|| io::Error::other("there is nothing to draw"))
        })?;
        save(&self.document, &|path| {
            let text = fs::read_to_string(path)?;
            replace(&text, &table::markdown(results, recommendation))
        })?;
        if self.json {
            return Ok(format!("{:#}\n", json::document(results, recommendation)));
        }
        Ok(table::text(results, recommendation))
    }
}

/// The file where it is there, or else the folder that it will be in.
fn check_writable(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if path.is_dir() {
        return Err(io::Error::other("it is a directory"));
    }
    let checked = if path.exists() { path } else { folder };
    Ok(access(checked, AccessFlags::W_OK)?)
}

/// `text` with `part` between the markers.
fn replace(text: &str, part: &str) -> io::Result<String> {
    let [open, close] = MARKERS;
    let parts = text.split_once(open).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(close)?;
        Some(format!("{before}{open}{part}{close}{after}"))
    });
    parts.ok_or_else(|| {
        let [open, close] = MARKERS.map(str::trim);
        io::Error::other(format!("it has no lines {open} and {close}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let text = "a\n<!-- measure -->\nold\n<!-- /measure -->\nb\n";
        let expected = "a\n<!-- measure -->\nnew\n<!-- /measure -->\nb\n";
        assert_eq!(replace(text, "new\n").unwrap(), expected);
        assert_eq!(replace(expected, "new\n").unwrap(), expected);
        assert!(replace("a\n", "new").unwrap_err().to_string().contains("<!-- /measure -->"));
    }

    #[test]
    fn what_cannot_be_written_is_said_before() {
        let check = |path: &str| {
            let outputs = Outputs { picture: Some(path.into()), ..Outputs::default() };
            outputs.check().map_err(|error| error.to_string())
        };
        assert!(check("/nonexistent/a.svg").unwrap_err().contains("/nonexistent/a.svg"));
        assert!(check("/").unwrap_err().contains("directory"));
        let directory = tempfile::tempdir().unwrap();
        check(directory.path().join("a.svg").to_str().unwrap()).unwrap();
        assert!(!directory.path().join("a.svg").exists(), "a look leaves nothing");
    }
}
