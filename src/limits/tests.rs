use std::net::Ipv4Addr;

use super::rate::Period;
use super::*;
use crate::error::Direction;

const WEB: ListenerId = ListenerId(0);

struct Fixture {
    limits: Limits,
    settings: ListenerLimits,
    began: Instant,
}

impl Fixture {
    fn new(all: Quota, client: Quota) -> Fixture {
        let settings = ListenerLimits { all, client, ..ListenerLimits::default() };
        let began = Instant::now();
        let limits = Limits::new([&settings], 1 << 10, RandomState::new(), began);
        Fixture { limits, settings, began }
    }

    fn visit(&self, visitor: Visitor, at: f64) -> Result<Admission, Refusal> {
        let now = self.began + Duration::from_secs_f64(at);
        self.limits.admit(WEB, &self.settings, visitor, now, |missed| panic!("{missed:?}"))
    }

    fn connect(&self, last: u8, at: f64) -> Result<Admission, Refusal> {
        self.visit(Visitor::Client(Some(ip(last))), at)
    }

    fn request(&self, admission: &Admission, named: Option<u8>, at: f64) -> Result<(), Refusal> {
        let now = self.began + Duration::from_secs_f64(at);
        let named = named.map(ip);
        self.limits.admit_request(WEB, &self.settings, admission, named, now, |missed| {
            panic!("{missed:?}")
        })
    }
}

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

fn rate(count: u32, burst: u32) -> Option<Rate> {
    Some(Rate { burst, ..Rate::new(count, Period::Second) })
}

fn refused(admitted: Result<Admission, Refusal>) -> Option<LimitReason> {
    admitted.err().map(|refusal| refusal.reason)
}

#[test]
fn nothing_is_taken_where_nothing_is_limited() {
    let it = Fixture::new(Quota::default(), Quota::default());
    assert_eq!(it.connect(1, 0.0), Ok(Admission::NONE));
    assert_eq!(it.limits.clients.capacity(), 0, "and no memory");
    assert_eq!(it.request(&Admission::NONE, None, 0.0), Ok(()));
}

#[test]
fn connections_at_once_of_each_client_and_of_all() {
    let all = Quota { connections: Some(3), ..Quota::default() };
    let client = Quota { connections: Some(2), ..Quota::default() };
    let it = Fixture::new(all, client);
    let first = it.connect(1, 0.0).unwrap();
    let second = it.connect(1, 0.0).unwrap();
    assert_eq!(refused(it.connect(1, 0.0)), Some(LimitReason::ClientConnections));
    let third = it.connect(2, 0.0).unwrap();
    assert_eq!(refused(it.connect(2, 0.0)), Some(LimitReason::Connections));
    assert_eq!(refused(it.connect(1, 0.0)), Some(LimitReason::ClientConnections));
    it.limits.leave(WEB, first);
    // Those who were refused have taken nothing.
    let fourth = it.connect(2, 0.0).unwrap();
    assert_eq!(refused(it.connect(2, 0.0)), Some(LimitReason::ClientConnections));
    for admission in [second, third, fourth] {
        it.limits.leave(WEB, admission);
    }
    assert_eq!(it.limits.listeners[0].connections.load(Ordering::Relaxed), 0);
}

#[test]
fn whoever_is_over_his_own_limit_takes_nothing_from_the_others() {
    let all = Quota { connection_rate: rate(1, 4), request_rate: rate(1, 4), ..Quota::default() };
    let client =
        Quota { connection_rate: rate(1, 1), request_rate: rate(1, 1), ..Quota::default() };
    let it = Fixture::new(all, client);
    let admission = it.connect(1, 0.0).unwrap();
    for _ in 0..100 {
        let refusal = it.connect(1, 0.0).unwrap_err();
        assert_eq!(refusal.reason, LimitReason::ClientConnectionRate);
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(1)));
    }
    assert!((2..5).all(|last| it.connect(last, 0.0).is_ok()));
    assert_eq!(refused(it.connect(5, 0.0)), Some(LimitReason::ConnectionRate));
    // He got back what he could not use, and may come as soon as there is room.
    assert!(it.connect(5, 1.0).is_ok());

    assert_eq!(it.request(&admission, None, 0.0), Ok(()));
    for _ in 0..100 {
        let refusal = it.request(&admission, None, 0.0).unwrap_err();
        assert_eq!(refusal.reason, LimitReason::ClientRequestRate);
    }
    assert!((2..5).all(|last| it.request(&Admission::NONE, Some(last), 0.0).is_ok()));
    let refusal = it.request(&Admission::NONE, Some(5), 0.0).unwrap_err();
    assert_eq!(refusal.reason, LimitReason::RequestRate);
    assert_eq!(it.request(&Admission::NONE, Some(5), 1.0), Ok(()));
}

#[test]
fn a_proxy_is_no_client_but_those_whom_it_names_are() {
    let client = Quota { connections: Some(1), request_rate: rate(1, 1), ..Quota::default() };
    let mut it = Fixture::new(Quota::default(), client);
    it.settings.access = AccessList::new(&["192.0.2.8/32".parse().unwrap()], &[]).unwrap();
    let admission = it.visit(Visitor::Proxy, 0.0).unwrap();
    assert!(it.visit(Visitor::Proxy, 0.0).is_ok());
    assert_eq!(it.request(&admission, Some(8), 0.0), Ok(()));
    let again = it.request(&admission, Some(8), 0.5).unwrap_err();
    assert_eq!(again.retry_after, Some(Duration::from_millis(500)));
    let denied = it.request(&admission, Some(9), 0.0).unwrap_err();
    assert_eq!(denied, Refusal::now(LimitReason::Denied));
    assert_eq!(refused(it.connect(9, 0.0)), Some(LimitReason::Denied));
}

#[test]
fn those_of_one_network_are_one_client() {
    let client = Quota { connections: Some(2), ..Quota::default() };
    let it = Fixture::new(Quota::default(), client);
    let connect = |ip: &str| it.visit(Visitor::Client(Some(ip.parse().unwrap())), 0.0);
    assert!(connect("2001:db8:1:1::1").is_ok() && connect("2001:db8:1:1:ffff::2").is_ok());
    assert_eq!(refused(connect("2001:db8:1:1::3")), Some(LimitReason::ClientConnections));
    assert!(connect("2001:db8:1:2::3").is_ok());
    assert!((0..9).all(|_| it.visit(Visitor::Client(None), 0.0).is_ok()), "no address, no client");
}

#[test]
fn what_is_used_up_stays_so_in_the_next_configuration() {
    let quota = Quota { connections: Some(1), ..Quota::default() };
    let it = Fixture::new(quota, Quota::default());
    let admission = it.connect(1, 0.0).unwrap();
    let next = ListenerLimits { client: quota, ..it.settings.clone() };
    let limits = it.limits.succeeded([&next, &next], 100);
    assert!(limits.clients.capacity() >= 100, "a table where there was none");
    let admit = |listener, last| {
        let visitor = Visitor::Client(Some(ip(last)));
        refused(limits.admit(ListenerId(listener), &next, visitor, it.began, |_| {}))
    };
    assert_eq!(admit(0, 1), Some(LimitReason::Connections));
    assert_eq!(admit(1, 1), None);
    assert_eq!(admit(1, 1), Some(LimitReason::ClientConnections));
    limits.leave(WEB, admission);
    assert_eq!(admit(0, 1), None);
    let after = limits.succeeded([&next], 5000);
    assert_eq!(after.clients.capacity(), limits.clients.capacity(), "which then stays as it is");
}

#[test]
fn of_two_bandwidths_the_less_holds() {
    let slow = |rate, burst| {
        let bandwidth = [None, Some(Bandwidth { rate, burst })];
        Quota { bandwidth, ..Quota::default() }
    };
    let it = Fixture::new(slow(1 << 20, 100_000), slow(1 << 20, 60_000));
    let [one, two] = [1, 2].map(|last| it.connect(last, 0.0).unwrap());
    let read = |admission: &Admission, used: usize| {
        let throttle = it.limits.throttle(WEB, &it.settings, admission, it.began);
        let allowed = throttle.reserve(Direction::Downstream, usize::MAX)?;
        throttle.settle(Direction::Downstream, allowed, used.min(allowed.bytes));
        Ok::<usize, Instant>(allowed.bytes)
    };
    assert_eq!(read(&one, 0), Ok(60_000), "of the client's own");
    assert_eq!(read(&one, 50_000), Ok(60_000), "what was not used was given back to both");
    assert_eq!(read(&two, usize::MAX), Ok(50_000), "what is left of the listener's");
    let again = read(&two, 0).unwrap_err();
    assert!(again > it.began, "none is left of it");
    assert!(read(&one, 0).is_err(), "for anybody");
    let throttle = it.limits.throttle(WEB, &it.settings, &one, it.began);
    let upstream = throttle.reserve(Direction::Upstream, usize::MAX).unwrap();
    assert_eq!(upstream.bytes, usize::MAX, "the other direction has no limit");
}

#[test]
fn connections_that_were_there_before_a_limit_count_once_it_is_set() {
    let mut it = Fixture::new(Quota::default(), Quota::default());
    let mut before: Vec<_> = [1, 1, 2].map(|last| (last, it.connect(last, 0.0).unwrap())).into();
    it.settings.all.connections = Some(4);
    it.settings.client.connections = Some(2);
    it.limits = it.limits.succeeded([&it.settings], 1 << 10);
    // Another reload finds them counted.
    for _ in 0..2 {
        for (last, admission) in &mut before {
            let client = Visitor::Client(Some(ip(*last)));
            it.limits.join(WEB, &it.settings, client, admission, it.began, |missed| {
                panic!("{missed:?}")
            });
        }
    }
    assert_eq!(refused(it.connect(1, 0.0)), Some(LimitReason::ClientConnections));
    let fourth = it.connect(2, 0.0).unwrap();
    assert_eq!(refused(it.connect(3, 0.0)), Some(LimitReason::Connections));
    it.limits.leave(WEB, fourth);
    before.into_iter().for_each(|(_, admission)| it.limits.leave(WEB, admission));
    for _ in 0..2 {
        let _kept = it.connect(1, 0.0).unwrap();
    }
    assert_eq!(it.limits.listeners[0].connections.load(Ordering::Relaxed), 2);
}
