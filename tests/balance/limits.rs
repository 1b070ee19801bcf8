//! Servers with a limit of connections, and those who wait for them.

use crate::backend::{Backend, release};
use crate::support::eventually;
use crate::support::http::{Connection, get};
use crate::support::proxy::{Proxy, logged};
use crate::{ask, proxy};

const QUEUED: &str = "spliceway_upstream_queued";

fn limited(backend: &Backend, max: u32) -> [String; 1] {
    [format!("{{ address = {}, connections_max = {max} }}", backend.quoted())]
}

fn waiting(proxy: &Proxy, count: usize) -> Vec<Connection> {
    let open = |_| {
        let mut client = Connection::open(&proxy.address());
        client.send(get("/wait"));
        client
    };
    (0..count).map(open).collect()
}

#[test]
fn who_finds_no_room_waits_and_is_served() {
    let backend = Backend::start("queue");
    let proxy = proxy(&limited(&backend, 2), "queue = { max = 100, timeout = \"60s\" }");
    let mut clients = waiting(&proxy, 12);
    proxy.await_metric(QUEUED, &[], |queued| queued == 10.0);
    assert_eq!(backend.under_way(), 2);
    release("queue");
    for client in &mut clients {
        assert_eq!(client.read_response("GET").text(), "queue");
    }
    assert_eq!(backend.most_at_once(), 2, "the limit held");
    proxy.await_metric(QUEUED, &[], |queued| queued == 0.0);
    proxy.await_metric("spliceway_upstream_active", &[], |active| active == 0.0);
}

#[test]
fn a_queue_has_a_bound_and_an_end() {
    let backend = Backend::start("bound");
    let proxy = proxy(&limited(&backend, 1), "queue = { max = 2, timeout = \"300ms\" }");
    let mut served = waiting(&proxy, 1);
    eventually("it is busy", || (backend.under_way() == 1).then_some(()));
    let mut queued = waiting(&proxy, 2);
    proxy.await_metric(QUEUED, &[], |queued| queued == 2.0);
    let (status, _) = ask(&proxy);
    assert_eq!(status, 503);
    assert_eq!(logged(&proxy, "reason", "queue_full")["status"], 503);
    for client in &mut queued {
        assert_eq!(client.read_response("GET").status(), 503);
    }
    assert_eq!(logged(&proxy, "reason", "queue_timeout")["status"], 503);
    release("bound");
    assert_eq!(served[0].read_response("GET").status(), 200);
    proxy.await_metric(QUEUED, &[], |queued| queued == 0.0);
    assert_eq!(ask(&proxy), (200, "bound".to_owned()));
}

#[test]
fn without_a_queue_nobody_waits() {
    let backend = Backend::start("none");
    let proxy = proxy(&limited(&backend, 1), "");
    let mut served = waiting(&proxy, 1);
    eventually("it is busy", || (backend.under_way() == 1).then_some(()));
    assert_eq!(ask(&proxy).0, 503);
    release("none");
    assert_eq!(served[0].read_response("GET").status(), 200);
}

#[test]
fn clients_that_leave_make_room_in_the_queue() {
    let backend = Backend::start("leave");
    let proxy = proxy(&limited(&backend, 1), "queue = { max = 3, timeout = \"60s\" }");
    let mut served = waiting(&proxy, 1);
    eventually("it is busy", || (backend.under_way() == 1).then_some(()));
    for _ in 0..3 {
        let queued = waiting(&proxy, 3);
        proxy.await_metric(QUEUED, &[], |queued| queued == 3.0);
        queued.into_iter().for_each(Connection::reset);
        proxy.await_metric(QUEUED, &[], |queued| queued == 0.0);
    }
    let mut last = waiting(&proxy, 1);
    proxy.await_metric(QUEUED, &[], |queued| queued == 1.0);
    release("leave");
    assert_eq!(served[0].read_response("GET").status(), 200);
    assert_eq!(last[0].read_response("GET").status(), 200);
}

#[test]
fn connections_of_tcp_wait_as_well() {
    let origin = crate::support::origin::Origin::start(crate::support::origin::echo);
    let proxy = crate::support::proxy::Launch::configured(&format!(
        "[process]\nworkers = 2\n[listeners.raw]\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\n\
         [upstreams.app]\nqueue = {{ max = 10, timeout = \"60s\" }}\n\
         servers = [{{ address = \"{}\", connections_max = 1 }}]\n",
        origin.address()
    ))
    .start();
    let echoed = |client: &mut Connection| {
        client.send("hello");
        String::from_utf8(client.read_bytes(5).unwrap()).unwrap()
    };
    let mut first = Connection::open(&proxy.address());
    assert_eq!(echoed(&mut first), "hello");
    let mut second = Connection::open(&proxy.address());
    proxy.await_metric(QUEUED, &[], |queued| queued == 1.0);
    first.close();
    assert_eq!(echoed(&mut second), "hello");
    assert_eq!(origin.accepted(), 2);
}
