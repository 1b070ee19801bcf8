//! Servers that are ejected for their errors, and come back.

use crate::backend::Manner;
use crate::{addresses, ask, await_standing, backends, count, proxy, standing};

const EJECTIONS: &str = "spliceway_upstream_ejections_total";

#[test]
fn a_server_that_fails_is_ejected_and_comes_back_by_a_trial() {
    let backends = backends(3);
    let settings = "ejection = { consecutive_errors = 3, base_time = \"200ms\" }";
    let proxy = proxy(&addresses(&backends), settings);
    backends[0].behave(Manner::Failing);
    crate::support::eventually("it is ejected", || {
        count(&proxy, 9);
        (proxy.metrics().sum(EJECTIONS, &[]) > 0.0).then_some(())
    });
    // Each trial fails, and each time it is ejected for longer.
    proxy_goes_on_failing(&proxy);
    backends[0].behave(Manner::Well);
    crate::support::eventually("it gets traffic", || (ask(&proxy).1 == "a").then_some(()));
    await_standing(&proxy, &backends[0], "up");
    let lines = proxy.stderr_lines().join("\n");
    assert!(lines.contains("ejected for its errors"), "{lines}");
    assert!(lines.contains("ejected no more"), "{lines}");
}

fn proxy_goes_on_failing(proxy: &crate::Proxy) {
    crate::support::eventually("it was ejected again", || {
        count(proxy, 3);
        (proxy.metrics().sum(EJECTIONS, &[]) >= 2.0).then_some(())
    });
}

#[test]
fn a_share_of_failures_ejects_as_well() {
    let backends = backends(2);
    let settings = "ejection = { consecutive_errors = \"off\", error_rate = 0.4, requests_min = 5, \
                    base_time = \"1h\", max_time = \"1h\" }";
    let proxy = proxy(&addresses(&backends), settings);
    backends[1].behave(Manner::FailingHalf);
    crate::support::eventually("it is ejected", || {
        count(&proxy, 6);
        (standing(&proxy, &backends[1]) == "ejected").then_some(())
    });
    await_standing(&proxy, &backends[1], "ejected");
    let counts = count(&proxy, 10);
    assert_eq!((counts.len(), counts["a"]), (1, 10));
}

#[test]
fn no_more_are_ejected_than_may_be() {
    let backends = backends(4);
    backends.iter().for_each(|backend| backend.behave(Manner::Failing));
    let settings = "ejection = { consecutive_errors = 1, base_time = \"1h\", max_time = \"1h\" }";
    let proxy = proxy(&addresses(&backends), settings);
    count(&proxy, 40);
    let ejected = backends.iter().filter(|it| standing(&proxy, it) == "ejected").count();
    assert_eq!(ejected, 2, "half of them");
    proxy.await_metric(EJECTIONS, &[], |ejections| ejections == 2.0);
}
