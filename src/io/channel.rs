//! One side of a connection: a socket, and the TLS session in front of it if there is one.
//!
//! ```text
//!   lane, or an exchange ──plaintext──▶ channel ──┬── no session ──────────────▶ socket
//!                        ◀─────────────           └── Session ── records ──────▶ socket
//! ```
//!
//! What is read and written here is plaintext either way, with the meaning that a socket gives it,
//! so nobody above needs to know of TLS: "would block" is a promise that an event will come, a
//! short read proves that nothing is left to be had, the end of the stream is the peer's
//! close_notify, and bytes are delivered once the kernel has their records.
//!
//! A stream that ends without close_notify was cut, by whomever: it is a fault and not an end (RFC
//! 8446, section 6.1), unless the relay knows that nothing can be missing. One that ends within a
//! record is broken.

use std::io::{self, IoSlice};
use std::time::Instant;

use crate::error::{FaultKind, Path};
use crate::io::conduit::{Conduit, SealedBytes, Supplies};
use crate::io::kernel::Kernel;
use crate::io::record_buffers::{Lent, RECORD_BYTES_MAX};
use crate::relay::lane::{Drained, Filled};
use crate::tls::failure::TlsFailure;
use crate::tls::session::{Progress, Session};

/// One side of a connection, for as long as something is done with it.
#[derive(Debug)]
pub struct Channel<'a, K: Kernel> {
    /// The socket.
    pub socket: &'a K::Socket,
    /// The session in front of it.
    pub session: Option<&'a mut Session>,
}

/// What is put into a channel.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// One after the other.
    pub parts: &'a [IoSlice<'a>],
    /// Nothing waits before them.
    pub may_send: bool,
    /// The end of them may wait for more, where the kernel has a way to wait. Records do not.
    pub more: bool,
}

/// How a handshake goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// It is over, and went well.
    Done,
    /// The peer is to speak next, or to take what it was told.
    Waiting,
    /// It came to nothing; the peer was told, as far as it could be.
    Failed(TlsFailure),
}

/// What came of [`Channel::shut_down`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutDown {
    /// The peer was told that nothing more comes.
    Done,
    /// There is no room to tell it; an event will come.
    WouldBlock,
}

impl<K: Kernel> Channel<'_, K> {
    /// Reads at most `max` bytes to the beginning of the scratch buffer.
    pub fn fill(&mut self, kernel: &mut K, supplies: &mut Supplies<K>, max: usize) -> Filled {
        let max = max.min(supplies.read_bytes_max());
        let Supplies { scratch, records, .. } = supplies;
        let plaintext = &mut scratch[..max];
        match &mut self.session {
            Some(session) => open(kernel, self.socket, session, records.lend().incoming, plaintext),
            None => match kernel.recv(self.socket, plaintext) {
                Ok(0) => Filled::Eof,
                Ok(bytes) => Filled::Moved { bytes, path: Path::Copy, short: bytes < max },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Filled::WouldBlock,
                Err(error) => Filled::Failed(FaultKind::of(&error)),
            },
        }
    }

    /// Writes what a conduit holds, other than a pipe, as far as the socket takes it. What was
    /// sealed and is left stays in the conduit.
    pub fn drain(
        &mut self,
        kernel: &mut K,
        supplies: &mut Supplies<K>,
        conduit: &mut Conduit<K::Pipe>,
    ) -> Drained {
        let Supplies { scratch, records, .. } = supplies;
        let (bytes, sent) = match conduit {
            Conduit::Empty | Conduit::Pipe { .. } => return Drained::WouldBlock,
            Conduit::Sealed(sealed) => {
                return match kernel.send(self.socket, sealed.unsent()) {
                    Ok(bytes) => delivered(sealed.took(bytes)),
                    Err(error) => refused(&error),
                };
            }
            Conduit::Scratch { start, end } => (&scratch[*start..*end], start),
            Conduit::Stuck { bytes, sent } => (&bytes[*sent..], sent),
        };
        let Some(session) = &mut self.session else {
            return match kernel.send(self.socket, bytes) {
                Ok(bytes) => {
                    *sent += bytes;
                    delivered(bytes)
                }
                Err(error) => refused(&error),
            };
        };
        let mut sealed = SealedBytes::default();
        let Lent { outgoing, now, .. } = records.lend();
        let outcome = seal(
            session,
            Sealing { plaintext: bytes, outgoing, now, left: &mut sealed },
            |records| kernel.send(self.socket, records),
        );
        *conduit = match sealed.unsent() {
            [] => Conduit::Empty,
            _ => Conduit::Sealed(sealed),
        };
        outcome
    }

    /// Puts bytes behind what a parked conduit holds. If that is nothing, and they may be sent, as
    /// much of them as possible goes out at once; what came of that.
    pub fn put(
        &mut self,
        kernel: &mut K,
        supplies: &mut Supplies<K>,
        conduit: &mut Conduit<K::Pipe>,
        put: Outgoing<'_>,
    ) -> Option<Drained> {
        let Some(session) = &mut self.session else {
            return put_plain(kernel, self.socket, supplies, conduit, put);
        };
        let Outgoing { parts, may_send, .. } = put;
        if let Conduit::Stuck { .. } = conduit {
            // Plaintext that waits is sealed with what follows it, when the socket takes it.
            supplies.stick(conduit, parts, 0);
            return None;
        }
        supplies.unpark(conduit);
        let mut sealed = match std::mem::replace(conduit, Conduit::Empty) {
            Conduit::Sealed(sealed) => sealed,
            _ => SealedBytes::default(),
        };
        let Lent { outgoing, joined, now, .. } = supplies.records.lend();
        for part in parts {
            joined.extend_from_slice(part);
        }
        let is_full = !may_send || !sealed.unsent().is_empty();
        let sealing = Sealing { plaintext: joined, outgoing, now, left: &mut sealed };
        let outcome = match is_full {
            true => seal(session, sealing, |_| Err(io::ErrorKind::WouldBlock.into())),
            false => seal(session, sealing, |records| kernel.send(self.socket, records)),
        };
        if !sealed.unsent().is_empty() {
            *conduit = Conduit::Sealed(sealed);
        }
        supplies.park(conduit);
        Some(outcome).filter(|outcome| !is_full || matches!(outcome, Drained::Failed(_)))
    }

    /// Tells the peer that nothing more comes. Nothing may be held for it.
    pub fn shut_down(&mut self, kernel: &mut K) -> ShutDown {
        if let Some(session) = &mut self.session {
            session.close();
            // A socket that is broken has nobody behind it who could be told.
            if flush(kernel, self.socket, session).is_ok_and(|is_flushed| !is_flushed) {
                return ShutDown::WouldBlock;
            }
        }
        // ENOTCONN: the peer is gone, which the other lane finds out by reading.
        let _gone = kernel.shutdown_write(self.socket).is_err();
        ShutDown::Done
    }

    /// Moves a handshake on, as far as the peer has spoken.
    pub fn shake_hands(&mut self, kernel: &mut K, supplies: &mut Supplies<K>) -> Handshake {
        let Some(session) = &mut self.session else { return Handshake::Done };
        loop {
            match flush(kernel, self.socket, session) {
                Ok(true) => {}
                Ok(false) => return Handshake::Waiting,
                Err(_) => return Handshake::Failed(TlsFailure::Closed),
            }
            match session.progress() {
                Progress::Handshaking => {}
                Progress::Established | Progress::PeerClosed => return Handshake::Done,
                Progress::Failed(failure) => return Handshake::Failed(failure),
            }
            let lent = supplies.records.lend();
            match receive(kernel, self.socket, session, lent.incoming, usize::MAX) {
                Ok(Received { bytes: 0, .. }) => return Handshake::Failed(TlsFailure::Closed),
                Ok(Received { end, .. }) => {
                    // What it has to say of a failure is flushed before that is reported.
                    let _failed = session.open(&mut lent.incoming[..end], &mut []).is_err();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Handshake::Waiting;
                }
                Err(_) => return Handshake::Failed(TlsFailure::Closed),
            }
        }
    }
}

/// What was read of records.
struct Received {
    /// So much was read; 0 at the end of the stream.
    bytes: usize,
    /// Less than there was room for.
    is_short: bool,
    /// The buffer is filled up to here, with what was pending first.
    end: usize,
}

/// Reads at most `max` bytes behind what is pending.
fn receive<K: Kernel>(
    kernel: &mut K,
    socket: &K::Socket,
    session: &Session,
    incoming: &mut [u8],
    max: usize,
) -> io::Result<Received> {
    let start = session.pending().len();
    incoming[..start].copy_from_slice(session.pending());
    let room = &mut incoming[start..];
    let max = max.min(room.len());
    let room = &mut room[..max];
    let bytes = kernel.recv(socket, room)?;
    Ok(Received { bytes, is_short: bytes < room.len(), end: start + bytes })
}

/// Reads records until one brings plaintext, or the socket is dry.
fn open<K: Kernel>(
    kernel: &mut K,
    socket: &K::Socket,
    session: &mut Session,
    incoming: &mut [u8],
    plaintext: &mut [u8],
) -> Filled {
    let moved = |bytes, short| Filled::Moved { bytes, path: Path::Copy, short };
    // What is read beyond that has to wait in the session, in memory that nobody counts.
    let max = plaintext.len() + RECORD_BYTES_MAX;
    match session.take_unread(plaintext) {
        0 => {}
        bytes => return moved(bytes, false),
    }
    loop {
        if session.progress() == Progress::PeerClosed {
            return Filled::Eof;
        }
        let (end, is_short) = match session.has_more() {
            true => {
                let end = session.pending().len();
                incoming[..end].copy_from_slice(session.pending());
                (end, false)
            }
            false => match receive(kernel, socket, session, incoming, max) {
                Ok(Received { bytes: 0, end: 0, .. }) => {
                    return Filled::Failed(FaultKind::Truncated);
                }
                Ok(Received { bytes: 0, .. }) => return Filled::Failed(FaultKind::Tls),
                Ok(Received { end, is_short, .. }) => (end, is_short),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Filled::WouldBlock;
                }
                Err(error) => return Filled::Failed(FaultKind::of(&error)),
            },
        };
        match session.open(&mut incoming[..end], plaintext) {
            Ok(0) => {}
            // The end may have come with it, and nothing would tell of it again.
            Ok(bytes) => {
                let is_over = session.progress() == Progress::PeerClosed;
                return moved(bytes, is_short && !is_over && !session.has_more());
            }
            Err(_) => {
                // The alert that tells why. Behind half a record of ours nobody understands it,
                // which does no harm: the stream is cut.
                let _is_told = flush(kernel, socket, session).is_ok();
                return Filled::Failed(FaultKind::Tls);
            }
        }
    }
}

/// Plaintext that is to be sealed.
struct Sealing<'a> {
    plaintext: &'a [u8],
    outgoing: &'a mut [u8],
    now: Instant,
    /// Where records go that are not sent.
    left: &'a mut SealedBytes,
}

/// Seals all of the plaintext, and sends records until one is not taken whole.
fn seal(
    session: &mut Session,
    sealing: Sealing<'_>,
    mut send: impl FnMut(&[u8]) -> io::Result<usize>,
) -> Drained {
    let Sealing { plaintext, outgoing, now, left } = sealing;
    let (mut taken, mut sent) = (0, 0);
    let mut is_full = false;
    while taken < plaintext.len() {
        let sealed = match session.seal(&plaintext[taken..], outgoing, now) {
            Ok(sealed) if sealed.taken > 0 => sealed,
            Ok(_) | Err(_) => return Drained::Failed(FaultKind::Tls),
        };
        taken += sealed.taken;
        let records = &outgoing[..sealed.length];
        if is_full {
            left.append(records, sealed.taken);
            continue;
        }
        let bytes = match send(records) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Drained::Failed(FaultKind::of(&error)),
        };
        is_full = bytes < records.len();
        match is_full {
            true => {
                left.append(records, sealed.taken);
                sent += left.took(bytes);
            }
            false => sent += sealed.taken,
        }
    }
    delivered(sent)
}

/// Sends what a session has to say besides data. Says whether all of it is out.
fn flush<K: Kernel>(kernel: &mut K, socket: &K::Socket, session: &mut Session) -> io::Result<bool> {
    while !session.outgoing().is_empty() {
        match kernel.send(socket, session.outgoing()) {
            Ok(0) => return Ok(false),
            Ok(bytes) => session.sent(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn put_plain<K: Kernel>(
    kernel: &mut K,
    socket: &K::Socket,
    supplies: &mut Supplies<K>,
    conduit: &mut Conduit<K::Pipe>,
    put: Outgoing<'_>,
) -> Option<Drained> {
    let Outgoing { parts, may_send, more } = put;
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let outcome = may_send.then(|| match kernel.send_vectored(socket, parts, more) {
        Ok(bytes) => delivered(bytes),
        Err(error) => refused(&error),
    });
    let sent = match outcome {
        Some(Drained::Moved(bytes)) => bytes,
        Some(Drained::WouldBlock) | None => 0,
        Some(Drained::Failed(_)) => length,
    };
    if sent < length {
        supplies.stick(conduit, parts, sent);
    }
    outcome
}

/// Nothing was taken although something was offered: no progress, so wait for an edge.
fn delivered(bytes: usize) -> Drained {
    if bytes == 0 { Drained::WouldBlock } else { Drained::Moved(bytes) }
}

fn refused(error: &io::Error) -> Drained {
    match error.kind() {
        io::ErrorKind::WouldBlock => Drained::WouldBlock,
        _ => Drained::Failed(FaultKind::of(error)),
    }
}
