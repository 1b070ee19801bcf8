//! Servers that are found by name.

use std::net::Ipv4Addr;

use crate::backend::Backend;
use crate::name_server::{Answer, NameServer};
use crate::support::eventually;
use crate::support::proxy::{Proxy, logged};
use crate::support::stream::{Listener, loopback};
use crate::{ask, count};

const HOST: &str = "app.test";

fn proxy(names: &NameServer, servers: &str, more: &str) -> Proxy {
    crate::Launch::configured(&format!(
        "[process]\nworkers = 2\n[dns]\nserver = \"{}\"\nttl_min = \"100ms\"\nttl_max = \"1s\"\n\
         timeout = \"300ms\"\n{more}\n[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
         upstream = \"app\"\n[upstreams.app]\nservers = [{servers}]\n",
        names.address()
    ))
    .start()
}

/// Servers on one port of different addresses of this machine.
fn on_one_port(count: u8) -> (Vec<Backend>, u16) {
    loop {
        let port = match Listener::bind(&loopback()).unwrap().address() {
            spliceway::address::Address::Ip(address) => address.port(),
            other => panic!("{other}"),
        };
        let started = (1..=count).map(|host| {
            Backend::start_at(&format!("127.0.0.{host}:{port}"), &format!("host-{host}"))
        });
        if let Some(backends) = started.collect::<Option<Vec<_>>>() {
            return (backends, port);
        }
    }
}

fn addresses(hosts: &[u8]) -> Answer {
    Answer::Addresses(hosts.iter().map(|host| Ipv4Addr::new(127, 0, 0, *host)).collect())
}

fn await_answerers(proxy: &Proxy, expected: &[&str]) {
    eventually(&format!("{expected:?} answer"), || {
        let counts = count(proxy, 3 * expected.len().max(1));
        (counts.keys().map(String::as_str).collect::<Vec<_>>() == expected).then_some(())
    });
}

#[test]
fn servers_join_and_leave_with_their_addresses() {
    let (_backends, port) = on_one_port(3);
    let names = NameServer::start();
    names.answer(HOST, addresses(&[1, 2]));
    let proxy = proxy(&names, &format!("\"{HOST}:{port}\""), "");
    await_answerers(&proxy, &["host-1", "host-2"]);
    names.answer(HOST, addresses(&[3, 2]));
    await_answerers(&proxy, &["host-2", "host-3"]);
    proxy.await_metric("spliceway_name_servers", &[], |servers| servers == 2.0);
    assert!(count(&proxy, 20).keys().all(|who| who.starts_with("host")), "nobody was refused");
}

/// Another configuration with the same name in it is put in force, and nobody says what the name
/// stands for: that is known.
fn check_reloads(upstreams: &[(&str, u32)]) {
    let (_backends, port) = on_one_port(1);
    let names = NameServer::start();
    names.answer(HOST, addresses(&[1]));
    let config = |(upstream, connections_max): (&str, u32)| {
        format!(
            "[dns]\nserver = \"{}\"\nttl_min = \"1s\"\n[listeners.web]\n\
             bind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"{upstream}\"\n\
             [upstreams.{upstream}]\nservers = [{{ address = \"{HOST}:{port}\", \
             connections_max = {connections_max} }}]\n",
            names.address()
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.toml");
    std::fs::write(&file, config(upstreams[0])).unwrap();
    let launch = crate::Launch::with_arguments(&["run", "--config", file.to_str().unwrap()]);
    let proxy = launch.option("--admin", "127.0.0.1:0").start();
    await_answerers(&proxy, &["host-1"]);
    names.answer(HOST, Answer::Silence);
    for (reloads, upstream) in upstreams.iter().enumerate().skip(1) {
        std::fs::write(&file, config(*upstream)).unwrap();
        proxy.signal(nix::sys::signal::Signal::SIGHUP);
        let succeeded = [("result", "success")];
        let name = "spliceway_config_reloads_total";
        proxy.await_metric(name, &succeeded, |count| count == reloads as f64);
        assert_eq!(count(&proxy, 20).keys().collect::<Vec<_>>(), ["host-1"], "{upstream:?}");
    }
}

#[test]
fn other_settings_of_a_name_leave_its_servers_there() {
    check_reloads(&[("app", 7), ("app", 8)]);
}

#[test]
fn another_name_of_an_upstream_does_too() {
    check_reloads(&[("app", 7), ("other", 7), ("other", 8), ("third", 8)]);
}

/// Series of servers that a name stands for no more would otherwise grow without end.
#[test]
fn metrics_forget_servers_that_a_name_stood_for() {
    const HOSTS: u8 = 5;
    let (_backends, port) = on_one_port(HOSTS);
    let names = NameServer::start();
    names.answer(HOST, addresses(&[1, 2]));
    let settings = "[process]\ndrain_timeout = \"0s\"";
    let proxy = crate::Launch::configured(&format!(
        "{settings}\n[dns]\nserver = \"{}\"\nttl_min = \"100ms\"\nttl_max = \"1s\"\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
         [upstreams.app]\nservers = [\"{HOST}:{port}\"]\n",
        names.address()
    ))
    .start();
    let server = |host: u8| format!("127.0.0.{host}:{port}");
    let served = || {
        let labels = [("server", &*server(1))];
        proxy.metrics().sum("spliceway_upstream_requests_total", &labels)
    };
    await_answerers(&proxy, &["host-1", "host-2"]);
    let before = eventually("requests are counted", || Some(served()).filter(|it| *it > 0.0));
    for host in 3..=HOSTS {
        names.answer(HOST, addresses(&[1, host]));
        let labels = [("server", &*server(host))];
        proxy.await_metric("spliceway_upstream_up", &labels, |up| up == 1.0);
    }
    eventually("servers that are gone are forgotten", || {
        let text = proxy.get("/metrics").unwrap().text();
        let is_shown = |host: &u8| text.contains(&format!("server=\"{}\"", server(*host)));
        // The place of the last one that has left is given to nobody yet.
        ((1..=HOSTS).filter(is_shown).eq([1, 4, 5])).then_some(())
    });
    assert!(served() >= before, "what stays is counted on");
}

#[test]
fn what_was_known_last_is_used_while_nobody_answers() {
    let (_backends, port) = on_one_port(1);
    let names = NameServer::start();
    names.answer(HOST, addresses(&[1]));
    let proxy = proxy(&names, &format!("\"{HOST}:{port}\""), "");
    await_answerers(&proxy, &["host-1"]);
    for answer in [Answer::NoSuchName, Answer::Nothing, Answer::Failure, Answer::Silence] {
        let failed = || {
            let failures = [("result", "fail")];
            proxy.metrics().sum("spliceway_name_resolutions_total", &failures)
        };
        let before = failed();
        names.answer(HOST, answer.clone());
        eventually(&format!("{answer:?} is met"), || (failed() > before).then_some(()));
        assert_eq!(ask(&proxy), (200, "host-1".to_owned()), "{answer:?}");
    }
}

#[test]
fn a_name_that_does_not_resolve_yet_is_no_reason_not_to_start() {
    let (_backends, port) = on_one_port(1);
    let names = NameServer::start();
    let proxy = proxy(&names, &format!("\"{HOST}:{port}\""), "");
    assert_eq!(ask(&proxy).0, 503);
    assert_eq!(logged(&proxy, "reason", "no_server")["status"], 503);
    names.answer(HOST, addresses(&[1]));
    await_answerers(&proxy, &["host-1"]);
}

#[test]
fn two_hundred_addresses_are_bounded() {
    let (_backends, port) = on_one_port(2);
    let names = NameServer::start();
    let all: Vec<u8> = (1..=200).collect();
    names.answer(HOST, addresses(&all));
    let proxy = proxy(&names, &format!("\"{HOST}:{port}\""), "addresses_max = 2");
    await_answerers(&proxy, &["host-1", "host-2"]);
    let warned = |line: &String| line.contains("left_out=198");
    eventually("it is warned of", || proxy.stderr_lines().iter().any(warned).then_some(()));
}

#[test]
fn services_say_ports_weights_and_who_stands_in() {
    let mut backends = crate::backends(3);
    let names = NameServer::start();
    let service = |priority, weight, backend: &Backend| {
        (priority, weight, backend.port(), "host.test".to_owned())
    };
    names.answer("host.test", addresses(&[1]));
    names.answer(
        "_http._tcp.app.test",
        Answer::Services(vec![
            service(10, 3, &backends[0]),
            service(10, 1, &backends[1]),
            service(20, 1, &backends[2]),
        ]),
    );
    let proxy = proxy(&names, "\"dns+srv:_http._tcp.app.test\"", "");
    await_answerers(&proxy, &["a", "b"]);
    let counts = count(&proxy, 40);
    assert_eq!((counts["a"], counts["b"]), (30, 10));
    backends[0].kill();
    backends[1].kill();
    await_answerers(&proxy, &["c"]);
    assert!(names.questions() > 1);
}
