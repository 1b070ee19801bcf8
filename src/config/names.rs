//! Names among `upstreams.NAME.servers`, and `[dns]`, which says how they are resolved.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use super::ServerSettings;
use super::kinds::{Count, Kind, Mismatch, Span, text};
use super::limits;
use super::raw::Node;
use super::reader::{Fallback, Report, Section};
use super::valid::{narrow, seconds};
use crate::address::Address;

/// What begins a name whose servers and ports are told by SRV records (RFC 2782).
const SERVICE: &str = "dns+srv:";

/// One of `servers` that is a name: it stands for as many servers as it has addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamedServers {
    /// What is asked for.
    pub query: NameQuery,
    /// `weight` of each of them; those of SRV records say their own.
    pub weight: u32,
    /// `backup`
    pub is_backup: bool,
    /// `connections_max` of each of them.
    pub connections_max: Option<NonZeroU32>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NameQuery {
    /// The addresses of a host; the port is known: `app.internal:8080`.
    Host {
        /// The name.
        host: Box<str>,
        /// The port.
        port: u16,
    },
    /// The hosts and ports of a service: `dns+srv:_http._tcp.app.internal`.
    Service(Box<str>),
}

impl fmt::Display for NameQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameQuery::Host { host, port } => write!(f, "{host}:{port}"),
            NameQuery::Service(name) => write!(f, "{SERVICE}{name}"),
        }
    }
}

impl NameQuery {
    /// What `text` asks for; `None` if it is no name.
    ///
    /// # Errors
    /// It looks like one and is none: why.
    pub fn parse(text: &str) -> Option<Result<NameQuery, String>> {
        if let Some(name) = text.strip_prefix(SERVICE) {
            let is_service = is_name(name, true);
            let expected = "the name of a service, such as \"dns+srv:_http._tcp.app.internal\"";
            return Some(match is_service {
                true => Ok(NameQuery::Service(name.into())),
                false => Err(format!("expected {expected}")),
            });
        }
        let (host, port) = text.rsplit_once(':')?;
        // What has no letter is an address that is written wrong.
        let is_host = is_name(host, false) && host.bytes().any(|it| it.is_ascii_alphabetic());
        let port: u16 = port.parse().ok().filter(|_| is_host && host != "unix")?;
        Some(match port {
            0 => Err("nothing listens on port 0".to_owned()),
            port => Ok(NameQuery::Host { host: host.into(), port }),
        })
    }
}

/// Whether `name` is one of hosts (RFC 1123, section 2.1), with underscores where services have
/// them.
fn is_name(name: &str, has_underscores: bool) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' && has_underscores;
    let name = name.strip_suffix('.').unwrap_or(name);
    (1..=253).contains(&name.len())
        && name.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(fits))
}

impl NamedServers {
    /// The server at one of the addresses.
    pub fn server(&self, address: SocketAddr) -> ServerSettings {
        ServerSettings {
            weight: self.weight,
            is_backup: self.is_backup,
            connections_max: self.connections_max,
            ..ServerSettings::new(Address::Ip(address))
        }
    }
}

/// `[dns]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// `server`: whom to ask; `None` for those of the system.
    pub server: Option<SocketAddr>,
    /// `timeout`: how long an answer may take.
    pub timeout: Duration,
    /// `ttl_min`: names are asked for again no sooner than that, whatever their records say.
    pub ttl_min: Duration,
    /// `ttl_max`: and no later.
    pub ttl_max: Duration,
    /// `addresses_max`: so many servers may one name stand for.
    pub addresses_max: u32,
}

impl Default for Dns {
    fn default() -> Dns {
        Dns {
            server: None,
            timeout: seconds(2),
            ttl_min: seconds(1),
            ttl_max: seconds(300),
            addresses_max: 256,
        }
    }
}

/// Reads `[dns]`.
pub(super) fn read(mut section: Section<'_>, report: &mut Report) -> Dns {
    let default = Dns::default();
    let server = section.read(report, "server", &Resolver, Fallback::Default(None)).value;
    let mut span = |report: &mut Report, name, limits, default| {
        section.read(report, name, &Span(limits), Fallback::Default(default)).value
    };
    let timeout = span(report, "timeout", limits::TIMEOUT, default.timeout);
    let ttl_min = span(report, "ttl_min", limits::DNS_TTL, default.ttl_min);
    let ttl_max = span(report, "ttl_max", limits::DNS_TTL, default.ttl_max);
    let addresses = Fallback::Default(u64::from(default.addresses_max));
    let addresses =
        section.read(report, "addresses_max", &Count(limits::DNS_ADDRESSES), addresses).value;
    section.finish(report);
    Dns {
        server,
        timeout,
        ttl_min,
        ttl_max: ttl_max.max(ttl_min),
        addresses_max: narrow(addresses),
    }
}

/// `dns.server`: an address, or `"system"`, which is `None`.
struct Resolver;

impl Kind for Resolver {
    type Value = Option<SocketAddr>;

    fn read(&self, node: &Node) -> Result<Option<SocketAddr>, Mismatch> {
        let expected = "\"system\", for those of /etc/resolv.conf, or an IP address with a port, \
                        such as \"127.0.0.53:53\"";
        match text(node, expected)? {
            "system" => Ok(None),
            address => match address.parse() {
                Ok(address) => Ok(Some(address)),
                Err(_) => Err(Mismatch::found(&node.value, "", expected)),
            },
        }
    }

    fn show(&self, address: &Option<SocketAddr>) -> String {
        address.map_or_else(|| "system".to_owned(), |address| address.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_addresses() {
        let check = |text: &str, expected: Option<bool>| {
            let parsed = NameQuery::parse(text);
            assert_eq!(parsed.as_ref().map(Result::is_ok), expected, "{text}");
            if let Some(Ok(query)) = parsed {
                assert_eq!(query.to_string(), text);
            }
        };
        for name in ["app:80", "app.internal:8080", "a-1.b.:80", "dns+srv:_http._tcp.app.internal"]
        {
            check(name, Some(true));
        }
        for wrong in ["app:0", "dns+srv:", "dns+srv:a b", "dns+srv:a..b"] {
            check(wrong, Some(false));
        }
        for other in ["127.0.0.1:80", "[::1]:80", "unix:80", "app", "app:http", "a_b:80", ":80"] {
            check(other, None);
        }
    }
}
