//! What another configuration changes, at once or for what comes next.

use std::fs;
use std::io::{Read, Write};

use nix::sys::signal::Signal;
use spliceway::address::Address;

use crate::Case;
use crate::support::eventually;
use crate::support::http::{Connection, HttpOrigin, get, ok};
use crate::support::origin::{Origin, echo};
use crate::support::stream::{Stream, refusing};

/// Sends so many bytes and gets them back.
fn exchange(client: &mut Stream, bytes: usize) {
    let sent = vec![7; bytes];
    let mut outgoing = client.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| outgoing.write_all(&sent).unwrap());
        let mut received = vec![0; bytes];
        client.read_exact(&mut received).unwrap();
        assert!(received == sent);
    });
}

fn ping(client: &mut Stream) {
    exchange(client, 4);
}

fn is_refused(address: &Address) {
    eventually("nobody listens there", || Stream::connect(address).err());
}

#[test]
fn a_changed_mode_reaches_flows_that_run() {
    let origin = Origin::start(echo);
    let config = |mode: &str| {
        format!(
            "[relay]\nmode = \"{mode}\"\n[listeners.tcp]\nbind = \"127.0.0.1:0\"\n\
             upstream = \"app\"\n[upstreams.app]\nservers = [\"{}\"]\n",
            origin.address()
        )
    };
    let case = Case::start(&config("copy"));
    let mut client = case.proxy.connect();
    let relayed =
        |path: &str| case.proxy.metrics().sum("spliceway_relay_bytes_total", &[("path", path)]);
    let mut moves_by = |path: &str| {
        let before = relayed(path);
        exchange(&mut client, 1 << 20);
        let name = "spliceway_relay_bytes_total";
        // What was read before the mode changed may come yet by the path before.
        case.proxy.await_metric(name, &[("path", path)], |now| now > before + f64::from(1 << 20));
    };
    moves_by("copy");
    assert_eq!(relayed("splice"), 0.0);
    case.reload(&config("splice"));
    moves_by("splice");
    case.reload(&config("copy"));
    moves_by("copy");
    assert_eq!(origin.accepted(), 1, "one connection all the time");
}

#[test]
fn routes_hold_for_the_next_request_of_a_connection() {
    let [one, two] = ["one", "two"].map(|name| HttpOrigin::answering(ok(name)));
    let config = |upstream: &str| {
        format!(
            "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
             upstream = \"{upstream}\"\n[upstreams.one]\nservers = [\"{}\"]\n\
             [upstreams.two]\nservers = [\"{}\"]\n",
            one.address(),
            two.address()
        )
    };
    let case = Case::start(&config("one"));
    let mut client = Connection::open(&case.proxy.address());
    assert_eq!(client.exchange(get("/")).text(), "one");
    case.reload(&config("two"));
    assert_eq!(client.exchange(get("/")).text(), "two");
    let respond = "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
                   routes = [{ path = \"/\", respond = { status = 200, body = \"here\" } }]\n";
    case.reload(respond);
    assert_eq!(client.exchange(get("/")).text(), "here");
    case.reload(&config("one"));
    assert_eq!(client.exchange(get("/")).text(), "one");
    let status = case.status();
    assert_eq!(status["config"]["generation"], 3);
    assert_eq!(status["config"]["last_reload"]["ok"], true);
}

#[test]
fn servers_come_and_go() {
    let [one, two] = ["one", "two"].map(|name| HttpOrigin::answering(ok(name)));
    let config = |servers: &[&HttpOrigin]| {
        let servers: Vec<String> =
            servers.iter().map(|server| format!("\"{}\"", server.address())).collect();
        format!(
            "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
             [upstreams.app]\nservers = [{}]\n",
            servers.join(", ")
        )
    };
    let case = Case::start(&config(&[&one]));
    let mut client = Connection::open(&case.proxy.address());
    let mut answers = |count: usize| -> Vec<String> {
        (0..count).map(|_| client.exchange(get("/")).text()).collect()
    };
    assert_eq!(answers(4), ["one"; 4]);
    case.reload(&config(&[&one, &two]));
    let both = answers(8);
    assert!(both.contains(&"one".to_owned()) && both.contains(&"two".to_owned()), "{both:?}");
    case.reload(&config(&[&two]));
    assert_eq!(answers(4), ["two"; 4]);
    case.await_drained();
    let servers = &case.status()["upstreams"][0]["servers"];
    assert_eq!(servers.as_array().map(Vec::len), Some(1));
    assert_eq!(servers[0]["address"], two.address().to_string());
    // Back in its old place.
    case.reload(&config(&[&one]));
    assert_eq!(answers(4), ["one"; 4]);
}

#[test]
fn listeners_and_addresses_come_and_go() {
    let origin = Origin::start(echo);
    let [a, b, c] = [(); 3].map(|()| refusing());
    let upstream = format!("[upstreams.app]\nservers = [\"{}\"]\n", origin.address());
    let listener = |name: &str, bind: &[&Address]| {
        let bind: Vec<String> = bind.iter().map(|address| format!("\"{address}\"")).collect();
        let bind = bind.join(", ");
        format!("[listeners.{name}]\nbind = [{bind}]\nupstream = \"app\"\n")
    };
    let case = Case::start(&(listener("one", &[&a]) + &upstream));
    let reach = |address: &Address| {
        let mut client = Stream::connect(address).unwrap();
        ping(&mut client);
        client
    };
    let mut lasting = reach(&a);
    case.reload(&(listener("one", &[&a, &b]) + &upstream));
    let mut at_b = reach(&b);
    case.reload(&(listener("one", &[&b]) + &listener("two", &[&c]) + &upstream));
    is_refused(&a);
    reach(&c);
    reach(&b);
    // An address goes from one listener to another with its socket.
    case.reload(&(listener("two", &[&b]) + &listener("one", &[&c]) + &upstream));
    reach(&b);
    reach(&c);
    ping(&mut lasting);
    ping(&mut at_b);
    let unix = Address::Unix(case.path("listen.sock"));
    case.reload(&(listener("one", &[&c]) + &listener("two", &[&unix]) + &upstream));
    reach(&unix);
    case.reload(&(listener("one", &[&c]) + &upstream));
    is_refused(&unix);
    assert!(!case.path("listen.sock").exists(), "its file went with it");
    ping(&mut lasting);
}

#[test]
fn the_access_log_goes_elsewhere() {
    let origin = Origin::start(echo);
    let config = |path: &str| {
        format!(
            "[access_log]\npath = \"{path}\"\n[listeners.tcp]\nbind = \"127.0.0.1:0\"\n\
             upstream = \"app\"\n[upstreams.app]\nservers = [\"{}\"]\n",
            origin.address()
        )
    };
    let case = Case::start(&config("stdout"));
    ping(&mut case.proxy.connect());
    eventually("a line on standard output", || case.proxy.stdout_lines().first().cloned());
    let files = ["a.log", "b.log"].map(|name| case.path(name));
    for file in &files {
        case.reload(&config(file.to_str().unwrap()));
        ping(&mut case.proxy.connect());
        let lines = || fs::read_to_string(file).ok();
        eventually("a line in the file", || lines().filter(|text| text.ends_with('\n')));
    }
    assert_eq!(fs::read_to_string(&files[0]).unwrap().lines().count(), 1);
    assert_eq!(case.proxy.stdout_lines().len(), 1);
}

#[test]
fn a_watched_file_reloads_itself() {
    let [one, two] = ["one", "two"].map(|name| HttpOrigin::answering(ok(name)));
    let config = |server: &HttpOrigin, watch: bool| {
        format!(
            "[process]\nwatch_config = {watch}\n[listeners.web]\nbind = \"127.0.0.1:0\"\n\
             protocol = \"http\"\nupstream = \"app\"\n[upstreams.app]\nservers = [\"{}\"]\n",
            server.address()
        )
    };
    let case = Case::start(&config(&one, true));
    let mut client = Connection::open(&case.proxy.address());
    assert_eq!(client.exchange(get("/")).text(), "one");
    case.write(&config(&two, true));
    eventually("the other server answers", || {
        (client.exchange(get("/")).text() == "two").then_some(())
    });
    // A file beside it is none of its business.
    fs::write(case.path("other.toml"), "?").unwrap();
    case.write("nonsense");
    let failed = [("result", "failure")];
    case.proxy.await_metric(crate::RELOADS, &failed, |count| count == 1.0);
    case.write(&config(&one, false));
    eventually("the first server answers", || {
        (client.exchange(get("/")).text() == "one").then_some(())
    });
    // Nobody looks any more, but can be told to.
    case.reload(&config(&two, false));
    assert_eq!(client.exchange(get("/")).text(), "two");
    assert_eq!(case.proxy.metrics().sum(crate::RELOADS, &failed), 1.0);
}

#[test]
fn what_cannot_change_is_said() {
    let origin = Origin::start(echo);
    let config = |workers: u32| {
        format!(
            "[process]\nworkers = {workers}\n[listeners.tcp]\nbind = \"127.0.0.1:0\"\n\
             upstream = \"app\"\n[upstreams.app]\nservers = [\"{}\"]\n",
            origin.address()
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.toml");
    fs::write(&path, config(2)).unwrap();
    let arguments = ["run", "--config", path.to_str().unwrap(), "--admin", "127.0.0.1:0"];
    let proxy = crate::support::proxy::Launch::with_arguments(&arguments).start();
    fs::write(&path, config(3)).unwrap();
    proxy.signal(Signal::SIGHUP);
    eventually("it is said", || {
        let words = "the new value of process.workers holds from the next start";
        proxy.stderr_lines().into_iter().find(|line| line.contains(words))
    });
    assert_eq!(proxy.metrics().sum("spliceway_workers", &[]), 2.0);
    ping(&mut proxy.connect());
}

#[test]
fn limits_count_the_connections_that_are_there() {
    let origin = Origin::start(echo);
    let config = |limits: &str| {
        format!(
            "[listeners.tcp]\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\n{limits}\n\
             [upstreams.app]\nservers = [\"{}\"]\n",
            origin.address()
        )
    };
    let case = Case::start(&config(""));
    let mut clients = [case.proxy.connect(), case.proxy.connect()];
    clients.iter_mut().for_each(ping);
    case.reload(&config("limits.client_connections = 2"));
    let refused = |count: f64| {
        let reason = [("reason", "client_connections")];
        case.proxy.await_metric("spliceway_limit_refusals_total", &reason, |it| it >= count);
    };
    let is_reset = || case.proxy.connect().read(&mut [0]).is_err();
    assert!(is_reset());
    refused(1.0);
    clients.iter_mut().for_each(ping);
    let [first, _second] = clients;
    drop(first);
    case.proxy.await_metric("spliceway_connections", &[], |open| open == 1.0);
    let mut next = case.proxy.connect();
    ping(&mut next);
    assert!(is_reset());
    refused(2.0);
}
