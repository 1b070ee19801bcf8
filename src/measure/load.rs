//! The far ends of a transfer: TCP over loopback to threads of this process, which end with their
//! sockets.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CpuSet;
use nix::sys::socket::{MsgFlags, recv};

use crate::sys::affinity::{Seats, pin_this_thread};
use crate::sys::socket::{set_low_water, set_pacing_rate};

/// How long the thread under measurement waits for an end that does nothing.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What a receiver takes with one call.
const RECEIVE_BYTES: usize = 1 << 20;

/// A receiver wakes for no less than this, or than the rest of a message. A peer behind a network
/// card would not cost the sender its wake-ups either.
const RECEIVER_LOW_WATER: u64 = 64 << 10;

/// What a sender writes with one call, at most.
const WRITE_BYTES_MAX: u64 = 256 << 10;

/// Bytes a second from a sender that is to be slower than whoever relays them: two gigabits.
const PACED_BYTES_PER_SECOND: u32 = 256 << 20;

/// A socket whose other end is a thread.
pub struct Peer {
    /// The near end.
    pub socket: TcpStream,
    thread: JoinHandle<()>,
}

/// Both ends of a relay.
pub struct Ends {
    /// Bytes come from here.
    pub source: Peer,
    /// They go there.
    pub sink: Peer,
}

impl Ends {
    /// One message after the other: each is sent when the one before has arrived, as where
    /// questions and answers take turns.
    ///
    /// # Errors
    /// The system's own: no descriptors, no threads, no loopback.
    pub fn messages(seats: &Seats, bytes: u64) -> io::Result<Ends> {
        let (arrived, arrivals) = sync_channel(1);
        let sink = Peer::start("receiver", seats.receiver, move |socket| {
            receive_messages(&socket, bytes, &arrived)
        })?;
        let source = Peer::start("sender", seats.sender, move |mut socket| {
            let part = vec![b'x'; bytes.min(WRITE_BYTES_MAX) as usize];
            loop {
                let mut left = bytes;
                while left > 0 {
                    let now = left.min(WRITE_BYTES_MAX);
                    socket.write_all(&part[..now as usize])?;
                    left -= now;
                }
                // A receiver that has gone wants no more.
                arrivals.recv().map_err(io::Error::other)?;
            }
        })?;
        Ok(Ends { source, sink })
    }

    /// A stream without end that comes at a steady pace. The near end of the source does not
    /// block.
    ///
    /// # Errors
    /// As [`Ends::messages`].
    pub fn paced(seats: &Seats) -> io::Result<Ends> {
        let sink = Peer::receiver(seats.receiver)?;
        let source = Peer::start("sender", seats.sender, move |mut socket| {
            set_pacing_rate(socket.as_fd(), PACED_BYTES_PER_SECOND)?;
            let part = vec![b'x'; WRITE_BYTES_MAX as usize];
            loop {
                socket.write_all(&part)?;
            }
        })?;
        source.socket.set_nonblocking(true)?;
        Ok(Ends { source, sink })
    }

    /// Closes both near ends and waits until the far ones have noticed.
    pub fn stop(self) {
        let Ends { source, sink } = self;
        // Before anybody is waited for: the sender may be waiting for the receiver.
        drop((source.socket, sink.socket));
        for thread in [source.thread, sink.thread] {
            // A panic of the far end would have been the near end's error before.
            let _ended = thread.join();
        }
    }
}

impl Peer {
    /// One that throws away whatever is sent to it, unseen (`MSG_TRUNC`, tcp(7)).
    ///
    /// # Errors
    /// As [`Ends::messages`].
    pub fn receiver(cpus: CpuSet) -> io::Result<Peer> {
        Peer::start("receiver", cpus, |socket| {
            set_low_water(socket.as_fd(), RECEIVER_LOW_WATER as u32)?;
            let mut nothing = vec![0; RECEIVE_BYTES];
            while receive(&socket, &mut nothing)? > 0 {}
            Ok(())
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

/// Waits until the low-water mark is reached, and throws away what there is then; 0 at the end.
///
/// A receive that blocks would begin with what is there already, and then sleep until as much as
/// the whole mark has come on top: for ever, where only the rest of a message is still to come.
fn receive(socket: &TcpStream, nothing: &mut [u8]) -> io::Result<usize> {
    loop {
        let mut readable = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut readable, PollTimeout::NONE) {
            // A stopped program that goes on finds its calls interrupted, and looks again.
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
        match recv(socket.as_raw_fd(), nothing, flags) {
            Err(nix::Error::EAGAIN) => {}
            received => return Ok(received?),
        }
    }
}

/// Throws everything away, and says whenever a message has arrived.
fn receive_messages(
    socket: &TcpStream,
    message_bytes: u64,
    arrived: &SyncSender<()>,
) -> io::Result<()> {
    let mut nothing = vec![0; RECEIVE_BYTES];
    let (mut left, mut mark) = (message_bytes, 0);
    loop {
        // A mark above what is still to come would wait for ever.
        let wanted = left.min(RECEIVER_LOW_WATER);
        if mark != wanted {
            set_low_water(socket.as_fd(), wanted as u32)?;
            mark = wanted;
        }
        let received = receive(socket, &mut nothing)? as u64;
        if received == 0 {
            return Ok(());
        }
        left = left.saturating_sub(received);
        if left == 0 {
            left = message_bytes;
            // A sender that has gone is seen as the end of the stream.
            let _told = arrived.send(());
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::affinity::allowed_cpus;
    use std::io::{ErrorKind, Read};

    /// Messages of odd lengths, too: none of them waits for a mark that it does not fill.
    #[test]
    fn a_message_comes_when_the_one_before_has_arrived() {
        let seats = Seats::choose(&allowed_cpus());
        for bytes in [1000, 64 << 10, 100_000] {
            let mut ends = Ends::messages(&seats, bytes).unwrap();
            let mut message = vec![0; bytes as usize];
            for _ in 0..3 {
                ends.source.socket.read_exact(&mut message).unwrap();
                ends.source.socket.set_nonblocking(true).unwrap();
                let early = ends.source.socket.read(&mut [0]).unwrap_err();
                assert_eq!(early.kind(), ErrorKind::WouldBlock, "the next one waits");
                ends.source.socket.set_nonblocking(false).unwrap();
                ends.sink.socket.write_all(&message).unwrap();
            }
            ends.stop();
        }
    }

    /// As a relay with a small buffer delivers it, or TCP, whose segments over loopback are a few
    /// bytes shorter than the mark.
    #[test]
    fn a_message_arrives_that_comes_in_pieces() {
        let bytes = 64 << 10;
        let mut ends = Ends::messages(&Seats::choose(&allowed_cpus()), bytes).unwrap();
        let mut message = vec![0; bytes as usize];
        for _ in 0..100 {
            ends.source.socket.read_exact(&mut message).unwrap();
            for part in message.chunks(16 << 10) {
                ends.sink.socket.write_all(part).unwrap();
                // So that the receiver may come between.
                std::thread::yield_now();
            }
        }
        ends.stop();
    }

    #[test]
    fn a_paced_stream_goes_on_and_ends_with_its_sockets() {
        let ends = Ends::paced(&Seats::choose(&allowed_cpus())).unwrap();
        ends.source.socket.set_nonblocking(false).unwrap();
        (&ends.source.socket).read_exact(&mut vec![0; 1 << 20]).unwrap();
        ends.stop();
    }
}
