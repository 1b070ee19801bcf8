//! What a client says of itself before anything else, looked at where it is: in its socket.

use std::io;

use crate::config::Listener;
use crate::io::connection::Accepted;
use crate::io::greeting::refuse::Refusal;
use crate::io::kernel::Kernel;
use crate::proxy_protocol::header::{self, HEADER_BYTES_MAX, Header, HeaderProblem, ProxiedClient};
use crate::tls::client_hello::{self, ClientHello, HELLO_BYTES_MAX, HelloProblem};
use crate::tls::failure::TlsFailure;

/// What a look has come to.
#[derive(Debug)]
pub(super) enum Look<T> {
    /// More must come first: so many bytes in all.
    Needs(usize),
    /// This is it.
    Found(T),
}

/// Looks for a PROXY header, and takes it out of the socket.
pub(super) fn proxy_header<K: Kernel>(
    kernel: &mut K,
    socket: &K::Socket,
    needed: usize,
    has_ended: bool,
    buffer: &mut [u8],
) -> Result<Look<Header>, Refusal> {
    let cut = Refusal::ProxyHeader(HeaderProblem::Cut);
    let seen = peek(kernel, socket, &mut buffer[..HEADER_BYTES_MAX]).map_err(|_| cut)?;
    if seen < needed && !has_ended {
        return Ok(Look::Needs(needed));
    }
    match header::parse(&buffer[..seen]) {
        header::Peeked::Partial { needed } if !has_ended => Ok(Look::Needs(needed)),
        header::Peeked::Partial { .. } => Err(cut),
        header::Peeked::Refused(problem) => Err(Refusal::ProxyHeader(problem)),
        header::Peeked::Complete(header) => {
            let taken = kernel.recv(socket, &mut buffer[..header.length]);
            match taken.is_ok_and(|taken| taken == header.length) {
                true => Ok(Look::Found(header)),
                false => Err(cut),
            }
        }
    }
}

/// Looks at what a client asks for, and leaves it where it is.
pub(super) fn client_hello<K: Kernel>(
    kernel: &mut K,
    socket: &K::Socket,
    needed: usize,
    has_ended: bool,
    buffer: &mut [u8],
) -> Result<Look<ClientHello>, Refusal> {
    let closed = Refusal::Tls(TlsFailure::Closed);
    let room = buffer.len().min(2 * HELLO_BYTES_MAX);
    let seen = peek(kernel, socket, &mut buffer[..room]).map_err(|_| closed)?;
    if seen < needed && !has_ended {
        return Ok(Look::Needs(needed));
    }
    match client_hello::parse(&buffer[..seen]) {
        client_hello::Peeked::Partial { needed } if !has_ended => Ok(Look::Needs(needed)),
        client_hello::Peeked::Partial { .. } => Err(closed),
        client_hello::Peeked::Complete(hello) => Ok(Look::Found(hello)),
        client_hello::Peeked::Refused(problem) => Err(Refusal::Tls(match problem {
            HelloProblem::NotTls => TlsFailure::NotTls,
            HelloProblem::PlainHttp => TlsFailure::PlainHttp,
            HelloProblem::TooLong | HelloProblem::Malformed => TlsFailure::Protocol,
        })),
    }
}

/// How many bytes there are to see.
fn peek<K: Kernel>(kernel: &mut K, socket: &K::Socket, buffer: &mut [u8]) -> io::Result<usize> {
    match kernel.peek(socket, buffer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        outcome => outcome,
    }
}

/// Whether the word of a client's peer is believed, who must be a proxy then.
pub(super) fn is_trusted<S>(listener: &Listener, accepted: &Accepted<S>) -> bool {
    let peer = accepted.client_address.map(|address| address.ip());
    listener.proxy_protocol.as_ref().is_none_or(|trusted| trusted.contains(peer))
}

/// Takes over what a PROXY header says.
pub(super) fn introduce<S>(accepted: &mut Accepted<S>, header: Header) {
    let introduction = accepted.introduction.get_or_insert_default();
    introduction.attributes = header.attributes;
    if let ProxiedClient::Ip { source, destination } = header.client {
        accepted.client_address = Some(source);
        introduction.destination = Some(destination);
    }
}
