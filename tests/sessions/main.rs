//! TLS and the PROXY protocol over real sockets, with the real binary: sessions that end here, on
//! either side, those that are passed through, and peers of other projects.

// A failed `unwrap` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod announced;
mod client;
mod identity;
mod live;
mod log;
mod openssl;
mod passthrough;
mod peers;
mod proxy_protocol;
mod receiver;
mod refused;
mod servers;
mod stubborn;
mod termination;
mod upstream;

use std::path::Path;

use support::certificates::{Authority, KeyKind, Wanted};
use tempfile::TempDir;

/// An authority, and a server's certificates for `a.example` in a folder.
struct Site {
    folder: TempDir,
    authority: Authority,
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::root("Sessions");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let site = Site { folder, authority };
        site.issue("ecdsa", KeyKind::Ecdsa);
        site.issue("rsa", KeyKind::Rsa);
        site
    }

    fn issue(&self, name: &str, kind: KeyKind) {
        let wanted = Wanted { kind, ..Wanted::names(&["a.example", "127.0.0.1"]) };
        self.authority.issue(&wanted).write(self.folder.path(), name, "");
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The value of `tls` of a listener with one certificate; `more` goes behind it.
    fn tls(&self, kind: &str, more: &str) -> String {
        let (chain, key) = (format!("{kind}.pem"), format!("{kind}.key"));
        format!(
            "{{ certificates = [{{ chain = \"{}\", key = \"{}\" }}]{more} }}",
            self.path(&chain),
            self.path(&key)
        )
    }
}
