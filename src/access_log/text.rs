//! Values as a line has them: escaped, cut, or with a sign for none.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::time::Duration;

use serde::{Serialize, Serializer};

/// How much of a text that a client sent is written, in bytes; `...` stands for the rest.
pub const TEXT_BYTES_MAX: usize = 2048;

const CUT: &str = "...";

/// Seconds with six digits behind the point, never in exponent notation.
pub(super) struct Seconds(pub(super) Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

/// Becomes a JSON string, escaped on the way without a copy.
pub(super) struct Shown<'a>(pub(super) &'a dyn Display);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

/// What a client sent: cut, and shown with a replacement character for what is no UTF-8.
pub(super) struct Foreign<'a>(pub(super) &'a [u8]);

/// The bytes that are written, and what stands for those that are not.
fn cut(bytes: &[u8]) -> (&[u8], &'static str) {
    match bytes.split_at_checked(TEXT_BYTES_MAX) {
        Some((kept, [_, ..])) => (kept, CUT),
        _ => (bytes, ""),
    }
}

impl Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kept, cut) = cut(self.0);
        for chunk in kept.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        f.write_str(cut)
    }
}

/// `,"key":value`.
pub(super) fn write_json_field(
    line: &mut Vec<u8>,
    key: &str,
    value: &(impl Serialize + ?Sized),
) -> io::Result<()> {
    write!(line, ",\"{key}\":")?;
    serde_json::to_writer(line, value).map_err(io::Error::from)
}

/// `,"key":seconds`, or `null`.
pub(super) fn write_json_seconds(
    line: &mut Vec<u8>,
    key: &str,
    duration: Option<Duration>,
) -> io::Result<()> {
    match duration {
        Some(duration) => write!(line, ",\"{key}\":{}", Seconds(duration)),
        None => write!(line, ",\"{key}\":null"),
    }
}

/// ` key=seconds`, or `-`.
pub(super) fn write_combined_seconds(
    line: &mut Vec<u8>,
    key: &str,
    duration: Option<Duration>,
) -> io::Result<()> {
    match duration {
        Some(duration) => write!(line, " {key}={}", Seconds(duration)),
        None => write!(line, " {key}=-"),
    }
}

/// Writes what stands between blanks in the combined format.
pub(super) fn write_token(line: &mut Vec<u8>, value: &dyn Display) -> io::Result<()> {
    let start = line.len();
    write!(Escaped { line, keeps_blanks: false }, "{value}")?;
    write_none_since(line, start);
    Ok(())
}

/// Writes what a client sent and what stands between blanks in the combined format.
pub(super) fn write_foreign_token(line: &mut Vec<u8>, value: &[u8]) -> io::Result<()> {
    write_foreign(line, value, false)
}

/// Writes what a client sent and what stands between quotes in the combined format.
pub(super) fn write_quoted(line: &mut Vec<u8>, value: &[u8]) -> io::Result<()> {
    line.push(b'"');
    write_foreign(line, value, true)?;
    line.push(b'"');
    Ok(())
}

fn write_foreign(line: &mut Vec<u8>, value: &[u8], keeps_blanks: bool) -> io::Result<()> {
    let start = line.len();
    let (kept, cut) = cut(value);
    Escaped { line, keeps_blanks }.write_all(kept)?;
    line.extend_from_slice(cut.as_bytes());
    write_none_since(line, start);
    Ok(())
}

/// Writes the sign for none, if nothing was written.
fn write_none_since(line: &mut Vec<u8>, start: usize) {
    if line.len() == start {
        line.push(b'-');
    }
}

struct Escaped<'a> {
    line: &'a mut Vec<u8>,
    keeps_blanks: bool,
}

impl Write for Escaped<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            match byte {
                b' ' if self.keeps_blanks => self.line.push(byte),
                b'"' | b'\\' => write!(self.line, "\\x{byte:02X}")?,
                b'!'..=b'~' => self.line.push(byte),
                _ => write!(self.line, "\\x{byte:02X}")?,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `write` adds to a line, for tests.
#[cfg(test)]
pub(super) fn written(write: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut line = Vec::new();
    write(&mut line).unwrap();
    String::from_utf8(line).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_cut_and_says_so() {
        let long = "x".repeat(TEXT_BYTES_MAX);
        let longer = format!("{long}y");
        assert_eq!(Foreign(long.as_bytes()).to_string(), long);
        assert_eq!(Foreign(longer.as_bytes()).to_string(), format!("{long}..."));
        let quoted = written(|line| write_quoted(line, longer.as_bytes()));
        assert_eq!(quoted, format!("\"{long}...\""));
        // A character that is cut in two is not one any more.
        let split = format!("{}\u{e4}", &long[1..]);
        assert_eq!(Foreign(split.as_bytes()).to_string(), format!("{}\u{fffd}...", &long[1..]));
    }

    #[test]
    fn what_is_no_text_is_shown_as_such() {
        assert_eq!(Foreign(b"a\xffb").to_string(), "a\u{fffd}b");
        assert_eq!(
            written(|line| write_quoted(line, b"a\xffb c\"\\\n")),
            r#""a\xFFb c\x22\x5C\x0A""#
        );
        assert_eq!(written(|line| write_foreign_token(line, b"a b")), r"a\x20b");
    }

    #[test]
    fn nothing_has_a_sign() {
        assert_eq!(written(|line| write_quoted(line, b"")), "\"-\"");
        assert_eq!(written(|line| write_token(line, &"")), "-");
        assert_eq!(written(|line| write_combined_seconds(line, "a", None)), " a=-");
        assert_eq!(written(|line| write_json_seconds(line, "a", None)), ",\"a\":null");
    }
}
