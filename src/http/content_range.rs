//! `Content-Range`: which part of a file a body is (RFC 9110, section 14.4).

use super::context::write_number;
use super::range::ByteRange;

/// What `Content-Range` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it, or several parts that say it themselves.
    All,
    /// These bytes of so many.
    Of(ByteRange, u64),
    /// None of so many.
    NoneOf(u64),
}

/// Appends `Content-Range`, where there is something to say.
pub fn write_content_range(part: Part, out: &mut Vec<u8>) {
    let size = match part {
        Part::All => return,
        Part::Of(ByteRange { start, end }, size) => {
            out.extend_from_slice(b"Content-Range: bytes ");
            write_number(start, out);
            out.push(b'-');
            write_number(end - 1, out);
            size
        }
        Part::NoneOf(size) => {
            out.extend_from_slice(b"Content-Range: bytes *");
            size
        }
    };
    out.push(b'/');
    write_number(size, out);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::super::samples::written;
    use super::*;

    #[test]
    fn parts_say_which_they_are() {
        let check = |part: Part, expected: &str| {
            assert_eq!(written(|out| write_content_range(part, out)), expected);
        };
        check(Part::All, "");
        let range = ByteRange { start: 3, end: 8 };
        check(Part::Of(range, 10), "Content-Range: bytes 3-7/10\r\n");
        check(Part::NoneOf(10), "Content-Range: bytes */10\r\n");
    }
}
