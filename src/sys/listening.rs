//! A listening socket that a worker accepts from, as the control plane knows it too.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::address::Address;
use crate::id::{ListenerId, SocketId};

/// A listening socket of one worker. It is open for as long as anybody has it, and clients can
/// connect for as long: whoever stops accepting from it must let go of it.
#[derive(Debug, Clone)]
pub struct ListeningSocket {
    /// Tells it apart from all others that the process has ever had.
    pub id: SocketId,
    /// The socket.
    pub socket: Arc<OwnedFd>,
    /// The listener that it belongs to now.
    pub listener: ListenerId,
    /// What the config asks for; with port 0 another address than the socket has.
    pub asked: Address,
    /// What it is bound to.
    pub bound: Address,
}
