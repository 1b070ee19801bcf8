//! The name of one request in logs, of this proxy and of whoever it speaks with.

use super::field::trim;

/// An id in a fixed place: no allocation for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    bytes: [u8; RequestId::BYTES_MAX],
    length: u8,
}

impl RequestId {
    /// The longest id that is taken from a client, in bytes: room for a UUID in any of its forms.
    pub const BYTES_MAX: usize = 64;

    /// An id of 32 hexadecimal digits from random bits.
    pub fn new(random: u128) -> RequestId {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; RequestId::BYTES_MAX];
        let octets = random.to_be_bytes();
        for (pair, octet) in bytes.chunks_exact_mut(2).zip(octets) {
            pair[0] = DIGITS[usize::from(octet >> 4)];
            pair[1] = DIGITS[usize::from(octet & 15)];
        }
        RequestId { bytes, length: 2 * octets.len() as u8 }
    }

    /// The id that somebody else gave, where it is short and can be written anywhere: letters,
    /// digits and `-._~:/+=@`.
    pub fn accept(value: &[u8]) -> Option<RequestId> {
        let value = trim(value);
        let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/+=@".contains(byte);
        if value.is_empty() || value.len() > RequestId::BYTES_MAX || !value.iter().all(is_allowed) {
            return None;
        }
        let mut bytes = [0; RequestId::BYTES_MAX];
        bytes[..value.len()].copy_from_slice(value);
        Some(RequestId { bytes, length: value.len() as u8 })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Both constructors take ASCII only.
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl Default for RequestId {
    /// The id of no request: all zeros.
    fn default() -> RequestId {
        RequestId::new(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bits_become_hexadecimal_digits() {
        let id = RequestId::new(0x0123_4567_89ab_cdef_0011_2233_4455_66ff);
        assert_eq!(id.as_str(), "0123456789abcdef00112233445566ff");
        assert_eq!(RequestId::accept(id.as_str().as_bytes()), Some(id));
    }

    #[test]
    fn only_harmless_ids_are_accepted() {
        let check = |value: &str, expected: Option<&str>| {
            let found = RequestId::accept(value.as_bytes());
            assert_eq!(found.as_ref().map(RequestId::as_str), expected, "{value}");
        };
        check("a", Some("a"));
        check(" 1-5e/=@ ", Some("1-5e/=@"));
        check(&"x".repeat(64), Some(&"x".repeat(64)));
        check(&"x".repeat(65), None);
        for bad in ["", " ", "a b", "a,b", "a\"b", "a\tb", "\u{e4}", "{a}", "a\\b"] {
            check(bad, None);
        }
    }
}
