//! How many bytes may move in a second, of all who share a bucket: `"10MiB/s"`, or
//! `"10MiB/s burst 4MiB"`.
//!
//! A lane asks for bytes before it reads, gets as many as there are, and gives back what it did
//! not read. Where there are next to none it gets a *turn*: a time at which to ask again. Turns of
//! one bucket are a quantum apart, so those who wait are served one after the other and as often
//! as one another, and all of them together are woken once for each quantum, however many they
//! are. Nobody holds tokens while he waits: what he for whose turn they came does not use, because
//! he is gone or has little to say, is there for the next one.

use std::sync::atomic::{AtomicU64, Ordering};

use super::bucket::{Bucket, Demand, Nanos};

const SECOND: Nanos = 1_000_000_000;

/// The burst where none is written, as a part of a second's worth.
const BURST_PART: u64 = 10;

/// What the burst is at least, in bytes, so that a short answer goes out at once.
pub const BURST_BYTES_MIN: u64 = 16 << 10;

/// A quantum is this part of a second's worth: 50 wake-ups in a second, for all who wait.
const QUANTUM_PART: u64 = 50;
/// But so many bytes at least, and a part of the burst at most.
const QUANTUM_BYTES_MIN: u64 = 4 << 10;
const QUANTUM_PART_OF_BURST: u64 = 4;

/// Less than this part of a quantum is not worth a system call.
const GRANT_PART_MIN: u64 = 4;

/// So many bytes are given at once at most: those that read less keep no more than this from the
/// others meanwhile.
pub const GRANT_BYTES_MAX: u64 = 256 << 10;

/// Nobody is asked to come back sooner.
pub const PAUSE_MIN: Nanos = 1_000_000;

/// So far ahead turns are given out: a turn of somebody who is gone is lost time for whoever comes
/// behind it. Where more wait than that, the others come back at some time and take their chance.
const TURNS_AHEAD_MAX: Nanos = 2 * SECOND;

/// So many bytes in a second, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth {
    /// Bytes in a second, at least one.
    pub rate: u64,
    /// Bytes at once after a time of rest.
    pub burst: u64,
}

impl Bandwidth {
    /// So many bytes in a second, and a tenth of it at once, or 16 KiB.
    pub fn new(rate: u64) -> Bandwidth {
        Bandwidth { rate, burst: (rate / BURST_PART).max(BURST_BYTES_MIN) }
    }

    fn quantum(self) -> u64 {
        let most = (self.burst / QUANTUM_PART_OF_BURST).max(1);
        (self.rate / QUANTUM_PART).max(QUANTUM_BYTES_MIN).min(most)
    }

    /// What so many bytes cost: rounded up, so that never more move than was said.
    fn cost(self, bytes: u64) -> Nanos {
        let cost = (u128::from(bytes) * u128::from(SECOND)).div_ceil(u128::from(self.rate.max(1)));
        Nanos::try_from(cost).unwrap_or(Nanos::MAX)
    }

    /// How many bytes can be had for this.
    fn bytes(self, cost: Nanos) -> u64 {
        let bytes = u128::from(cost) * u128::from(self.rate) / u128::from(SECOND);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// Bytes that may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// How many; at least one.
    pub bytes: u64,
    /// What was taken for them.
    taken: Nanos,
}

/// What is left of a bandwidth at the moment, for one direction.
#[derive(Debug, Default)]
pub struct BandwidthBucket {
    bucket: Bucket,
    /// The first turn that nobody has.
    next_turn: AtomicU64,
}

impl BandwidthBucket {
    /// Takes up to `most` bytes, at least one of which must be wanted.
    ///
    /// # Errors
    /// There are too few: when to ask again.
    pub fn reserve(&self, bandwidth: Bandwidth, most: u64, now: Nanos) -> Result<Grant, Nanos> {
        let most = most.min(GRANT_BYTES_MAX);
        let quantum = bandwidth.quantum();
        let least = most.min((quantum / GRANT_PART_MIN).max(1));
        let demand = Demand {
            most: bandwidth.cost(most),
            least: bandwidth.cost(least),
            capacity: bandwidth.cost(bandwidth.burst),
        };
        match self.bucket.take(demand, now) {
            Ok(taken) => Ok(Grant { bytes: bandwidth.bytes(taken).min(most), taken }),
            Err(wait) => {
                let missing = bandwidth.cost(quantum).saturating_sub(demand.least);
                let ready = now.saturating_add(wait).saturating_add(missing);
                let turn = self.take_turn(ready, bandwidth.cost(quantum));
                Err(turn.max(now + PAUSE_MIN))
            }
        }
    }

    /// Gives back what was granted but for `used` bytes.
    pub fn settle(&self, bandwidth: Bandwidth, grant: Grant, used: u64) {
        self.bucket.give_back(grant.taken.saturating_sub(bandwidth.cost(used)));
    }

    /// A time from `ready` on that nobody else was told.
    fn take_turn(&self, ready: Nanos, quantum: Nanos) -> Nanos {
        // Past the half it is left to chance: whoever had a turn could else have every further one,
        // and who has none never get any.
        let has_room = |next: Nanos| match next.saturating_sub(ready) {
            ahead if ahead <= TURNS_AHEAD_MAX / 2 => true,
            ahead => ahead <= TURNS_AHEAD_MAX && scatter(ready ^ next).is_multiple_of(2),
        };
        let follow = |next: Nanos| match has_room(next) {
            true => Some(next.max(ready).saturating_add(quantum)),
            // So that the next one throws other dice.
            false => Some(next.saturating_add(1)),
        };
        let next = self.next_turn.fetch_update(Ordering::Relaxed, Ordering::Relaxed, follow);
        let next = next.unwrap_or_else(|next| next);
        match has_room(next) {
            true => next.max(ready),
            false => ready + TURNS_AHEAD_MAX / 2 + scatter(next ^ !ready) % TURNS_AHEAD_MAX,
        }
    }

    /// When it is full again.
    pub fn full_at(&self) -> Nanos {
        self.bucket.full_at()
    }

    /// Fills it, and forgets who waits.
    pub fn fill(&self) {
        self.bucket.fill();
        self.next_turn.store(0, Ordering::Relaxed);
    }
}

/// Any number, another one for another time: those who come too late for a turn must not all come
/// back together, or the same one would be first each time (the finalizer of SplitMix64).
fn scatter(time: Nanos) -> u64 {
    let mixed = (time ^ (time >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lanes that always have something to read, and one clock. Returns what each has moved in
    /// `span`, and how often all of them were woken.
    fn share(bandwidth: Bandwidth, lanes: usize, read_max: u64, span: Nanos) -> (Vec<u64>, u64) {
        let bucket = BandwidthBucket::default();
        let (mut moved, mut wakes) = (vec![0; lanes], 0);
        let mut due: Vec<Nanos> = vec![SECOND; lanes];
        loop {
            let lane = (0..lanes).min_by_key(|lane| due[*lane]).unwrap();
            let now = due[lane];
            if now > SECOND + span {
                return (moved, wakes);
            }
            wakes += 1;
            due[lane] = loop {
                match bucket.reserve(bandwidth, u64::MAX, now) {
                    Ok(grant) => {
                        let used = grant.bytes.min(read_max);
                        bucket.settle(bandwidth, grant, used);
                        moved[lane] += used;
                    }
                    Err(again) => break again,
                }
            };
            assert!(due[lane] >= now + PAUSE_MIN);
        }
    }

    #[test]
    fn all_of_the_bandwidth_is_used_and_everybody_gets_his_part() {
        for rate in [20 << 10, 1 << 20, 100 << 20, 10 << 30] {
            for lanes in [1, 2, 10, 40] {
                let bandwidth = Bandwidth::new(rate);
                let (moved, wakes) = share(bandwidth, lanes, u64::MAX, 20 * SECOND);
                let sum: u64 = moved.iter().sum();
                let most = bandwidth.burst + rate * 20;
                assert!(sum <= most && sum >= most / 10 * 9, "{sum} of {most}");
                let (least, greatest) =
                    (*moved.iter().min().unwrap(), *moved.iter().max().unwrap());
                let quantum = bandwidth.quantum();
                let slack = bandwidth.burst + 4 * quantum;
                // Where there are more of them than turns, chance has its part in it.
                let is_crowd = bandwidth.cost(quantum) * lanes as u64 > TURNS_AHEAD_MAX / 2;
                let most = least * if is_crowd { 4 } else { 1 } * 5 / 4 + slack;
                assert!(greatest <= most, "{least} and {greatest} of {lanes} at {rate}");
                assert!(wakes <= 20 * (lanes as u64 + QUANTUM_PART * 5 / 4), "{wakes} wake-ups");
            }
        }
    }

    /// Far more wait than there are turns to give out.
    #[test]
    fn nobody_starves_in_a_crowd() {
        let bandwidth = Bandwidth::new(1 << 20);
        let (moved, wakes) = share(bandwidth, 1000, u64::MAX, 200 * SECOND);
        let sum: u64 = moved.iter().sum();
        assert!(sum <= bandwidth.burst + (200 << 20) && sum >= 190 << 20, "{sum}");
        let starved = moved.iter().filter(|moved| **moved < (200 << 20) / 1000 / 4).count();
        assert!(starved == 0, "{starved} of 1000 have a quarter of their part or less");
        assert!(wakes < 1000 * 200, "{wakes}: each is woken less than once in a second");
    }

    /// Those who have little to say leave the rest to the others.
    #[test]
    fn what_is_not_used_is_not_lost() {
        let bandwidth = Bandwidth::new(1 << 20);
        let (moved, _) = share(bandwidth, 3, 100, 10 * SECOND);
        let sum: u64 = moved.iter().sum();
        assert!(sum >= 9 << 20, "{sum}");
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate(
            rate in 1u64..1 << 34,
            burst in 1u64..1 << 24,
            steps in prop::collection::vec((0u64..SECOND / 10, 1u64..1 << 20, 0u64..1 << 20), 1..300),
        ) {
            let (bandwidth, bucket) = (Bandwidth { rate, burst }, BandwidthBucket::default());
            let (mut now, mut moved) = (0, 0u64);
            for (pause, most, used) in steps {
                now += pause;
                match bucket.reserve(bandwidth, most, now) {
                    Ok(grant) => {
                        prop_assert!(grant.bytes >= 1 && grant.bytes <= most);
                        let used = used.min(grant.bytes);
                        bucket.settle(bandwidth, grant, used);
                        moved += used;
                    }
                    Err(again) => prop_assert!(again > now),
                }
                let flown = u128::from(now) * u128::from(rate) / u128::from(SECOND);
                let most = u128::from(burst) + flown;
                prop_assert!(u128::from(moved) <= most, "{moved} of {most}");
            }
        }
    }
}
