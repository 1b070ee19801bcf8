//! Who a client is: whoever is at the other end of the connection, or whom trusted proxies name.
//!
//! ```text
//!   X-Forwarded-For: 198.51.100.9, 203.0.113.5, 10.0.0.7      peer 10.0.0.2
//!                    (who knows)   the client   trusted ◀───── trusted
//! ```
//!
//! Each proxy appends whom it got the request from, so the list is read from its end, as long as
//! whoever has said something is trusted. What stands before, the client has made up.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::context::Scheme;
use super::field::{Known, members, trim};
use super::forwarded::{ForwardedPolicy, genuine};
use super::request::RequestHead;

/// Who a client is, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Client {
    /// Its address; `None` for a peer on a unix socket.
    pub ip: Option<IpAddr>,
    /// Its port, where one was said.
    pub port: Option<u16>,
    /// How it reached the first of the proxies that are trusted, or this one.
    pub scheme: Scheme,
}

impl Client {
    /// The peer itself; `None` for one on a unix socket.
    pub fn of_peer(peer: Option<SocketAddr>, scheme: Scheme) -> Client {
        Client { ip: peer.map(|it| it.ip()), port: peer.map(|it| it.port()), scheme }
    }
}

/// As addresses are written: `192.0.2.7:4321`, `[2001:db8::1]:4321`, `2001:db8::1`, `unix`.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ip, self.port) {
            (Some(ip), Some(port)) => SocketAddr::new(ip, port).fmt(f),
            (Some(ip), None) => ip.fmt(f),
            (None, _) => f.write_str("unix"),
        }
    }
}

/// Which field of trusted peers names the client. Only one is read: proxies pass on what they do
/// not write themselves, and so the other one may be the client's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientSource {
    /// `X-Forwarded-For`, and `X-Forwarded-Proto`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// None: the client is the peer.
    Peer,
}

impl ForwardedPolicy {
    /// The client of a request: of the addresses that the peer and the proxies before it have
    /// named, the last one that is not trusted, or the first of all if every one is. What is no
    /// address (`unknown`, `_hidden`) ends the search.
    pub fn client(&self, head: &RequestHead, peer: Option<SocketAddr>, scheme: Scheme) -> Client {
        let peer = Client::of_peer(peer, scheme);
        match self.client {
            ClientSource::Peer => peer,
            ClientSource::XForwardedFor => {
                let values = genuine(head, Known::XForwardedFor).rev();
                let hops = values.flat_map(|value| members(value).rev()).map(address);
                let said = genuine(head, Known::XForwardedProto).next().and_then(Scheme::of);
                let scheme = said.filter(|_| self.trust.contains(peer.ip)).unwrap_or(scheme);
                self.follow(Client { scheme, ..peer }, hops)
            }
            ClientSource::Forwarded => {
                let values = genuine(head, Known::Forwarded).rev();
                self.follow(peer, values.flat_map(|value| from_right(value, b',')).map(element))
            }
        }
    }

    /// From one to the next as long as whoever names it is trusted.
    fn follow(&self, peer: Client, mut hops: impl Iterator<Item = Option<Hop>>) -> Client {
        let mut client = peer;
        while self.trust.contains(client.ip)
            && let Some(Some(Hop { ip, port, scheme })) = hops.next()
        {
            client = Client { ip: Some(ip), port, scheme: scheme.unwrap_or(client.scheme) };
        }
        client
    }
}

/// What a proxy says of whom it got a request from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hop {
    ip: IpAddr,
    port: Option<u16>,
    scheme: Option<Scheme>,
}

/// An address with or without a port.
fn address(text: &[u8]) -> Option<Hop> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let (ip, port) = match text.parse::<SocketAddr>() {
        Ok(address) => (address.ip(), Some(address.port())),
        Err(_) => match bare {
            Some(ipv6) => (IpAddr::from(ipv6.parse::<Ipv6Addr>().ok()?), None),
            None => (text.parse().ok()?, None),
        },
    };
    Some(Hop { ip: ip.to_canonical(), port, scheme: None })
}

/// An element of `Forwarded`: `for=192.0.2.7;proto=https`, `for="[2001:db8::1]:4321"` (RFC 7239,
/// section 4).
fn element(text: &[u8]) -> Option<Hop> {
    let parameter = |name: &[u8]| {
        from_right(text, b';').find_map(|pair| {
            let (found, value) = pair.split_at(memchr::memchr(b'=', pair)?);
            trim(found).eq_ignore_ascii_case(name).then(|| unquoted(trim(&value[1..])))
        })
    };
    let hop = address(parameter(b"for")?)?;
    Some(Hop { scheme: parameter(b"proto").and_then(Scheme::of), ..hop })
}

/// What needs no escapes is without them.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        value => value,
    }
}

/// The parts of a list, the last one first; separators in quotes are none. Quotes are paired from
/// the right: then nothing on the left, where a stranger may have written, changes how the parts
/// of trusted proxies are read.
fn from_right(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest?;
        let mut is_quoted = false;
        let found = (0..list.len()).rev().find(|at| {
            match list[*at] {
                b'"' if is_quoted && is_escaped(&list[..*at]) => {}
                b'"' => is_quoted = !is_quoted,
                byte => return byte == separator && !is_quoted,
            }
            false
        });
        rest = found.map(|at| &list[..at]);
        Some(found.map_or(list, |at| &list[at + 1..]))
    })
}

/// Whether a quote behind these bytes is within its string.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::super::forwarded::TrustedPeers;
    use super::super::samples::request;
    use super::*;

    const TRUST: [&str; 4] = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "unix"];

    fn found(source: ClientSource, fields: &[&str], peer: Option<&str>) -> Client {
        let head = request(&[&["GET / HTTP/1.0"], fields].concat());
        let policy = ForwardedPolicy {
            trust: TrustedPeers::parse(TRUST).unwrap(),
            client: source,
            ..ForwardedPolicy::default()
        };
        policy.client(&head, peer.map(|text| text.parse().unwrap()), Scheme::Http)
    }

    const PEER: Option<&str> = Some("10.0.0.2:5000");

    #[test]
    fn the_last_address_that_is_not_trusted_is_the_client() {
        let check = |values: &[&str], peer: Option<&str>, expected: &str| {
            let fields: Vec<_> = values.iter().map(|it| format!("X-Forwarded-For: {it}")).collect();
            let fields: Vec<_> = fields.iter().map(String::as_str).collect();
            let client = found(ClientSource::XForwardedFor, &fields, peer);
            assert_eq!(client.to_string(), expected, "{values:?} {peer:?}");
            assert_eq!(
                found(ClientSource::Peer, &fields, peer).ip,
                peer.map(|it| { it.parse::<SocketAddr>().unwrap().ip() })
            );
        };
        check(&[], PEER, "10.0.0.2:5000");
        check(&["1.1.1.1"], PEER, "1.1.1.1");
        check(&["1.1.1.1"], Some("11.0.0.2:5000"), "11.0.0.2:5000");
        check(&["1.1.1.1, 2.2.2.2, 10.0.0.7"], PEER, "2.2.2.2");
        check(&["1.1.1.1", "2.2.2.2", "10.0.0.7 , ,192.0.2.7,"], PEER, "2.2.2.2");
        check(&["10.0.0.9, 10.0.0.8"], PEER, "10.0.0.9");
        check(&["1.1.1.1:80, [2001:db8::7]:443"], PEER, "1.1.1.1:80");
        check(&["2001:DB9::0:1"], PEER, "2001:db9::1");
        check(&["::ffff:1.1.1.1"], PEER, "1.1.1.1");
        check(&["1.1.1.1, ::ffff:10.0.0.7"], PEER, "1.1.1.1");
        check(&["1.1.1.1"], None, "1.1.1.1");
        check(&[], None, "unix");
        // Nothing behind what is no address is believed.
        for odd in ["unknown", "localhost", "1.1.1", "1.1.1.1:x", "[1.1.1.1]", "\u{e4}", "unix"] {
            check(&["1.1.1.1", odd], PEER, "10.0.0.2:5000");
            check(&["1.1.1.1", odd, "10.0.0.3"], PEER, "10.0.0.3");
        }
    }

    #[test]
    fn a_disguised_field_names_nobody() {
        let fields = ["X_Forwarded_For: 1.1.1.1", "X-Forwarded_Proto: https"];
        let client = found(ClientSource::XForwardedFor, &fields, PEER);
        assert_eq!((client.to_string().as_str(), client.scheme), ("10.0.0.2:5000", Scheme::Http));
    }

    #[test]
    fn the_scheme_is_that_of_the_client() {
        let check = |value: &str, peer: Option<&str>, expected: Scheme| {
            let field = format!("X-Forwarded-Proto: {value}");
            assert_eq!(found(ClientSource::XForwardedFor, &[&field], peer).scheme, expected);
        };
        check("https", PEER, Scheme::Https);
        check("WSS", PEER, Scheme::Https);
        check("http", PEER, Scheme::Http);
        check("gopher", PEER, Scheme::Http);
        check("https", Some("11.0.0.1:1"), Scheme::Http);
    }

    #[test]
    fn forwarded_says_the_same_in_other_words() {
        let check = |values: &[&str], expected: &str, scheme: Scheme| {
            let fields: Vec<_> = values.iter().map(|it| format!("Forwarded: {it}")).collect();
            let mut fields: Vec<_> = fields.iter().map(String::as_str).collect();
            fields.push("X-Forwarded-For: 9.9.9.9");
            let client = found(ClientSource::Forwarded, &fields, PEER);
            assert_eq!((client.to_string().as_str(), client.scheme), (expected, scheme));
        };
        let (plain, secure) = (Scheme::Http, Scheme::Https);
        check(&[], "10.0.0.2:5000", plain);
        check(&["for=1.1.1.1"], "1.1.1.1", plain);
        check(&["For=\"1.1.1.1:80\" ; Proto=HTTPS;by=_x"], "1.1.1.1:80", secure);
        check(&["for=1.1.1.1;proto=https, for=10.0.0.7;proto=http"], "1.1.1.1", secure);
        check(&["for=\"[2001:db9::1]\""], "2001:db9::1", plain);
        check(&["for=\"[2001:db9::1]:4711\"", "for=10.0.0.7"], "[2001:db9::1]:4711", plain);
        check(&["for=unknown"], "10.0.0.2:5000", plain);
        check(&["for=1.1.1.1, for=_hidden"], "10.0.0.2:5000", plain);
        check(&["for=1.1.1.1, by=10.0.0.7"], "10.0.0.2:5000", plain);
        // Commas and semicolons in quotes part nothing, be it what a client has asked for.
        check(&["for=1.1.1.1;host=\"a, for=6.6.6.6;x=\""], "1.1.1.1", plain);
        check(&["for=1.1.1.1;host=\"a\\\", for=6.6.6.6;x=\""], "1.1.1.1", plain);
        // What a stranger leaves open does not reach what trusted ones have added.
        check(&["for=\"6.6.6.6, for=1.1.1.1"], "1.1.1.1", plain);
        check(&["for=\"\\, for=1.1.1.1;host=\"a\""], "1.1.1.1", plain);
        check(&["\"", "for=1.1.1.1"], "1.1.1.1", plain);
    }
}
