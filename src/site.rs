//! What of a site is looked at before anything runs: the directories that routes serve, and the
//! pages for errors, which are read into memory.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::config::files::{ErrorPage, Files};
use crate::config::units::show_size;
use crate::config::{Action, Config, limits};
use crate::files::error_pages::{ErrorPages, Page};
use crate::files::media_type;
use crate::sys::file::{Waiting, find_directory, open_beneath, open_root};
use crate::tls::finding::Finding;

/// Reads the pages, and sees whether the directories can be served. A listener that is no part of
/// the configuration any more keeps the pages that it has at `present`, and nobody asks whether its
/// directories are there still.
///
/// # Errors
/// All that cannot be used.
pub fn read(config: &Config, present: &ErrorPages) -> Result<ErrorPages, Vec<Finding>> {
    let mut findings = Vec::new();
    let mut listeners = Vec::new();
    for (place, listener) in config.listeners.iter().enumerate() {
        let key = format!("listeners.{}", listener.name);
        if listener.standing.is_retired() {
            listeners.push(present.of_listener(place).to_vec());
            continue;
        }
        let Some(http) = listener.http() else {
            listeners.push(Vec::new());
            continue;
        };
        for (index, route) in http.routes.iter().enumerate() {
            if let Action::Files(files) = &route.action {
                let key = format!("{key}.routes[{index}].files.root");
                findings.extend(check_root(files, key));
            }
        }
        let mut pages = Vec::new();
        for page in &http.error_pages {
            match read_page(page, &key) {
                Ok(page) => pages.push(page),
                Err(finding) => findings.push(finding),
            }
        }
        listeners.push(pages);
    }
    if findings.is_empty() { Ok(ErrorPages::new(listeners)) } else { Err(findings) }
}

/// `ENOSYS`, which a kernel of old and many a seccomp filter answer.
const NO_SUCH_CALL: i32 = 38;

fn check_root(files: &Files, key: String) -> Option<Finding> {
    let open = || {
        let root = open_root(&files.root, Waiting::Allowed)?;
        match files.listing {
            true => open_beneath(root.as_fd(), b"", Waiting::Allowed, true),
            false => find_directory(root.as_fd(), b"", Waiting::Allowed),
        }
    };
    let words = match open() {
        Ok(_) => return None,
        Err(error) if error.raw_os_error() == Some(NO_SUCH_CALL) => {
            "this kernel, or a seccomp filter, has no openat2(2), without which nothing keeps a \
             path below its root; expected Linux 5.6 or later"
                .to_owned()
        }
        Err(error) => format!("cannot be served: {error}; expected a directory to read"),
    };
    Some(Finding { key, file: files.root.clone(), words })
}

fn read_page(page: &ErrorPage, listener: &str) -> Result<Page, Finding> {
    let finding = |words: String| Finding {
        key: format!("{listener}.error_pages.{}", page.status),
        file: page.path.clone(),
        words,
    };
    let body = read_bounded(&page.path)
        .map_err(|error| finding(format!("cannot be read: {error}")))?
        .ok_or_else(|| {
            let max = show_size(limits::ERROR_PAGE as u64);
            finding(format!("is too long; expected at most {max}"))
        })?;
    let name = page.path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
    Ok(Page { status: page.status, media_type: media_type::of_name(name), body: body.into() })
}

/// `None` for a file that is longer than a page may be.
fn read_bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // A FIFO is not to be waited for.
    let flags = OFlag::O_NONBLOCK.bits();
    let file = fs::File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut body = Vec::new();
    file.take(limits::ERROR_PAGE as u64 + 1).read_to_end(&mut body)?;
    Ok((body.len() <= limits::ERROR_PAGE).then_some(body))
}
