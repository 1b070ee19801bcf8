//! TERM: clients that do nothing are closed at once, exchanges end properly, tunnels get their
//! time.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use nix::sys::signal::Signal;

use crate::support::http::{Connection, HttpOrigin, get, ok};
use crate::support::proxy::Launch;
use crate::support::{PATIENCE, eventually, in_each_mode};

fn until_it_drains(admin: std::net::SocketAddr) {
    eventually("readiness turns off", || {
        (crate::support::admin::get(admin, "/readyz")?.status == 503).then_some(())
    });
}

#[test]
fn idle_clients_are_closed_and_exchanges_finish() {
    in_each_mode(|mode| {
        let (release, released) = channel::<()>();
        let released = Mutex::new(released);
        let origin = HttpOrigin::start(move |request, connection| {
            if request.target() == "/slow" {
                // The end of the channel is what is waited for.
                let _end = released.lock().unwrap().recv_timeout(PATIENCE);
            }
            connection.try_send(ok(&"x".repeat(300_000))).is_ok()
        });
        let mut proxy =
            Launch::http(mode, &[origin.address()]).set("process.drain_timeout", "60s").start();
        let mut idle = Connection::open(&proxy.address());
        assert_eq!(idle.exchange(get("/")).status(), 200);
        let mut busy = Connection::open(&proxy.address());
        busy.send(get("/slow"));
        eventually("the request is with the server", || {
            origin.requests().iter().any(|it| it.target() == "/slow").then_some(())
        });
        let fresh = Connection::open(&proxy.address());
        proxy.await_metric("spliceway_connections", &[], |open| open == 3.0);
        let admin = proxy.admin();
        proxy.signal(Signal::SIGTERM);
        until_it_drains(admin);
        idle.expect_end();
        assert!(proxy.is_running(), "{mode}: an exchange is under way");
        drop(release);
        let response = busy.read_response("GET");
        assert_eq!((response.status(), response.body.len()), (200, 300_000), "{mode}");
        assert_eq!(response.field("connection"), Some("close"), "{mode}");
        busy.expect_end();
        drop(fresh);
        assert_eq!(proxy.wait().code(), Some(0), "{mode}");
    });
}

#[test]
fn what_outlives_the_drain_is_cut_and_logged() {
    let origin = HttpOrigin::by_connection(|connection| {
        let _rest = connection.read_to_end();
    });
    let mut proxy =
        Launch::http("splice", &[origin.address()]).set("process.drain_timeout", "300ms").start();
    let mut client = Connection::open(&proxy.address());
    client.send(get("/stuck"));
    eventually("the request is with the server", || (!origin.raw_text().is_empty()).then_some(()));
    proxy.signal(Signal::SIGTERM);
    assert!(client.try_read_response("GET").is_err());
    assert_eq!(proxy.wait().code(), Some(0));
    let line = eventually("its line", || {
        proxy.stdout_lines().into_iter().find(|line| line.contains("/stuck"))
    });
    assert!(
        line.contains("\"reason\":\"drain_timeout\"") && line.contains("\"status\":null"),
        "{line}"
    );
}
