//! Requests and responses as they go over the wire.

use crate::rig::kind::Sender;

/// What every request asks for. An origin that is asked for anything else has met a proxy that
/// changes what it should not.
pub const TARGET: &str = "/benchmark/file?of=the&origin";

/// How a message says where its body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// How long a connection lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Until the load ends.
    KeepAlive,
    /// For one request: the client says `Connection: close`.
    Never,
}

/// What a load counts while it goes on. Bodies are counted as they come, so that large ones need
/// not fit into a window whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Units {
    Exchanges,
    RequestBytes,
    ResponseBytes,
}

/// A request and its response.
#[derive(Debug)]
pub struct Exchange {
    /// Head and body, in the framing that the client uses.
    pub request: Vec<u8>,
    /// Bytes of the request's body, without framing.
    pub request_body: u64,
    /// Head and body, in the framing that the origin uses.
    pub response: Vec<u8>,
    /// Bytes of the response's body, without framing.
    pub response_body: u64,
    pub units: Units,
    pub reuse: Reuse,
}

impl Exchange {
    /// An exchange with one body of `bytes` bytes, which `sender` sends.
    pub fn new(sender: Sender, bytes: usize, framing: Framing, reuse: Reuse) -> Exchange {
        let close = match reuse {
            Reuse::KeepAlive => "",
            Reuse::Never => "Connection: close\r\n",
        };
        let fields = format!(
            "Host: bench.example\r\nUser-Agent: benchmark/1\r\nAccept: */*\r\n\
             Accept-Encoding: gzip, deflate\r\n{close}"
        );
        let get = format!("GET {TARGET} HTTP/1.1\r\n{fields}");
        let post =
            format!("POST {TARGET} HTTP/1.1\r\n{fields}Content-Type: application/octet-stream\r\n");
        let ok = format!(
            "HTTP/1.1 200 OK\r\nServer: benchmark\r\nDate: Fri, 21 Nov 2025 08:00:00 GMT\r\n\
             Content-Type: application/octet-stream\r\nETag: \"6920-1\"\r\n{close}"
        );
        let body = bytes as u64;
        let units = match sender {
            _ if bytes == 0 => Units::Exchanges,
            Sender::Origin => Units::ResponseBytes,
            Sender::Client => Units::RequestBytes,
        };
        match sender {
            Sender::Origin => Exchange {
                request: format!("{get}\r\n").into_bytes(),
                request_body: 0,
                response: message(ok, bytes, framing),
                response_body: body,
                units,
                reuse,
            },
            Sender::Client => Exchange {
                request: message(post, bytes, framing),
                request_body: body,
                response: message(ok, 0, Framing::Length),
                response_body: 0,
                units,
                reuse,
            },
        }
    }

    /// How many exchanges so many units are.
    pub fn exchanges(&self, units: u64) -> f64 {
        let each = match self.units {
            Units::Exchanges => 1,
            Units::RequestBytes => self.request_body,
            Units::ResponseBytes => self.response_body,
        };
        units as f64 / each as f64
    }
}

/// A message whose head has so far all but what says where its body ends.
fn message(head: String, bytes: usize, framing: Framing) -> Vec<u8> {
    let mut message = head.into_bytes();
    match framing {
        Framing::Length => {
            message.extend_from_slice(format!("Content-Length: {bytes}\r\n\r\n").as_bytes());
            message.resize(message.len() + bytes, b'x');
        }
        Framing::Chunked => {
            message.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            let mut left = bytes;
            while left > 0 {
                let chunk = left.min(chunk_bytes(bytes));
                message.extend_from_slice(format!("{chunk:x}\r\n").as_bytes());
                message.resize(message.len() + chunk, b'x');
                message.extend_from_slice(b"\r\n");
                left -= chunk;
            }
            message.extend_from_slice(b"0\r\n\r\n");
        }
    }
    message
}

/// Small bodies come in small chunks, as programs write them; none is larger than 64 KiB.
fn chunk_bytes(bytes: usize) -> usize {
    (bytes / 4).clamp(1, 64 << 10)
}
