//! What is known of a request besides its head.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use super::client::Client;
use super::request_id::RequestId;

/// How a client reached a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scheme {
    /// In plain text.
    #[default]
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As URLs and `X-Forwarded-Proto` spell it.
    pub fn label(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port that a URL without one means (RFC 9110, sections 4.2.1 and 4.2.2).
    pub const fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    /// As other proxies spell it; those of WebSockets are meant as well (RFC 6455, section 3).
    pub(super) fn of(text: &[u8]) -> Option<Scheme> {
        let is = |name: &str| text.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("http") || is("ws") => Some(Scheme::Http),
            () if is("https") || is("wss") => Some(Scheme::Https),
            () => None,
        }
    }
}

/// What a head may tell of a client's TLS session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsSession<'a> {
    /// The version: `TLSv1.3`.
    pub version: &'a str,
    /// The cipher suite.
    pub cipher: &'a str,
    /// The name that the client asked for; empty for none.
    pub server_name: &'a str,
    /// The subject of its certificate, which was found to be good; empty for none.
    pub client_subject: &'a str,
    /// The SHA-256 of that certificate, in hexadecimal; empty for none.
    pub client_fingerprint: &'a str,
}

/// What a rewritten head may tell of the connections around it.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Who is at the other end of the connection, be it the client or a proxy in front of this
    /// one; `None` for a unix socket.
    pub peer: Option<SocketAddr>,
    /// Who the client is.
    pub client: Client,
    /// The address that the client connected to; `None` for a unix socket.
    pub local: Option<IpAddr>,
    /// How the peer reached this proxy.
    pub scheme: Scheme,
    /// The client's TLS session, where it has one that ends here.
    pub tls: Option<TlsSession<'a>>,
    /// The id of the request.
    pub request_id: &'a RequestId,
    /// The name of the listener.
    pub listener: &'a str,
    /// The name of the upstream; empty where there is none.
    pub upstream: &'a str,
    /// The address of the server, as [`crate::address::Address`] shows it; empty where there is
    /// none.
    pub server: &'a str,
}

impl Context<'_> {
    /// Appends the client's IP address, in IPv4's form where IPv6 only carries it.
    pub fn write_client_ip(&self, out: &mut Vec<u8>) {
        if let Some(ip) = self.client.ip {
            write_ip(ip, out);
        }
    }

    /// Appends the client's port, if it is known.
    pub fn write_client_port(&self, out: &mut Vec<u8>) {
        if let Some(port) = self.client.port {
            write_number(u64::from(port), out);
        }
    }

    /// Appends the address that the client connected to, as a URL has it; `localhost` for a unix
    /// socket.
    pub fn write_local_ip(&self, out: &mut Vec<u8>) {
        match self.local.map(|local| local.to_canonical()) {
            Some(local @ IpAddr::V4(_)) => write_ip(local, out),
            Some(local @ IpAddr::V6(_)) => {
                out.push(b'[');
                write_ip(local, out);
                out.push(b']');
            }
            None => out.extend_from_slice(b"localhost"),
        }
    }

    /// What stands for the server in `Host`: its address, or `localhost` for a unix socket.
    pub fn server_authority(&self) -> &str {
        match self.server.is_empty() || self.server.starts_with("unix:") {
            true => "localhost",
            false => self.server,
        }
    }
}

/// Appends an IP address, in IPv4's form where IPv6 only carries it.
pub(super) fn write_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip.to_canonical() {
        // Its four numbers are written here: formatting costs several times as much.
        IpAddr::V4(ip) => {
            for (index, octet) in ip.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                write_number(u64::from(octet), out);
            }
        }
        // Writing into memory cannot fail.
        IpAddr::V6(ip) => drop(write!(out, "{ip}")),
    }
}

/// Appends a number in decimal.
pub(super) fn write_number(mut number: u64, out: &mut Vec<u8>) {
    const DIGITS_MAX: usize = 20;
    let mut digits = [0; DIGITS_MAX];
    let mut start = DIGITS_MAX;
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::super::samples::written;
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, 10, 65_535, u64::MAX] {
            assert_eq!(written(|out| write_number(number, out)), number.to_string());
        }
    }

    #[test]
    fn addresses_are_shown_in_their_own_family() {
        let check = |ip: &str, expected: &str| {
            assert_eq!(written(|out| write_ip(ip.parse().unwrap(), out)), expected);
        };
        check("192.0.2.255", "192.0.2.255");
        check("::ffff:192.0.2.1", "192.0.2.1");
        check("2001:db8::1", "2001:db8::1");
    }

    #[test]
    fn addresses_stand_in_for_names() {
        let request_id = RequestId::default();
        let context = |local: Option<&str>, server: &'static str| Context {
            peer: None,
            client: Client::default(),
            local: local.map(|ip| ip.parse().unwrap()),
            scheme: Scheme::Http,
            tls: None,
            request_id: &request_id,
            listener: "web",
            upstream: "app",
            server,
        };
        let check = |local: Option<&str>, expected: &str| {
            assert_eq!(written(|out| context(local, "").write_local_ip(out)), expected);
        };
        check(Some("::ffff:192.0.2.1"), "192.0.2.1");
        check(Some("2001:db8::1"), "[2001:db8::1]");
        check(None, "localhost");
        assert_eq!(context(None, "[::1]:80").server_authority(), "[::1]:80");
        assert_eq!(context(None, "unix:/run/app.sock").server_authority(), "localhost");
        assert_eq!(written(|out| context(None, "").write_client_ip(out)), "");
        assert_eq!(written(|out| context(None, "").write_client_port(out)), "");
    }
}
