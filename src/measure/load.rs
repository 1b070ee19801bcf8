//! The far ends of a transfer: TCP over loopback to threads of this process, which end with their
//! sockets.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use nix::sched::CpuSet;
use nix::sys::socket::{MsgFlags, recv};

use crate::sys::affinity::pin_this_thread;
use crate::sys::socket::set_low_water;

/// How long the thread under measurement waits for an end that does nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a receiver takes with one call.
const RECEIVE_BYTES: usize = 1 << 20;

/// A receiver wakes for no less than this. A peer behind a network card would not cost the sender
/// its wake-ups either.
const RECEIVER_LOW_WATER: u32 = 64 << 10;

/// What a sender writes with one call, at most.
const MESSAGE_BYTES_MAX: u64 = 256 << 10;

/// A socket whose other end is a thread.
pub struct Peer {
    /// The near end.
    pub socket: TcpStream,
    thread: JoinHandle<()>,
}

impl Peer {
    /// One that throws away whatever is sent to it, unseen (`MSG_TRUNC`, tcp(7)).
    ///
    /// # Errors
    /// The system's own: no descriptors, no threads, no loopback.
    pub fn receiver(cpus: CpuSet) -> io::Result<Peer> {
        Peer::start("receiver", cpus, |socket| {
            set_low_water(socket.as_fd(), RECEIVER_LOW_WATER)?;
            let mut nothing = vec![0; RECEIVE_BYTES];
            while recv(socket.as_raw_fd(), &mut nothing, MsgFlags::MSG_TRUNC)? > 0 {}
            Ok(())
        })
    }

    /// One that sends messages of so many bytes without end.
    ///
    /// # Errors
    /// As [`Peer::receiver`].
    pub fn sender(cpus: CpuSet, message_bytes: u64) -> io::Result<Peer> {
        let bytes = message_bytes.min(MESSAGE_BYTES_MAX) as usize;
        Peer::start("sender", cpus, move |mut socket| {
            let message = vec![b'x'; bytes];
            loop {
                socket.write_all(&message)?;
            }
        })
    }

    fn start(
        name: &str,
        cpus: CpuSet,
        work: impl FnOnce(TcpStream) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Peer> {
        let [near, far] = pair()?;
        near.set_read_timeout(Some(PATIENCE))?;
        near.set_write_timeout(Some(PATIENCE))?;
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            // Where a thread may not choose its CPU, the kernel does.
            let _pinned = pin_this_thread(&cpus);
            // It ends when the near end closes, which a sender sees as an error.
            let _ended = work(far);
        })?;
        Ok(Peer { socket: near, thread })
    }

    /// Closes the near end and waits until the far one has noticed.
    pub fn stop(self) {
        drop(self.socket);
        // A panic of the far end would have been the near end's error before.
        let _ended = self.thread.join();
    }
}

/// Both ends of a TCP connection over loopback.
fn pair() -> io::Result<[TcpStream; 2]> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let expected = near.local_addr()?;
    // Whoever else on this machine connects meanwhile is not meant.
    let far = loop {
        let (far, address) = listener.accept()?;
        if address == expected {
            break far;
        }
    };
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok([near, far])
}
