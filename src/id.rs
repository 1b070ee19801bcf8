//! Names for things that are looked up by number.

use crate::error::Side;

/// Which listener of [`crate::config::Config::listeners`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u32);

/// Which upstream of [`crate::config::Config::upstreams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub u32);

/// Which server of an upstream, by its place in [`crate::roster::UpstreamRoster`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ServerId(pub u32);

/// Which listening socket, of all that the process has ever had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u64);

/// Which route of an HTTP listener, in the order of the config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

macro_rules! as_index {
    ($($name:ident),*) => {$(
        impl $name {
            /// The number as an index into the list that it names.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}
as_index!(ListenerId, UpstreamId, ServerId, RouteId);

/// A connection of one worker: its place in the slab and a generation.
///
/// Places are used again; generations are not, until 2^30 connections have passed. An event that
/// the kernel queued for a connection that is gone by now carries an old generation and is
/// recognised by it (the same purpose as nginx's `instance` bit).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// The place in the slab.
    pub index: u32,
    /// Which of the connections that had this place.
    pub generation: Generation,
}

/// A connection that a worker has opened to a server for requests, of whichever clients: its
/// place among those, and a generation, as for [`ConnectionId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamConnectionId {
    /// The place in the slab.
    pub index: u32,
    /// Which of the connections that had this place.
    pub generation: Generation,
}

/// A counter of 30 bits that goes up by one for each connection of a worker and wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Generation(u32);

impl Generation {
    const MASK: u32 = (1 << 30) - 1;

    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Generation {
        Generation((self.0 + 1) & Generation::MASK)
    }
}

/// What an event of the poll is about, packed into the 64 bits that the kernel keeps for us:
/// bits 34 to 63 the generation, bits 2 to 33 the index, bits 0 and 1 the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Token {
    /// The waker through which the control plane reaches a worker.
    Waker,
    /// A listening socket, by its place among those of the worker.
    Listener(u32),
    /// One socket of a connection.
    Socket(ConnectionId, Side),
    /// A connection to a server that serves one client after the other.
    Upstream(UpstreamConnectionId),
}

impl Token {
    const CLIENT: u64 = 0;
    const SERVER: u64 = 1;
    const UPSTREAM: u64 = 2;
    /// Of the worker itself: a listener by its index, or the waker.
    const OWN: u64 = 3;
    const WAKER: u32 = u32::MAX;

    /// The 64 bits that stand for this token.
    pub fn pack(self) -> u64 {
        let bits = |generation: Generation, index: u32, kind: u64| {
            u64::from(generation.0) << 34 | u64::from(index) << 2 | kind
        };
        match self {
            Token::Waker => bits(Generation(0), Token::WAKER, Token::OWN),
            Token::Listener(place) => {
                debug_assert!(place != Token::WAKER);
                bits(Generation(0), place, Token::OWN)
            }
            Token::Socket(id, Side::Client) => bits(id.generation, id.index, Token::CLIENT),
            Token::Socket(id, Side::Upstream) => bits(id.generation, id.index, Token::SERVER),
            Token::Upstream(id) => bits(id.generation, id.index, Token::UPSTREAM),
        }
    }

    /// The token that `bits`, made by [`Token::pack`], stands for.
    pub fn unpack(bits: u64) -> Token {
        let index = (bits >> 2) as u32;
        let generation = Generation((bits >> 34) as u32);
        let connection = ConnectionId { index, generation };
        match bits & 3 {
            Token::CLIENT => Token::Socket(connection, Side::Client),
            Token::SERVER => Token::Socket(connection, Side::Upstream),
            Token::UPSTREAM => Token::Upstream(UpstreamConnectionId { index, generation }),
            _ if index == Token::WAKER => Token::Waker,
            _ => Token::Listener(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_packing() {
        let generations = [Generation(0), Generation(1), Generation(Generation::MASK)];
        for index in [0, 1, 77, u32::MAX] {
            for generation in generations {
                for side in [Side::Client, Side::Upstream] {
                    let token = Token::Socket(ConnectionId { index, generation }, side);
                    assert_eq!(Token::unpack(token.pack()), token);
                }
                let token = Token::Upstream(UpstreamConnectionId { index, generation });
                assert_eq!(Token::unpack(token.pack()), token);
            }
        }
        for token in [Token::Waker, Token::Listener(0), Token::Listener(4095)] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }

    #[test]
    fn generations_wrap() {
        assert_eq!(Generation(Generation::MASK).next(), Generation(0));
    }
}
