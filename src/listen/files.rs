//! The files of unix sockets, which outlive the sockets unless somebody removes them.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tracing::warn;

/// The files of unix sockets that this process has made or taken over, removed when this is
/// dropped. One that another process has put in the place of ours, as at a rolling restart, is
/// left alone.
#[derive(Debug, Default)]
pub struct SocketFiles(Vec<(PathBuf, FileId)>);

/// Device and inode.
type FileId = (u64, u64);

impl SocketFiles {
    /// A file that is there.
    ///
    /// # Errors
    /// It is not.
    pub fn add(&mut self, path: &Path) -> io::Result<()> {
        self.0.push((path.to_owned(), file_id(path)?));
        Ok(())
    }

    /// Adds the files of `others`.
    pub(super) fn take(&mut self, mut others: SocketFiles) {
        self.0.append(&mut others.0);
    }

    /// Removes a file before the others.
    pub(super) fn remove(&mut self, path: &Path) {
        let (gone, kept) = std::mem::take(&mut self.0).into_iter().partition(|(it, _)| it == path);
        self.0 = kept;
        drop(SocketFiles(gone));
    }

    /// Whether the file at `path` is one of these.
    pub fn contains(&self, path: &Path) -> bool {
        self.0.iter().any(|(own, _)| own == path)
    }

    /// They are another process's now: nothing is removed.
    pub fn leave(mut self) {
        self.0.clear();
    }
}

impl Drop for SocketFiles {
    fn drop(&mut self) {
        for (path, id) in &self.0 {
            if file_id(path).is_ok_and(|found| found == *id)
                && let Err(error) = std::fs::remove_file(path)
            {
                warn!(path = %path.display(), %error, "cannot remove the file of a unix socket");
            }
        }
    }
}

fn file_id(path: &Path) -> io::Result<FileId> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
