//! The files of unix sockets, which outlive the sockets unless somebody removes them.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tracing::warn;

/// The files of unix sockets that this process has made or taken over, removed when this is
/// dropped. One that another process has put in the place of ours, as at a rolling restart, is
/// left alone, and so are those of a predecessor that has not let go of them.
#[derive(Debug, Default)]
pub struct SocketFiles {
    own: Vec<(PathBuf, FileId)>,
    /// In an upgrade: those that the predecessor serves still.
    inherited: Vec<(PathBuf, FileId)>,
}

/// Device and inode.
type FileId = (u64, u64);

impl SocketFiles {
    /// A file that is there.
    ///
    /// # Errors
    /// It is not.
    pub fn add(&mut self, path: &Path) -> io::Result<()> {
        self.own.push((path.to_owned(), file_id(path)?));
        Ok(())
    }

    /// A file that is there, and a predecessor's until [`SocketFiles::succeed`].
    ///
    /// # Errors
    /// It is not there.
    pub fn inherit(&mut self, path: &Path) -> io::Result<()> {
        self.inherited.push((path.to_owned(), file_id(path)?));
        Ok(())
    }

    /// The predecessor has let go: what was inherited is this process's.
    pub fn succeed(&mut self) {
        self.own.append(&mut self.inherited);
    }

    /// Adds the files of `others`.
    pub(super) fn take(&mut self, mut others: SocketFiles) {
        self.own.append(&mut others.own);
        self.inherited.append(&mut others.inherited);
    }

    /// Removes a file before the others.
    pub(super) fn remove(&mut self, path: &Path) {
        let (gone, kept) =
            std::mem::take(&mut self.own).into_iter().partition(|(it, _)| it == path);
        self.own = kept;
        drop(SocketFiles { own: gone, inherited: Vec::new() });
    }

    /// Whether the file at `path` is one of these.
    pub fn contains(&self, path: &Path) -> bool {
        self.own.iter().chain(&self.inherited).any(|(it, _)| it == path)
    }

    /// They are another process's now: nothing is removed.
    pub fn leave(mut self) {
        self.own.clear();
    }
}

impl Drop for SocketFiles {
    fn drop(&mut self) {
        for (path, id) in &self.own {
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
