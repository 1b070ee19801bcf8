//! Both ends of a load in one thread, as with [`round_trips`](crate::rig::load::round_trips).

use std::io;

use super::origin::{self, Origin};
use crate::rig::load::events::{Event, Events};
use crate::rig::load::{Gauge, Latencies};

/// The clients of a load.
pub trait Clients {
    /// Opens what has to be open now, and waits: how many events there are.
    ///
    /// # Errors
    /// When the clients cannot go on.
    fn wait(&mut self, events: &mut Events) -> io::Result<usize>;

    /// Does what the event of one of its sockets allows.
    ///
    /// # Errors
    /// When an exchange went wrong.
    fn advance(&mut self, event: Event, events: &Events) -> io::Result<()>;

    /// Those of the exchanges that are done.
    fn into_latencies(self) -> Latencies;
}

/// Runs both until the load ends.
///
/// # Errors
/// What either has met.
pub fn drive<C: Clients>(
    mut origin: Origin<'_>,
    mut clients: C,
    gauge: &Gauge,
) -> io::Result<Latencies> {
    let mut events = Events::new()?;
    origin.listen(&events)?;
    while !gauge.is_stopping() {
        for index in 0..clients.wait(&mut events)? {
            let event = events.get(index);
            let outcome = if origin::is_key(event.key) {
                origin.advance(event, &events)
            } else {
                clients.advance(event, &events)
            };
            match outcome {
                // Another thread, whose origin serves these clients as well, may have ended.
                Err(_) if gauge.is_stopping() => break,
                outcome => outcome?,
            }
        }
    }
    Ok(clients.into_latencies())
}

/// An origin whose clients are elsewhere.
pub struct Elsewhere;

impl Clients for Elsewhere {
    fn wait(&mut self, events: &mut Events) -> io::Result<usize> {
        events.wait(WAIT_MILLISECONDS)
    }

    fn advance(&mut self, _event: Event, _events: &Events) -> io::Result<()> {
        Ok(())
    }

    fn into_latencies(self) -> Latencies {
        Latencies::new()
    }
}

/// How often an origin without clients looks whether the load has ended.
const WAIT_MILLISECONDS: u16 = 50;
