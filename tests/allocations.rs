//! That a request costs no allocation once the memory of a connection's exchanges is there: heads
//! are parsed, routed and rewritten in memory that is used again.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

use allocation_counter::measure;
use spliceway::http::chunk::{ChunkProgress, ChunkScanner};
use spliceway::http::client::ClientSource;
use spliceway::http::context::{Context, Scheme};
use spliceway::http::edits::{FieldTemplate, HeaderEdits};
use spliceway::http::field::FieldName;
use spliceway::http::forwarded::{ForwardedPolicy, TrustedPeers};
use spliceway::http::head::Parsed;
use spliceway::http::host::HostPolicy;
use spliceway::http::limits::{ChunkLimits, HeadLimits};
use spliceway::http::prefix::{PathEdit, PathPrefix};
use spliceway::http::request::RequestHead;
use spliceway::http::request_id::RequestId;
use spliceway::http::response::ResponseHead;
use spliceway::http::rewrite::{self, Delivery, RequestRewrite, ResponseRewrite};
use spliceway::http::template::Template;
use spliceway::route::{HeaderPattern, HostPattern, Pattern, Router};

/// Heads that take every turn that could want memory: hosts, paths and addresses in need of
/// another form, options of the connection, and fields that are edited, dropped and added.
const REQUESTS: [&str; 3] = [
    "GET /plain HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n",
    "POST /api/%61/../b%2Fc;d?e=f HTTP/1.1\r\nHost: WWW.Example.com.:8080\r\n\
     Connection: keep-alive, X-Hop, close\r\nX-Hop: y\r\nTransfer-Encoding: chunked\r\n\
     X-Token: yes\r\nTE: trailers\r\nX-Forwarded-For: 203.0.113.5, 10.0.0.3\r\n\
     X-Forwarded-Proto: https\r\nForwarded: for=\"[2001:db8::7]:4711\";proto=https\r\n\
     X-Request-Id: theirs\r\nCookie: a=b\r\n\r\n",
    "OPTIONS http://[2001:DB8:0::1]/api HTTP/1.1\r\nHost: [2001:db8::1]\r\nMax-Forwards: 3\r\n\
     Connection: upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n\r\n",
];

const RESPONSES: [&str; 3] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\nSet-Cookie: a\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\nX-Hop: y\r\n\r\n",
    "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
];

const BODY: &[u8] = b"5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: b\r\n\r\n";

fn edits() -> HeaderEdits {
    let field = |name: &str, value: &str| FieldTemplate {
        name: FieldName::editable(name).unwrap(),
        value: Template::parse(value).unwrap(),
    };
    let set = vec![
        field("X-Client", "{client_ip}:{client_port} {scheme} {request_id}"),
        field("X-Asked", "{method} {host}{path}{query} {listener} {upstream} {server}"),
    ];
    let remove = vec![FieldName::editable("Cookie").unwrap()];
    HeaderEdits::new(set, vec![field("X-Added", "yes")], remove).unwrap()
}

fn router() -> Router {
    let path = |text: &str| Some(PathPrefix::parse(text).unwrap());
    let host = |text: &str| HostPattern::parse(text).unwrap();
    let token = HeaderPattern { name: FieldName::parse("X-Token").unwrap(), value: None };
    Router::new(vec![
        Pattern { host: host("www.example.com"), path: path("/api"), ..Pattern::default() },
        Pattern { host: host("*.example.com"), headers: vec![token], ..Pattern::default() },
        Pattern { host: host("[2001:db8::1]"), ..Pattern::default() },
        Pattern { path: path("/api"), methods: vec!["POST".into()], ..Pattern::default() },
        Pattern::default(),
    ])
}

/// What one worker has for all of its exchanges, and one exchange.
struct Memory {
    edits: HeaderEdits,
    router: Router,
    policy: ForwardedPolicy,
    path: PathEdit,
    request: RequestHead,
    response: ResponseHead,
    scanner: ChunkScanner,
    out: Vec<u8>,
}

impl Memory {
    fn new(source: ClientSource) -> Memory {
        let policy = ForwardedPolicy {
            trust: TrustedPeers::parse(["10.0.0.0/8"]).unwrap(),
            client: source,
            forwarded: true,
            ..ForwardedPolicy::default()
        };
        Memory {
            edits: edits(),
            router: router(),
            policy,
            path: PathEdit::strip(PathPrefix::parse("/api").unwrap()),
            request: RequestHead::default(),
            response: ResponseHead::default(),
            scanner: ChunkScanner::default(),
            out: Vec::new(),
        }
    }

    /// A request in two pieces and its response, from their bytes to those that go on.
    fn exchange(&mut self, request: &[u8], response: &[u8]) {
        let limits = HeadLimits::default();
        assert_eq!(self.request.parse(&request[..9], &limits), Parsed::Partial);
        let parsed = self.request.parse(request, &limits);
        assert_eq!(parsed, Parsed::Complete { length: request.len() });
        assert!(self.router.find(&self.request).is_ok());
        let peer = Some(([10, 0, 0, 2], 5000).into());
        let brought = self.policy.brought_request_id(&self.request, Some([10, 0, 0, 2].into()));
        let context = Context {
            peer,
            client: self.policy.client(&self.request, peer, Scheme::Http),
            local: None,
            scheme: Scheme::Http,
            tls: None,
            request_id: &brought.unwrap_or_else(|| RequestId::new(7)),
            listener: "web",
            upstream: "app",
            server: "192.0.2.1:80",
        };
        let forwarded = RequestRewrite {
            host: &HostPolicy::Preserve,
            path: &self.path,
            edits: &self.edits,
            forwarded: &self.policy,
            keeps_alive: true,
        };
        self.out.clear();
        rewrite::request(&self.request, &forwarded, &context, &mut self.out);
        let parsed = self.response.parse(response, &limits, &self.request);
        assert_eq!(parsed, Parsed::Complete { length: response.len() });
        let delivery = Delivery::new(&self.response, &self.request, true);
        let delivered =
            ResponseRewrite { edits: &self.edits, via: true, delivery, cookie: b"", date: "today" };
        rewrite::response(&self.response, &self.request, &delivered, &context, &mut self.out);
        self.scanner.clear();
        let scanned = self.scanner.scan(BODY, &ChunkLimits::default()).unwrap();
        assert_eq!((scanned.consumed, self.scanner.progress()), (BODY.len(), ChunkProgress::End));
        self.scanner.write_trailers(&self.edits, &mut self.out);
    }

    fn round(&mut self) {
        for (request, response) in REQUESTS.iter().zip(RESPONSES) {
            self.exchange(request.as_bytes(), response.as_bytes());
        }
    }
}

#[test]
fn the_way_of_a_head_allocates_nothing_in_the_steady_state() {
    for source in [ClientSource::XForwardedFor, ClientSource::Forwarded, ClientSource::Peer] {
        let mut memory = Memory::new(source);
        let first = measure(|| memory.round());
        assert!(first.count_total > 0, "whoever counts nothing here counts nothing at all");
        let steady = measure(|| (0..100).for_each(|_| memory.round()));
        assert_eq!(steady.count_total, 0, "{source:?}: {steady:?}");
    }
}
