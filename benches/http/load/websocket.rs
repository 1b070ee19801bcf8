//! WebSocket connections (RFC 6455) with small frames there and back.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::rig::load::{Load, accept, connect, describe, round_trips};

/// Its own, since some proxies have to be told by path what may be upgraded.
const PATH: &str = "/websocket";

const PAYLOAD: [u8; 100] = [b'm'; 100];

/// The first byte of a frame that is a whole binary message.
const BINARY: u8 = 0x82;
/// The bit of the second byte that says that a mask precedes the payload.
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// The key and what is to be answered to it, as in section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Larger than any head here.
const HEAD_BYTES_MAX: usize = 4 << 10;

/// Frames over `connections` connections at once.
///
/// # Errors
/// When a handshake does not come through.
pub fn start(origin: &TcpListener, proxy: SocketAddr, connections: usize) -> io::Result<Load> {
    let open = |_| open(origin, proxy).map_err(|error| describe("the handshake", &error));
    let ends: io::Result<_> = (0..connections).map(open).collect();
    Ok(round_trips::start_over(ends?, client_frame(), server_frame()))
}

/// A client that has switched protocols, and its end at the origin.
fn open(origin: &TcpListener, proxy: SocketAddr) -> io::Result<(TcpStream, TcpStream)> {
    let mut client = connect(proxy)?;
    let request = format!(
        "GET {PATH} HTTP/1.1\r\nHost: bench.example\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    client.write_all(request.as_bytes())?;
    let mut upstream = accept(origin)?;
    expect(&mut upstream, "GET ", &format!("sec-websocket-key: {KEY}"))?;
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    upstream.write_all(response.as_bytes())?;
    expect(&mut client, "HTTP/1.1 101", &format!("sec-websocket-accept: {ACCEPT}"))?;
    Ok((client, upstream))
}

/// Reads a head, and nothing behind it.
fn expect(from: &mut TcpStream, start: &str, field: &str) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        head.push(byte[0]);
        if head.len() > HEAD_BYTES_MAX {
            return Err(io::Error::other("a head without an end"));
        }
    }
    let head = String::from_utf8_lossy(&head);
    let has_field = head.lines().any(|line| line.eq_ignore_ascii_case(field));
    if head.starts_with(start) && has_field {
        return Ok(());
    }
    Err(io::Error::other(format!("no {start} with {field}: {}", head.trim())))
}

/// As clients send it: masked (section 5.3).
pub fn client_frame() -> Vec<u8> {
    let mut frame = vec![BINARY, MASKED | PAYLOAD.len() as u8];
    frame.extend_from_slice(&MASK);
    frame.extend(PAYLOAD.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The same message from the server.
pub fn server_frame() -> Vec<u8> {
    let mut frame = vec![BINARY, PAYLOAD.len() as u8];
    frame.extend_from_slice(&PAYLOAD);
    frame
}
