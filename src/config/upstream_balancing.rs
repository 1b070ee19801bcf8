//! `balance` of an upstream and all that goes with it, as written -> [`Balancing`].

use super::balancing::{
    BALANCE_FACTOR_DEFAULT, Balancing, Ejection, HashKey, Queue, Retries, Statuses, Sticky,
};
use super::kinds::{Choice, Count, Span, SpanOrOff};
use super::limits;
use super::reader::{Fallback, Report, Section};
use super::tls_kinds::FilePath;
use super::upstream_health;
use super::upstream_kinds::{
    CookieName, CountOrOff, Factor, HashKeyName, Share, ShareOrOff, StatusRange,
};
use super::valid::narrow;
use crate::balance::pick::Algorithm;
use crate::health::circuit::OpenTimes;
use crate::health::errors::ErrorLimits;

/// `balance`; the factor of the last one is written beside it.
const BALANCE: Choice<Algorithm> = Choice(&[
    ("round_robin", Algorithm::RoundRobin),
    ("least_conn", Algorithm::LeastConnections),
    ("random_two", Algorithm::RandomTwo),
    ("consistent_hash", Algorithm::ConsistentHash(None)),
]);

/// `fail`
const FAIL: Choice<bool> = Choice(&[("closed", false), ("open", true)]);

/// The algorithm as an operator writes it.
pub(super) fn label(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RoundRobin => "round_robin",
        Algorithm::LeastConnections => "least_conn",
        Algorithm::RandomTwo => "random_two",
        Algorithm::ConsistentHash(_) => "consistent_hash",
    }
}

/// Reads what stands beside `servers`.
pub(super) fn read(upstream: &mut Section<'_>, report: &mut Report) -> Balancing {
    let default = Balancing::default();
    let (algorithm, hash_key) = read_algorithm(upstream, report);
    let sticky = read_sticky(upstream, report);
    let slow_start = Fallback::Default(default.slow_start);
    let slow_start =
        upstream.read(report, "slow_start", &Span(limits::SLOW_START), slow_start).value;
    let fails_open = upstream.read(report, "fail", &FAIL, Fallback::Default(false)).value;
    Balancing {
        algorithm,
        hash_key,
        sticky,
        slow_start,
        queue: read_queue(upstream.section(report, "queue"), report, default.queue),
        fails_open,
        retries: read_retries(upstream.section(report, "retries"), report, default.retries),
        health: upstream_health::read(upstream, report),
        ejection: read_ejection(upstream.section(report, "ejection"), report, &default.ejection),
    }
}

fn read_algorithm(upstream: &mut Section<'_>, report: &mut Report) -> (Algorithm, HashKey) {
    let fallback = Fallback::Default(Algorithm::RoundRobin);
    let algorithm = upstream.read(report, "balance", &BALANCE, fallback).value;
    if !matches!(algorithm, Algorithm::ConsistentHash(_)) {
        let expected = "balance = \"consistent_hash\" beside it";
        for key in ["hash_key", "hash_balance_factor"] {
            upstream.refuse(report, key, "nothing is hashed", expected);
        }
        return (algorithm, HashKey::Client);
    }
    let key = Fallback::Default(HashKey::Client);
    let key = upstream.read(report, "hash_key", &HashKeyName, key).value;
    let factor = Fallback::Default(Some(BALANCE_FACTOR_DEFAULT));
    let factor = upstream.read(report, "hash_balance_factor", &Factor, factor).value;
    (Algorithm::ConsistentHash(factor), key)
}

fn read_sticky(upstream: &mut Section<'_>, report: &mut Report) -> Option<Sticky> {
    let is_written = upstream.has("sticky");
    let mut section = upstream.section(report, "sticky");
    if !is_written {
        return None;
    }
    let expected = "the name of the cookie, such as \"SRV\"";
    let cookie = section.require(report, "cookie", &CookieName, expected);
    let expected = "the path of a file with at least 32 random bytes, which signs the cookies";
    let secret_file = section.require(report, "secret_file", &FilePath, expected);
    let max_age = SpanOrOff(limits::STICKY_MAX_AGE);
    let max_age = section.read(report, "max_age", &max_age, Fallback::Default(None)).value;
    section.finish(report);
    Some(Sticky { cookie: cookie?.value, secret_file: secret_file?.value, max_age })
}

fn read_queue(mut section: Section<'_>, report: &mut Report, default: Queue) -> Queue {
    let max = Fallback::Default(u64::from(default.max));
    let max = section.read(report, "max", &Count(limits::QUEUE), max).value;
    let timeout = Fallback::Default(default.timeout);
    let timeout = section.read(report, "timeout", &Span(limits::TIMEOUT), timeout).value;
    section.finish(report);
    Queue { max: narrow(max), timeout }
}

fn read_retries(mut section: Section<'_>, report: &mut Report, default: Retries) -> Retries {
    let max = Fallback::Default(u64::from(default.max));
    let max = section.read(report, "max", &Count(limits::RETRIES), max).value;
    let budget = section.read(report, "budget", &Share, Fallback::Default(default.budget)).value;
    let try_timeout = SpanOrOff(limits::TIMEOUT);
    let fallback = Fallback::Default(default.try_timeout);
    let try_timeout = section.read(report, "try_timeout", &try_timeout, fallback).value;
    section.finish(report);
    Retries { max: narrow(max), budget, try_timeout }
}

fn read_ejection(mut section: Section<'_>, report: &mut Report, default: &Ejection) -> Ejection {
    let (limits, times) = (default.limits, default.times);
    let span = Span(limits::EJECTION);
    let errors = Fallback::Default(u64::from(limits.consecutive));
    let consecutive = CountOrOff(limits::CONSECUTIVE_ERRORS);
    let errors = section.read(report, "consecutive_errors", &consecutive, errors).value;
    let rate = Fallback::Default(limits.rate);
    let rate = section.read(report, "error_rate", &ShareOrOff, rate).value;
    let mut time = |report: &mut Report, name, default: u64| {
        let default = Fallback::Default(std::time::Duration::from_millis(default));
        let time = section.read(report, name, &span, default).value;
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    };
    let window = time(report, "window", limits.window);
    let base = time(report, "base_time", times.base);
    let max = time(report, "max_time", times.max);
    let volume_min = Fallback::Default(u64::from(limits.volume_min));
    let volume_min =
        section.read(report, "requests_min", &Count(limits::REQUESTS_MIN), volume_min).value;
    let max_share = Fallback::Default(default.max_share);
    let max_share = section.read(report, "max_share", &Share, max_share).value;
    let status = section.values(report, "status", &StatusRange, StatusRange::EXPECTED);
    let status: Vec<_> = status.into_iter().map(|range| range.value).collect();
    section.finish(report);
    Ejection {
        limits: ErrorLimits {
            consecutive: narrow(errors),
            rate,
            window,
            volume_min: narrow(volume_min),
        },
        times: OpenTimes { base, max },
        max_share,
        status: if status.is_empty() { default.status.clone() } else { Statuses(status) },
    }
}
