//! Names for things that are looked up by number.

use crate::error::Side;

/// Which listener of [`crate::config::Config::listeners`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u32);

/// Which upstream of [`crate::config::Config::upstreams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub u32);

/// Which server of an upstream, in the order of the config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(pub u32);

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
/// Places are used again; generations are not, until 2^31 connections have passed. An event that
/// the kernel queued for a connection that is gone by now carries an old generation and is
/// recognised by it (the same purpose as nginx's `instance` bit).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// The place in the slab.
    pub index: u32,
    /// Which of the connections that had this place.
    pub generation: Generation,
}

/// A counter of 31 bits that goes up by one for each connection of a worker and wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Generation(u32);

impl Generation {
    const MASK: u32 = (1 << 31) - 1;

    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Generation {
        Generation((self.0 + 1) & Generation::MASK)
    }
}

/// What an event of the poll is about, packed into the 64 bits that the kernel keeps for us:
/// bits 33 to 63 the generation, bits 1 to 32 the index, bit 0 the side. The topmost values,
/// which would need an index of `u32::MAX`, name what is not a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Token {
    /// The waker through which the control plane reaches a worker.
    Waker,
    /// A listening socket, by its place among those of the worker.
    Listener(u32),
    /// One socket of a connection.
    Socket(ConnectionId, Side),
}

impl Token {
    const WAKER: u64 = u64::MAX;
    const INDEX_RESERVED: u32 = u32::MAX;

    /// The 64 bits that stand for this token.
    pub fn pack(self) -> u64 {
        match self {
            Token::Waker => Token::WAKER,
            Token::Listener(index) => {
                // A generation's place is free here: the reserved index tells listeners apart.
                debug_assert!(index < Generation::MASK);
                u64::from(index) << 33 | u64::from(Token::INDEX_RESERVED) << 1
            }
            Token::Socket(id, side) => {
                debug_assert!(id.index != Token::INDEX_RESERVED);
                let side = match side {
                    Side::Client => 0,
                    Side::Upstream => 1,
                };
                u64::from(id.generation.0) << 33 | u64::from(id.index) << 1 | side
            }
        }
    }

    /// The token that `bits`, made by [`Token::pack`], stands for.
    pub fn unpack(bits: u64) -> Token {
        if bits == Token::WAKER {
            return Token::Waker;
        }
        let index = (bits >> 1) as u32;
        let high = (bits >> 33) as u32;
        if index == Token::INDEX_RESERVED {
            return Token::Listener(high);
        }
        let side = if bits & 1 == 0 { Side::Client } else { Side::Upstream };
        Token::Socket(ConnectionId { index, generation: Generation(high) }, side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_packing() {
        let generations = [Generation(0), Generation(1), Generation(Generation::MASK)];
        for index in [0, 1, 77, u32::MAX - 1] {
            for generation in generations {
                for side in [Side::Client, Side::Upstream] {
                    let token = Token::Socket(ConnectionId { index, generation }, side);
                    assert_eq!(Token::unpack(token.pack()), token);
                }
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
