//! What is tried again, where, and how often.

use crate::backend::Manner;
use crate::support::http::{Connection, get, post};
use crate::support::stream::refusing;
use crate::{addresses, ask, backends, count, launch, proxy};

const RETRIES: &str = "spliceway_upstream_retries_total";

#[test]
fn no_client_sees_that_a_server_was_killed() {
    let mut backends = backends(3);
    let proxy = proxy(&addresses(&backends), "");
    assert_eq!(count(&proxy, 9).len(), 3);
    backends[1].kill();
    let counts = count(&proxy, 60);
    assert_eq!(counts.keys().map(String::as_str).collect::<Vec<_>>(), ["a", "c"], "{counts:?}");
    backends[1].restart();
    crate::support::eventually("the server is back", || (ask(&proxy).1 == "b").then_some(()));
}

#[test]
fn a_request_that_is_lost_goes_to_another_server() {
    let backends = backends(2);
    backends[0].behave(Manner::Closing);
    let proxy = proxy(&addresses(&backends), "ejection = { consecutive_errors = \"off\" }");
    for _ in 0..10 {
        assert_eq!(ask(&proxy), (200, "b".to_owned()));
    }
    assert!(backends[0].requests() > 0);
    proxy.await_metric(RETRIES, &[], |retries| retries == backends[0].requests() as f64);
    // What must not be sent twice is not.
    let lost = (0..4).filter(|_| {
        let mut client = Connection::open(&proxy.address());
        client.exchange(post("/", "once")).status() == 502
    });
    assert_eq!(lost.count(), 2);
}

#[test]
fn a_server_that_is_too_slow_to_begin_is_given_up_for_another() {
    let backends = backends(2);
    backends[0].behave(Manner::Hanging);
    let settings = "retries = { try_timeout = \"100ms\" }";
    let proxy = proxy(&addresses(&backends), settings);
    for _ in 0..4 {
        assert_eq!(ask(&proxy), (200, "b".to_owned()));
    }
    proxy.await_metric(RETRIES, &[], |retries| retries > 0.0);
}

#[test]
fn retries_have_an_end() {
    let dead: Vec<String> = (0..5).map(|_| format!("\"{}\"", refusing())).collect();
    for (max, attempts) in [(0, 1.0), (1, 2.0), (4, 5.0)] {
        let settings = format!("retries = {{ max = {max} }}");
        let proxy = proxy(&dead, &settings);
        assert_eq!(ask(&proxy).0, 503);
        let errors = |errors| errors == attempts;
        proxy.await_metric("spliceway_upstream_errors_total", &[], errors);
    }
}

#[test]
fn the_budget_bounds_what_is_sent_again() {
    let backends = backends(2);
    backends.iter().for_each(|backend| backend.behave(Manner::Closing));
    let settings = "ejection = { consecutive_errors = \"off\" }\nretries = { budget = 0.0 }";
    let proxy = launch(&addresses(&backends), settings).start();
    let requests = 1500;
    let mut client = Connection::open(&proxy.address());
    for _ in 0..requests {
        assert_eq!(client.exchange(get("/")).status(), 502);
    }
    let retries = proxy.metrics().sum(RETRIES, &[]);
    let most = 1000.0 + 10.0 * crate::support::PATIENCE.as_secs_f64();
    assert!(retries >= 900.0 && retries <= most, "{retries} of {requests} requests");
}
