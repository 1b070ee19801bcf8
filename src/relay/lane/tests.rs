use super::*;

const READABLE: Step = Step::Wait { readable: true, writable: false };
const WRITABLE: Step = Step::Wait { readable: false, writable: true };

/// To read by a path, as much as there is.
fn fill(path: Path) -> Step {
    Step::Fill { path, max: usize::MAX }
}

fn spliced(bytes: usize) -> Filled {
    Filled::Moved { bytes, path: Path::Splice, short: true }
}

fn readable_lane(mode: RelayMode) -> Lane {
    let mut lane = Lane::new(mode, None);
    assert_eq!(lane.next(), READABLE);
    lane.on_readable(false);
    lane
}

#[test]
fn bytes_go_in_and_out_and_the_end_follows_them() {
    let mut lane = readable_lane(RelayMode::Splice);
    assert_eq!(lane.next(), fill(Path::Splice));
    lane.filled(spliced(10));
    assert_eq!(lane.next(), Step::Drain);
    lane.drained(Drained::Moved(10));
    assert_eq!(lane.next(), fill(Path::Splice), "a spliced length proves nothing");
    lane.filled(Filled::Eof);
    assert_eq!(lane.next(), Step::ShutdownWrite);
    lane.shut_down();
    assert!(lane.is_done());
    assert_eq!(lane.totals().delivered, [10, 0]);
}

#[test]
fn a_full_sink_keeps_the_source_marked() {
    let mut lane = readable_lane(RelayMode::Splice);
    lane.filled(spliced(100));
    lane.drained(Drained::Moved(30));
    assert_eq!(lane.next(), Step::Drain, "a short splice proves nothing");
    lane.drained(Drained::WouldBlock);
    assert_eq!(lane.next(), WRITABLE);
    lane.on_writable();
    lane.drained(Drained::WouldBlock);
    assert_eq!(lane.next(), WRITABLE);
    lane.on_writable();
    lane.drained(Drained::Moved(70));
    assert_eq!(lane.next(), fill(Path::Splice), "tried again after the drain");
}

#[test]
fn a_short_copying_write_proves_that_the_sink_is_full() {
    let mut lane = readable_lane(RelayMode::Copy);
    lane.filled(Filled::Moved { bytes: 100, path: Path::Copy, short: true });
    lane.drained(Drained::Moved(30));
    assert_eq!(lane.next(), WRITABLE);
}

#[test]
fn urgent_data_ends_splicing() {
    let check = |mode: RelayMode, counted: bool| {
        let mut lane = readable_lane(mode);
        lane.on_urgent();
        assert_eq!(lane.next(), fill(Path::Copy));
        assert_eq!(lane.fallbacks().iter().next().is_some(), counted, "{mode:?}");
    };
    check(RelayMode::Splice, true);
    check(RelayMode::Auto, true);
    check(RelayMode::Copy, false);
}

#[test]
fn would_block_with_bytes_held_does_not_clear_the_mark() {
    let mut lane = readable_lane(RelayMode::Splice);
    lane.filled(spliced(100));
    lane.filled(Filled::WouldBlock);
    lane.drained(Drained::Moved(100));
    assert_eq!(lane.next(), fill(Path::Splice));
}

#[test]
fn a_short_copying_read_saves_the_next_one_unless_something_stands_behind() {
    let short = Filled::Moved { bytes: 10, path: Path::Copy, short: true };
    let mut lane = readable_lane(RelayMode::Copy);
    lane.filled(short);
    lane.drained(Drained::Moved(10));
    assert_eq!(lane.next(), READABLE);

    lane.on_readable(true);
    lane.filled(short);
    lane.drained(Drained::Moved(10));
    assert_eq!(lane.next(), fill(Path::Copy), "the FIN is still to be found");
}

#[test]
fn a_failed_source_is_drained_before_the_lane_is_done() {
    let mut lane = readable_lane(RelayMode::Splice);
    lane.filled(spliced(5));
    lane.drained(Drained::WouldBlock);
    lane.on_readable(true);
    assert_eq!(lane.next(), WRITABLE, "the error waits behind the bytes");
    lane.on_writable();
    lane.drained(Drained::Moved(5));
    lane.filled(Filled::Failed(FaultKind::Reset));
    assert!(lane.is_done());
    assert_eq!(lane.source_fault(), Some(FaultKind::Reset));
}

#[test]
fn a_doomed_source_ends_in_a_failure_and_not_in_a_shutdown() {
    let mut lane = Lane::new(RelayMode::Copy, None);
    lane.doom_source(FaultKind::Reset);
    assert_eq!(lane.next(), fill(Path::Copy), "no event will come, so look at once");
    lane.filled(Filled::Moved { bytes: 3, path: Path::Copy, short: true });
    lane.drained(Drained::Moved(3));
    lane.filled(Filled::Eof);
    assert!(lane.is_done());
    assert_eq!(lane.source_fault(), Some(FaultKind::Reset));
}

#[test]
fn a_broken_sink_loses_what_is_held_and_says_how_much() {
    let mut lane = readable_lane(RelayMode::Splice);
    lane.filled(spliced(8));
    lane.drained(Drained::Failed(FaultKind::Reset));
    assert!(lane.is_done());
    assert_eq!((lane.held(), lane.totals().discarded), (0, 8));
}

#[test]
fn barren_wakes_demote_a_splicing_lane_once() {
    let mut lane = Lane::new(RelayMode::Splice, None);
    let demotions = (0..200)
        .filter_map(|_| {
            lane.on_readable(false);
            lane.filled(Filled::WouldBlock)
        })
        .collect::<Vec<_>>();
    assert_eq!(demotions, [FallbackReason::NoProgress]);
    lane.on_readable(false);
    assert_eq!(lane.next(), fill(Path::Copy));
}

fn lane_with(extent: Extent) -> Lane {
    let mut lane = Lane::new(RelayMode::Splice, None);
    lane.restart(RelayMode::Splice, None);
    lane.begin(extent, RelayMode::Splice);
    lane.on_readable(false);
    lane
}

#[test]
fn a_message_is_read_to_its_last_byte_and_not_beyond() {
    let mut lane = lane_with(Extent::Message { left: 15 });
    assert_eq!(lane.next(), Step::Fill { path: Path::Splice, max: 15 });
    lane.filled(spliced(10));
    lane.drained(Drained::Moved(10));
    assert_eq!(lane.next(), Step::Fill { path: Path::Splice, max: 5 });
    lane.filled(spliced(5));
    assert_eq!(lane.next(), Step::Drain);
    lane.drained(Drained::Moved(5));
    assert_eq!(lane.next(), Step::Boundary);
    assert!(lane.source_is_readable(), "what follows is the owner's, and may be there");
    lane.begin(Extent::Message { left: 7 }, RelayMode::Splice);
    assert_eq!(lane.next(), Step::Fill { path: Path::Splice, max: 7 });
}

#[test]
fn an_end_within_a_message_and_the_end_of_an_endless_one_are_the_owners_to_judge() {
    for extent in [Extent::Message { left: 15 }, Extent::UntilEnd] {
        let mut lane = lane_with(extent);
        lane.filled(spliced(10));
        lane.drained(Drained::Moved(10));
        lane.filled(Filled::Eof);
        assert_eq!(lane.next(), Step::Boundary, "no SHUT_WR");
        assert!(lane.source_has_ended());
        let left = if extent == Extent::UntilEnd { extent } else { Extent::Message { left: 5 } };
        assert_eq!(lane.extent(), left);
    }
}

#[test]
fn the_owner_reads_and_writes_at_a_boundary() {
    let mut lane = lane_with(Extent::NONE);
    assert_eq!(lane.next(), Step::Boundary);
    lane.peeked(Filled::Moved { bytes: 100, path: Path::Copy, short: true });
    assert!(!lane.source_is_readable());
    lane.inject(120);
    lane.drained(Drained::Moved(100));
    assert_eq!(lane.next(), WRITABLE, "a short write proves that the sink is full");
    lane.on_writable();
    lane.drained(Drained::Moved(20));
    assert_eq!(lane.next(), Step::Boundary);
    assert_eq!(*lane.totals(), Totals { read: 120, delivered: [0, 120], discarded: 0 });
    lane.peeked(Filled::Eof);
    assert!(lane.source_has_ended() && lane.next() == Step::Boundary);
}

#[test]
fn the_mark_of_a_long_message_is_renewed_and_its_end_is_not_held_back() {
    let mut lane = Lane::new(RelayMode::Splice, None);
    lane.restart(RelayMode::Splice, Some(100));
    lane.begin(Extent::Message { left: 250 }, RelayMode::Splice);
    assert_eq!(lane.take_low_water_change(), Some(100));
    lane.on_readable(false);
    lane.filled(spliced(120));
    lane.drained(Drained::Moved(120));
    assert_eq!(lane.next(), READABLE);
    assert_eq!(lane.take_low_water_change(), Some(100), "the kernel looks whether more is there");
    assert!(lane.awaits_tail());
    lane.on_readable(false);
    lane.filled(spliced(100));
    lane.drained(Drained::Moved(100));
    assert_eq!(lane.next(), READABLE);
    assert_eq!(lane.take_low_water_change(), Some(1));
    lane.on_readable(false);
    lane.filled(spliced(30));
    lane.drained(Drained::Moved(30));
    assert_eq!(lane.next(), Step::Boundary);
    assert!(lane.source_is_readable());
}

#[test]
fn a_lane_is_deaf_while_it_waits_for_its_sink() {
    let mut lane = readable_lane(RelayMode::Copy);
    assert_eq!(lane.take_hearing_change(), None, "nothing was in vain yet");
    lane.filled(Filled::Moved { bytes: 10, path: Path::Copy, short: false });
    lane.drained(Drained::WouldBlock);
    assert_eq!(lane.take_hearing_change(), None, "the source is silent");
    lane.on_readable(false);
    assert_eq!(lane.take_hearing_change(), Some(false));
    lane.on_readable(false);
    assert_eq!(lane.take_hearing_change(), None, "once is enough");
    lane.on_writable();
    lane.drained(Drained::Moved(10));
    assert!(matches!(lane.next(), Step::Fill { .. }), "what came meanwhile is known of");
    lane.filled(Filled::WouldBlock);
    assert_eq!(lane.take_hearing_change(), Some(true));
    assert_eq!(lane.take_hearing_change(), None);
}

#[test]
fn a_lane_that_pauses_does_nothing_until_its_time_has_come() {
    let now = Instant::now();
    let until = now + std::time::Duration::from_millis(20);
    let mut lane = readable_lane(RelayMode::Splice);
    lane.pause(until);
    assert_eq!(lane.next(), Step::Pause { until });
    assert!(lane.source_is_readable() && !lane.may_read());
    assert!(!lane.awaits_tail());
    // A sender that goes on is heard once more, and then not before the lane waits for it.
    assert_eq!(lane.take_hearing_change(), None);
    lane.on_readable(false);
    assert_eq!(lane.take_hearing_change(), Some(false));
    assert!(!lane.resume(now));
    assert_eq!(lane.next(), Step::Pause { until });
    assert!(lane.resume(until));
    assert_eq!(lane.next(), fill(Path::Splice));
    assert_eq!(lane.take_hearing_change(), None);
    lane.filled(Filled::WouldBlock);
    assert_eq!(lane.next(), READABLE);
    assert_eq!(lane.take_hearing_change(), Some(true));
}

#[test]
fn what_is_held_goes_out_in_a_pause() {
    let mut lane = readable_lane(RelayMode::Copy);
    lane.filled(Filled::Moved { bytes: 10, path: Path::Copy, short: false });
    let until = Instant::now();
    lane.pause(until);
    assert_eq!(lane.next(), Step::Drain);
    lane.drained(Drained::Moved(10));
    assert_eq!(lane.next(), Step::Pause { until });
    lane.attach_source(true);
    assert_eq!(lane.next(), fill(Path::Copy), "another source has not read anything yet");
}
