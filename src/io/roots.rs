//! The directories that routes serve, kept open for a moment.
//!
//! A deployment may put another directory, or a symbolic link to one, in the place of a root at any
//! time. So a root is opened anew once it is older than [`AGE_MAX`], rather than held for ever or
//! opened for each request.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::files::OPEN_ROOTS_MAX;
use crate::sys::file::{Waiting, open_root};

/// How long after it was replaced the directory of old may still be served.
pub const AGE_MAX: Duration = Duration::from_millis(500);

/// The roots that a worker holds open.
#[derive(Debug, Default)]
pub struct Roots {
    /// The oldest first.
    open: Vec<Root>,
}

#[derive(Debug)]
struct Root {
    path: PathBuf,
    directory: OwnedFd,
    opened_at: Instant,
}

impl Roots {
    /// The directory at a path, as it is now or was a moment ago.
    ///
    /// # Errors
    /// As [`open_root`], which does not wait here.
    pub fn directory(&mut self, path: &Path, now: Instant) -> io::Result<BorrowedFd<'_>> {
        let place = self.open.iter().position(|root| root.path.as_os_str() == path.as_os_str());
        let is_fresh = |root: &Root| now.saturating_duration_since(root.opened_at) < AGE_MAX;
        let place = match place {
            Some(place) if is_fresh(&self.open[place]) => place,
            _ => {
                // With it go all that nobody has asked for in a while: they keep file systems from
                // being unmounted, and may be of routes that are gone.
                self.open.retain(is_fresh);
                if self.open.len() >= OPEN_ROOTS_MAX {
                    self.open.remove(0);
                }
                let directory = open_root(path, Waiting::Never)?;
                self.open.push(Root { path: path.to_owned(), directory, opened_at: now });
                self.open.len() - 1
            }
        };
        Ok(self.open[place].directory.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::status;

    #[test]
    fn a_root_that_was_replaced_is_found_soon() {
        let parent = tempfile::tempdir().unwrap();
        let (root, next) = (parent.path().join("root"), parent.path().join("next"));
        std::fs::create_dir(&root).unwrap();
        std::fs::create_dir(&next).unwrap();
        let mut roots = Roots::default();
        let now = Instant::now();
        let inode =
            |roots: &mut Roots, now| status(roots.directory(&root, now).unwrap()).unwrap().st_ino;
        let first = inode(&mut roots, now);
        std::fs::rename(&root, parent.path().join("old")).unwrap();
        std::fs::rename(&next, &root).unwrap();
        assert_eq!(inode(&mut roots, now), first);
        assert_ne!(inode(&mut roots, now + AGE_MAX), first);
        assert_eq!(roots.open.len(), 1);
        for index in 0..2 * OPEN_ROOTS_MAX {
            let path = parent.path().join(index.to_string());
            std::fs::create_dir(&path).unwrap();
            roots.directory(&path, now).unwrap();
        }
        assert_eq!(roots.open.len(), OPEN_ROOTS_MAX);
        assert!(roots.directory(&parent.path().join("none"), now).is_err());
    }
}
