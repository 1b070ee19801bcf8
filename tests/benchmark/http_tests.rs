//! The HTTP benchmark: its kinds, its messages, its report, its targets, its picture.

use crate::http::kind::{BODY_BYTES, Kind};
use crate::http::load::websocket;
use crate::http::{picture, tables, targets};
use crate::rig::kind::{Figures, Kind as _, Sender, connections_for};
use crate::rig::load::http::message::{Message, Part};
use crate::rig::load::http::wire::{Exchange, Framing, Reuse, Units};
use crate::rig::machine::Machine;
use crate::rig::markdown;
use crate::rig::names::{AUTO, BARE_COPY, HAPROXY_COPY, HAPROXY_SPLICE, NGINX, NO_PROXY};
use crate::rig::results::{Named, Results};

/// Every exchange that the benchmark makes of small bodies, and one that takes more than a chunk.
fn exchanges() -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for sender in [Sender::Origin, Sender::Client] {
        for framing in [Framing::Length, Framing::Chunked] {
            for bytes in [0, 1, 3, 1000, 300_000] {
                exchanges.push(Exchange::new(sender, bytes, framing, Reuse::KeepAlive));
            }
        }
    }
    exchanges
}

/// Reads `bytes` in pieces of `piece` bytes, each of them dropped unseen where that is allowed.
fn read(part: Part, bytes: &[u8], piece: usize) -> Result<Message, String> {
    let mut message = Message::new(part);
    for piece in bytes.chunks(piece) {
        let outcome = if message.unseen() >= piece.len() as u64 {
            message.skip(piece.len() as u64);
            Ok(())
        } else {
            message.read(piece)
        };
        outcome.map_err(|error| error.to_string())?;
    }
    Ok(message)
}

#[test]
fn what_is_sent_can_be_read_however_it_comes_in() {
    for exchange in exchanges() {
        for piece in [1, 2, 7, 100, 8192, usize::MAX] {
            for (part, bytes, body) in [
                (Part::Request, &exchange.request, exchange.request_body),
                (Part::Response, &exchange.response, exchange.response_body),
            ] {
                if piece == 1 && bytes.len() > 10_000 {
                    continue;
                }
                let message = read(part, bytes, piece).unwrap();
                assert!(message.is_complete(), "{part:?} of {body} in pieces of {piece}");
                assert_eq!(message.body(), body, "{part:?} in pieces of {piece}");
                // All but the last byte is not whole.
                let cut = read(part, &bytes[..bytes.len() - 1], piece).unwrap();
                assert!(!cut.is_complete(), "{part:?} of {body} without its last byte");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_not_praised() {
    let check = |part: Part, text: &str, expected: &str| {
        for piece in [1, 5, usize::MAX] {
            let error = read(part, text.as_bytes(), piece).map(|_| ()).unwrap_err();
            assert!(error.contains(expected), "{text:?} in pieces of {piece}: {error}");
        }
    };
    let response = |rest: &str| format!("HTTP/1.1 200 OK\r\n{rest}");
    check(Part::Response, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "status 502");
    check(Part::Response, &response("\r\n"), "neither length nor chunks");
    check(Part::Response, &response("Content-Length: x\r\n\r\n"), "wrong length");
    check(Part::Response, &response("Content-Length: 1\r\n\r\nxx"), "more behind it");
    check(
        Part::Response,
        &response("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        "a length and chunks",
    );
    let chunks = |rest: &str| response(&format!("Transfer-Encoding: chunked\r\n\r\n{rest}"));
    check(Part::Response, &chunks("x\r\n"), "a chunk without a size");
    check(Part::Response, &chunks("2\r\nabc\r\n0\r\n\r\n"), "a chunk without a size");
    check(Part::Response, &chunks("1\r\na\r\n0\r\nA: b\r\n\r\n"), "does not end");
    check(Part::Request, "GET /other HTTP/1.1\r\n\r\n", "asks for something else");
    check(Part::Request, "GET\r\n\r\n", "wrong head");
}

#[test]
fn a_message_is_read_after_another() {
    let exchange = Exchange::new(Sender::Origin, 10, Framing::Chunked, Reuse::KeepAlive);
    let mut message = Message::new(Part::Response);
    for _ in 0..3 {
        message.read(&exchange.response).unwrap();
        assert_eq!((message.is_complete(), message.body()), (true, 10));
        message.reset();
    }
}

#[test]
fn only_a_connection_for_each_request_is_closed() {
    for (reuse, expected) in [(Reuse::KeepAlive, false), (Reuse::Never, true)] {
        let exchange = Exchange::new(Sender::Origin, 10, Framing::Length, reuse);
        let request = read(Part::Request, &exchange.request, usize::MAX).unwrap();
        assert_eq!(request.closes(), expected, "{reuse:?}");
    }
}

#[test]
fn units_are_exchanges() {
    let check = |sender: Sender, bytes: usize, units: Units, counted: u64, expected: f64| {
        let exchange = Exchange::new(sender, bytes, Framing::Length, Reuse::KeepAlive);
        assert_eq!((exchange.units, exchange.exchanges(counted)), (units, expected));
    };
    check(Sender::Origin, 0, Units::Exchanges, 7, 7.0);
    check(Sender::Client, 0, Units::Exchanges, 7, 7.0);
    check(Sender::Origin, 1000, Units::ResponseBytes, 2500, 2.5);
    check(Sender::Client, 1000, Units::RequestBytes, 2500, 2.5);
}

/// RFC 6455, section 5.2.
#[test]
fn frames_are_those_of_websocket() {
    let (client, server) = (websocket::client_frame(), websocket::server_frame());
    assert_eq!(server[..2], [0x82, 100]);
    assert_eq!(client[..2], [0x82, 0x80 | 100]);
    let mask = &client[2..6];
    let unmasked: Vec<u8> =
        client[6..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    assert_eq!(unmasked, server[2..]);
}

fn down(bytes: usize) -> Kind {
    Kind::body(Sender::Origin, bytes)
}

/// Three rounds of a made-up run: `auto` takes half of the CPU of all others, which are alike;
/// HAProxy's splice is not there.
fn made_up() -> Results<Kind> {
    let machine = Machine { kernel: "6.1".into(), cpu: "Made-up CPU".into(), cpus: 2 };
    let named = |name| {
        let version = (name != HAPROXY_SPLICE).then(|| "program 1".to_owned());
        Named { name, version }
    };
    let all = [AUTO, NO_PROXY, BARE_COPY, NGINX, HAPROXY_COPY, HAPROXY_SPLICE].map(named);
    let mut results = Results::new(machine, all.into(), targets::marks());
    let add = |results: &mut Results<Kind>, kind: Kind, name, values| {
        results.add(kind, name, Figures::new(kind, values));
    };
    for spread in [0.9, 1.0, 1.2] {
        for bytes in BODY_BYTES {
            for (name, cpu) in
                [(AUTO, 10.0), (NO_PROXY, f64::NAN), (BARE_COPY, 20.0), (NGINX, 20.0)]
            {
                let values = vec![cpu * spread, 1e5, 20.0, 40.0, f64::NAN];
                add(&mut results, down(bytes), name, values);
            }
        }
        let workers = vec![100.0, 97.0, 0.97, 90.0, 180.0];
        add(&mut results, Kind::Workers, AUTO, workers);
        let spread_of = Kind::Spread { connections: 8 };
        add(&mut results, spread_of, AUTO, vec![0.75]);
        let overload = vec![1000.0, 2.0, 0.93, 90.0, 110.0, 0.5, 2.0];
        add(&mut results, Kind::Overload, AUTO, overload);
    }
    results
}

#[test]
fn no_two_kinds_have_the_same_name() {
    let names: Vec<String> = Kind::all().iter().map(Kind::to_string).collect();
    let unique: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(unique.len(), names.len(), "{names:?}");
    let quick = Kind::quick().into_iter().filter(|kind| !matches!(kind, Kind::Idle { .. }));
    let unknown: Vec<Kind> = quick.filter(|kind| !Kind::all().contains(kind)).collect();
    assert!(unknown.is_empty(), "the quick run measures what the full one does not: {unknown:?}");
}

#[test]
fn large_bodies_go_over_few_connections() {
    let check = |bytes: usize, expected: usize| assert_eq!(connections_for(bytes), expected);
    check(0, 64);
    check(256 << 10, 64);
    check(1 << 20, 16);
    check(16 << 20, 16);
    assert_eq!(down(1 << 20).title(), "Responses of 1 MiB, 16 connections");
}

#[test]
fn the_tables_say_what_was_measured() {
    let results = made_up();
    let text = markdown::write(&results, &tables::write(&results));
    for expected in [
        "**Responses: CPU us for each, by the size of the body**",
        "| | 0 | 1 KiB | 4 KiB | 16 KiB | 64 KiB | 256 KiB | 1 MiB | 16 MiB |",
        "| spliceway auto | 10.0 ±15% |",
        "**Responses: CPU, to nginx**",
        "| spliceway auto | 0.50 |",
        "| no proxy at all | 20 / 40 / - |",
        "| CPU to nginx | at most 0.45 | down-262144: 0.50 | **not reached** |",
        "- haproxy splice: not installed, not measured",
    ] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }
    assert!(!text.contains("Uploads"), "{text}");
}

#[test]
fn targets_are_reached_or_not() {
    let verdicts = made_up().verdicts();
    let check = |kind: Kind, what: &str, expected: bool| {
        let mut found = verdicts.iter().filter(|it| it.what == what);
        let found = found.find(|it| it.measured.iter().any(|(it, _)| *it == kind));
        let found = found.unwrap_or_else(|| panic!("no target {what:?} for {kind}"));
        assert_eq!(found.is_reached(), expected, "{what}: {:?}", found.measured);
    };
    check(down(1 << 10), "CPU to nginx", true);
    check(down(64 << 10), "CPU to nginx", true);
    check(down(256 << 10), "CPU to nginx", false);
    check(Kind::Workers, "requests per CPU second, two workers to one", true);
    check(Kind::Spread { connections: 8 }, "share of the busiest of two workers", false);
    check(Kind::Overload, "goodput to its best", true);
    // HAProxy was not there: nothing is said of it.
    assert!(verdicts.iter().all(|verdict| !verdict.what.contains("HAProxy")));
}

#[test]
fn the_picture_has_curves_bars_and_labels() {
    let svg = picture::draw(&made_up()).unwrap();
    for expected in [
        "As a multiple of nginx's, by the size of the body",
        "CPU, nginx = 1 (log)",
        ">256 KiB</text>",
        ">spliceway auto</text>",
        ">10</text>",
    ] {
        assert!(svg.contains(expected), "no {expected:?} in\n{svg}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    // A curve and its line in the legend for each of the three with CPU time.
    assert_eq!(svg.matches("<polyline").count(), 6);
    assert_eq!(svg.matches('<').count(), svg.matches('>').count());
}
