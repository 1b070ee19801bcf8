//! From the publication of a configuration until every worker goes by it: only then is a reload
//! over for whoever has asked for it.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::command::{Answer, Reply, answer};
use super::state::State;

/// How often to look whether all workers have taken it.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Workers that take longer are in trouble, which readiness and the watchdog tell of; whoever has
/// asked for a reload is not kept waiting for that.
const TIME_MAX: Duration = Duration::from_secs(3);

/// A configuration that was published and is not taken by all workers.
#[derive(Debug)]
pub(super) struct Settling {
    generation: u64,
    until: Instant,
    /// Whoever waits for it, and what each is told then.
    waiting: Vec<(Reply, Answer)>,
}

impl Settling {
    /// Of a snapshot that was published now. Whoever waits for one before it waits for this one.
    pub(super) fn new(generation: u64, before: Option<Settling>) -> Settling {
        let waiting = before.map_or_else(Vec::new, |before| before.waiting);
        Settling { generation, until: Instant::now() + TIME_MAX, waiting }
    }

    /// Has somebody told `what` when it is over.
    pub(super) fn tell(&mut self, reply: Reply, what: Answer) {
        self.waiting.push((reply, what));
    }

    /// It is over: everybody is told.
    pub(super) fn finish(self) {
        for (reply, what) in self.waiting {
            answer(reply, what);
        }
    }

    async fn over(&self, state: &State) {
        while state.generation_of_all() < self.generation && Instant::now() < self.until {
            sleep(LOOK_INTERVAL).await;
        }
        if state.generation_of_all() < self.generation {
            tracing::warn!(
                "not every worker has taken the new configuration over within {TIME_MAX:?}; they \
                 do so as soon as they answer"
            );
        }
    }
}

/// Waits until all workers have taken it, or should have; forever where there is nothing to wait
/// for. Nothing is lost when it is dropped while it waits.
pub(super) async fn over(settling: Option<&Settling>, state: &State) {
    match settling {
        Some(settling) => settling.over(state).await,
        None => pending().await,
    }
}
