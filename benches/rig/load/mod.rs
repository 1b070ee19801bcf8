//! Load and origins: threads of this process, on the CPUs that the proxy does not have.

pub mod bulk;
pub mod events;
pub mod http;
pub mod round_trips;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long any end waits for the other: beyond it the sample has failed. Nothing of a healthy
/// run comes near it.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What the threads of a load and the one that measures tell each other.
#[derive(Debug, Default)]
pub struct Gauge {
    units: AtomicU64,
    window_open: AtomicBool,
    stopping: AtomicBool,
}

impl Gauge {
    /// Counts what has arrived: bytes, round trips or connections.
    pub fn add(&self, units: u64) {
        self.units.fetch_add(units, Ordering::Relaxed);
    }

    /// Whether the load is to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whether latencies count now.
    pub fn is_window_open(&self) -> bool {
        self.window_open.load(Ordering::Relaxed)
    }
}

/// A load under way.
pub struct Load {
    gauge: Arc<Gauge>,
    threads: Vec<JoinHandle<io::Result<Latencies>>>,
}

/// What a thread of a load gives way to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    Normal,
    /// Every other thread of its CPU comes first.
    Idle,
}

/// Gives the calling thread the policy `SCHED_IDLE`, which needs no privilege.
// No crate here knows sched_setscheduler(2).
#[allow(unsafe_code)]
fn run_when_idle() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread, and the kernel reads one sched_param from the pointer.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How long single operations took while the window was open, in nanoseconds, in no order.
pub type Latencies = Vec<u64>;

impl Load {
    /// Without threads yet.
    pub fn new() -> Load {
        Load { gauge: Arc::default(), threads: Vec::new() }
    }

    /// Adds a thread, which works until the gauge says that it is to stop.
    pub fn spawn(&mut self, work: impl FnOnce(&Gauge) -> io::Result<Latencies> + Send + 'static) {
        self.spawn_at(Priority::Normal, work);
    }

    /// The same at another priority.
    pub fn spawn_at(
        &mut self,
        priority: Priority,
        work: impl FnOnce(&Gauge) -> io::Result<Latencies> + Send + 'static,
    ) {
        let gauge = Arc::clone(&self.gauge);
        self.threads.push(std::thread::spawn(move || {
            if priority == Priority::Idle {
                run_when_idle()?;
            }
            work(&gauge)
        }));
    }

    /// What has arrived so far.
    pub fn units(&self) -> u64 {
        self.gauge.units.load(Ordering::Relaxed)
    }

    /// Whether one of its threads works no longer, which is an error before the load is stopped.
    pub fn has_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Latencies count from now.
    pub fn open_window(&self) {
        self.gauge.window_open.store(true, Ordering::Relaxed);
    }

    /// Latencies count no more.
    pub fn close_window(&self) {
        self.gauge.window_open.store(false, Ordering::Relaxed);
    }

    /// Ends the load.
    ///
    /// # Errors
    /// The first error that any of its threads met: then the sample is worth nothing.
    pub fn stop(self) -> io::Result<Latencies> {
        self.gauge.stopping.store(true, Ordering::Relaxed);
        let mut all = Latencies::new();
        for thread in self.threads {
            let ended = thread.join().map_err(|_| io::Error::other("a load thread panicked"))?;
            all.extend(ended?);
        }
        Ok(all)
    }
}

/// The origin's listening socket, on a free loopback port; `accept` gives up after [`PATIENCE`].
///
/// # Errors
/// As bind(2).
pub fn bind_origin() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // accept(2) obeys the receive timeout of the listening socket.
    socket2::SockRef::from(&listener).set_read_timeout(Some(PATIENCE))?;
    Ok(listener)
}

/// The next connection at the origin.
///
/// # Errors
/// When none comes in time.
pub fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().map_err(|error| describe("the origin waited", &error))?;
    prepare(&stream)?;
    Ok(stream)
}

/// A new client.
///
/// # Errors
/// When it cannot connect.
pub fn connect(proxy: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&proxy, PATIENCE)
        .map_err(|error| describe("the client connected", &error))?;
    prepare(&stream)?;
    Ok(stream)
}

/// A connection that does not block, and may still be under way.
///
/// # Errors
/// As connect(2).
pub fn begin_to_connect(proxy: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(proxy),
        socket2::Type::STREAM.nonblocking(),
        None,
    )?;
    match socket.connect(&proxy.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        outcome => outcome?,
    }
    socket.set_tcp_nodelay(true)?;
    Ok(TcpStream::from(socket))
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

/// The error, with what was going on.
pub fn describe(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
