//! The table of smuggled requests through the whole proxy: the answer that each gets, and that
//! nothing of what is refused has reached the server.

use std::collections::BTreeMap;

use crate::support::http::{Connection, HttpOrigin, Message};
use crate::support::proxy::{Launch, Proxy};
use crate::support::smuggling::{CASES, Case, SMUGGLED, UNFINISHED, Verdict};
use crate::support::{MODES, eventually};
use crate::{await_none_in_flight, logged};

/// What the server has seen before and after a case.
struct Watch<'a> {
    origin: &'a HttpOrigin,
    bytes: usize,
    requests: usize,
}

impl Watch<'_> {
    fn new(origin: &HttpOrigin) -> Watch<'_> {
        Watch { origin, bytes: origin.raw().concat().len(), requests: origin.requests().len() }
    }

    fn new_requests(&self) -> Vec<Message> {
        self.origin.requests().split_off(self.requests)
    }

    /// By connection, for another one may have begun.
    fn new_bytes(&self) -> usize {
        self.origin.raw().concat().len() - self.bytes
    }
}

/// Sends the bytes in two pieces.
fn send(proxy: &Proxy, case: &Case, split: usize) -> Connection {
    let mut client = Connection::open(&proxy.address());
    let (first, second) = case.bytes.split_at(split);
    client.send(first);
    // A proxy that has refused the first piece may have closed before the second.
    let _refused = client.try_send(second);
    client
}

fn check_refusal(case: &Case, client: &mut Connection, status: u16) {
    let name = case.name;
    let answer = client.read_response("GET");
    assert_eq!(answer.status(), status, "{name}: {answer:?}");
    assert_eq!(answer.field("connection"), Some("close"), "{name}: {answer:?}");
    let rest = client.read_to_end();
    assert_eq!(rest.ok().as_deref(), Some(&[][..]), "{name}: one answer, and then the end");
}

fn check(case: &Case, split: usize, proxy: &Proxy, origin: &HttpOrigin) {
    let name = case.name;
    let watch = Watch::new(origin);
    let mut client = send(proxy, case, split);
    match case.verdict {
        Verdict::Refused { status, .. } => {
            check_refusal(case, &mut client, status);
            assert_eq!(watch.new_bytes(), 0, "{name}: nothing reaches the server");
        }
        Verdict::RefusedInBody { status, .. } => {
            check_refusal(case, &mut client, status);
            assert!(watch.new_requests().is_empty(), "{name}: no whole request reaches the server");
        }
        Verdict::Passes { body: UNFINISHED, .. } => {
            eventually("the head reaches the server", || (watch.new_bytes() > 0).then_some(()));
            client.close();
            await_none_in_flight(proxy);
            assert!(watch.new_requests().is_empty(), "{name}: no whole request reaches the server");
        }
        Verdict::Passes { body, rest } => {
            assert_eq!(client.read_response("GET").status(), 200, "{name}");
            let found = if rest.is_empty() { None } else { Some(SMUGGLED) };
            if found.is_some() {
                assert_eq!(client.read_response("GET").status(), 200, "{name}: the second one");
            }
            let requests = watch.new_requests();
            assert_eq!(requests[0].text(), body, "{name}");
            assert_eq!(requests.get(1).map(Message::target), found, "{name}");
            client.close();
        }
    }
    let may_be_seen = matches!(case.verdict, Verdict::Passes { rest, .. } if !rest.is_empty());
    let has_seen = watch.new_requests().iter().any(|request| request.target() == SMUGGLED);
    assert!(!has_seen || may_be_seen, "{name}: the smuggled request has reached the server");
}

#[test]
fn each_case_has_its_verdict_and_its_place_in_the_books() {
    for mode in MODES {
        let origin = HttpOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let proxy = Launch::http(mode, &[origin.address()]).start();
        let mut refused: BTreeMap<&str, u32> = BTreeMap::new();
        for (index, case) in CASES.iter().enumerate() {
            // Another split for each case and mode; all of them are tried against the parser.
            let split = (index * 7 + mode.len()) % (case.bytes.len() + 1);
            for split in [0, split] {
                check(case, split, &proxy, &origin);
                if let Verdict::Refused { reason, .. } | Verdict::RefusedInBody { reason, .. } =
                    case.verdict
                {
                    *refused.entry(reason).or_default() += 1;
                }
            }
        }
        await_none_in_flight(&proxy);
        for (reason, count) in refused {
            let labels = [("message", "request"), ("reason", reason)];
            let name = "spliceway_http_messages_rejected_total";
            proxy.await_metric(name, &labels, |rejected| rejected == f64::from(count));
            assert_eq!(logged(&proxy, "rejection", reason)["reason"], "rejected");
        }
        assert_eq!(
            proxy
                .metrics()
                .sum("spliceway_http_messages_rejected_total", &[("message", "response")]),
            0.0
        );
    }
}

/// Many that are refused at once do not disturb those that are not, on whatever connection.
#[test]
fn an_honest_client_is_unharmed_meanwhile() {
    let origin = HttpOrigin::echo();
    let proxy = Launch::http("splice", &[origin.address()]).start();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for case in CASES {
                if !matches!(case.verdict, Verdict::Passes { .. }) {
                    // Whatever it is answered, it is not waited for.
                    drop(send(&proxy, case, 0));
                }
            }
        });
        let mut honest = Connection::open(&proxy.address());
        for round in 0..300 {
            let target = format!("/honest/{round}");
            let response = honest.exchange(crate::support::http::get(&target));
            assert_eq!(response.text(), format!("GET {target} "));
        }
    });
    let requests = origin.requests();
    assert!(
        requests.iter().all(|request| request.target().starts_with("/honest/")),
        "{requests:?}"
    );
}
