//! Where to listen and where to connect: an IP address with a port, or a unix socket.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An address of either side. Written `127.0.0.1:80`, `[::1]:80`, `unix:/run/app.sock`, or
/// `unix:@name` for Linux's abstract namespace (unix(7)).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// TCP over IPv4 or IPv6.
    Ip(SocketAddr),
    /// A stream socket in the file system.
    Unix(PathBuf),
    /// A stream socket in the abstract namespace, without the leading NUL byte.
    Abstract(String),
}

/// The longest path of a unix socket: `sun_path` has 108 bytes, the last of which is a NUL.
const UNIX_PATH_BYTES_MAX: usize = 107;

impl Address {
    /// Whether this is a unix socket, named or abstract.
    pub fn is_unix(&self) -> bool {
        match self {
            Address::Ip(_) => false,
            Address::Unix(_) | Address::Abstract(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = String;

    /// # Errors
    /// A sentence that says what was expected instead.
    fn from_str(text: &str) -> Result<Address, String> {
        if let Some(name) = text.strip_prefix("unix:@") {
            if name.is_empty() || name.len() > UNIX_PATH_BYTES_MAX {
                return Err(format!(
                    "an abstract unix socket needs a name of 1 to {UNIX_PATH_BYTES_MAX} bytes"
                ));
            }
            return Ok(Address::Abstract(name.to_owned()));
        }
        if let Some(path) = text.strip_prefix("unix:") {
            if !Path::new(path).is_absolute() || path.len() > UNIX_PATH_BYTES_MAX {
                return Err(format!(
                    "a unix socket needs an absolute path of at most {UNIX_PATH_BYTES_MAX} bytes, \
                     such as \"unix:/run/app.sock\""
                ));
            }
            return Ok(Address::Unix(PathBuf::from(path)));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) => Ok(Address::Ip(address)),
            Err(_) => Err(explain_bad_ip(text)),
        }
    }
}

fn explain_bad_ip(text: &str) -> String {
    const FORMS: &str = "\"127.0.0.1:80\", \"[::1]:80\" or \"unix:/run/app.sock\"";
    if text.parse::<std::net::IpAddr>().is_ok() {
        return format!("the port is missing; expected {FORMS}");
    }
    match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && !host.contains(':') => {
            format!("\"{host}\" is not an IP address, and names are not resolved; expected {FORMS}")
        }
        _ => format!("not an address; expected {FORMS}"),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_shown() {
        for text in ["127.0.0.1:80", "[::1]:8080", "unix:/run/app.sock", "unix:@app"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_bad_address_says_what_was_expected() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("127.0.0.1", "port is missing");
        check("::1", "port is missing");
        check("localhost:80", "\"localhost\" is not an IP address");
        check("127.0.0.1:99999", "not an address");
        check("unix:run/app.sock", "absolute path");
        check("unix:@", "needs a name");
        check(&format!("unix:/{}", "x".repeat(107)), "at most 107 bytes");
        check("", "not an address");
    }
}
