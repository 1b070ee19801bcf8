//! What must hold for any bytes. Each function is a fuzz target (`fuzz/fuzz_targets`), and is run
//! on seeded and on generated input by `cargo test --test http`.

// A panic is how a target says that it has found something.
#![allow(clippy::panic, clippy::unwrap_used)]

use spliceway::http::chunk::{ChunkProgress, ChunkScanner};
use spliceway::http::client::Client;
use spliceway::http::context::{Context, Scheme};
use spliceway::http::edits::HeaderEdits;
use spliceway::http::field::Known;
use spliceway::http::forwarded::ForwardedPolicy;
use spliceway::http::head::Parsed;
use spliceway::http::host::HostPolicy;
use spliceway::http::limits::{ChunkLimits, HeadLimits};
use spliceway::http::path;
use spliceway::http::prefix::PathEdit;
use spliceway::http::reject::RejectReason;
use spliceway::http::request::RequestHead;
use spliceway::http::request_id::RequestId;
use spliceway::http::response::ResponseHead;
use spliceway::http::rewrite::{self, Delivery, RequestRewrite, ResponseRewrite};

/// Small, so that inputs of a few hundred bytes reach them.
const HEAD_LIMITS: HeadLimits = HeadLimits { head_size: 1024, fields_max: 8, target_size: 256 };
const CHUNK_LIMITS: ChunkLimits = ChunkLimits {
    extension_size: 16,
    extensions_size: 40,
    trailer_size: 64,
    trailer_fields_max: 4,
};

/// Parses `bytes` as they grow, by `step` bytes at a time.
fn in_steps(bytes: &[u8], step: usize, mut parse: impl FnMut(&[u8]) -> Parsed) -> Parsed {
    for end in (0..bytes.len()).step_by(step) {
        match parse(&bytes[..end]) {
            Parsed::Partial => {}
            Parsed::Complete { length } => {
                assert!(length <= end, "{length} of {end} bytes");
                return Parsed::Complete { length };
            }
            rejected => return rejected,
        }
    }
    parse(bytes)
}

/// A request head: any split gives the same; a head that is accepted is, once rewritten, a head
/// that means the same, with nothing in it for another hop.
pub fn request_head(bytes: &[u8]) {
    let mut head = RequestHead::default();
    let whole = head.parse(bytes, &HEAD_LIMITS);
    for step in [1, 7] {
        let mut other = RequestHead::default();
        assert_eq!(in_steps(bytes, step, |part| other.parse(part, &HEAD_LIMITS)), whole);
        assert_eq!(format!("{other:?}"), format!("{head:?}"));
    }
    let Parsed::Complete { length } = whole else {
        let is_bounded = bytes.len() < HEAD_LIMITS.head_size + 2;
        assert!(whole != Parsed::Partial || is_bounded, "{} bytes are no head", bytes.len());
        return;
    };
    assert!(length <= HEAD_LIMITS.head_size + 2 && head.path().len() <= head.target().len().max(1));
    let mut forwarded = Vec::new();
    rewrite_request(&head, &mut forwarded);
    let mut again = RequestHead::default();
    let limits = HeadLimits { head_size: 1 << 20, fields_max: 512, target_size: 1 << 20 };
    assert_eq!(again.parse(&forwarded, &limits), Parsed::Complete { length: forwarded.len() });
    assert_eq!(again.method_text(), head.method_text());
    assert_eq!((again.path(), again.query()), (head.path(), head.query()));
    assert_eq!((again.body(), again.upgrade()), (head.body(), head.upgrade()));
    if !head.authority().is_empty() {
        assert_eq!((again.host(), again.authority()), (head.host(), head.authority()));
    }
    let count = |known| again.values(known).count();
    assert!(count(Known::ContentLength) + count(Known::TransferEncoding) <= 1);
    assert!(count(Known::Connection) <= 1 && count(Known::Upgrade) <= 1 && again.keeps_alive());
    assert_eq!(count(Known::KeepAlive) + count(Known::ProxyConnection) + count(Known::Proxy), 0);
}

fn rewrite_request(head: &RequestHead, out: &mut Vec<u8>) {
    let rewrite = RequestRewrite {
        host: &HostPolicy::Preserve,
        path: &PathEdit::Keep,
        edits: &HeaderEdits::default(),
        forwarded: &ForwardedPolicy::default(),
        keeps_alive: true,
    };
    rewrite::request(head, &rewrite, &context(&RequestId::default()), out);
}

fn context(request_id: &RequestId) -> Context<'_> {
    let peer = Some(([192, 0, 2, 1], 1).into());
    Context {
        peer,
        client: Client::of_peer(peer, Scheme::Http),
        local: None,
        scheme: Scheme::Http,
        tls: None,
        request_id,
        listener: "web",
        upstream: "app",
        server: "198.51.100.1:80",
    }
}

/// A response head, to each kind of request: as for requests.
pub fn response_head(bytes: &[u8]) {
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "HEAD / HTTP/1.0\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n"),
    ];
    for text in requests {
        let mut request = RequestHead::default();
        let parsed = request.parse(text.as_bytes(), &HEAD_LIMITS);
        assert_eq!(parsed, Parsed::Complete { length: text.len() });
        response_head_to(bytes, &request);
    }
}

fn response_head_to(bytes: &[u8], request: &RequestHead) {
    let mut head = ResponseHead::default();
    let whole = head.parse(bytes, &HEAD_LIMITS, request);
    for step in [1, 7] {
        let mut other = ResponseHead::default();
        assert_eq!(in_steps(bytes, step, |part| other.parse(part, &HEAD_LIMITS, request)), whole);
        assert_eq!(format!("{other:?}"), format!("{head:?}"));
    }
    let Parsed::Complete { length } = whole else {
        assert!(whole != Parsed::Partial || bytes.len() < HEAD_LIMITS.head_size);
        return;
    };
    assert!(length <= HEAD_LIMITS.head_size);
    let delivery = Delivery::new(&head, request, true);
    let edits = HeaderEdits::default();
    let rewrite = ResponseRewrite { edits: &edits, via: true, delivery, cookie: b"", date: "now" };
    let mut forwarded = Vec::new();
    let request_id = RequestId::default();
    rewrite::response(&head, request, &rewrite, &context(&request_id), &mut forwarded);
    let mut again = ResponseHead::default();
    let limits = HeadLimits { head_size: 1 << 20, fields_max: 512, target_size: 1 << 20 };
    let parsed = again.parse(&forwarded, &limits, request);
    assert_eq!(parsed, Parsed::Complete { length: forwarded.len() });
    assert_eq!((again.status(), again.reason()), (head.status(), head.reason()));
    assert_eq!(again.body(), delivery.body);
    let framed = again.values(Known::ContentLength).count();
    assert!(framed + again.values(Known::TransferEncoding).count() <= 1);
}

/// What a chunked body came to.
#[derive(Debug, PartialEq, Eq)]
struct Body {
    data: Vec<u8>,
    forwarded: Vec<u8>,
    consumed: usize,
    progress: ChunkProgress,
}

fn scan(bytes: &[u8], step: usize, limits: &ChunkLimits) -> Result<Body, RejectReason> {
    let mut scanner = ChunkScanner::default();
    let (mut data, mut forwarded, mut consumed) = (Vec::new(), Vec::new(), 0);
    for piece in bytes.chunks(step.max(1)) {
        let keep = |part: &[u8]| data.extend_from_slice(part);
        let scanned = scanner.scan_data(piece, limits, keep)?;
        assert!(scanned.verbatim <= scanned.consumed && scanned.consumed <= piece.len());
        forwarded.extend_from_slice(&piece[..scanned.verbatim]);
        consumed += scanned.consumed;
        if scanner.progress() == ChunkProgress::End {
            break;
        }
        assert_eq!(scanned.consumed, piece.len());
    }
    let progress = scanner.progress();
    if progress == ChunkProgress::End {
        assert_eq!(scanner.announced(), data.len() as u64);
        scanner.write_trailers(&HeaderEdits::default(), &mut forwarded);
    }
    Ok(Body { data, forwarded, consumed, progress })
}

/// A chunked body: any split gives the same; what goes on has the same data, and nothing that
/// would be refused.
pub fn chunks(bytes: &[u8]) {
    let whole = scan(bytes, bytes.len(), &CHUNK_LIMITS);
    for step in [1, 3] {
        assert_eq!(scan(bytes, step, &CHUNK_LIMITS), whole);
    }
    let Ok(body) = whole else { return };
    if body.progress == ChunkProgress::End {
        // A trailer that had no white space behind its colon has some now.
        let again = scan(&body.forwarded, 1, &ChunkLimits::default()).unwrap();
        assert_eq!(again.data, body.data);
        assert_eq!(again.consumed, body.forwarded.len());
        assert_eq!(again.forwarded, body.forwarded);
    }
}

/// A request-target: what is accepted has one path, in which nothing is left to resolve.
pub fn target(bytes: &[u8]) {
    for method in ["GET", "OPTIONS"] {
        let head = [method.as_bytes(), b" ", bytes, b" HTTP/1.0\r\n\r\n"].concat();
        let mut parsed = RequestHead::default();
        if parsed.parse(&head, &HEAD_LIMITS) != (Parsed::Complete { length: head.len() }) {
            continue;
        }
        assert_eq!(parsed.target().as_bytes(), bytes);
        assert!(parsed.query().is_empty() || parsed.query().starts_with('?'));
        assert_eq!(parsed.host(), parsed.host().to_lowercase());
        assert!(!parsed.host().contains([':', '/', '@']) || parsed.host().starts_with('['));
        if parsed.path() != "*" {
            resolved_path(parsed.path());
        }
        if let Some(other) = parsed.other_path() {
            resolved_path(other);
            assert!(!path::has_other_reading(other), "{other}");
        }
    }
    let mut normal = String::new();
    if bytes.starts_with(b"/") && path::normalise(bytes, &mut normal).is_ok() {
        resolved_path(&normal);
    }
}

fn resolved_path(path: &str) {
    assert!(path.starts_with('/') && !path.contains("//"), "{path}");
    assert!(path.split('/').all(|segment| !matches!(segment, "." | "..")), "{path}");
    let mut again = String::new();
    assert_eq!(path::normalise(path.as_bytes(), &mut again), Ok(()), "{path}");
    assert_eq!(again, path);
}
