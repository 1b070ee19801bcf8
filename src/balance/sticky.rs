//! The cookie that brings a client back to the server that it had. It names the server by a hash
//! of its name, so that clients learn nothing of what is behind the proxy, and is signed, so that
//! they cannot choose.
//!
//! ```text
//!   identity (8) ─ expires (8) ─ first half of HMAC-SHA256(secret, upstream · identity · expires) (16)
//! ```
//!
//! All of it in hexadecimal. Half of an HMAC is as good as 128 bits (RFC 2104, section 5).

use std::fmt;

use aws_lc_rs::{constant_time, hmac};

/// The least that a secret must have, in bytes.
pub const SECRET_SIZE_MIN: usize = 32;

const PAYLOAD: usize = 16;
const SIGNATURE: usize = 16;

/// The length of a cookie's value, in bytes.
pub const VALUE_LENGTH: usize = 2 * (PAYLOAD + SIGNATURE);

/// Signs and verifies the cookies of one upstream.
pub struct Signer {
    key: hmac::Key,
    upstream: Box<str>,
}

/// What a cookie says that was found to be genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Affinity {
    /// [`super::candidate::Candidate::identity`] of the server.
    pub identity: u64,
    /// Until when it holds, in seconds since 1970; 0 for as long as the client keeps it.
    pub expires: u64,
}

/// The value of a cookie.
pub type Value = [u8; VALUE_LENGTH];

impl Signer {
    /// For the upstream of this name. Whoever knows `secret` can write cookies; it should have
    /// [`SECRET_SIZE_MIN`] random bytes.
    pub fn new(secret: &[u8], upstream: &str) -> Signer {
        Signer { key: hmac::Key::new(hmac::HMAC_SHA256, secret), upstream: upstream.into() }
    }

    /// The value that says `affinity`.
    pub fn sign(&self, affinity: Affinity) -> Value {
        let mut bytes = [0; PAYLOAD + SIGNATURE];
        bytes[..8].copy_from_slice(&affinity.identity.to_be_bytes());
        bytes[8..PAYLOAD].copy_from_slice(&affinity.expires.to_be_bytes());
        let signature = self.signature(&bytes[..PAYLOAD]);
        bytes[PAYLOAD..].copy_from_slice(&signature.as_ref()[..SIGNATURE]);
        let mut value = [0; VALUE_LENGTH];
        for (pair, byte) in value.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        value
    }

    /// What a value says, if it is genuine and holds at `now`, in seconds since 1970. How long the
    /// look at the signature takes tells nothing of it.
    pub fn verify(&self, value: &[u8], now: u64) -> Option<Affinity> {
        let value: &Value = value.try_into().ok()?;
        let mut bytes = [0; PAYLOAD + SIGNATURE];
        for (byte, pair) in bytes.iter_mut().zip(value.chunks_exact(2)) {
            *byte = number(pair[0])? << 4 | number(pair[1])?;
        }
        let (payload, signature) = bytes.split_at(PAYLOAD);
        let expected = self.signature(payload);
        let expected = &expected.as_ref()[..SIGNATURE];
        constant_time::verify_slices_are_equal(expected, signature).ok()?;
        let word = |at: usize| Some(u64::from_be_bytes(payload[at..at + 8].try_into().ok()?));
        let affinity = Affinity { identity: word(0)?, expires: word(8)? };
        (affinity.expires == 0 || now < affinity.expires).then_some(affinity)
    }

    fn signature(&self, payload: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(self.upstream.as_bytes());
        // A name has no such byte: two that differ never sign the same.
        context.update(&[0]);
        context.update(payload);
        context.sign()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

fn digit(half: u8) -> u8 {
    b"0123456789abcdef"[usize::from(half & 15)]
}

fn number(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFFINITY: Affinity = Affinity { identity: 0x0123_4567_89AB_CDEF, expires: 1000 };

    #[test]
    fn what_was_signed_is_believed_until_it_expires() {
        let signer = Signer::new(&[7; 32], "app");
        let value = signer.sign(AFFINITY);
        assert!(value.iter().all(u8::is_ascii_hexdigit));
        assert_eq!(signer.verify(&value, 999), Some(AFFINITY));
        assert_eq!(signer.verify(&value, 1000), None, "expired");
        let lasting = Affinity { expires: 0, ..AFFINITY };
        assert_eq!(signer.verify(&signer.sign(lasting), u64::MAX), Some(lasting));
    }

    #[test]
    fn no_change_is_believed() {
        let signer = Signer::new(&[7; 32], "app");
        let value = signer.sign(AFFINITY);
        for place in 0..VALUE_LENGTH {
            for byte in [b'0', b'1', b'f', b'F', b' ', 0, 0xFF] {
                let mut changed = value;
                changed[place] = byte;
                let is_same = changed == value;
                assert_eq!(signer.verify(&changed, 0).is_some(), is_same, "{place} {byte}");
            }
        }
        assert_eq!(signer.verify(&value[1..], 0), None);
        assert_eq!(signer.verify(b"", 0), None);
    }

    #[test]
    fn another_secret_or_upstream_is_not_believed() {
        let value = Signer::new(&[7; 32], "app").sign(AFFINITY);
        assert_eq!(Signer::new(&[8; 32], "app").verify(&value, 0), None);
        assert_eq!(Signer::new(&[7; 32], "api").verify(&value, 0), None);
    }

    #[test]
    fn nothing_secret_is_shown() {
        let shown = format!("{:?}", Signer::new(b"a secret of thirty-two bytes....", "app"));
        assert_eq!(shown, "Signer { upstream: \"app\", .. }");
    }
}
