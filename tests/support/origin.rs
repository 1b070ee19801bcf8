//! Upstream servers with manners of every kind, good and bad.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use spliceway::address::Address;

use super::PATIENCE;
use super::pattern::{Digested, read_digest, write_pattern};
use super::stream::{Listener, Stream, loopback};

/// A listening origin; each connection gets a thread of its own. Stops when dropped.
pub struct Origin {
    address: Address,
    reports: Receiver<Report>,
    accepted: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// How a connection ended, seen from the origin.
#[derive(Debug)]
pub struct Report {
    /// What came in.
    pub received: Digested,
    /// `Ok` for an end of stream, else what `read` said.
    pub ending: std::io::Result<()>,
}

impl Origin {
    /// Serves each connection on a free port of 127.0.0.1 with `manners`.
    pub fn start(manners: impl Fn(Stream) -> Option<Report> + Send + Sync + 'static) -> Origin {
        Origin::start_at(&loopback(), manners)
    }

    /// Serves each connection with `manners`, and keeps the reports that they give.
    pub fn start_at(
        bind: &Address,
        manners: impl Fn(Stream) -> Option<Report> + Send + Sync + 'static,
    ) -> Origin {
        let listener = Listener::bind(bind).expect("an origin can listen");
        let address = listener.address();
        let (sender, reports) = channel();
        let (accepted, stopping) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let accepting = std::thread::spawn({
            let (accepted, stopping) = (Arc::clone(&accepted), Arc::clone(&stopping));
            move || accept_all(&listener, &accepted, &stopping, &sender, &Arc::new(manners))
        });
        Origin { address, reports, accepted, stopping, accepting: Some(accepting) }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How many connections it has accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// The next report.
    ///
    /// # Panics
    /// When none comes in time.
    pub fn report(&self) -> Report {
        self.reports.recv_timeout(PATIENCE).expect("the origin's connection ends in time")
    }
}

fn accept_all<M: Fn(Stream) -> Option<Report> + Send + Sync + 'static>(
    listener: &Listener,
    accepted: &AtomicUsize,
    stopping: &AtomicBool,
    reports: &Sender<Report>,
    manners: &Arc<M>,
) {
    while let Ok(stream) = listener.accept() {
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        accepted.fetch_add(1, Ordering::SeqCst);
        let (reports, manners) = (reports.clone(), Arc::clone(manners));
        std::thread::spawn(move || {
            if let Some(report) = manners(stream) {
                // The test may have ended without asking; then nobody wants the report.
                let _unwanted = reports.send(report);
            }
        });
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then sees that it is to stop.
        drop(Stream::connect(&self.address));
        if let Some(accepting) = self.accepting.take() {
            // It can only have ended by itself or by this.
            let _ended = accepting.join();
        }
        if let Address::Unix(path) = &self.address {
            let _gone_already = std::fs::remove_file(path);
        }
    }
}

/// Reads to the end and reports.
pub fn sink(mut stream: Stream) -> Option<Report> {
    let (received, ending) = read_digest(&mut stream);
    Some(Report { received, ending })
}

/// Sends what it receives, and ends when the client does.
pub fn echo(mut stream: Stream) -> Option<Report> {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        stream.write_all(&buffer[..count]).ok()?;
    }
    None
}

/// Sends `bytes` bytes of the pattern of `seed` while it reads to the end; each direction ends by
/// itself.
pub fn exchange(seed: u64, bytes: u64) -> impl Fn(Stream) -> Option<Report> + Send + Sync {
    move |mut stream| {
        let mut outgoing = stream.try_clone().ok()?;
        let writer = std::thread::spawn(move || {
            write_pattern(&mut outgoing, seed, bytes).and_then(|()| outgoing.end_writing())
        });
        let (received, ending) = read_digest(&mut stream);
        let written = writer.join().ok()?;
        Some(Report { received, ending: ending.and(written) })
    }
}

/// Sends `bytes` bytes of the pattern of `seed`, and resets once the proxy's kernel has them all.
pub fn reset_after(seed: u64, bytes: u64) -> impl Fn(Stream) -> Option<Report> + Send + Sync {
    move |mut stream| {
        write_pattern(&mut stream, seed, bytes).ok()?;
        stream.await_delivered();
        stream.reset();
        None
    }
}

/// Sends `bytes` bytes of the pattern of `seed` and says that this is all; then reads on.
pub fn half_close_first(seed: u64, bytes: u64) -> impl Fn(Stream) -> Option<Report> + Send + Sync {
    move |mut stream| {
        write_pattern(&mut stream, seed, bytes).and_then(|()| stream.end_writing()).ok()?;
        sink(stream)
    }
}

/// Reads to the end, and only then sends `bytes` bytes of the pattern of `seed`.
pub fn answer_after_end(seed: u64, bytes: u64) -> impl Fn(Stream) -> Option<Report> + Send + Sync {
    move |mut stream| {
        let (received, ending) = read_digest(&mut stream);
        let written = write_pattern(&mut stream, seed, bytes);
        Some(Report { received, ending: ending.and(written) })
    }
}

/// Keeps the connection and neither reads nor writes, until `released` is dropped or spoken to.
pub fn idle_until(released: Receiver<()>) -> impl Fn(Stream) -> Option<Report> + Send + Sync {
    let released = std::sync::Mutex::new(released);
    move |stream| {
        // Any outcome means that the test goes on: a word, or the end of the channel.
        let _word = released.lock().map(|released| released.recv_timeout(PATIENCE));
        drop(stream);
        None
    }
}
