//! One TLS session, for either role, without any I/O: records in, plaintext out, and the other
//! way round.
//!
//! ```text
//!                        open()
//!   records received ───────────────▶ plaintext         what finds no room: unread
//!         │  less than one: pending
//!         ▼
//!   rustls, unbuffered ─────────────▶ outgoing: handshake, tickets, key updates, alerts
//!         ▲
//!         │              seal()
//!   plaintext ──────────────────────▶ records to send, behind what is outgoing
//! ```
//!
//! Whoever moves the bytes lends the memory: records are opened in the worker's buffer, and sealed
//! into it. A session owns only what the peer has sent of a record that is not whole, plaintext
//! that nobody had room for (never more than a record), and records of the protocol that the
//! socket did not take. An idle session owns none of them.
//!
//! ```text
//!   Handshaking ──▶ Established ──close_notify──▶ PeerClosed
//!        └───────────────┴──error──▶ Failed
//! ```
//!
//! The two directions end by themselves: after the peer's close_notify plaintext may still be
//! sealed, and after [`Session::close`] opened (RFC 8446, section 6.1).
//!
//! This is also where kernel TLS will find its place: once a session is established, rustls gives
//! its keys and sequence numbers away (`dangerous_into_kernel_connection`) and keeps only what key
//! updates and tickets need. The socket is then spliced like any other, and what is left of the
//! session says what to do with the records that are no data.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, CommonState, HandshakeKind, ProtocolVersion, ServerConfig};

use crate::error::FaultKind;
use crate::tls::failure::TlsFailure;
use crate::tls::record_size::RecordSize;

/// What a peer may send of a message of the protocol before that is whole, in bytes: a chain of
/// certificates fits. The library would wait for twice as much, after the handshake too.
pub const HANDSHAKE_PENDING_BYTES_MAX: usize = 32 * 1024;

/// What a record adds to its plaintext at most: header, explicit nonce, content type, tag.
pub const RECORD_OVERHEAD_MAX: usize = 5 + 8 + 1 + 16;

/// How far a session is; the diagram stands above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// No data can be sent yet.
    Handshaking,
    /// Data flows.
    Established,
    /// The peer has said that it sends nothing more.
    PeerClosed,
    /// Nothing can be read or written any more.
    Failed(TlsFailure),
}

/// What [`Session::seal`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sealed {
    /// So many bytes of plaintext, from the first one on, are in records now.
    pub taken: usize,
    /// The records, and what was to go out before them, take so many bytes.
    pub length: usize,
}

/// What both sides have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement<'a> {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The cipher suite, by its name in the registry of IANA.
    pub cipher_suite: &'static str,
    /// The protocol inside (RFC 7301).
    pub alpn: Option<&'a [u8]>,
    /// An earlier session was resumed.
    pub is_resumed: bool,
    /// The peer's certificate, which was found to be good.
    pub peer_certificate: Option<&'a CertificateDer<'a>>,
}

/// One session. What it shows of itself has plaintext and keys left out.
pub struct Session {
    connection: Connection,
    progress: Progress,
    /// What was received and not opened yet: less than a record, or what waits for room.
    pending: Vec<u8>,
    /// Records in `pending` may be whole.
    is_pending_whole: bool,
    /// Plaintext that found no room.
    unread: Vec<u8>,
    /// Records of the protocol itself, to be sent.
    outgoing: Vec<u8>,
    has_closed: bool,
    record_size: RecordSize,
}

/// Both are large, and a session is moved about.
enum Connection {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// Tells the role and nothing else: there are keys inside.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Connection::Server(_) => "Server",
            Connection::Client(_) => "Client",
        })
    }
}

/// What rustls has twice under one name.
trait Processor {
    type Data;

    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8])
    -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// Whether there is something to encode.
    fn has_to_say(&self) -> bool;
}

impl Processor for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        records: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }

    fn has_to_say(&self) -> bool {
        self.wants_write()
    }
}

impl Processor for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        records: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }

    fn has_to_say(&self) -> bool {
        self.wants_write()
    }
}

/// What to write once that is possible.
enum Writing<'a> {
    Nothing,
    Data {
        plaintext: &'a [u8],
        records: &'a mut [u8],
        sealed: &'a mut Sealed,
        size: &'a mut RecordSize,
    },
    CloseNotify,
}

/// What one look at records has led to.
struct Look<'a> {
    plaintext: &'a mut [u8],
    written: usize,
    unread: &'a mut Vec<u8>,
    outgoing: &'a mut Vec<u8>,
    progress: Progress,
    writing: Writing<'a>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("connection", &self.connection)
            .field("progress", &self.progress)
            .field("pending_bytes", &self.pending.len())
            .field("unread_bytes", &self.unread.len())
            .field("outgoing_bytes", &self.outgoing.len())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// The session of a client that has connected.
    ///
    /// # Errors
    /// The settings cannot be used.
    pub fn server(config: Arc<ServerConfig>) -> Result<Session, TlsFailure> {
        let connection = UnbufferedServerConnection::new(config);
        let connection = connection.map_err(|error| TlsFailure::of(&error))?;
        Ok(Session::new(Connection::Server(Box::new(connection))))
    }

    /// The session with a server that was connected to. What to send first is outgoing at once.
    ///
    /// # Errors
    /// The settings cannot be used.
    pub fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Session, TlsFailure> {
        let connection = UnbufferedClientConnection::new(config, name);
        let connection = connection.map_err(|error| TlsFailure::of(&error))?;
        let mut session = Session::new(Connection::Client(Box::new(connection)));
        session.open(&mut [], &mut [])?;
        Ok(session)
    }

    fn new(connection: Connection) -> Session {
        Session {
            connection,
            progress: Progress::Handshaking,
            pending: Vec::new(),
            is_pending_whole: false,
            unread: Vec::new(),
            outgoing: Vec::new(),
            has_closed: false,
            record_size: RecordSize::default(),
        }
    }

    /// How far the session is.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// What both sides have agreed on, as far as they have.
    pub fn agreement(&self) -> Agreement<'_> {
        let common = self.common();
        let version = match common.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "",
        };
        let suite = common.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let certificates = common.peer_certificates();
        Agreement {
            version,
            cipher_suite: suite.unwrap_or(""),
            alpn: common.alpn_protocol(),
            is_resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            peer_certificate: certificates.and_then(<[_]>::first),
        }
    }

    /// Why the handshake has come to nothing with the connection that failed by `fault`; `None`
    /// where it has not begun, or is over.
    pub fn handshake_failure(&self, fault: FaultKind) -> Option<TlsFailure> {
        let has_begun = self.outgoing.is_empty();
        match (self.progress, fault) {
            (Progress::Failed(failure), _) => Some(failure),
            (Progress::Handshaking, FaultKind::TimedOut) if has_begun => Some(TlsFailure::TimedOut),
            (Progress::Handshaking, FaultKind::Tls) => Some(TlsFailure::Closed),
            (Progress::Handshaking, _) if has_begun => Some(TlsFailure::Closed),
            (Progress::Handshaking | Progress::Established | Progress::PeerClosed, _) => None,
        }
    }

    fn common(&self) -> &CommonState {
        match &self.connection {
            Connection::Server(connection) => connection,
            Connection::Client(connection) => connection,
        }
    }

    // Receiving.

    /// What was received before and not opened yet. [`Session::open`] wants to see it again, with
    /// what has come since behind it.
    pub fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Takes plaintext that found no room before. Returns how much.
    pub fn take_unread(&mut self, plaintext: &mut [u8]) -> usize {
        let length = self.unread.len().min(plaintext.len());
        plaintext[..length].copy_from_slice(&self.unread[..length]);
        self.unread.drain(..length);
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
        length
    }

    /// Whether [`Session::open`] may bring plaintext without anything more being received.
    pub fn has_more(&self) -> bool {
        !self.unread.is_empty() || self.is_pending_whole
    }

    /// Opens records, the first bytes of which are those that were [`Session::pending`], as far as
    /// there is room in `plaintext`. Returns how many bytes that has brought. What is left of
    /// `records` is pending then.
    ///
    /// # Errors
    /// Why the session has failed. What it has to say about that is outgoing.
    pub fn open(&mut self, records: &mut [u8], plaintext: &mut [u8]) -> Result<usize, TlsFailure> {
        let written = self.advance(records, plaintext, Writing::Nothing)?;
        if written > 0 {
            self.record_size.on_dialogue();
        }
        if !self.is_pending_whole && self.pending.len() > HANDSHAKE_PENDING_BYTES_MAX {
            return Err(self.fail(TlsFailure::Protocol));
        }
        Ok(written)
    }

    // Sending.

    /// What is to be sent before any data: the handshake, tickets, key updates, alerts.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing
    }

    /// Bytes that go out before all others, in plain text: a PROXY header. Nothing may have been
    /// sent yet.
    pub fn precede(&mut self, bytes: &[u8]) {
        self.outgoing.splice(..0, bytes.iter().copied());
    }

    /// So much of what is outgoing was sent.
    pub fn sent(&mut self, bytes: usize) {
        self.outgoing.drain(..bytes.min(self.outgoing.len()));
        if self.outgoing.is_empty() {
            self.outgoing = Vec::new();
        }
    }

    /// Seals plaintext, as far as there is room in `records`, behind what is outgoing, which is
    /// outgoing no more.
    ///
    /// # Errors
    /// Why the session has failed.
    pub fn seal(
        &mut self,
        plaintext: &[u8],
        records: &mut [u8],
        now: Instant,
    ) -> Result<Sealed, TlsFailure> {
        let first = self.outgoing.len();
        if first > records.len() {
            return Ok(Sealed::default());
        }
        records[..first].copy_from_slice(&self.outgoing);
        self.outgoing = Vec::new();
        let mut size = self.record_size;
        size.on_send(now);
        let mut sealed = Sealed::default();
        let writing = Writing::Data {
            plaintext,
            records: &mut records[first..],
            sealed: &mut sealed,
            size: &mut size,
        };
        let mut pending = std::mem::take(&mut self.pending);
        self.advance(&mut pending, &mut [], writing)?;
        self.record_size = size;
        sealed.length += first;
        Ok(sealed)
    }

    /// Says that nothing more will be sent: a close_notify is outgoing, once.
    pub fn close(&mut self) {
        let is_open = matches!(self.progress, Progress::Established | Progress::PeerClosed);
        if is_open && !std::mem::replace(&mut self.has_closed, true) {
            let mut pending = std::mem::take(&mut self.pending);
            // A session that fails by it has nothing to say any more.
            let _failed = self.advance(&mut pending, &mut [], Writing::CloseNotify).is_err();
        }
    }

    fn fail(&mut self, failure: TlsFailure) -> TlsFailure {
        self.progress = Progress::Failed(failure);
        self.pending = Vec::new();
        failure
    }

    /// Has rustls look at records. What is left of them is pending.
    fn advance(
        &mut self,
        records: &mut [u8],
        plaintext: &mut [u8],
        writing: Writing<'_>,
    ) -> Result<usize, TlsFailure> {
        if let Progress::Failed(failure) = self.progress {
            return Err(failure);
        }
        let mut look = Look {
            plaintext,
            written: 0,
            unread: &mut self.unread,
            outgoing: &mut self.outgoing,
            progress: self.progress,
            writing,
        };
        let outcome = match &mut self.connection {
            Connection::Server(connection) => look.at(&mut **connection, records),
            Connection::Client(connection) => look.at(&mut **connection, records),
        };
        let (written, progress) = (look.written, look.progress);
        match outcome {
            Ok(Looked { used, is_full }) => {
                let is_done = progress == Progress::Handshaking && !self.common().is_handshaking();
                self.progress = if is_done { Progress::Established } else { progress };
                self.pending = records[used..].to_vec();
                self.is_pending_whole = is_full && !self.pending.is_empty();
                Ok(written)
            }
            Err(failure) => Err(self.fail(failure)),
        }
    }
}

/// How a look has ended.
struct Looked {
    /// So many bytes of the records are of no use any more.
    used: usize,
    /// It ended for want of room for plaintext.
    is_full: bool,
}

impl Look<'_> {
    fn at<C: Processor>(
        &mut self,
        connection: &mut C,
        records: &mut [u8],
    ) -> Result<Looked, TlsFailure> {
        let mut used = 0;
        loop {
            let status = connection.process(&mut records[used..]);
            let mut discard = status.discard;
            let mut is_over = false;
            match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(|error| TlsFailure::of(&error))?;
                        discard += record.discard;
                        self.put(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => self.encode(&mut data)?,
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.progress = Progress::PeerClosed,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    is_over = self.write(&mut traffic)?;
                }
                // Early data is never asked for, so none is taken.
                Ok(ConnectionState::ReadEarlyData(_)) => return Err(TlsFailure::Internal),
                Ok(_) => is_over = true,
                Err(error) => {
                    let failure = TlsFailure::of(&error);
                    self.collect_last_words(connection, &mut records[used + discard..]);
                    return Err(failure);
                }
            }
            used += discard;
            let is_full = match self.plaintext.len() {
                0 => !self.unread.is_empty(),
                room => self.written == room,
            };
            // What the session has to say is never left inside, whoever reads or does not.
            let is_done = matches!(self.writing, Writing::Nothing) && !connection.has_to_say();
            if is_over || (is_full && is_done) {
                return Ok(Looked { used, is_full });
            }
        }
    }

    /// Plaintext has come.
    fn put(&mut self, payload: &[u8]) {
        let room = &mut self.plaintext[self.written..];
        let length = if self.unread.is_empty() { payload.len().min(room.len()) } else { 0 };
        room[..length].copy_from_slice(&payload[..length]);
        self.written += length;
        self.unread.extend_from_slice(&payload[length..]);
    }

    fn encode<D>(&mut self, data: &mut EncodeTlsData<'_, D>) -> Result<(), TlsFailure> {
        if let Writing::Data { records, sealed, .. } = &mut self.writing {
            // What announces new keys goes out before the records that are sealed with them.
            if let Ok(length) = data.encode(&mut records[sealed.length..]) {
                sealed.length += length;
                return Ok(());
            }
            self.writing = Writing::Nothing;
        }
        let start = self.outgoing.len();
        match data.encode(&mut []) {
            Ok(_) => return Ok(()),
            Err(EncodeError::InsufficientSize(size)) => {
                self.outgoing.resize(start + size.required_size, 0);
            }
            Err(EncodeError::AlreadyEncoded) => return Err(TlsFailure::Internal),
        }
        match data.encode(&mut self.outgoing[start..]) {
            Ok(length) => self.outgoing.truncate(start + length),
            Err(_) => return Err(TlsFailure::Internal),
        }
        Ok(())
    }

    /// Writes what there is to write. Says whether that is done; if not, what rustls has to say
    /// first is encoded before another try.
    fn write<D>(&mut self, traffic: &mut WriteTraffic<'_, D>) -> Result<bool, TlsFailure> {
        match &mut self.writing {
            Writing::Nothing => Ok(true),
            Writing::Data { plaintext, records, sealed, size } => {
                while sealed.taken < plaintext.len() {
                    let left = &plaintext[sealed.taken..];
                    let record = &left[..left.len().min(size.next())];
                    match traffic.encrypt(record, &mut records[sealed.length..]) {
                        Ok(length) => {
                            sealed.taken += record.len();
                            sealed.length += length;
                            size.on_record(record.len());
                        }
                        Err(EncryptError::InsufficientSize(_)) => break,
                        Err(EncryptError::EncryptExhausted) => return Err(TlsFailure::Internal),
                    }
                }
                Ok(true)
            }
            Writing::CloseNotify => {
                // What does not fit is queued, and comes out as data to encode.
                self.writing = Writing::Nothing;
                let _queued = traffic.queue_close_notify(&mut []).is_err();
                Ok(false)
            }
        }
    }

    /// After a failure: the alert that tells the peer. Never more than was queued, for another
    /// look at the records would fail again.
    fn collect_last_words<C: Processor>(&mut self, connection: &mut C, records: &mut [u8]) {
        while connection.has_to_say() {
            let Ok(ConnectionState::EncodeTlsData(mut data)) = connection.process(records).state
            else {
                return;
            };
            if self.encode(&mut data).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
