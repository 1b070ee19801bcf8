//! Files over real sockets, with the real binary: in every transfer, whole and in parts, under the
//! feet of somebody who changes them, and to clients of other projects.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod clients;
mod configured;
mod connections;
mod hostile;
mod transfers;
mod unprivileged;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use support::http::{Connection, Message};
use support::pattern::write_pattern;
use support::proxy::{Launch, Proxy};
use tempfile::TempDir;

/// Every way from a file to a socket.
const TRANSFERS: [&str; 4] = ["sendfile", "splice", "mmap", "copy"];

/// A directory that is served.
struct Root {
    folder: TempDir,
}

impl Root {
    fn new() -> Root {
        Root { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, and the directories above it. It counts as modified long ago, so that its
    /// validators are those of a file that stays as it is.
    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Root {
        self.write_at(name, bytes, SystemTime::now() - Duration::from_secs(3600))
    }

    /// The same, modified at some other time.
    fn write_at(&self, name: &str, bytes: impl AsRef<[u8]>, modified: SystemTime) -> &Root {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
        self
    }

    /// Writes a file with bytes of the pattern of `seed`.
    fn write_pattern(&self, name: &str, seed: u64, bytes: u64) -> &Root {
        let mut file = fs::File::create(self.path(name)).unwrap();
        write_pattern(&mut file, seed, bytes).unwrap();
        self
    }

    /// A proxy that serves it; `keys` go behind `root`.
    fn serve(&self, keys: &str) -> Proxy {
        self.serve_as(keys, "", "")
    }

    /// The same with more keys of the route, and more of the listener.
    fn serve_as(&self, keys: &str, route: &str, listener: &str) -> Proxy {
        let root = self.folder().display();
        Launch::configured(&format!(
            "[access_log]\npath = \"stdout\"\n\
             [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n{listener}\n\
             [[listeners.web.routes]]\nfiles = {{ root = \"{root}\"{keys} }}\n{route}\n"
        ))
        .start()
    }
}

/// The response to a request for a path, with these further field lines.
fn ask(proxy: &Proxy, method: &str, path: &str, fields: &[&str]) -> Message {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n");
    Connection::open(&proxy.address()).exchange(request)
}

fn get(proxy: &Proxy, path: &str, fields: &[&str]) -> Message {
    ask(proxy, "GET", path, fields)
}
