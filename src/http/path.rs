//! Paths in the one form that routes are compared with.
//!
//! Dot segments are resolved (RFC 3986, section 5.2.4), percent-encoded unreserved characters are
//! decoded, other encodings get upper-case digits (section 6.2.2), and slashes in a row count as
//! one, as most servers have it. What servers are known to resolve in different ways is refused:
//! otherwise one spelling could mean one thing to a route and another to the server behind it.
//!
//! Encoded slashes and parameters of segments (`;a=b`) are too common to be refused, though some
//! servers decode the ones and drop the others. So there is a [`other_reading`] of such a path, and
//! a request is refused only if that one leads to another route.

use super::reject::RejectReason;

/// Appends the normalised form of `path`, which begins with a slash and holds neither `?` nor
/// `#`.
///
/// # Errors
/// - [`RejectReason::Target`]: a byte that a path cannot hold, a `%` without two hexadecimal
///   digits, or an encoded NUL.
/// - [`RejectReason::PathAboveRoot`]: more `..` than segments before it.
/// - [`RejectReason::PathAmbiguous`]: a `..` behind a segment that some servers count and others do
///   not, since it is empty (`//`, `/;a/`) or holds an encoded slash or backslash (`a%2Fb`); a dot
///   segment with parameters (`..;a`), or next to an encoded slash or backslash (`..%2F`); and such
///   a slash in parameters (`a;b%2Fc`).
pub fn normalise(path: &[u8], normal: &mut String) -> Result<(), RejectReason> {
    if let Some(text) = already_normal(path) {
        normal.push_str(text);
        return Ok(());
    }
    let root = normal.len();
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    let mut is_depth_known = true;
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let start = normal.len();
        normal.push('/');
        decode(segment, normal)?;
        match &normal[start + 1..] {
            "" if !is_last => {
                normal.truncate(start);
                is_depth_known = false;
            }
            "." | ".." => {
                let climbs = normal.ends_with("..");
                normal.truncate(start);
                if climbs {
                    if !is_depth_known {
                        return Err(RejectReason::PathAmbiguous);
                    }
                    let parent = normal[root..].rfind('/').ok_or(RejectReason::PathAboveRoot)?;
                    normal.truncate(root + parent);
                }
                if is_last {
                    normal.push('/');
                }
            }
            decoded if has_other_reading(decoded) => {
                if is_ambiguous(decoded) {
                    return Err(RejectReason::PathAmbiguous);
                }
                let is_empty = split_parameters(decoded).0.is_empty();
                is_depth_known &= !is_empty && !has_encoded_slash(decoded);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The path, where it is plain to see that nothing is to be resolved: most are like that.
fn already_normal(path: &[u8]) -> Option<&str> {
    let mut previous = 0;
    for byte in path {
        let is_plain = match byte {
            b'/' | b'.' => previous != b'/',
            b'%' | b'\\' | b';' | b'?' | b'#' => false,
            byte => byte.is_ascii_graphic(),
        };
        if !is_plain {
            return None;
        }
        previous = *byte;
    }
    std::str::from_utf8(path).ok()
}

/// Appends a segment without needless encoding.
fn decode(segment: &[u8], normal: &mut String) -> Result<(), RejectReason> {
    let mut rest = segment;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'%' => {
                let ([high, low], after) = rest.split_first_chunk().ok_or(RejectReason::Target)?;
                let (Some(high_digit), Some(low_digit)) = (hex_digit(*high), hex_digit(*low))
                else {
                    return Err(RejectReason::Target);
                };
                rest = after;
                match high_digit << 4 | low_digit {
                    0 => return Err(RejectReason::Target),
                    decoded if is_unreserved(decoded) => normal.push(char::from(decoded)),
                    _ => {
                        normal.push('%');
                        normal.push(char::from(high.to_ascii_uppercase()));
                        normal.push(char::from(low.to_ascii_uppercase()));
                    }
                }
            }
            b'!'..=b'~' if !matches!(byte, b'\\' | b'?' | b'#') => normal.push(char::from(*byte)),
            _ => return Err(RejectReason::Target),
        }
    }
    Ok(())
}

/// How slashes and the beginnings of parameters look to some servers, besides themselves.
const ENCODED_SLASHES: [&str; 2] = ["%2F", "%5C"];
const PARAMETERS: [&str; 2] = [";", "%3B"];

fn has_encoded_slash(normal: &str) -> bool {
    ENCODED_SLASHES.iter().any(|slash| normal.contains(slash))
}

/// A segment without its parameters, and those.
fn split_parameters(segment: &str) -> (&str, &str) {
    let starts = PARAMETERS.iter().filter_map(|parameter| segment.find(parameter));
    segment.split_at(starts.min().unwrap_or(segment.len()))
}

/// Whether a segment that is no dot segment would become one for a server that decodes slashes,
/// takes backslashes for them, or cuts parameters off; or whether these servers would disagree
/// about where its parameters end.
fn is_ambiguous(segment: &str) -> bool {
    let parts = segment.split("%2F").flat_map(|part| part.split("%5C"));
    has_encoded_slash(split_parameters(segment).1)
        || parts.into_iter().any(|part| matches!(split_parameters(part).0, "." | ".."))
}

/// Whether servers are known to read a normalised path, or a segment of one, in another way.
pub fn has_other_reading(normal: &str) -> bool {
    has_encoded_slash(normal) || PARAMETERS.iter().any(|parameter| normal.contains(parameter))
}

/// Appends a normalised path as it is to servers that take encoded slashes and backslashes for
/// slashes, and drop the parameters of segments. Nothing, where it is the same to all.
pub fn other_reading(normal: &str, other: &mut String) {
    if !has_other_reading(normal) {
        return;
    }
    for segment in normal.split('/').skip(1) {
        let (plain, _) = split_parameters(segment);
        for part in plain.split("%2F").flat_map(|part| part.split("%5C")) {
            if !other.ends_with('/') {
                other.push('/');
            }
            other.push_str(part);
        }
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(path: &str) -> Result<String, RejectReason> {
        let mut normal = "kept".to_owned();
        normalise(path.as_bytes(), &mut normal)?;
        Ok(normal.strip_prefix("kept").unwrap().to_owned())
    }

    #[test]
    fn paths_have_one_form() {
        let check = |path: &str, expected: &str| {
            assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
            assert_eq!(normal(expected).as_deref(), Ok(expected), "again: {expected}");
        };
        check("/", "/");
        check("/a/b", "/a/b");
        check("/a/b/", "/a/b/");
        check("/./a/./b/.", "/a/b/");
        check("/a/../b", "/b");
        check("/a/b/../../c", "/c");
        check("/a/..", "/");
        check("/a/b/..", "/a/");
        check("/a/../", "/");
        check("/%61%2D%2e%5f%7E", "/a-._~");
        check("/a/%2e%2E/b", "/b");
        check("/a/.%2e/b", "/b");
        check("/%c3%a4%2f%3f%23%25", "/%C3%A4%2F%3F%23%25");
        check("/%2561", "/%2561");
        check("//", "/");
        check("//a///b//", "/a/b/");
        check("/a//./b", "/a/b");
        check("/...", "/...");
        check("/..a/a..", "/..a/a..");
        check("/a;b=c/d;e", "/a;b=c/d;e");
        check("/a%2Fb%5Cc", "/a%2Fb%5Cc");
        check("/!$&'()*+,;=:@|^`{}\"<>[]", "/!$&'()*+,;=:@|^`{}\"<>[]");
    }

    #[test]
    fn some_servers_read_a_path_otherwise() {
        let check = |path: &str, expected: &str| {
            let mut other = String::new();
            other_reading(&normal(path).unwrap(), &mut other);
            assert_eq!(other, expected, "{path}");
        };
        check("/a/b.c/%20", "");
        check("/a%2fb%5cc", "/a/b/c");
        check("/a;b=c/d;e;f", "/a/d");
        check("/a%3Bb/c", "/a/c");
        check("/;a/b", "/b");
        check("/a/%2F%2F/b%2F", "/a/b/");
        check("/%252F;", "/%252F");
    }

    #[test]
    fn what_cannot_be_resolved_is_refused() {
        let check = |path: &str, expected: RejectReason| {
            assert_eq!(normal(path), Err(expected), "{path}");
        };
        for path in ["/..", "/../a", "/a/../..", "/%2e%2e", "/./../a"] {
            check(path, RejectReason::PathAboveRoot);
        }
        let ambiguous = [
            "//../a",
            "/a//../b",
            "/a//./../b",
            "/a//b/../../c",
            "/a/..;/b",
            "/a/.;x/b",
            "/a/..;",
            "/a/..%2fb",
            "/a/b%2F..%2Fc",
            "/a%5c..",
            "/..%5Ca",
            "/%2e%2e%2fa",
            "/a/..;x%2Fb",
            "/a%2Fb/../c",
            "/a%5cb/../c",
            "/a/b%2Fc/d/../../../e",
            "/a/;x/../b",
            "/;/..",
            "/%3b/..",
            "/..%3Bx/a",
            "/;%2Fx/admin",
            "/a;b%5Cc",
        ];
        for path in ambiguous {
            check(path, RejectReason::PathAmbiguous);
        }
        let bad = [
            "/%", "/%2", "/%zz", "/%+1", "/a%0", "/%00", "/a\\b", "/a b", "/\u{e4}", "/a\0",
            "/a#b", "/\x7f",
        ];
        for path in bad {
            check(path, RejectReason::Target);
        }
    }
}
