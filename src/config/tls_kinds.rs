//! What a single value of TLS may be.

use std::path::{Path, PathBuf};

use rustls::pki_types::{DnsName, ServerName};
use rustls::{CipherSuite, NamedGroup};

use super::error::{alternatives, nearest};
use super::kinds::{Choice, Kind, Mismatch, text};
use super::raw::{Node, Origin};
use crate::tls::algorithms::{self, TlsVersion};

/// `min_version`
pub(super) const TLS_VERSION: Choice<TlsVersion> =
    Choice(&[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)]);

/// The path of a file that is read. A relative one begins where the config file is that names it,
/// so that both can be moved together; from elsewhere, in the working directory.
pub(super) struct FilePath;

impl Kind for FilePath {
    type Value = PathBuf;

    fn read(&self, node: &Node) -> Result<PathBuf, Mismatch> {
        let expected = "the path of a file, such as \"web.pem\" or \"/etc/ssl/web.pem\"";
        let path = text(node, expected)?;
        if path.is_empty() || path.ends_with('/') || path.contains('\0') {
            return Err(Mismatch::found(&node.value, "", expected));
        }
        let beside = match &node.origin {
            Origin::File(file, _) => file.parent().unwrap_or(Path::new("")),
            _ => Path::new(""),
        };
        Ok(beside.join(path))
    }

    fn show(&self, path: &PathBuf) -> String {
        path.display().to_string()
    }
}

/// One of `alpn`: a protocol to agree on (RFC 7301, section 3.1). Those that are registered are
/// words of ASCII.
pub(super) struct AlpnName;

impl Kind for AlpnName {
    type Value = Box<str>;

    fn read(&self, node: &Node) -> Result<Box<str>, Mismatch> {
        let expected = "a protocol such as \"http/1.1\" or \"h2\", of 1 to 255 visible characters";
        let name = text(node, expected)?;
        let fits = (1..=255).contains(&name.len()) && name.chars().all(|c| c.is_ascii_graphic());
        if fits { Ok(name.into()) } else { Err(Mismatch::found(&node.value, "", expected)) }
    }

    fn show(&self, name: &Box<str>) -> String {
        name.to_string()
    }
}

/// One of `ciphers`.
pub(super) struct CipherName;

impl Kind for CipherName {
    type Value = CipherSuite;

    fn read(&self, node: &Node) -> Result<CipherSuite, Mismatch> {
        let expected = alternatives(algorithms::cipher_names());
        let name = text(node, &expected)?;
        algorithms::cipher_named(name).ok_or_else(|| Mismatch {
            nearest: nearest(name, algorithms::cipher_names()),
            ..Mismatch::found(&node.value, "", expected)
        })
    }

    fn show(&self, suite: &CipherSuite) -> String {
        algorithms::name_of_cipher(*suite).to_owned()
    }
}

/// One of `groups`.
pub(super) struct GroupName;

impl Kind for GroupName {
    type Value = NamedGroup;

    fn read(&self, node: &Node) -> Result<NamedGroup, Mismatch> {
        let expected = alternatives(algorithms::group_names());
        let name = text(node, &expected)?;
        algorithms::group_named(name).ok_or_else(|| Mismatch {
            nearest: nearest(name, algorithms::group_names()),
            ..Mismatch::found(&node.value, "", expected)
        })
    }

    fn show(&self, group: &NamedGroup) -> String {
        algorithms::name_of_group(*group).to_owned()
    }
}

/// `server_name` of an upstream: a host name, or an IP address.
pub(super) struct CertifiedName;

impl Kind for CertifiedName {
    type Value = ServerName<'static>;

    fn read(&self, node: &Node) -> Result<ServerName<'static>, Mismatch> {
        let expected = "the name in the server's certificate, such as \"app.example.com\"";
        let name = text(node, expected)?;
        if name.starts_with("*.") {
            let reason = "it is one name that is asked for, though a wildcard may be for it";
            return Err(Mismatch::found(&node.value, reason, expected));
        }
        ServerName::try_from(name.to_owned())
            .map_err(|_| Mismatch::found(&node.value, "no host has such a name", expected))
    }

    fn show(&self, name: &ServerName<'static>) -> String {
        match name {
            ServerName::DnsName(name) => DnsName::as_ref(name).to_owned(),
            name => name.to_str().into_owned(),
        }
    }
}
