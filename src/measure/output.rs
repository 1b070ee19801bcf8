//! Where the report goes: standard output, and files that were asked for.

use std::fmt;
use std::fs::{self, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::measure::{Report, drawing, json, table};

/// What stands around the part of a document that is written anew.
pub const MARKERS: [&str; 2] = ["<!-- measure -->\n", "<!-- /measure -->"];

/// Permissions of a file that was not there before, but for what the umask takes away.
const NEW_FILE_MODE: u32 = 0o666;

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
    /// The first that cannot, or that is to hold two things at once.
    pub fn check(&self) -> Result<(), OutputError> {
        let paths = [&self.config, &self.picture, &self.document].map(Option::as_deref);
        for (index, path) in paths.iter().enumerate() {
            let Some(path) = *path else { continue };
            let checked = if paths[..index].contains(&Some(path)) {
                Err(io::Error::other("each output needs a file of its own"))
            } else {
                check_writable(path)
            };
            checked.map_err(|error| OutputError { path: path.to_owned(), error })?;
        }
        if let Some(path) = &self.document {
            let replaced = fs::read_to_string(path).and_then(|text| replace(&text, ""));
            replaced.map_err(|error| OutputError { path: path.clone(), error })?;
        }
        Ok(())
    }

    /// What is to be printed.
    pub fn print(&self, report: &Report) -> String {
        let Report { results, recommendation } = report;
        if self.json {
            return format!("{:#}\n", json::document(results, recommendation));
        }
        table::text(results, recommendation)
    }

    /// Writes the files, each of them even where another one cannot be written. A file is replaced
    /// in one step or stays as it was.
    ///
    /// # Errors
    /// Those that could not be written.
    pub fn save(&self, report: &Report) -> Result<(), Vec<OutputError>> {
        let Report { results, recommendation } = report;
        let mut errors = Vec::new();
        let mut save = |path: &Option<PathBuf>, text: &dyn Fn(&Path) -> io::Result<String>| {
            let Some(path) = path else { return };
            if let Err(error) = text(path).and_then(|text| write(path, &text)) {
                errors.push(OutputError { path: path.clone(), error });
            }
        };
        save(&self.config, &|_| Ok(recommendation.as_toml(results)));
        save(&self.picture, &|_| {
            drawing::draw(results).ok_or_else(|| io::Error::other("there is nothing to draw"))
        });
        save(&self.document, &|path| {
            let text = fs::read_to_string(path)?;
            replace(&text, &table::markdown(results, recommendation))
        });
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// What is there already, and where: by way of symbolic links, so that those stay.
fn existing(path: &Path) -> io::Result<Option<(PathBuf, Metadata)>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some((fs::canonicalize(path)?, metadata))),
        Ok(metadata) => Ok(Some((path.to_owned(), metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where a file is.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether [`write`] can do what it does: write a file anew in its folder, or write into what is
/// no file, such as a pipe.
fn check_writable(path: &Path) -> io::Result<()> {
    let Some((path, metadata)) = existing(path)? else {
        return Ok(access(folder(path), AccessFlags::W_OK)?);
    };
    if metadata.is_dir() {
        return Err(io::Error::other("it is a directory"));
    }
    access(&path, AccessFlags::W_OK)?;
    if metadata.is_file() {
        access(folder(&path), AccessFlags::W_OK).map_err(|error| {
            io::Error::other(format!("nothing can be put into its directory: {}", error.desc()))
        })?;
    }
    Ok(())
}

/// Puts `text` in the place of what the file holds, in one step: whoever reads it, whatever fails
/// and whenever the program ends, finds all of the old or all of the new. Owner and permissions
/// stay.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let old = existing(path)?;
    let path = old.as_ref().map_or(path, |(path, _)| path);
    if old.as_ref().is_some_and(|(_, metadata)| !metadata.is_file()) {
        // A device or a pipe takes what comes, and is not replaced.
        return fs::write(path, text);
    }
    // A new one is open to whom the umask leaves it open.
    let mode = Permissions::from_mode(NEW_FILE_MODE);
    let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(folder(path))?;
    file.write_all(text.as_bytes())?;
    if let Some((_, metadata)) = &old {
        // Where the owner may not be kept, who writes owns it, as with any editor.
        let _kept = fchown(file.as_file(), Some(metadata.uid()), Some(metadata.gid()));
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
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

    #[test]
    fn one_file_is_not_two_outputs() {
        let same = Some(PathBuf::from("/tmp/a"));
        let outputs = Outputs { config: same.clone(), picture: same, ..Outputs::default() };
        assert!(outputs.check().unwrap_err().to_string().contains("/tmp/a"));
    }

    #[test]
    fn a_file_is_replaced_with_its_permissions_and_by_way_of_links() {
        let directory = tempfile::tempdir().unwrap();
        let [file, link, new] = ["file", "link", "new"].map(|name| directory.path().join(name));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, "text").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        write(&new, "text").unwrap();
        assert_eq!(fs::read_to_string(&new).unwrap(), "text");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3, "nothing else is left");
    }

    #[test]
    fn a_device_is_written_to_and_stays_one() {
        check_writable(Path::new("/dev/full")).unwrap();
        let error = write(Path::new("/dev/full"), "text").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(!Path::new("/dev/full").is_file());
    }
}
