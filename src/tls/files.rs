//! Files of PEM, read whole and forgotten safely; and things that are made from them, which stay
//! as they are until the files have something better.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use zeroize::Zeroizing;

/// The longest file that is read, in bytes. A bundle of all the roots of the web has 200 KiB, a
/// long revocation list some MiB.
pub const FILE_BYTES_MAX: u64 = 32 << 20;

/// What a file holds. It may be a private key, so it is overwritten when it goes.
pub type Contents = Zeroizing<Vec<u8>>;

/// Reads a file.
///
/// # Errors
/// Why it cannot be read, in words that stand behind its name.
pub fn read(path: &Path) -> Result<Contents, String> {
    let words = |error: io::Error| format!("cannot be read: {error}");
    let file = File::open(path).map_err(words)?;
    let length = file.metadata().map_err(words)?.len();
    let capacity = usize::try_from(length.min(FILE_BYTES_MAX)).unwrap_or(0);
    // A vector that grows would leave copies behind; a byte more shows that nothing was missed.
    let mut contents = Zeroizing::new(Vec::with_capacity(capacity + 1));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut contents).map_err(words)?;
    match contents.len() as u64 {
        0 => Err("is empty".to_owned()),
        length if length > FILE_BYTES_MAX => Err("is too long".to_owned()),
        _ => Ok(contents),
    }
}

/// Whether somebody who is neither the owner nor in the group of a file may read it.
pub fn is_readable_by_others(path: &Path) -> bool {
    const READ_BY_OTHERS: u32 = 0o004;
    let mode = path.metadata().map(|metadata| metadata.permissions().mode());
    mode.is_ok_and(|mode| mode & READ_BY_OTHERS != 0)
}

/// Something that was made from files.
#[derive(Debug)]
pub struct Held<T> {
    digest: Digest,
    value: T,
}

impl<T> Held<T> {
    /// Makes it for the first time.
    ///
    /// # Errors
    /// Those of [`read`] and of `make`, with the place of the file among `paths`.
    pub fn new(
        paths: &[&Path],
        make: impl FnOnce(&[Contents]) -> Result<T, (usize, String)>,
    ) -> Result<Held<T>, (usize, String)> {
        let contents = read_all(paths)?;
        Ok(Held { digest: digest(&contents), value: make(&contents)? })
    }

    /// Makes it anew if the files have changed; tells whether they had. What cannot be made
    /// leaves it as it was.
    ///
    /// # Errors
    /// As for [`Held::new`].
    pub fn refresh(
        &mut self,
        paths: &[&Path],
        make: impl FnOnce(&[Contents]) -> Result<T, (usize, String)>,
    ) -> Result<bool, (usize, String)> {
        let contents = read_all(paths)?;
        let digest = digest(&contents);
        if digest.as_ref() == self.digest.as_ref() {
            return Ok(false);
        }
        *self = Held { digest, value: make(&contents)? };
        Ok(true)
    }

    /// What was made last.
    pub fn value(&self) -> &T {
        &self.value
    }
}

fn read_all(paths: &[&Path]) -> Result<Vec<Contents>, (usize, String)> {
    let read = |(index, path): (usize, &&Path)| read(path).map_err(|words| (index, words));
    paths.iter().enumerate().map(read).collect()
}

fn digest(contents: &[Contents]) -> Digest {
    let mut context = Context::new(&SHA256);
    for contents in contents {
        context.update(&(contents.len() as u64).to_be_bytes());
        context.update(contents);
    }
    context.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_held_outlives_broken_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let make = |contents: &[Contents]| match contents[0].as_slice() {
            b"bad" => Err((0, "is bad".to_owned())),
            text => Ok(text.to_vec()),
        };
        assert!(Held::new(&[&path], make).is_err());
        fs::write(&path, "one").unwrap();
        let mut held = Held::new(&[&path], make).unwrap();
        let mut check = |text: &str, expected: Result<bool, &str>, value: &str| {
            fs::write(&path, text).unwrap();
            let refreshed = held.refresh(&[&path], make);
            assert_eq!(refreshed, expected.map_err(|words| (0, words.to_owned())), "{text}");
            assert_eq!(held.value(), value.as_bytes());
        };
        check("one", Ok(false), "one");
        check("bad", Err("is bad"), "one");
        check("", Err("is empty"), "one");
        check("two", Ok(true), "two");
    }

    #[test]
    fn others_who_may_read_are_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let check = |mode: u32, expected: bool| {
            let permissions = fs::Permissions::from_mode(mode);
            file.as_file().set_permissions(permissions).unwrap();
            assert_eq!(is_readable_by_others(file.path()), expected, "{mode:o}");
        };
        check(0o600, false);
        check(0o640, false);
        check(0o644, true);
    }
}
