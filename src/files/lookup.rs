//! Which file a request means: the path itself, the index of a directory, a sibling that is
//! compressed already, or the file to fall back to.

use std::io;
use std::sync::Arc;

use super::FileStatus;
use super::listing::Listing;
use super::media_type;
use crate::config::files::Files;
use crate::http::content_coding::{Codings, ContentCoding};

/// A file system, as far as a lookup asks it. Paths are relative to a root, and nothing outside of
/// that is ever found.
pub trait Tree {
    /// A file that is open for reading.
    type File;

    /// Opens what is at a path; the root itself for an empty one.
    ///
    /// # Errors
    /// The kernel's own; `EAGAIN` where an answer would have to be waited for.
    fn open(&mut self, path: &[u8]) -> io::Result<Opened<Self::File>>;

    /// What is in a directory; of hidden entries only if they are shown.
    ///
    /// # Errors
    /// As [`Tree::open`].
    fn list(&mut self, path: &[u8], shows_hidden: bool) -> io::Result<Listing>;
}

/// What was opened.
#[derive(Debug)]
pub enum Opened<F> {
    /// A regular file.
    File(F, FileStatus),
    /// A directory.
    Directory,
    /// A device, a FIFO, a socket: nothing that could be sent.
    Other,
}

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What the route says.
    pub files: Arc<Files>,
    /// The path below the root, without a slash at either end.
    pub path: Vec<u8>,
    /// The path has a name that is never served: there is nothing, whatever there is.
    pub is_refused: bool,
    /// The path of the request ended with a slash.
    pub is_directory: bool,
    /// The codings that the client takes and the route has, the best first.
    pub codings: Codings,
}

#[cfg(test)]
impl Wanted {
    /// What is at a path of a directory with the defaults; the directory itself for an empty one.
    pub fn of(root: &std::path::Path, path: &str) -> Wanted {
        Wanted {
            files: Arc::new(Files::of_root(root)),
            path: path.as_bytes().to_vec(),
            is_refused: false,
            is_directory: path.is_empty(),
            codings: Codings::default(),
        }
    }
}

/// What was found.
#[derive(Debug)]
pub enum Found<F> {
    /// A file.
    File {
        /// It is open.
        file: F,
        /// What is known of it.
        status: FileStatus,
        /// The coding that it is in.
        coding: Option<ContentCoding>,
        /// What it is, as `Content-Type` has it.
        media_type: &'static str,
    },
    /// A directory without an index: the page that shows what is in it.
    Listing(Vec<u8>),
    /// A directory that was asked for without a slash at its end.
    AddSlash,
    /// Nothing: status 404.
    Missing,
    /// Something that is not given away: status 403.
    Forbidden,
}

/// Finds what is wanted.
///
/// # Errors
/// Those of the tree that say nothing of the file: `EAGAIN`, or that this machine has run out of
/// something, or that a disk fails.
pub fn look_up<T: Tree>(tree: &mut T, wanted: &Wanted) -> io::Result<Found<T::File>> {
    let Wanted { files, path, is_directory, .. } = wanted;
    if wanted.is_refused {
        return fall_back(tree, wanted);
    }
    match open(tree, path)? {
        Ok(Opened::File(..)) if *is_directory && !path.is_empty() => fall_back(tree, wanted),
        Ok(Opened::File(file, status)) => choose_coding(tree, wanted, path, file, status),
        Ok(Opened::Directory) if !is_directory => Ok(Found::AddSlash),
        Ok(Opened::Directory) => {
            let index = joined(path, files.index.as_bytes());
            match open(tree, &index)? {
                Ok(Opened::File(file, status)) => choose_coding(tree, wanted, &index, file, status),
                _ if files.listing => list(tree, path, files.hidden),
                _ if files.fallback.is_some() => fall_back(tree, wanted),
                _ => Ok(Found::Forbidden),
            }
        }
        Ok(Opened::Other) | Err(Absence::Forbidden) => Ok(Found::Forbidden),
        Err(Absence::Missing) => fall_back(tree, wanted),
    }
}

/// What is in a directory. It may have gone, or be closed to us.
fn list<T: Tree>(tree: &mut T, path: &[u8], shows_hidden: bool) -> io::Result<Found<T::File>> {
    Ok(match sorted(tree.list(path, shows_hidden))? {
        Ok(listing) => {
            let listing = Listing { has_parent: !path.is_empty(), ..listing };
            Found::Listing(listing.page(path))
        }
        Err(Absence::Missing) => Found::Missing,
        Err(Absence::Forbidden) => Found::Forbidden,
    })
}

/// The file for everything that is not there, if there is one.
fn fall_back<T: Tree>(tree: &mut T, wanted: &Wanted) -> io::Result<Found<T::File>> {
    let Some(fallback) = &wanted.files.fallback else { return Ok(Found::Missing) };
    match open(tree, fallback.as_bytes())? {
        Ok(Opened::File(file, status)) => {
            choose_coding(tree, wanted, fallback.as_bytes(), file, status)
        }
        _ => Ok(Found::Missing),
    }
}

/// A file, or that of its siblings which the client would rather have.
fn choose_coding<T: Tree>(
    tree: &mut T,
    wanted: &Wanted,
    path: &[u8],
    file: T::File,
    status: FileStatus,
) -> io::Result<Found<T::File>> {
    let media_type = media_type::of_name(path);
    for coding in wanted.codings.as_slice() {
        let sibling = [path, coding.extension().as_bytes()].concat();
        if let Ok(Opened::File(file, status)) = open(tree, &sibling)? {
            return Ok(Found::File { file, status, coding: Some(*coding), media_type });
        }
    }
    Ok(Found::File { file, status, coding: None, media_type })
}

/// Why there is nothing to be had.
enum Absence {
    Missing,
    Forbidden,
}

/// `ELOOP`, which has no stable `ErrorKind`: symbolic links without end.
const ELOOP: i32 = 40;

/// `ENXIO`: a socket, or a device without a driver.
const ENXIO: i32 = 6;

fn open<T: Tree>(tree: &mut T, path: &[u8]) -> io::Result<Result<Opened<T::File>, Absence>> {
    sorted(tree.open(path))
}

/// Sorts errors that are about a path from others.
fn sorted<O>(outcome: io::Result<O>) -> io::Result<Result<O, Absence>> {
    use io::ErrorKind as Kind;
    match outcome {
        Ok(found) => Ok(Ok(found)),
        Err(error) => match error.kind() {
            Kind::NotFound | Kind::NotADirectory | Kind::InvalidFilename => {
                Ok(Err(Absence::Missing))
            }
            // A symbolic link that leads outside is EXDEV (openat2(2), RESOLVE_BENEATH).
            Kind::PermissionDenied | Kind::CrossesDevices => Ok(Err(Absence::Forbidden)),
            _ if matches!(error.raw_os_error(), Some(ELOOP | ENXIO)) => Ok(Err(Absence::Forbidden)),
            _ => Err(error),
        },
    }
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match directory {
        [] => name.to_vec(),
        _ => [directory, b"/", name].concat(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::http::content_coding::ContentCoding::{Brotli, Gzip};

    /// What is at each path, by a word or an errno.
    struct Fake(BTreeMap<&'static str, Entry>);

    #[derive(Clone, Copy)]
    enum Entry {
        File(u64),
        Directory,
        Device,
        Errno(i32),
    }

    impl Tree for Fake {
        type File = String;

        fn open(&mut self, path: &[u8]) -> io::Result<Opened<String>> {
            let path = std::str::from_utf8(path).unwrap();
            match self.0.get(path) {
                Some(Entry::File(size)) => {
                    let status = FileStatus { size: *size, ..FileStatus::default() };
                    Ok(Opened::File(path.to_owned(), status))
                }
                Some(Entry::Directory) => Ok(Opened::Directory),
                Some(Entry::Device) => Ok(Opened::Other),
                Some(Entry::Errno(errno)) => Err(io::Error::from_raw_os_error(*errno)),
                None => Err(io::ErrorKind::NotFound.into()),
            }
        }

        fn list(&mut self, path: &[u8], _shows_hidden: bool) -> io::Result<Listing> {
            match path {
                b"b" => Err(io::ErrorKind::PermissionDenied.into()),
                _ => Ok(Listing::default()),
            }
        }
    }

    fn tree() -> Fake {
        Fake(BTreeMap::from([
            ("", Entry::Directory),
            ("index.html", Entry::File(1)),
            ("index.html.br", Entry::File(2)),
            ("a", Entry::Directory),
            ("a/x.txt", Entry::File(3)),
            ("a/x.txt.gz", Entry::File(4)),
            ("b", Entry::Directory),
            ("b/index.html", Entry::Directory),
            ("device", Entry::Device),
            ("socket", Entry::Errno(6)),
            ("outside", Entry::Errno(18)),
            ("secret", Entry::Errno(13)),
            ("loop", Entry::Errno(40)),
            ("long", Entry::Errno(36)),
            ("broken", Entry::Errno(5)),
            ("cold", Entry::Errno(11)),
            ("x", Entry::File(5)),
            ("x.br", Entry::Errno(11)),
        ]))
    }

    /// What is found, in a word.
    fn found(path: &str, change: impl FnOnce(&mut Files, &mut Codings)) -> String {
        let (mut files, mut codings) = (Files::of_root("/srv"), Codings::default());
        change(&mut files, &mut codings);
        let wanted = Wanted {
            files: Arc::new(files),
            path: path.trim_end_matches('/').as_bytes().to_vec(),
            is_refused: path.starts_with('.'),
            is_directory: path.is_empty() || path.ends_with('/'),
            codings,
        };
        match look_up(&mut tree(), &wanted) {
            Ok(Found::File { file, coding, media_type, .. }) => {
                let coding = coding.map_or("", ContentCoding::label);
                format!("{file} {coding} {media_type}")
            }
            Ok(Found::Listing(page)) => {
                let page = String::from_utf8(page).unwrap();
                if page.contains("../") { "listing .." } else { "listing" }.to_owned()
            }
            Ok(Found::AddSlash) => "add slash".to_owned(),
            Ok(Found::Missing) => "404".to_owned(),
            Ok(Found::Forbidden) => "403".to_owned(),
            Err(error) => format!("{:?}", error.kind()),
        }
    }

    #[test]
    fn files_directories_and_what_is_neither() {
        let check = |path: &str, expected: &str| {
            assert_eq!(found(path, |_, _| {}), expected, "{path}");
        };
        check("", "index.html  text/html; charset=utf-8");
        check("a/x.txt", "a/x.txt  text/plain; charset=utf-8");
        check("a/x.txt/", "404");
        check("a", "add slash");
        check("a/", "403");
        check("b/", "403");
        check("none", "404");
        check("device", "403");
        check("socket", "403");
        check("outside", "403");
        check("secret", "403");
        check("loop", "403");
        check("long", "404");
        check(".hidden", "404");
        check("cold", "WouldBlock");
        assert!(found("broken", |_, _| {}).starts_with("Uncategorized"));
    }

    #[test]
    fn what_is_missing_may_be_something_else() {
        let check = |path: &str, expected: &str| {
            let fallback = |files: &mut Files, _: &mut Codings| {
                files.fallback = Some("index.html".into());
            };
            assert!(found(path, fallback).starts_with(expected), "{path}");
        };
        check("none", "index.html");
        check("a/", "index.html");
        check("a/x.txt/", "index.html");
        check("a/x.txt", "a/x.txt");
        check("device", "403");
        check(".hidden/", "index.html");
        let gone = |files: &mut Files, _: &mut Codings| files.fallback = Some("gone".into());
        assert_eq!(found("none", gone), "404");
        let directory = |files: &mut Files, _: &mut Codings| files.fallback = Some("a".into());
        assert_eq!([found("none", directory), found(".hidden", directory)], ["404", "404"]);
        let listing = |files: &mut Files, _: &mut Codings| files.listing = true;
        assert_eq!(found("a/", listing), "listing ..");
        assert_eq!(found("b/", listing), "403");
        let top = |files: &mut Files, _: &mut Codings| {
            (files.listing, files.index) = (true, "none".into());
        };
        assert_eq!(found("", top), "listing");
        assert!(found("", listing).starts_with("index.html"));
    }

    #[test]
    fn a_sibling_in_a_coding_that_the_client_takes_is_preferred() {
        let check = |path: &str, offered: &[ContentCoding], expected: &str| {
            let codings = |_: &mut Files, codings: &mut Codings| *codings = Codings::of(offered);
            assert_eq!(found(path, codings), expected, "{path}");
        };
        check("", &[Brotli, Gzip], "index.html.br br text/html; charset=utf-8");
        check("", &[Gzip], "index.html  text/html; charset=utf-8");
        check("a/x.txt", &[Brotli, Gzip], "a/x.txt.gz gzip text/plain; charset=utf-8");
        check("x", &[Brotli], "WouldBlock");
    }
}
