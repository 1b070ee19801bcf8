//! What was removed from the configuration: it gets nothing new, goes on for its time, and ends.

use std::io::{ErrorKind, Read, Write};

use crate::Case;
use crate::support::eventually;
use crate::support::http::{Connection, HttpOrigin, get, ok};
use crate::support::origin::{Origin, echo};
use crate::support::proxy::logged;
use crate::support::stream::{Stream, refusing};

fn ping(client: &mut Stream) {
    client.write_all(b"ping").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
}

fn expect_reset(client: &mut Stream) {
    let ending = client.read(&mut [0; 16]).expect_err("a cut must not look like an end");
    assert_eq!(ending.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn connections_of_a_removed_listener_go_on_and_are_cut_at_their_deadline() {
    let origin = Origin::start(echo);
    let kept = refusing();
    let config = |more: &str, drain: &str| {
        format!(
            "[process]\ndrain_timeout = \"{drain}\"\n[listeners.kept]\nbind = \"{kept}\"\n\
             upstream = \"app\"\n{more}[upstreams.app]\nservers = [\"{}\"]\n",
            origin.address()
        )
    };
    let gone = refusing();
    let listener = format!("[listeners.gone]\nbind = \"{gone}\"\nupstream = \"app\"\n");
    let case = Case::start(&config(&listener, "1h"));
    let mut untouched = Stream::connect(&kept).unwrap();
    let mut lasting = Stream::connect(&gone).unwrap();
    ping(&mut untouched);
    ping(&mut lasting);
    case.reload(&config("", "1h"));
    eventually("nobody listens there", || Stream::connect(&gone).err());
    case.proxy.await_metric("spliceway_connections_retired", &[], |count| count == 1.0);
    case.proxy.await_metric("spliceway_config_generations_draining", &[], |it| it == 1.0);
    ping(&mut lasting);
    assert_eq!(case.status()["listeners"].as_array().unwrap().len(), 1);

    // It comes back, with what it had, and goes again for a shorter time.
    case.reload(&config(&listener, "1h"));
    ping(&mut Stream::connect(&gone).unwrap());
    ping(&mut lasting);
    case.proxy.await_metric("spliceway_connections_retired", &[], |count| count == 0.0);
    case.reload(&config("", "1s"));
    expect_reset(&mut lasting);
    logged(&case.proxy, "reason", "drain_timeout");
    case.await_drained();
    ping(&mut untouched);

    // Its place is free by now.
    let next = listener.replace("gone", "next");
    case.reload(&config(&next, "1s"));
    let mut client = Stream::connect(&gone).unwrap();
    ping(&mut client);
    ping(&mut untouched);
    drop(client);
    let labels = [("listener", "next"), ("reason", "completed")];
    case.proxy.await_metric("spliceway_connections_closed_total", &labels, |it| it == 1.0);
}

#[test]
fn a_client_of_http_is_let_go_between_requests() {
    let origin = HttpOrigin::answering(ok("here"));
    let gone = refusing();
    let config = |more: &str| {
        format!(
            "[listeners.kept]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
             {more}[upstreams.app]\nservers = [\"{}\"]\n",
            origin.address()
        )
    };
    let listener =
        format!("[listeners.gone]\nbind = \"{gone}\"\nprotocol = \"http\"\nupstream = \"app\"\n");
    let case = Case::start(&config(&listener));
    let mut kept = Connection::open(&case.proxy.address_of("kept"));
    let mut idle = Connection::open(&gone);
    assert_eq!(kept.exchange(get("/")).text(), "here");
    assert_eq!(idle.exchange(get("/")).text(), "here");
    let mut halfway = Connection::open(&gone);
    halfway.send("GET / HTTP/1.1\r\nHost: a.ex");
    case.proxy.await_metric("spliceway_http_requests_in_flight", &[], |count| count == 1.0);
    case.reload(&config(""));
    idle.expect_end();
    halfway.send("ample\r\n\r\n");
    let response = halfway.read_response("GET");
    assert_eq!((response.status(), response.field("connection")), (200, Some("close")));
    halfway.expect_end();
    assert_eq!(kept.exchange(get("/")).text(), "here");
    case.await_drained();
}

#[test]
fn a_removed_server_ends_what_it_has_begun_until_its_deadline() {
    let origin = Origin::start(echo);
    let other = Origin::start(echo);
    let config = |server: &Origin, drain: &str| {
        format!(
            "[process]\ndrain_timeout = \"{drain}\"\n[listeners.tcp]\nbind = \"127.0.0.1:0\"\n\
             upstream = \"app\"\n[upstreams.app]\nservers = [\"{}\"]\n",
            server.address()
        )
    };
    let case = Case::start(&config(&origin, "1h"));
    let mut lasting = case.proxy.connect();
    ping(&mut lasting);
    case.reload(&config(&other, "1h"));
    ping(&mut case.proxy.connect());
    assert_eq!((origin.accepted(), other.accepted()), (1, 1));
    ping(&mut lasting);
    let draining = &case.status()["upstreams"][0]["servers_draining"];
    let expected = serde_json::json!([{ "name": origin.address().to_string(), "connections": 1 }]);
    assert_eq!(*draining, expected);
    // What is retired already keeps its time; only another way there begins a shorter one.
    case.reload(&config(&origin, "1h"));
    case.reload(&config(&other, "1s"));
    expect_reset(&mut lasting);
    case.await_drained();
    ping(&mut case.proxy.connect());
}

/// Connections that wait for requests to an upstream are gone with it, before its place is another
/// one's.
#[test]
fn a_place_that_is_given_to_another_brings_nothing_along() {
    let origins: Vec<HttpOrigin> = (0..3).map(|_| HttpOrigin::answering(ok("here"))).collect();
    let config = |name: &str, origins: &[HttpOrigin]| {
        let servers: Vec<String> =
            origins.iter().map(|it| format!("\"{}\"", it.address())).collect();
        format!(
            "[process]\ndrain_timeout = \"0s\"\n[timeouts]\nupstream_idle = \"1h\"\n\
             [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
             upstream = \"{name}\"\n[upstreams.{name}]\nservers = [{}]\n",
            servers.join(", ")
        )
    };
    let case = Case::start(&config("wide", &origins[..2]));
    let ask = || Connection::open(&case.proxy.address()).exchange(get("/")).text().to_owned();
    for _ in 0..8 {
        assert_eq!(ask(), "here");
    }
    let connections = "spliceway_upstream_connections";
    case.proxy.await_metric(connections, &[("upstream", "wide")], |count| count > 0.0);
    case.reload(&config("empty", &origins[2..]));
    case.proxy.await_metric(connections, &[("upstream", "wide")], |count| count == 0.0);
    case.reload(&config("narrow", &origins[2..]));
    drop(origins);
    let metrics = case.proxy.metrics();
    assert!(metrics.sum(connections, &[]) >= 0.0);
    assert_eq!(case.status()["ready"], true);
}

#[test]
fn a_removed_upstream_serves_who_is_on_the_way() {
    let (released, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let slow = HttpOrigin::start(move |_, connection| {
        let _released = wait.lock().unwrap().recv();
        connection.try_send(ok("slow")).is_ok()
    });
    let quick = HttpOrigin::answering(ok("quick"));
    let config = |name: &str, server: &HttpOrigin| {
        format!(
            "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
             upstream = \"{name}\"\n[upstreams.{name}]\nservers = [\"{}\"]\n",
            server.address()
        )
    };
    let case = Case::start(&config("slow", &slow));
    let mut client = Connection::open(&case.proxy.address());
    client.send(get("/"));
    eventually("the server has it", || (slow.requests().len() == 1).then_some(()));
    case.reload(&config("quick", &quick));
    case.proxy.await_metric("spliceway_connections_retired", &[], |count| count == 1.0);
    assert_eq!(Connection::open(&case.proxy.address()).exchange(get("/")).text(), "quick");
    released.send(()).unwrap();
    assert_eq!(client.read_response("GET").text(), "slow");
    assert_eq!(client.exchange(get("/")).text(), "quick");
    case.await_drained();
    let labels = [("upstream", "slow")];
    case.proxy.await_metric("spliceway_upstream_connections", &labels, |count| count == 0.0);
}
