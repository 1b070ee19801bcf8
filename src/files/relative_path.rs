//! From the path of a request to that of a file below a root.
//!
//! The path comes in its normalised form ([`crate::http::path`]), so there are no dot segments in
//! it that could be resolved in two ways; and the kernel resolves what is made of it beneath the
//! root, whatever it is. What is refused here is what could mean something else to one of the two.

/// Why a path names no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It could not be the name of a file: a NUL, or a slash within a name.
    NoName,
    /// It names what is hidden, and hidden files are not served.
    Hidden,
}

/// What stands below this is no secret although it is hidden (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// Appends the path below the root that a normalised path of a request means, decoded and without
/// a slash at either end; nothing for the root itself. Says whether the path had a slash at its
/// end.
///
/// # Errors
/// See [`Refused`].
pub fn relative_path(path: &str, shows_hidden: bool, out: &mut Vec<u8>) -> Result<bool, Refused> {
    let rest = path.strip_prefix('/').ok_or(Refused::NoName)?;
    for segment in rest.split('/').filter(|segment| !segment.is_empty()) {
        if !out.is_empty() {
            out.push(b'/');
        }
        let start = out.len();
        decode(segment.as_bytes(), out)?;
        match &out[start..] {
            b"." | b".." => return Err(Refused::NoName),
            [b'.', ..] if !shows_hidden && &out[start..] != WELL_KNOWN => {
                return Err(Refused::Hidden);
            }
            _ => {}
        }
    }
    Ok(path.ends_with('/'))
}

fn decode(segment: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
    let mut rest = segment;
    while let [byte, after @ ..] = rest {
        let decoded = match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let (high, low) = digit(high).zip(digit(low)).ok_or(Refused::NoName)?;
                rest = after;
                (high << 4 | low) as u8
            }
            (b'%', _) => return Err(Refused::NoName),
            (byte, after) => {
                rest = after;
                *byte
            }
        };
        if matches!(decoded, 0 | b'/') {
            return Err(Refused::NoName);
        }
        out.push(decoded);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::path::normalise;

    fn relative(path: &str) -> Result<(Vec<u8>, bool), Refused> {
        let mut out = Vec::new();
        relative_path(path, false, &mut out).map(|is_directory| (out, is_directory))
    }

    #[test]
    fn paths_become_names() {
        let check = |path: &str, expected: &[u8], is_directory: bool| {
            assert_eq!(relative(path), Ok((expected.to_vec(), is_directory)), "{path}");
        };
        check("/", b"", true);
        check("/a", b"a", false);
        check("/a/b.txt", b"a/b.txt", false);
        check("/a/b/", b"a/b", true);
        check("/a%20b%3F", b"a b?", false);
        check("/%C3%A4", "\u{e4}".as_bytes(), false);
        check("/%FF", b"\xff", false);
        check("/a;b=c", b"a;b=c", false);
        check("/%5Ca", b"\\a", false);
        check("/%25", b"%", false);
        check("/.well-known/acme-challenge/x", b".well-known/acme-challenge/x", false);
        check("/a.", b"a.", false);
    }

    #[test]
    fn what_is_no_name_or_hidden_is_refused() {
        let check = |path: &str, expected: Refused| {
            assert_eq!(relative(path), Err(expected), "{path}");
        };
        for path in
            ["", "*", "a", "/%00", "/a%2Fb", "/%2F", "/%", "/%2", "/%zz", "/..", "/a/.", "/%2E%2E"]
        {
            check(path, Refused::NoName);
        }
        for path in ["/...", "/.git/config", "/a/.env", "/.well-known/.x", "/.well-knownx"] {
            check(path, Refused::Hidden);
        }
        let mut out = Vec::new();
        assert_eq!(relative_path("/.git/config", true, &mut out), Ok(false));
    }

    /// Segments that have been used to leave a root.
    fn segment() -> impl Strategy<Value = String> {
        let tricks = prop_oneof![
            Just("..".to_owned()),
            Just(".".to_owned()),
            Just(String::new()),
            Just("%2e%2e".to_owned()),
            Just("%2E.".to_owned()),
            Just("..%2f".to_owned()),
            Just("%2f..".to_owned()),
            Just("..%5c".to_owned()),
            Just("%252e%252e".to_owned()),
            Just("..;a".to_owned()),
            Just("%c0%ae%c0%ae".to_owned()),
            Just("a%00".to_owned()),
        ];
        prop_oneof![tricks, "[a-c.%25;2Ef]{0,8}"]
    }

    proptest! {
        /// No spelling leaves the root: of whatever is taken, no part climbs, is empty, or holds a
        /// NUL, and it does not begin with a slash.
        #[test]
        fn no_spelling_leaves_the_root(segments in prop::collection::vec(segment(), 0..8)) {
            let path = format!("/{}", segments.join("/"));
            let mut normal = String::new();
            let mut out = Vec::new();
            if normalise(path.as_bytes(), &mut normal).is_ok()
                && relative_path(&normal, true, &mut out).is_ok()
                && !out.is_empty()
            {
                for part in out.split(|byte| *byte == b'/') {
                    prop_assert!(!part.is_empty() && part != b"." && part != b"..", "{path}");
                    prop_assert!(!part.contains(&0), "{path}");
                }
            }
        }

        #[test]
        fn no_bytes_cause_a_panic(path in "\\PC{0,40}") {
            let _refused = relative(&path).is_err();
        }
    }
}
