//! Limits of listeners and clients, as they are written.

use std::net::IpAddr;

use spliceway::limits::ListenerLimits;
use spliceway::limits::bandwidth::Bandwidth;
use spliceway::limits::prefix::ClientPrefix;
use spliceway::limits::rate::{Period, Rate};

use super::{Case, HTTP, VALID};

fn limits(valid: &str, more: &str) -> ListenerLimits {
    let text = format!("{valid}\n[listeners.web.limits]\n{more}");
    Case::file("a.toml", &text).loaded().config.listeners[0].limits.clone()
}

fn check(valid: &str, more: &str, expected: &str) {
    let text = format!("{valid}\n[listeners.web.limits]\n{more}");
    let errors = Case::file("a.toml", &text).errors();
    let errors: Vec<String> = errors.into_iter().map(|error| error.to_string()).collect();
    assert!(errors.iter().any(|error| error.contains(expected)), "{more}: {errors:#?}");
}

#[test]
fn all_that_can_be_said_is_read() {
    let it = limits(
        HTTP,
        r#"
        connections = 1000
        connection_rate = "100/s"
        request_rate = "6000/m burst 10"
        bandwidth = "10MiB/s"
        bandwidth_upstream = "off"
        client_connections = 5
        client_connection_rate = "20/h"
        client_request_rate = "off"
        client_bandwidth = "1MiB/s burst 3MiB"
        client_prefix_v4 = 24
        client_prefix_v6 = 48
        allow = ["10.0.0.0/8", "2001:db8::1"]
        deny = "10.1.0.0/16"
        "#,
    );
    assert_eq!(it.all.connections, Some(1000));
    assert_eq!(it.all.connection_rate, Some(Rate::new(100, Period::Second)));
    let rate = Rate { count: 6000, period: Period::Minute, burst: 10 };
    assert_eq!(it.all.request_rate, Some(rate));
    assert_eq!(it.all.bandwidth, [None, Some(Bandwidth::new(10 << 20))]);
    assert_eq!(it.client.connections, Some(5));
    assert_eq!(it.client.connection_rate, Some(Rate::new(20, Period::Hour)));
    assert_eq!(it.client.request_rate, None);
    let bandwidth = Bandwidth { rate: 1 << 20, burst: 3 << 20 };
    assert_eq!(it.client.bandwidth, [Some(bandwidth); 2], "one for both directions");
    assert_eq!(it.prefix, ClientPrefix { v4: 24, v6: 48 });
    let allows = |ip: &str| it.access.allows(Some(ip.parse::<IpAddr>().unwrap()));
    assert!(allows("10.2.3.4") && allows("2001:db8::1"));
    assert!(!allows("10.1.3.4") && !allows("11.0.0.1") && !allows("2001:db8::2"));
}

#[test]
fn nothing_is_limited_unless_it_is_said() {
    let none = Case::file("a.toml", VALID).loaded();
    assert_eq!(none.config.listeners[0].limits, ListenerLimits::default());
    assert!(!none.effective.iter().any(|it| it.key.contains(".limits")), "and nothing is shown");
    assert_eq!(limits(VALID, ""), ListenerLimits::default());
    assert!(!limits(VALID, "").is_limited());
}

#[test]
fn what_is_in_force_is_explained() {
    let text = format!("{VALID}\n[listeners.web.limits]\nclient_bandwidth = \"1MiB/s\"\n");
    let effective = Case::file("a.toml", &text).loaded().effective;
    let of = |key: &str| {
        let key = format!("listeners.web.limits.{key}");
        let found = effective.iter().find(|it| it.key == key).unwrap();
        (found.value.clone(), found.inherited_from.clone())
    };
    let both = Some("listeners.web.limits.client_bandwidth".to_owned());
    assert_eq!(of("client_bandwidth_upstream"), ("1MiB/s burst 104857B".to_owned(), both));
    assert_eq!(of("connections"), ("off".to_owned(), None));
    assert_eq!(of("client_prefix_v6"), ("64".to_owned(), None));
}

#[test]
fn mistakes_are_named() {
    check(VALID, "client_connections = 0", "\"off\" or a whole number from 1");
    check(VALID, "client_connection_rate = \"20\"", "such as \"20/s\"");
    check(VALID, "client_connection_rate = \"0/s\"", "from 1 to 1000000");
    check(VALID, "client_connection_rate = \"20/day\"", "a second, a minute or an hour");
    check(VALID, "connection_rate = \"20/s burst\"", "such as \"20/s\"");
    check(VALID, "connection_rate = \"20/s burst 0\"", "such as \"20/s\"");
    check(VALID, "connection_rate = 20", "such as \"20/s\"");
    check(VALID, "client_request_rate = \"20/s\"", "a key of HTTP, and this listener speaks TCP");
    check(VALID, "bandwidth = \"10MiB\"", "it is not said of a second");
    check(VALID, "bandwidth = \"10/s\"", "the unit is missing");
    check(VALID, "bandwidth = \"1KiB/s\"", "it is too small");
    check(VALID, "bandwidth = \"100MiB/s burst 4KiB\"", "a burst of at least 1MiB");
    check(VALID, "client_prefix_v6 = 0", "a whole number from 16 to 128");
    check(VALID, "deny = [\"10.0.0.1/8\"]", "\"10.0.0.0/8\"");
    check(VALID, "allow = [\"example.com\"]", "a network such as");
    check(VALID, "allow = [\"10.0.0.0/8\"]\ndeny = [\"10.0.0.0/8\"]", "is in allow as well");
    check(VALID, "client_conections = 3", "client_connections");
    let many: Vec<String> =
        (0..1001).map(|it| format!("\"10.0.{}.{}\"", it / 256, it % 256)).collect();
    check(VALID, &format!("deny = [{}]", many.join(",")), "at most 1000");
}
