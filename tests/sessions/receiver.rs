//! A server that reads the PROXY header in front of each connection by itself, as the
//! specification has it: it shares nothing with the proxy.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use spliceway::address::Address;

use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::stream::Stream;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    pub source: Option<SocketAddr>,
    pub destination: Option<SocketAddr>,
    /// Types and values.
    pub attributes: BTreeMap<u8, Vec<u8>>,
}

impl Told {
    pub fn text(&self, kind: u8) -> Option<&str> {
        self.attributes.get(&kind).map(|value| std::str::from_utf8(value).unwrap())
    }

    /// Of the TLS session: flags, whether the certificate was verified (0), and what else is told.
    pub fn session(&self) -> Option<(u8, u32, BTreeMap<u8, Vec<u8>>)> {
        let value = self.attributes.get(&0x20)?;
        let verified = u32::from_be_bytes(value[1..5].try_into().unwrap());
        Some((value[0], verified, attributes(&value[5..])))
    }
}

/// Reads headers, and has `serve` do what it likes with what follows.
pub struct Receiver {
    origin: Origin,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Receiver {
    pub fn start(serve: impl Fn(Stream) + Send + Sync + 'static) -> Receiver {
        let told = Arc::<Mutex<Vec<Told>>>::default();
        let kept = Arc::clone(&told);
        let origin = Origin::start(move |mut stream| {
            let header = read(&mut stream);
            kept.lock().unwrap().push(header);
            serve(stream);
            None
        });
        Receiver { origin, told }
    }

    pub fn address(&self) -> &Address {
        self.origin.address()
    }

    /// What the `count`th connection has begun with.
    pub fn told(&self, count: usize) -> Told {
        eventually("a header comes", || self.told.lock().unwrap().get(count - 1).cloned())
    }
}

fn take<const COUNT: usize>(stream: &mut Stream) -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn read(stream: &mut Stream) -> Told {
    let start: [u8; 12] = take(stream);
    if start == *b"\r\n\r\n\0\r\nQUIT\n" { read_binary(stream) } else { read_line(stream, &start) }
}

fn read_line(stream: &mut Stream, start: &[u8]) -> Told {
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        line.extend(take::<1>(stream));
        assert!(line.len() <= 107, "{line:?}");
    }
    let line = String::from_utf8(line).unwrap();
    let words: Vec<&str> = line.trim_end_matches("\r\n").split(' ').collect();
    let [first, family, source, destination, source_port, destination_port] = words[..] else {
        assert_eq!(words, ["PROXY", "UNKNOWN"]);
        return Told::default();
    };
    assert!(first == "PROXY" && matches!(family, "TCP4" | "TCP6"), "{line}");
    let address = |ip: &str, port: &str| {
        let address = SocketAddr::new(ip.parse().unwrap(), port.parse().unwrap());
        assert_eq!(address.is_ipv4(), family == "TCP4", "{line}");
        Some(address)
    };
    Told {
        source: address(source, source_port),
        destination: address(destination, destination_port),
        attributes: BTreeMap::new(),
    }
}

fn read_binary(stream: &mut Stream) -> Told {
    let [command, family, high, low] = take(stream);
    let mut rest = vec![0; usize::from(u16::from_be_bytes([high, low]))];
    stream.read_exact(&mut rest).unwrap();
    assert!(matches!(command, 0x20 | 0x21), "{command:x}");
    let (source, destination, length) = match family {
        0x11 => {
            let ip = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&rest[at..at + 4]).unwrap());
            (address(ip(0), &rest[8..]), address(ip(4), &rest[10..]), 12)
        }
        0x21 => {
            let ip = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&rest[at..at + 16]).unwrap());
            (address(ip(0), &rest[32..]), address(ip(16), &rest[34..]), 36)
        }
        other => {
            assert!(other == 0 || command == 0x20, "{other:x}");
            return Told::default();
        }
    };
    Told {
        source: Some(source),
        destination: Some(destination),
        attributes: attributes(&rest[length..]),
    }
}

fn address(ip: impl Into<IpAddr>, port: &[u8]) -> SocketAddr {
    SocketAddr::new(ip.into(), u16::from_be_bytes([port[0], port[1]]))
}

fn attributes(mut bytes: &[u8]) -> BTreeMap<u8, Vec<u8>> {
    let mut found = BTreeMap::new();
    while let [kind, high, low, rest @ ..] = bytes {
        let (value, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        assert_eq!(found.insert(*kind, value.to_vec()), None, "{kind} stands there twice");
        bytes = after;
    }
    assert!(bytes.is_empty(), "{bytes:?}");
    found
}
