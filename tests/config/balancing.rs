//! What may be said of servers that are balanced, probed, ejected and found by name.

use std::time::Duration;

use spliceway::balance::consistent_hash::BalanceFactor;
use spliceway::balance::pick::Algorithm;
use spliceway::config::balancing::{Balancing, HashKey, Probe, Statuses};
use spliceway::config::names::{Dns, NameQuery};

use super::errors::check_in;
use super::{Case, VALID};

fn check(line: &str, expected: &[&str]) {
    check_in(VALID, "upstreams.app", line, expected);
}

fn loaded(more: &str) -> Balancing {
    let text = VALID.replace("[upstreams.app]", &format!("[upstreams.app]\n{more}"));
    Case::file("a.toml", &text).loaded().config.upstreams[0].balancing.clone()
}

#[test]
fn what_is_not_written_is_the_default() {
    assert_eq!(loaded(""), Balancing::default());
    assert_eq!(Case::file("a.toml", VALID).loaded().config.dns, Dns::default());
}

#[test]
fn everything_can_be_written() {
    let balancing = loaded(
        "balance = \"consistent_hash\"\nhash_key = \"header:X-User\"\nhash_balance_factor = 2\n\
         slow_start = \"1m\"\nfail = \"open\"\nqueue = { max = 5, timeout = \"3s\" }\n\
         retries = { max = 0, budget = 0.05, try_timeout = \"2s\" }\n\
         health = { http = \"/up?deep=1\", status = [204, \"300-399\"], rise = 9 }\n\
         ejection = { consecutive_errors = \"off\", error_rate = 0.25, status = \"500-599\" }\n",
    );
    let factor = Some(BalanceFactor(2000));
    assert_eq!(balancing.algorithm, Algorithm::ConsistentHash(factor));
    assert_eq!(balancing.hash_key, HashKey::Header("x-user".into()));
    assert_eq!(balancing.slow_start, Duration::from_secs(60));
    assert!(balancing.fails_open);
    assert_eq!((balancing.queue.max, balancing.queue.timeout), (5, Duration::from_secs(3)));
    assert_eq!((balancing.retries.max, balancing.retries.budget), (0, 50));
    assert_eq!(balancing.retries.try_timeout, Some(Duration::from_secs(2)));
    let health = balancing.health.unwrap();
    assert_eq!((health.thresholds.rise, health.thresholds.fall), (9, 3));
    let Probe::Http(http) = health.probe else { panic!("{health:?}") };
    assert_eq!(http.status, Statuses(vec![(204, 204), (300, 399)]));
    assert!(http.status.contains(301) && !http.status.contains(200));
    let ejection = balancing.ejection;
    assert_eq!((ejection.limits.consecutive, ejection.limits.rate), (0, 250));
    assert_eq!(ejection.status, Statuses(vec![(500, 599)]));
    assert_eq!([1, 2, 3, 10].map(|it| ejection.policy(it).ejected_max), [0, 1, 1, 5]);
}

#[test]
fn wrong_values_say_what_is_expected() {
    check(
        "balance = \"least_con\"",
        &["a.toml:@: upstreams.app.balance: found \"least_con\"; expected \"round_robin\", \
           \"least_conn\", \"random_two\" or \"consistent_hash\"; did you mean \"least_conn\"?"],
    );
    check(
        "hash_key = \"client\"",
        &["a.toml:@: upstreams.app.hash_key: nothing is hashed; expected balance = \
           \"consistent_hash\" beside it"],
    );
    check(
        "retries = { budget = 1.5 }",
        &["a.toml:@: upstreams.app.retries.budget: found the number 1.5; expected a share from 0 \
           to 1, such as 0.2"],
    );
    check(
        "health = {}",
        &["a.toml:@: upstreams.app.health: it does not say what a probe is; expected http = \
           \"/healthz\" or tcp = true"],
    );
    check(
        "health = { tcp = true, body = \"ok\" }",
        &["a.toml:@: upstreams.app.health.body: a probe by TCP sends no request; expected http = \
           \"/healthz\" instead of tcp"],
    );
    check(
        "health = { http = \"/\", status = [\"200-700\"] }",
        &[
            "a.toml:@: upstreams.app.health.status[0]: found \"200-700\"; expected a status such as \
           204, or a range such as \"200-299\", from 100 to 599",
        ],
    );
    check(
        "sticky = { cookie = \"a b\" }",
        &[
            "a.toml:@: upstreams.app.sticky.cookie: found \"a b\"; expected the name of a cookie, \
             such as \"SRV\"",
            "a.toml:@: upstreams.app.sticky.secret_file: missing; expected the path of a file with \
             at least 32 random bytes, which signs the cookies",
        ],
    );
}

#[test]
fn names_stand_beside_addresses() {
    let text = VALID.replace(
        "servers = [\"127.0.0.1:9001\"]",
        "servers = [\"127.0.0.1:9001\", { address = \"app.internal:80\", weight = 7 }, \
         \"dns+srv:_http._tcp.app.internal\"]",
    );
    let upstream = Case::file("a.toml", &text).loaded().config.upstreams[0].clone();
    assert_eq!((upstream.servers.len(), upstream.names.len()), (1, 2));
    let host = NameQuery::Host { host: "app.internal".into(), port: 80 };
    assert_eq!((&upstream.names[0].query, upstream.names[0].weight), (&host, 7));
    let service = NameQuery::Service("_http._tcp.app.internal".into());
    assert_eq!(upstream.names[1].query, service);
    check(
        "servers = [{ address = \"app:80\", name = \"a\" }]",
        &[
            "a.toml:@: upstreams.app.servers[0].name: it could not tell the servers apart for which \
           the address stands; expected nothing",
        ],
    );
}
