//! What a file is, by the end of its name.

use mime_guess::from_ext;

/// What is sent of which nothing else is known (RFC 9110, section 8.3).
const UNKNOWN: &str = "application/octet-stream";

/// The types of text that a browser should not have to guess the encoding of.
const TEXTS: [(&str, &str); 7] = [
    ("text/html", "text/html; charset=utf-8"),
    ("text/css", "text/css; charset=utf-8"),
    ("text/plain", "text/plain; charset=utf-8"),
    ("text/javascript", "text/javascript; charset=utf-8"),
    ("text/markdown", "text/markdown; charset=utf-8"),
    ("text/csv", "text/csv; charset=utf-8"),
    ("application/javascript", "text/javascript; charset=utf-8"),
];

/// The media type of a file of this name, as `Content-Type` has it. Text is taken to be UTF-8, as
/// nearly all of it is.
pub fn of_name(name: &[u8]) -> &'static str {
    let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let dot = name.iter().rposition(|byte| *byte == b'.');
    let extension = dot.and_then(|dot| std::str::from_utf8(&name[dot + 1..]).ok());
    let guessed = extension.and_then(|extension| from_ext(extension).first_raw());
    let guessed = guessed.unwrap_or(UNKNOWN);
    TEXTS.iter().find(|(plain, _)| *plain == guessed).map_or(guessed, |(_, full)| full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_types() {
        let check = |name: &str, expected: &str| {
            assert_eq!(of_name(name.as_bytes()), expected, "{name}");
        };
        check("index.html", "text/html; charset=utf-8");
        check("a/b/STYLE.CSS", "text/css; charset=utf-8");
        check("app.js", "text/javascript; charset=utf-8");
        check("app.mjs", "text/javascript; charset=utf-8");
        check("module.wasm", "application/wasm");
        check("data.json", "application/json");
        check("logo.svg", "image/svg+xml");
        check("font.woff2", "font/woff2");
        check("archive.tar.gz", "application/gzip");
        for name in ["", "README", "a.b/README", "x.nobodyknows", ".", "a."] {
            check(name, UNKNOWN);
        }
        assert_eq!(of_name(b"a.\xff"), UNKNOWN);
    }
}
