//! What version 2 of the header tells besides addresses: types, lengths and values (TLVs; section
//! 2.2.7 of the specification).

/// The protocol that the client and the server agreed on (RFC 7301).
pub const TYPE_ALPN: u8 = 0x01;
/// The name that the client asked for: SNI.
pub const TYPE_AUTHORITY: u8 = 0x02;
/// A checksum of the header.
pub const TYPE_CRC32C: u8 = 0x03;
/// Nothing, to fill up.
pub const TYPE_NOOP: u8 = 0x04;
/// What is known of the client's TLS session; has TLVs of its own.
pub const TYPE_SSL: u8 = 0x20;

/// Within [`TYPE_SSL`]: the version.
pub const SUBTYPE_SSL_VERSION: u8 = 0x21;
/// Within [`TYPE_SSL`]: the common name in the client's certificate.
pub const SUBTYPE_SSL_COMMON_NAME: u8 = 0x22;
/// Within [`TYPE_SSL`]: the cipher suite.
pub const SUBTYPE_SSL_CIPHER: u8 = 0x23;

/// The header of each: type and length.
const ATTRIBUTE_HEADER: usize = 3;

/// The attributes of a header that was received, as they were: those that say something to
/// servers further on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    bytes: Box<[u8]>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type.
    pub kind: u8,
    /// Its value.
    pub value: &'a [u8],
}

impl Attributes {
    /// Those that are worth keeping: all but the checksum, which is right for the header that was
    /// received only, and what fills up. `None` where one does not fit into what there is.
    pub(super) fn parse(bytes: &[u8]) -> Option<Attributes> {
        let mut kept = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (attribute, length) = first(rest)?;
            if !matches!(attribute.kind, TYPE_CRC32C | TYPE_NOOP) {
                kept.extend_from_slice(&rest[..length]);
            }
            rest = &rest[length..];
        }
        Some(Attributes { bytes: kept.into() })
    }

    /// Each of them, in the order of the header.
    pub fn iter(&self) -> impl Iterator<Item = Attribute<'_>> {
        let mut rest = &*self.bytes;
        std::iter::from_fn(move || {
            let (attribute, length) = first(rest)?;
            rest = &rest[length..];
            Some(attribute)
        })
    }

    /// The value of the first one of a type.
    pub fn value(&self, kind: u8) -> Option<&[u8]> {
        self.iter().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The first attribute and how many bytes it takes.
fn first(bytes: &[u8]) -> Option<(Attribute<'_>, usize)> {
    let [kind, high, low] = *bytes.first_chunk::<ATTRIBUTE_HEADER>()?;
    let length = ATTRIBUTE_HEADER + usize::from(u16::from_be_bytes([high, low]));
    let value = bytes.get(ATTRIBUTE_HEADER..length)?;
    Some((Attribute { kind, value }, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_something_is_kept() {
        let bytes = [
            &[TYPE_AUTHORITY, 0, 1, b'a'][..],
            &[TYPE_NOOP, 0, 2, 0, 0],
            &[TYPE_CRC32C, 0, 4, 1, 2, 3, 4],
            &[0xe0, 0, 0],
        ]
        .concat();
        let attributes = Attributes::parse(&bytes).unwrap();
        let kinds: Vec<u8> = attributes.iter().map(|attribute| attribute.kind).collect();
        assert_eq!(kinds, [TYPE_AUTHORITY, 0xe0]);
        assert_eq!(attributes.value(TYPE_AUTHORITY), Some(&b"a"[..]));
        assert_eq!(attributes.value(0xe0), Some(&[][..]));
        assert_eq!(attributes.value(TYPE_CRC32C), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let check = |bytes: &[u8]| assert_eq!(Attributes::parse(bytes), None, "{bytes:?}");
        check(&[1]);
        check(&[1, 0]);
        check(&[1, 0, 1]);
        check(&[1, 0, 0, 1, 1, 0]);
        assert!(Attributes::parse(&[]).unwrap().is_empty());
    }
}
