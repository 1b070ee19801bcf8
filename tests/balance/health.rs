//! Servers that are probed.

use std::io::Read;

use crate::backend::Manner;
use crate::support::origin::Origin;
use crate::support::stream::refusing;
use crate::{addresses, ask, await_standing, backends, count, launch, proxy};

const PROBES: &str = "interval = \"20ms\", timeout = \"500ms\", rise = 2, fall = 2";

fn http() -> String {
    format!("health = {{ http = \"/healthz\", {PROBES} }}")
}

#[test]
fn a_server_that_dies_is_taken_out_and_comes_back() {
    let mut backends = backends(2);
    let proxy = proxy(&addresses(&backends), &http());
    await_standing(&proxy, &backends[0], "up");
    backends[0].kill();
    await_standing(&proxy, &backends[0], "down");
    let errors = proxy.metrics().sum("spliceway_upstream_errors_total", &[]);
    let counts = count(&proxy, 20);
    assert_eq!((counts.len(), counts["b"]), (1, 20));
    let after = proxy.metrics().sum("spliceway_upstream_errors_total", &[]);
    assert_eq!(errors, after, "nobody tries it");
    backends[0].restart();
    await_standing(&proxy, &backends[0], "up");
    crate::support::eventually("it gets traffic", || (ask(&proxy).1 == "a").then_some(()));
    let lines = proxy.stderr_lines().join("\n");
    assert!(lines.contains("its health checks fail"), "{lines}");
    assert!(lines.contains("its health checks pass"), "{lines}");
    let failed =
        proxy.metrics().sum("spliceway_upstream_health_checks_total", &[("result", "fail")]);
    assert!(failed >= 2.0);
}

#[test]
fn what_hangs_or_answers_wrongly_is_down() {
    let backends = backends(3);
    backends[0].behave(Manner::Hanging);
    backends[1].behave(Manner::Failing);
    let settings = format!("health = {{ http = \"/\", {} }}", PROBES.replace("500ms", "50ms"));
    let proxy = proxy(&addresses(&backends), &settings);
    await_standing(&proxy, &backends[0], "down");
    await_standing(&proxy, &backends[1], "down");
    assert_eq!(count(&proxy, 5)["c"], 5);
    backends[1].behave(Manner::Well);
    await_standing(&proxy, &backends[1], "up");
}

#[test]
fn a_body_and_a_status_may_be_expected() {
    let backends = backends(2);
    backends[1].behave(Manner::Failing);
    let settings =
        format!("health = {{ http = \"/\", status = [\"200\", \"503\"], body = \"a\", {PROBES} }}");
    let proxy = proxy(&addresses(&backends), &settings);
    await_standing(&proxy, &backends[0], "up");
    await_standing(&proxy, &backends[1], "down");
}

#[test]
fn when_all_are_down_it_fails_closed_or_open() {
    let backends = backends(2);
    backends.iter().for_each(|backend| backend.behave(Manner::Failing));
    let all_down = |proxy: &crate::Proxy| {
        backends.iter().for_each(|backend| await_standing(proxy, backend, "down"));
    };
    let closed = proxy(&addresses(&backends), &http());
    all_down(&closed);
    let before: usize = backends.iter().map(crate::Backend::requests).sum();
    assert_eq!(ask(&closed).0, 503);
    assert_eq!(backends.iter().map(crate::Backend::requests).sum::<usize>(), before);
    let refused = crate::support::proxy::logged(&closed, "reason", "no_server");
    assert_eq!(refused["status"], 503, "{refused}");

    let open = proxy(&addresses(&backends), &format!("fail = \"open\"\n{}", http()));
    all_down(&open);
    let before: usize = backends.iter().map(crate::Backend::requests).sum();
    assert_eq!(ask(&open).0, 503, "of the server itself");
    assert_eq!(backends.iter().map(crate::Backend::requests).sum::<usize>(), before + 1);
}

#[test]
fn a_connection_is_enough_for_tcp() {
    let mut backends = backends(1);
    let servers = [backends[0].quoted(), format!("\"{}\"", refusing())];
    let proxy = proxy(&servers, &format!("health = {{ tcp = true, {PROBES} }}"));
    await_standing(&proxy, &backends[0], "up");
    let down = |up| up == 1.0;
    proxy.await_metric("spliceway_upstream_up", &[], down);
    assert_eq!(count(&proxy, 5)["a"], 5);
    backends[0].kill();
    await_standing(&proxy, &backends[0], "down");
}

#[test]
fn probes_say_that_they_stand_for_no_client() {
    for (version, expected) in [
        ("v1", &b"PROXY UNKNOWN\r\nGET /healthz"[..]),
        ("v2", &b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET /healthz"[..]),
    ] {
        let (sender, received) = std::sync::mpsc::channel();
        let origin = Origin::start(move |mut stream| {
            let mut bytes = vec![0; expected.len()];
            stream.read_exact(&mut bytes).ok()?;
            // The test may have seen enough.
            let _enough = sender.send(bytes);
            None
        });
        let settings = format!("proxy_protocol = \"{version}\"\n{}", http());
        let proxy = launch(&[format!("\"{}\"", origin.address())], &settings).start();
        let bytes = received.recv_timeout(crate::support::PATIENCE).unwrap();
        assert_eq!(bytes, expected, "{version}");
        drop(proxy);
    }
}
