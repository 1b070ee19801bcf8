//! What an operator should know of the files that TLS is made from.

use std::fmt;
use std::path::PathBuf;

/// Something about a file, and the key of the configuration that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Such as `listeners.web.tls.certificates[0].chain`.
    pub key: String,
    /// The file.
    pub file: PathBuf,
    /// What there is to say of it.
    pub words: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file.as_os_str().is_empty() {
            true => f.write_str(&self.words),
            false => write!(f, "{}: {}", self.file.display(), self.words),
        }
    }
}

impl std::error::Error for Finding {}
