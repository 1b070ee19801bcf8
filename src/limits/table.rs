//! What is known of each client: a table of a fixed size that all workers share, without locks.
//!
//! ```text
//!   address ─ prefix ─ hash, with a secret seed ─┬─▶ set of 8 places   ┌──────────────┬─────────┐
//!                                                └─▶ name ────────────▶│ name, 40 bit │ open, 24│ one word
//!                                                                      ├──────────────┴─────────┤
//!                                                                      │ buckets                │
//!                                                                      └────────────────────────┘
//! ```
//!
//! A client can only be in the eight places of its set. It is known by 40 bits of the hash: two
//! clients of one set that agree in them are taken for one, which is so for one new client in
//! 10^11, and nobody can bring it about who does not know the seed.
//!
//! Name and number of open connections are one word, so that a place is taken, counted in and
//! given away by one compare-and-swap each, and the counts are exact: **a client with an open
//! connection is never forgotten**. Where a new client finds its set full, it gets the place of
//! one without connections whose buckets are full again soonest. Full already, it has lost
//! nothing, for that is how clients begin. Otherwise it was let off what it had used up: a flood
//! of addresses can make that happen, but those who are most over their limits stay longest.
//! Where all eight have connections, the new one is not tracked, and what is said for each client
//! does not hold for it: to turn away strangers because others are many would do the flood's work.
//! Both are counted.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bandwidth::BandwidthBucket;
use super::bucket::{Bucket, Nanos};
use crate::id::ListenerId;

/// Places of a set.
pub const WAYS: usize = 8;

/// Bytes of memory that a place takes.
pub const PLACE_BYTES: usize = size_of::<Place>();

/// Bits of the number of connections within the word of a place.
const COUNT_BITS: u32 = 24;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

/// Another worker may be at the same set; so often is tried again.
const TRIES_MAX: usize = 16;

/// What is left to somebody of each of his rates.
#[derive(Debug, Default)]
pub struct Buckets {
    /// Of new connections.
    pub connections: Bucket,
    /// Of requests.
    pub requests: Bucket,
    /// Of bytes, by [`crate::error::Direction::index`].
    pub bandwidth: [BandwidthBucket; 2],
}

impl Buckets {
    /// When the last of them is full again.
    fn full_at(&self) -> Nanos {
        let bandwidth = self.bandwidth.iter().map(BandwidthBucket::full_at);
        [self.connections.full_at(), self.requests.full_at()]
            .into_iter()
            .chain(bandwidth)
            .fold(0, Nanos::max)
    }

    fn fill(&self) {
        self.connections.fill();
        self.requests.fill();
        self.bandwidth.iter().for_each(BandwidthBucket::fill);
    }
}

/// A place, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Place {
    /// The name of the client, and how many connections it has open; 0 for nobody's.
    word: AtomicU64,
    buckets: Buckets,
}

/// Which place a client has, for as long as it has a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceId(u32);

/// What the table has for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A place.
    Place {
        /// Which.
        place: PlaceId,
        /// Another client was forgotten for it that had not all of its rates.
        has_evicted: bool,
    },
    /// None: every client of its set has connections.
    Untracked,
}

/// A client has as many connections as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtLimit;

/// The table.
#[derive(Debug)]
pub struct ClientTable {
    sets: Box<[[Place; WAYS]]>,
    seed: RandomState,
}

impl ClientTable {
    /// A table for so many clients, rounded up; none for 0, and then nobody is tracked. `seed` is
    /// what no client may know.
    pub fn new(clients_max: usize, seed: RandomState) -> ClientTable {
        let sets = match clients_max {
            0 => 0,
            clients => clients.div_ceil(WAYS).next_power_of_two(),
        };
        ClientTable { sets: (0..sets).map(|_| Default::default()).collect(), seed }
    }

    /// How many clients there is room for.
    pub fn capacity(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// The seed, for a table that takes the place of this one.
    pub(super) fn seed(&self) -> RandomState {
        self.seed.clone()
    }

    /// A connection of a client begins: it has a place until [`ClientTable::leave`].
    ///
    /// # Errors
    /// It has `max` connections already.
    pub fn enter(
        &self,
        listener: ListenerId,
        client: IpAddr,
        max: Option<u32>,
        now: Nanos,
    ) -> Result<Found, AtLimit> {
        let max = max.map_or(COUNT_MAX, u64::from).min(COUNT_MAX);
        self.find(listener, client, 1, max, now)
    }

    /// A connection of the client that has this place has ended.
    pub fn leave(&self, place: PlaceId) {
        if let Some(place) = self.place(place) {
            // It has counted this connection, so this takes nothing from the name.
            place.word.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The place of a client that need not have a connection: it may be another one's at any time.
    /// What is taken there at that moment, the other one pays for.
    pub fn visit(&self, listener: ListenerId, client: IpAddr, now: Nanos) -> Found {
        self.find(listener, client, 0, COUNT_MAX, now).unwrap_or(Found::Untracked)
    }

    /// What is left to the client that has this place.
    pub fn buckets(&self, place: PlaceId) -> Option<&Buckets> {
        self.place(place).map(|place| &place.buckets)
    }

    fn place(&self, PlaceId(place): PlaceId) -> Option<&Place> {
        let (set, way) = (place as usize / WAYS, place as usize % WAYS);
        self.sets.get(set).map(|set| &set[way])
    }

    fn find(
        &self,
        listener: ListenerId,
        client: IpAddr,
        more: u64,
        max: u64,
        now: Nanos,
    ) -> Result<Found, AtLimit> {
        if self.sets.is_empty() {
            return Ok(Found::Untracked);
        }
        let hash = self.seed.hash_one((listener, client));
        let index = hash as usize & COUNT_MAX as usize & (self.sets.len() - 1);
        // The low bits choose the set, the others are the name; 0 is nobody's.
        let name = (hash >> COUNT_BITS).max(1);
        let set = Set { places: &self.sets[index], name };
        let found = |way: usize, has_evicted| Found::Place {
            place: PlaceId(u32::try_from(index * WAYS + way).unwrap_or(u32::MAX)),
            has_evicted,
        };
        for _ in 0..TRIES_MAX {
            if let Some(way) = set.known(None) {
                match set.count_in(way, more, max) {
                    CountedIn::Yes => return Ok(found(way, false)),
                    CountedIn::AtLimit => return Err(AtLimit),
                    CountedIn::Gone => continue,
                }
            }
            match set.claim(more, now) {
                Claimed::Yes { way, has_evicted } => return Ok(found(way, has_evicted)),
                Claimed::Full => return Ok(Found::Untracked),
                Claimed::Contested => {}
            }
        }
        Ok(Found::Untracked)
    }
}

enum CountedIn {
    Yes,
    AtLimit,
    /// The place is another client's by now.
    Gone,
}

enum Claimed {
    Yes {
        way: usize,
        has_evicted: bool,
    },
    /// All are taken by clients with connections.
    Full,
    /// Another worker was faster.
    Contested,
}

/// The set of a client.
struct Set<'a> {
    places: &'a [Place; WAYS],
    name: u64,
}

impl Set<'_> {
    fn word(&self, count: u64) -> u64 {
        self.name << COUNT_BITS | count
    }

    fn is_its(&self, word: u64) -> bool {
        word >> COUNT_BITS == self.name
    }

    /// Where the client is, unless it is `besides`.
    fn known(&self, besides: Option<usize>) -> Option<usize> {
        let places = self.places.iter().enumerate().filter(|(way, _)| Some(*way) != besides);
        let mut words = places.map(|(way, place)| (way, place.word.load(Ordering::SeqCst)));
        words.find(|(_, word)| self.is_its(*word)).map(|(way, _)| way)
    }

    fn count_in(&self, way: usize, more: u64, max: u64) -> CountedIn {
        let mut outcome = CountedIn::Gone;
        let count = |word: u64| {
            outcome = match (self.is_its(word), word & COUNT_MAX) {
                (false, _) => CountedIn::Gone,
                (true, open) if open + more > max => CountedIn::AtLimit,
                (true, _) => CountedIn::Yes,
            };
            matches!(outcome, CountedIn::Yes).then(|| word + more)
        };
        let word = &self.places[way].word;
        let _as_noted = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count).is_ok();
        outcome
    }

    /// Takes the place of whoever loses least by it.
    fn claim(&self, more: u64, now: Nanos) -> Claimed {
        let words = self.places.iter().map(|place| place.word.load(Ordering::SeqCst));
        let free = words.enumerate().filter(|(_, word)| word & COUNT_MAX == 0);
        let cost = |(way, word): &(usize, u64)| match word {
            0 => 0,
            // Nobody's are taken first; those whose buckets are full, all alike.
            _ => self.places[*way].buckets.full_at().max(now).max(1),
        };
        let Some((way, word)) = free.min_by_key(cost) else { return Claimed::Full };
        let place = &self.places[way];
        let own = self.word(more);
        let claimed = place.word.compare_exchange(word, own, Ordering::SeqCst, Ordering::SeqCst);
        if claimed.is_err() {
            return Claimed::Contested;
        }
        let has_evicted = place.buckets.full_at() > now;
        place.buckets.fill();
        // Another worker may have claimed another place for the same client. Of two who have
        // claimed and then look, one at least sees the other, and goes back to the beginning.
        if self.known(Some(way)).is_some()
            && place.word.compare_exchange(own, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        {
            return Claimed::Contested;
        }
        Claimed::Yes { way, has_evicted }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::super::bucket::Demand;
    use super::*;

    const LISTENER: ListenerId = ListenerId(0);

    fn table(clients_max: usize) -> ClientTable {
        ClientTable::new(clients_max, RandomState::new())
    }

    fn client(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(number))
    }

    fn place(found: Found) -> PlaceId {
        match found {
            Found::Place { place, .. } => place,
            Found::Untracked => panic!("there is room"),
        }
    }

    #[test]
    fn a_place_is_a_cache_line() {
        assert_eq!(PLACE_BYTES, 64);
    }

    #[test]
    fn connections_are_counted_for_each_client_and_listener() {
        let table = table(1000);
        let enter =
            |listener, number| table.enter(ListenerId(listener), client(number), Some(2), 5);
        let one = place(enter(0, 1).unwrap());
        assert_eq!(place(enter(0, 1).unwrap()), one);
        assert_eq!(enter(0, 1), Err(AtLimit));
        assert!(enter(0, 2).is_ok() && enter(1, 1).is_ok());
        table.leave(one);
        assert!(enter(0, 1).is_ok());
        assert_eq!(enter(0, 1), Err(AtLimit));
    }

    #[test]
    fn a_table_without_places_tracks_nobody() {
        let table = table(0);
        assert_eq!(table.enter(LISTENER, client(1), Some(1), 5), Ok(Found::Untracked));
        assert_eq!(table.visit(LISTENER, client(1), 5), Found::Untracked);
        assert_eq!(table.capacity(), 0);
    }

    #[test]
    fn whoever_has_a_connection_is_never_forgotten() {
        let table = table(64);
        assert_eq!(table.capacity(), 64);
        let kept: Vec<_> =
            (0..16).map(|number| table.enter(LISTENER, client(number), None, 5)).collect();
        let tracked = |found: &Result<Found, AtLimit>| matches!(found, Ok(Found::Place { .. }));
        assert!(kept.iter().all(tracked), "sixteen clients in eight sets of eight");
        for number in 1000..100_000 {
            table.visit(LISTENER, client(number), 5);
            if let Ok(Found::Place { place, .. }) = table.enter(LISTENER, client(number), None, 5) {
                table.leave(place);
            }
        }
        for (number, found) in kept.iter().enumerate() {
            let again = table.visit(LISTENER, client(number as u32), 5);
            assert_eq!(place(again), place(found.unwrap()), "{number}");
        }
    }

    #[test]
    fn where_all_have_connections_the_next_is_not_tracked() {
        let table = table(WAYS);
        let found: Vec<_> = (0..WAYS as u32 + 1)
            .map(|number| table.enter(LISTENER, client(number), Some(1), 5).unwrap())
            .collect();
        assert_eq!(found[WAYS], Found::Untracked);
        table.leave(place(found[3]));
        let next = table.enter(LISTENER, client(77), Some(1), 5).unwrap();
        assert_eq!(place(next), place(found[3]));
    }

    /// Those who have used up the most stay; those who have all of their rates lose nothing.
    #[test]
    fn who_is_forgotten_loses_least() {
        let table = table(WAYS);
        let demand = |most| Demand { most, least: most, capacity: 1000 };
        for number in 0..WAYS as u32 {
            let place = place(table.visit(LISTENER, client(number), 100));
            let used = 1000 - u64::from(number) * 100;
            table.buckets(place).unwrap().requests.take(demand(used), 100).unwrap();
        }
        // The seventh is full again at 400, all others later.
        let found = table.visit(LISTENER, client(100), 350);
        assert!(matches!(found, Found::Place { has_evicted: true, .. }));
        let found = table.visit(LISTENER, client(101), 350);
        assert_eq!(
            found,
            Found::Place {
                place: place(table.visit(LISTENER, client(101), 350)),
                has_evicted: false
            },
            "the one before has used nothing"
        );
        let first = place(table.visit(LISTENER, client(0), 350));
        let left = table.buckets(first).unwrap().requests.take(demand(300), 350);
        assert_eq!(left, Err(50), "whoever has used up everything is still known");
    }

    #[test]
    fn a_hundred_thousand_addresses_take_no_more_memory() {
        let table = table(1 << 10);
        let mut untracked = 0;
        for number in 0..100_000u128 {
            let ip = IpAddr::V6(Ipv6Addr::from_bits(number << 64));
            untracked += usize::from(table.visit(LISTENER, ip, 5) == Found::Untracked);
        }
        assert_eq!((table.capacity(), untracked), (1 << 10, 0));
    }

    /// However many workers bring however many clients at once, no count is lost, none is too
    /// high, and nobody is there twice.
    #[test]
    fn counts_are_exact_from_many_threads() {
        const THREADS: usize = 4;
        const CLIENTS: u32 = 40;
        for _ in 0..50 {
            let table = table(64 * WAYS);
            let work = |seed: u64| {
                let mut rng = fastrand::Rng::with_seed(seed);
                let mut held = Vec::new();
                for _ in 0..500 {
                    let number = rng.u32(0..CLIENTS);
                    match table.enter(LISTENER, client(number), Some(5), 5) {
                        Ok(found) if rng.bool() => table.leave(place(found)),
                        Ok(found) => held.push((number, place(found))),
                        Err(AtLimit) => {}
                    }
                }
                held
            };
            let held: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> =
                    (0..THREADS as u64).map(|seed| scope.spawn(move || work(seed))).collect();
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            for number in 0..CLIENTS {
                let mut its = held.iter().filter(|(it, _)| *it == number).map(|(_, place)| *place);
                let count = its.clone().count();
                assert!(count <= 5, "{count} connections of one client");
                if let Some(first) = its.next() {
                    assert!(its.all(|place| place == first), "a client is there twice");
                }
            }
            held.iter().for_each(|(_, place)| table.leave(*place));
            let words = table.sets.iter().flatten().map(|it| it.word.load(Ordering::SeqCst));
            assert!(words.into_iter().all(|word| word & COUNT_MAX == 0));
        }
    }
}
