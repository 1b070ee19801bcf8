use super::*;
use crate::config::RelayMode;
use crate::error::Direction;
use crate::relay::coalesce;
use crate::relay::lane::{Drained, Filled, Step};
use crate::relay::silence::QUEUE_LOOK_INTERVAL;
use crate::relay::survivor::CHECK_INTERVAL_MIN;

const MILLISECOND: Duration = Duration::from_millis(1);
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    idle: Duration::from_secs(300),
    half_closed: Duration::from_secs(30),
    tls_handshake: Duration::from_secs(10),
    proxy_header: Duration::from_secs(5),
};
const BROKEN: Readiness =
    Readiness { readable: true, writable: true, behind: true, urgent: false, broken: true };

fn session(retries: u32, now: Instant) -> Session {
    let relay = Relay::new(RelayMode::Copy, None);
    let mut session = Session::new(relay, TIMEOUTS, Attempts::new(retries, now), now, now);
    session.assigned(ServerId(0), now);
    session
}

fn relaying(now: Instant) -> Session {
    let mut session = session(1, now);
    session.connected(now);
    session
}

#[test]
fn the_last_attempt_ends_it() {
    let now = Instant::now();
    let mut session = session(1, now);
    assert_eq!(session.take_place(), Some(ServerId(0)));
    assert_eq!(session.connect_failed(FaultKind::Refused), AfterFailure::Retry);
    session.assigned(ServerId(1), now);
    assert_eq!(session.take_place(), Some(ServerId(1)));
    assert_eq!(session.connect_failed(FaultKind::Refused), AfterFailure::GiveUp);
    assert_eq!(session.phase(), Phase::Ended(CloseReason::ConnectRefused));
    assert_eq!(session.take_place(), None);
}

#[test]
fn a_session_may_wait_for_a_server() {
    let now = Instant::now();
    let mut session = session(1, now);
    session.take_place();
    assert_eq!(session.connect_failed(FaultKind::Refused), AfterFailure::Retry);
    let until = now + 2 * TIMEOUTS.connect;
    session.queued(until);
    assert_eq!((session.deadline(), session.expire(until)), (Some(until), Expiry::QueueTimedOut));
    session.on_ready(Side::Client, BROKEN);
    assert_eq!(session.phase(), Phase::Ended(CloseReason::ClientReset));
    assert!(session.take_queued() && !session.take_queued());
}

#[test]
fn each_attempt_has_the_whole_connect_timeout() {
    let start = Instant::now();
    let mut session = session(1, start);
    session.take_place();
    let first = start + TIMEOUTS.connect;
    assert_eq!(session.expire(first - MILLISECOND), Expiry::NotYet);
    assert_eq!(session.expire(first), Expiry::ConnectTimedOut);
    assert_eq!(session.connect_failed(FaultKind::TimedOut), AfterFailure::Retry);
    session.assigned(ServerId(1), first);
    assert_eq!(session.deadline(), Some(first + TIMEOUTS.connect));
    session.connected(first + MILLISECOND);
    assert_eq!(session.connect_took(), Some(MILLISECOND));
    assert_eq!(session.retries(), 1);
}

#[test]
fn a_client_that_goes_away_during_the_connect_ends_it() {
    let mut session = session(1, Instant::now());
    session.on_ready(Side::Client, BROKEN);
    assert_eq!(session.phase(), Phase::Ended(CloseReason::ClientReset));
}

#[test]
fn silence_ends_a_session_and_bytes_put_it_off() {
    let start = Instant::now();
    let mut session = relaying(start);
    let later = start + TIMEOUTS.idle - MILLISECOND;
    session.on_turn(true, later);
    assert_eq!(session.expire(start + TIMEOUTS.idle), Expiry::NotYet);
    let silent = later + TIMEOUTS.idle;
    assert_eq!(session.expire(silent), Expiry::CheckSendQueues);
    session.send_queues(0, silent);
    assert_eq!(session.phase(), Phase::Ended(CloseReason::IdleTimeout));
}

#[test]
fn a_send_queue_that_shrinks_is_a_sign_of_life() {
    let check = |at_first: usize, a_second_later: usize, lives: bool| {
        let start = Instant::now();
        let mut session = relaying(start);
        let silent = start + TIMEOUTS.idle;
        assert_eq!(session.expire(silent), Expiry::CheckSendQueues);
        session.send_queues(at_first, silent);
        let look = silent + QUEUE_LOOK_INTERVAL;
        assert_eq!(session.deadline(), Some(look));
        assert_eq!(session.expire(look), Expiry::CheckSendQueues);
        session.send_queues(a_second_later, look);
        let expected = lives.then_some(look + TIMEOUTS.idle);
        assert_eq!(session.deadline(), expected, "{at_first} {a_second_later}");
    };
    check(100, 99, true);
    check(100, 0, true);
    check(100, 100, false);
    check(100, 101, false);
}

#[test]
fn an_end_after_a_long_silence_has_the_whole_time_of_a_half_close() {
    let start = Instant::now();
    let mut session = relaying(start);
    let end = start + TIMEOUTS.half_closed * 3;
    session.on_ready(Side::Client, Readiness { readable: true, ..Readiness::default() });
    session.relay_mut().filled(Direction::Upstream, Filled::Eof);
    session.relay_mut().shut_down(Direction::Upstream);
    session.on_turn(false, end);
    assert_eq!(session.deadline(), Some(end + TIMEOUTS.half_closed));
}

#[test]
fn a_survivor_that_reads_has_time() {
    let start = Instant::now();
    let mut session = relaying(start);
    session.on_ready(Side::Upstream, BROKEN);
    session.relay_mut().filled(Direction::Downstream, Filled::Failed(FaultKind::Reset));
    session.on_turn(false, start);
    let mut now = start;
    for left in (1..2000).rev() {
        now = session.deadline().expect("it is not over");
        assert_eq!(session.expire(now), Expiry::CheckSurvivorQueue(Side::Client), "{left}");
        session.survivor_queue(left, now);
    }
    assert!(now > start + TIMEOUTS.half_closed * 2, "far beyond the time of one who does not");
    session.survivor_queue(0, now);
    assert_eq!(session.phase(), Phase::Ended(CloseReason::UpstreamReset));
}

#[test]
fn a_half_closed_session_has_less_time() {
    let start = Instant::now();
    let mut session = relaying(start);
    session.on_ready(Side::Client, Readiness { readable: true, ..Readiness::default() });
    session.relay_mut().filled(Direction::Upstream, Filled::Eof);
    session.relay_mut().shut_down(Direction::Upstream);
    session.on_turn(false, start);
    let silent = start + TIMEOUTS.half_closed;
    assert_eq!(session.expire(silent), Expiry::CheckSendQueues);
    session.send_queues(0, silent);
    assert_eq!(session.phase(), Phase::Ended(CloseReason::HalfClosedTimeout));
}

#[test]
fn a_reset_waits_for_the_survivors_send_queue() {
    let start = Instant::now();
    let mut session = relaying(start);
    session.on_ready(Side::Upstream, BROKEN);
    session.relay_mut().filled(Direction::Downstream, Filled::Failed(FaultKind::Reset));
    session.on_turn(false, start);
    assert_eq!(session.expire(start), Expiry::CheckSurvivorQueue(Side::Client));
    session.survivor_queue(100, start);
    let next = session.deadline().unwrap();
    assert_eq!(next, start + CHECK_INTERVAL_MIN);
    assert_eq!(session.expire(next), Expiry::CheckSurvivorQueue(Side::Client));
    session.survivor_queue(0, next);
    assert_eq!(session.phase(), Phase::Ended(CloseReason::UpstreamReset));
}

#[test]
fn a_survivor_that_never_reads_is_reset_in_the_end() {
    let start = Instant::now();
    let mut session = relaying(start);
    session.on_ready(Side::Client, BROKEN);
    session.relay_mut().filled(Direction::Upstream, Filled::Failed(FaultKind::Reset));
    session.on_turn(false, start);
    let mut looks = 0;
    while let Some(now) = session.deadline() {
        if session.expire(now) == Expiry::CheckSurvivorQueue(Side::Upstream) {
            looks += 1;
            session.survivor_queue(1, now);
        }
        assert!(now <= start + TIMEOUTS.half_closed);
    }
    assert_eq!(session.phase(), Phase::Ended(CloseReason::ClientReset));
    let looks_expected = 300..320;
    assert!(looks_expected.contains(&looks), "{looks} looks in 30 s at 100 ms and less");
}

#[test]
fn a_cut_never_changes_the_reason_of_an_end() {
    let now = Instant::now();
    let mut session = relaying(now);
    session.cut();
    assert_eq!(session.phase(), Phase::Ended(CloseReason::DrainTimeout));
    let mut ended = session;
    ended.phase = Phase::Ended(CloseReason::Completed);
    ended.cut();
    assert_eq!(ended.phase(), Phase::Ended(CloseReason::Completed));
}

#[test]
fn bytes_held_for_a_broken_sink_do_not_keep_the_session() {
    let now = Instant::now();
    let mut session = relaying(now);
    let up = Direction::Upstream;
    session.on_ready(Side::Client, Readiness { readable: true, ..Readiness::default() });
    session
        .relay_mut()
        .filled(up, Filled::Moved { bytes: 10, path: crate::error::Path::Copy, short: true });
    session.relay_mut().drained(up, Drained::Failed(FaultKind::Reset));
    session.relay_mut().filled(Direction::Downstream, Filled::Eof);
    session.on_turn(true, now);
    assert!(matches!(session.phase(), Phase::Resetting { survivor: Side::Client, .. }));
}

/// A session whose downstream lane has a low-water mark in force.
fn coalescing(now: Instant) -> Session {
    let relay = Relay::new(RelayMode::Splice, Some(1000));
    let mut session = Session::new(relay, TIMEOUTS, Attempts::new(0, now), now, now);
    session.assigned(ServerId(0), now);
    session.connected(now);
    let down = Direction::Downstream;
    session.on_ready(Side::Upstream, Readiness { readable: true, ..Readiness::default() });
    while !session.relay().lane(down).is_bulk() {
        bring(&mut session, 1000);
    }
    assert_eq!(session.relay_mut().lane_mut(down).take_low_water_change(), Some(1000));
    session
}

/// So many bytes come from the upstream server and are delivered.
fn bring(session: &mut Session, bytes: usize) {
    let (down, path) = (Direction::Downstream, crate::error::Path::Splice);
    session.relay_mut().filled(down, Filled::Moved { bytes, path, short: true });
    session.relay_mut().drained(down, Drained::Moved(bytes));
}

#[test]
fn bytes_that_are_held_back_are_looked_after() {
    let start = Instant::now();
    let mut session = coalescing(start);
    bring(&mut session, 5000);
    session.on_turn(true, start);
    let wait = Step::Wait { readable: true, writable: false };
    assert_eq!(session.relay().lane(Direction::Downstream).next(), wait, "the mark is trusted");

    let tail = start + coalesce::PATIENCE;
    assert_eq!(session.deadline(), Some(tail));
    assert_eq!(session.expire(tail), Expiry::Run);
    let fill = Step::Fill { path: crate::error::Path::Splice, max: usize::MAX };
    assert_eq!(session.relay().lane(Direction::Downstream).next(), fill, "however little");

    // Little comes: a pause. The mark goes, and with it the short deadline.
    bring(&mut session, 1);
    let lane = session.relay_mut().lane_mut(Direction::Downstream);
    assert_eq!(lane.take_low_water_change(), Some(1));
    session.on_turn(true, tail);
    assert_eq!(session.deadline(), Some(tail + TIMEOUTS.idle));
}

#[test]
fn bytes_put_the_look_at_the_tail_off() {
    let start = Instant::now();
    let mut session = coalescing(start);
    session.on_turn(true, start);
    let later = start + coalesce::PATIENCE / 2;
    session.on_ready(Side::Upstream, Readiness { readable: true, ..Readiness::default() });
    bring(&mut session, 5000);
    session.on_turn(true, later);
    assert_eq!(session.expire(start + coalesce::PATIENCE), Expiry::NotYet);
    assert_eq!(session.deadline(), Some(later + coalesce::PATIENCE));
}

#[test]
fn a_word_from_the_other_side_ends_coalescing_at_once() {
    let start = Instant::now();
    let mut session = coalescing(start);
    session.on_turn(true, start);
    session.on_ready(Side::Client, Readiness { readable: true, ..Readiness::default() });
    let path = crate::error::Path::Splice;
    session.relay_mut().filled(Direction::Upstream, Filled::Moved { bytes: 1, path, short: false });
    let lane = session.relay_mut().lane_mut(Direction::Downstream);
    assert_eq!(lane.next(), Step::Fill { path, max: usize::MAX }, "what was held back is read now");
    assert_eq!(lane.take_low_water_change(), Some(1));
}
