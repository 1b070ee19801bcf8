//! Heads and contexts for the tests of this folder.

use std::net::SocketAddr;

use super::client::Client;
use super::context::{Context, Scheme};
use super::head::Parsed;
use super::limits::HeadLimits;
use super::request::RequestHead;
use super::request_id::RequestId;
use super::response::ResponseHead;

/// A head from its lines; the line ends are added.
pub(super) fn lines(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\r\n")).collect::<String>() + "\r\n"
}

/// What came of parsing a request head, in one piece.
pub(super) fn try_request(text: impl AsRef<[u8]>) -> (RequestHead, Parsed) {
    let mut head = RequestHead::default();
    let parsed = head.parse(text.as_ref(), &HeadLimits::default());
    (head, parsed)
}

/// A request head that is complete.
pub(super) fn request(text: &[&str]) -> RequestHead {
    let (head, parsed) = try_request(lines(text));
    assert_eq!(parsed, Parsed::Complete { length: lines(text).len() }, "{text:?}");
    head
}

/// What came of parsing a response head to a request, in one piece.
pub(super) fn try_response(text: &str, request: &RequestHead) -> (ResponseHead, Parsed) {
    let mut head = ResponseHead::default();
    let parsed = head.parse(text.as_bytes(), &HeadLimits::default(), request);
    (head, parsed)
}

/// A response head that is complete.
pub(super) fn response(text: &[&str], request: &RequestHead) -> ResponseHead {
    let (head, parsed) = try_response(&lines(text), request);
    assert_eq!(parsed, Parsed::Complete { length: lines(text).len() }, "{text:?}");
    head
}

/// A request from 192.0.2.7 on its way to 198.51.100.1.
pub(super) fn context(request_id: &RequestId) -> Context<'_> {
    let peer = Some(SocketAddr::from(([192, 0, 2, 7], 4321)));
    Context {
        peer,
        client: Client::of_peer(peer, Scheme::Http),
        local: Some([203, 0, 113, 1].into()),
        scheme: Scheme::Http,
        tls: None,
        request_id,
        listener: "web",
        upstream: "app",
        server: "198.51.100.1:9000",
    }
}

/// What `write` appends, as text.
pub(super) fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("what the tests write is text")
}
