//! Entity tags (RFC 9110, section 8.8.3): by which a client says which version of a file it has.

use std::io::Write as _;

use super::field::trim;

/// An entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag {
    /// The mark of weakness, and the tag.
    text: [u8; EntityTag::BYTES_MAX],
    length: usize,
    is_weak: bool,
}

/// What a weak tag begins with.
const WEAK: &[u8] = b"W/";

impl EntityTag {
    /// The mark, four numbers in hexadecimal, what separates them, and the quotes.
    const BYTES_MAX: usize = WEAK.len() + 4 * 16 + 3 + 2;

    /// The strong tag of a file that was modified at this time, in seconds and nanoseconds, with so many
    /// bytes, in this inode. A file that is replaced has another inode, and one that is written to
    /// another time; so it changes with the content as reliably as the file system's clock goes.
    pub fn of_file(seconds: u64, nanoseconds: u32, size: u64, inode: u64) -> EntityTag {
        let mut text = [0; EntityTag::BYTES_MAX];
        let mut rest = &mut text[..];
        let written = write!(rest, "W/\"{seconds:x}.{nanoseconds:x}-{size:x}-{inode:x}\"");
        debug_assert!(written.is_ok(), "there is room for four numbers");
        let length = EntityTag::BYTES_MAX - rest.len();
        EntityTag { text, length, is_weak: false }
    }

    /// The same as a weak one: two versions of a file may have it.
    #[must_use]
    pub fn weak(self) -> EntityTag {
        EntityTag { is_weak: true, ..self }
    }

    /// As it stands in a field, with its quotes.
    pub fn as_bytes(&self) -> &[u8] {
        if self.is_weak { &self.text[..self.length] } else { self.opaque() }
    }

    fn opaque(&self) -> &[u8] {
        &self.text[WEAK.len()..self.length]
    }

    /// Whether it is the one of a field, by strong comparison.
    pub fn is(&self, value: &[u8]) -> bool {
        !self.is_weak && value == self.opaque()
    }

    /// Whether it is among the tags of a list, or the list is `*`, by strong comparison: what is
    /// marked as weak is not the same (RFC 9110, section 8.8.3.2).
    pub fn is_in(&self, list: &[u8]) -> bool {
        self.is_listed(list, |is_weak| !is_weak && !self.is_weak)
    }

    /// The same by weak comparison: a mark of weakness does not matter.
    pub fn is_weakly_in(&self, list: &[u8]) -> bool {
        self.is_listed(list, |_| true)
    }

    fn is_listed(&self, list: &[u8], counts: impl Fn(bool) -> bool) -> bool {
        trim(list) == b"*"
            || Tags { rest: list }.any(|tag| counts(tag.is_weak) && tag.opaque == self.opaque())
    }
}

/// A tag as a client has sent it.
struct Tag<'a> {
    is_weak: bool,
    /// With its quotes.
    opaque: &'a [u8],
}

/// The tags of a list, up to what is none. A comma may stand within a tag.
struct Tags<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let start = self.rest.iter().position(|byte| !b" \t,".contains(byte))?;
        let rest = &self.rest[start..];
        let (is_weak, rest) = match rest.strip_prefix(WEAK) {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let inside = rest.strip_prefix(b"\"")?;
        let end = inside.iter().position(|byte| *byte == b'"')? + 2;
        self.rest = &rest[end..];
        Some(Tag { is_weak, opaque: &rest[..end] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag() -> EntityTag {
        EntityTag::of_file(0x5f, 0xa, 0x10, 7)
    }

    #[test]
    fn a_tag_has_time_size_and_inode() {
        assert_eq!(tag().as_bytes(), b"\"5f.a-10-7\"");
        let longest = EntityTag::of_file(u64::MAX, u32::MAX, u64::MAX, u64::MAX);
        assert!(longest.as_bytes().ends_with(b"f\""));
        let others = [
            EntityTag::of_file(0x5e, 0xa, 0x10, 7),
            EntityTag::of_file(0x5f, 0xb, 0x10, 7),
            EntityTag::of_file(0x5f, 0xa, 0x11, 7),
            EntityTag::of_file(0x5f, 0xa, 0x10, 8),
        ];
        assert!(others.iter().all(|other| *other != tag()));
    }

    #[test]
    fn a_weak_tag_is_never_the_same() {
        let weak = tag().weak();
        assert_eq!(weak.as_bytes(), b"W/\"5f.a-10-7\"");
        for value in [tag().as_bytes(), weak.as_bytes()] {
            assert!(!weak.is(value) && !weak.is_in(value) && weak.is_weakly_in(value));
        }
        assert!(weak.is_in(b"*"));
        assert!(tag().is(tag().as_bytes()) && !tag().is(weak.as_bytes()) && !tag().is(b"*"));
    }

    #[test]
    fn tags_are_found_in_lists() {
        let check = |list: &str, strong: bool, weak: bool| {
            let found = (tag().is_in(list.as_bytes()), tag().is_weakly_in(list.as_bytes()));
            assert_eq!(found, (strong, weak), "{list}");
        };
        check("\"5f.a-10-7\"", true, true);
        check("W/\"5f.a-10-7\"", false, true);
        check(" * ", true, true);
        check("\"x\", \"a,b\" ,, \"5f.a-10-7\"", true, true);
        check("W/\"x\",W/\"5f.a-10-7\"", false, true);
        check("\"5f.a-10-8\"", false, false);
        check("5f.a-10-7", false, false);
        check("\"5f.a-10-7", false, false);
        check("w/\"5f.a-10-7\"", false, false);
        check("", false, false);
        check("bad, \"5f.a-10-7\"", false, false);
    }
}
