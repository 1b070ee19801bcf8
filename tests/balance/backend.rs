//! A server of HTTP that says its name, and can be killed, started again, and told to misbehave.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use spliceway::address::Address;

use crate::support::http::{Connection, ok};
use crate::support::stream::{Listener, Stream, loopback};
use crate::support::{PATIENCE, eventually};

/// What a backend does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It answers.
    Well,
    /// It answers with status 503.
    Failing,
    /// It answers every other request with status 503.
    FailingHalf,
    /// It closes the connection instead of an answer.
    Closing,
    /// It says nothing.
    Hanging,
}

const MANNERS: [Manner; 5] =
    [Manner::Well, Manner::Failing, Manner::FailingHalf, Manner::Closing, Manner::Hanging];

struct Shared {
    name: String,
    manner: AtomicU8,
    requests: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
    is_stopping: AtomicBool,
    streams: Mutex<Vec<Stream>>,
}

/// A server.
pub(crate) struct Backend {
    address: Address,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Backend {
    /// One that answers with `name`.
    pub(crate) fn start(name: &str) -> Backend {
        Backend::serving(Listener::bind(&loopback()).unwrap(), name)
    }

    /// The same at an address, if it is free.
    pub(crate) fn start_at(address: &str, name: &str) -> Option<Backend> {
        Some(Backend::serving(Listener::bind(&address.parse().unwrap()).ok()?, name))
    }

    fn serving(listener: Listener, name: &str) -> Backend {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            manner: AtomicU8::new(0),
            requests: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            is_stopping: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let address = listener.address();
        let accepting = Some(serve(listener, &shared));
        Backend { address, shared, accepting }
    }

    /// What it answers with.
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The address as the config has it.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.address)
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        match &self.address {
            Address::Ip(address) => address.port(),
            other => panic!("{other} has no port"),
        }
    }

    /// From now on it does so.
    pub(crate) fn behave(&self, manner: Manner) {
        let index = MANNERS.iter().position(|it| *it == manner).unwrap();
        self.shared.manner.store(u8::try_from(index).unwrap(), Ordering::SeqCst);
    }

    /// Requests that have come, but for probes.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Requests that were under way at once, at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    /// Requests that are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.shared.under_way.load(Ordering::SeqCst)
    }

    /// Dies, with every connection.
    pub(crate) fn kill(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then closes its listener.
        drop(Stream::connect(&self.address));
        accepting.join().unwrap();
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            // One that is gone already needs no end.
            let _gone = stream.end_both();
        }
    }

    /// Lives again, in the same place.
    pub(crate) fn restart(&mut self) {
        self.shared.is_stopping.store(false, Ordering::SeqCst);
        let listener = eventually("the port is free", || Listener::bind(&self.address).ok());
        self.accepting = Some(serve(listener, &self.shared));
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(listener: Listener, shared: &Arc<Shared>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        while let Ok(stream) = listener.accept() {
            if shared.is_stopping.load(Ordering::SeqCst) {
                return;
            }
            shared.streams.lock().unwrap().push(stream.try_clone().unwrap());
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || answer_all(&shared, Connection::new(stream)));
        }
    })
}

fn answer_all(shared: &Shared, mut connection: Connection) {
    while let Ok(Some(request)) = connection.read_request() {
        let is_probe = request.field("User-Agent").is_some_and(|it| it.contains("health check"));
        let number = match is_probe {
            true => 0,
            false => shared.requests.fetch_add(1, Ordering::SeqCst),
        };
        let manner = MANNERS[usize::from(shared.manner.load(Ordering::SeqCst))];
        let under_way = shared.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most.fetch_max(under_way, Ordering::SeqCst);
        let goes_on = answer(shared, &mut connection, request.target(), manner, number);
        shared.under_way.fetch_sub(1, Ordering::SeqCst);
        if !goes_on {
            return connection.close();
        }
    }
}

fn answer(
    shared: &Shared,
    connection: &mut Connection,
    target: &str,
    manner: Manner,
    number: usize,
) -> bool {
    if target == "/wait" {
        await_end_of_wait(shared);
    }
    let failure = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    match manner {
        Manner::Failing => connection.try_send(failure).is_ok(),
        Manner::FailingHalf if number.is_multiple_of(2) => connection.try_send(failure).is_ok(),
        Manner::Closing => false,
        Manner::Hanging => {
            // Until somebody gives up, or the backend dies.
            let _nothing = connection.read_some();
            false
        }
        Manner::Well | Manner::FailingHalf => connection.try_send(ok(&shared.name)).is_ok(),
    }
}

/// A request that is not answered before somebody has said [`release`].
fn await_end_of_wait(shared: &Shared) {
    let began_at = std::time::Instant::now();
    while !RELEASED.lock().unwrap().contains(&shared.name) && began_at.elapsed() < PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

static RELEASED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Requests for `/wait` are answered from now on by backends of this name.
pub(crate) fn release(name: &str) {
    RELEASED.lock().unwrap().push(name.to_owned());
    // Whoever polls is to see it before the caller goes on to count on it.
    let _flushed = std::io::stdout().flush();
}
