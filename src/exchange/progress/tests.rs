use super::*;
use crate::id::ServerId;

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUTS: HttpTimeouts = HttpTimeouts {
    request_head: Duration::from_secs(10),
    request_body: Duration::from_secs(60),
    response_head: Duration::from_secs(61),
    response_body: Duration::from_secs(62),
    keep_alive: Duration::from_secs(75),
    lingering: Duration::from_secs(5),
};
const CONNECT: Duration = Duration::from_secs(5);

fn forwarded(now: Instant) -> Progress {
    let tries = TryTimeouts { connect: CONNECT, response: None };
    let mut progress = Progress::forwarded(TIMEOUTS, tries, Attempts::new(2, now), now);
    progress.assigned(ServerId(0), now);
    progress
}

fn sending(is_reused: bool, now: Instant) -> Progress {
    let mut progress = forwarded(now);
    progress.connected(is_reused, now);
    progress
}

#[test]
fn each_phase_has_its_deadline() {
    let start = Instant::now();
    let mut progress = forwarded(start);
    assert_eq!(progress.deadline(), Some(start + CONNECT));
    assert_eq!(progress.expire(start + CONNECT), Overdue::Connect);

    let connected = start + SECOND;
    progress.connected(false, connected);
    assert_eq!(progress.deadline(), Some(connected + TIMEOUTS.request_body));
    let sent = connected + SECOND;
    progress.sent(1, sent);
    assert_eq!(progress.deadline(), Some(sent + TIMEOUTS.request_body));
    progress.sent_all(sent);
    let head = sent + TIMEOUTS.response_head;
    assert_eq!(progress.deadline(), Some(head));
    assert_eq!(progress.expire(head), Overdue::Silence(Direction::Upstream));
    let timeout = progress.send_queue(Direction::Upstream, 0, head);
    assert_eq!(timeout, Some(Timeout::ResponseHead));

    progress.responding(sent);
    assert_eq!(progress.deadline(), Some(sent + TIMEOUTS.response_body));
    progress.delivered_all();
    assert!(progress.is_over() && progress.deadline().is_none());
}

#[test]
fn both_bodies_are_watched_at_once() {
    let start = Instant::now();
    let mut progress = sending(false, start);
    progress.responding(start + SECOND);
    assert_eq!(progress.deadline(), Some(start + TIMEOUTS.request_body));
    progress.sent(1, start + 10 * SECOND);
    let response = start + SECOND + TIMEOUTS.response_body;
    assert_eq!(progress.expire(response), Overdue::Silence(Direction::Downstream));
}

#[test]
fn a_send_queue_that_shrinks_is_a_sign_of_life() {
    let start = Instant::now();
    let mut progress = sending(false, start);
    progress.sent_all(start);
    progress.responding(start);
    let silent = start + TIMEOUTS.response_body;
    assert_eq!(progress.send_queue(Direction::Downstream, 9, silent), None);
    let look = progress.deadline().unwrap();
    assert!(look > silent && look < silent + 2 * SECOND);
    assert_eq!(progress.send_queue(Direction::Downstream, 8, look), None);
    assert_eq!(progress.deadline(), Some(look + TIMEOUTS.response_body));
    let silent = look + TIMEOUTS.response_body;
    assert_eq!(progress.send_queue(Direction::Downstream, 8, silent), None);
    let timeout = progress.send_queue(Direction::Downstream, 8, silent + SECOND);
    assert_eq!(timeout, Some(Timeout::ResponseBody));
}

#[test]
fn a_request_is_sent_again_only_where_that_is_safe() {
    let now = Instant::now();
    let check = |expected, is_idempotent, is_reused, act: fn(&mut Progress)| {
        let mut progress = sending(is_reused, now);
        act(&mut progress);
        progress.take_place();
        assert_eq!(progress.lost(is_idempotent), expected);
    };
    let sent = |progress: &mut Progress| progress.sent(100, Instant::now());
    let again = AfterLoss::Retry { is_unseen: false };
    check(again, true, true, sent);
    check(again, true, false, sent);
    check(AfterLoss::Answer, false, true, sent);
    check(AfterLoss::Answer, false, false, |_| ());
    check(AfterLoss::Retry { is_unseen: true }, false, true, |_| ());
    check(AfterLoss::Answer, true, true, Progress::sent_body);
    check(AfterLoss::Answer, true, true, Progress::saw_response);
    check(AfterLoss::Cut, true, true, |progress| progress.responding(Instant::now()));
}

#[test]
fn retries_end() {
    let now = Instant::now();
    let mut progress = sending(true, now);
    let mut retries = 0;
    loop {
        let server = progress.take_place();
        assert_eq!(server, Some(ServerId(0)));
        let AfterLoss::Retry { .. } = progress.lost(true) else { break };
        retries += 1;
        progress.assigned(ServerId(0), now);
        progress.connected(false, now);
    }
    assert_eq!(retries, 2, "three attempts");
}

#[test]
fn a_request_that_nobody_takes_waits_for_its_response_all_the_same() {
    let now = Instant::now();
    let mut progress = sending(false, now);
    progress.abandon(now);
    assert!(!progress.has_sent_all());
    assert_eq!(progress.deadline(), Some(now + TIMEOUTS.response_head));
    progress.sent_all(now);
    progress.abandon(now);
    assert!(progress.has_sent_all(), "what is sent stays sent");
}

#[test]
fn a_queue_has_an_end() {
    let now = Instant::now();
    let mut progress = forwarded(now);
    progress.take_place();
    progress.queued(now + SECOND);
    assert!(progress.is_queued() && !progress.is_waiting());
    assert_eq!(progress.deadline(), Some(now + SECOND));
    assert_eq!(progress.expire(now + SECOND), Overdue::Queue);
    progress.assigned(ServerId(1), now + SECOND);
    assert_eq!(progress.deadline(), Some(now + SECOND + CONNECT));
}

#[test]
fn a_try_has_less_time_than_the_last_one() {
    let now = Instant::now();
    let tries = TryTimeouts { connect: CONNECT, response: Some(SECOND) };
    let mut progress = Progress::forwarded(TIMEOUTS, tries, Attempts::new(1, now), now);
    let mut try_once = |server, expected| {
        progress.assigned(ServerId(server), now);
        progress.connected(false, now);
        progress.sent_all(now);
        assert_eq!(progress.deadline(), Some(now + expected));
        progress.take_place();
        progress.lost(true)
    };
    assert_eq!(try_once(0, SECOND), AfterLoss::Retry { is_unseen: false });
    assert_eq!(try_once(1, TIMEOUTS.response_head), AfterLoss::Answer);
}
