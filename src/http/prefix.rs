//! Prefixes of paths: to match, to strip and to replace.

use super::path;

/// A beginning of paths that ends where a segment ends: `/v1` is one of `/v1` and `/v1/users`,
/// not of `/v10`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PathPrefix {
    /// Without a slash at its end: empty for `/`.
    text: Box<str>,
}

impl PathPrefix {
    /// A prefix as a configuration has it: `/v1`, or `/v1/`, which means the same.
    ///
    /// # Errors
    /// A sentence: it is no path, or no request could ever match it as it is written.
    pub fn parse(text: &str) -> Result<PathPrefix, String> {
        if !text.starts_with('/') {
            return Err("a path begins with /".to_owned());
        }
        if let Some(bad) = text.chars().find(|it| !it.is_ascii_graphic() || "?#\\".contains(*it)) {
            return Err(format!("a path cannot hold {bad:?}"));
        }
        let mut normal = String::new();
        match path::normalise(text.as_bytes(), &mut normal) {
            Err(_) => Err("a path without . and .., and with % before two digits".to_owned()),
            Ok(()) if normal != text => {
                Err(format!("requests are matched in their plain form; write \"{normal}\""))
            }
            Ok(()) => Ok(PathPrefix { text: text.strip_suffix('/').unwrap_or(text).into() }),
        }
    }

    /// The prefix, without a slash at its end but for `/` itself.
    pub fn as_str(&self) -> &str {
        if self.text.is_empty() { "/" } else { &self.text }
    }

    /// Whether it is written in a way that servers read differently: whoever wrote it means it.
    pub fn has_other_reading(&self) -> bool {
        path::has_other_reading(&self.text)
    }

    /// What of a normalised path comes after the prefix: nothing, or something that begins with
    /// `/`. `None` where the path does not begin with it.
    pub fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(&*self.text)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }
}

/// What becomes of the path on its way to the server. The query stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PathEdit {
    /// The request-target is passed on byte by byte.
    #[default]
    Keep,
    /// This prefix becomes that one; the path goes on in its normalised form. Stripping is
    /// replacing by `/`.
    Replace {
        /// What the path begins with.
        prefix: PathPrefix,
        /// What it begins with afterwards.
        with: PathPrefix,
    },
}

impl PathEdit {
    /// Takes `prefix` off.
    pub fn strip(prefix: PathPrefix) -> PathEdit {
        PathEdit::Replace { prefix, with: PathPrefix::default() }
    }

    /// The two parts of the path after the edit; `None` where it stays as the client sent it.
    pub fn apply<'s>(&'s self, path: &'s str) -> Option<[&'s str; 2]> {
        match self {
            PathEdit::Keep => None,
            PathEdit::Replace { prefix, with } => match (&*with.text, prefix.rest(path)?) {
                ("", "") => Some(["/", ""]),
                parts => Some(parts.into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> PathPrefix {
        PathPrefix::parse(text).unwrap()
    }

    #[test]
    fn a_prefix_ends_with_a_segment() {
        let check = |text: &str, path: &str, expected: Option<&str>| {
            assert_eq!(prefix(text).rest(path), expected, "{text} {path}");
        };
        for v1 in ["/v1", "/v1/"] {
            check(v1, "/v1", Some(""));
            check(v1, "/v1/", Some("/"));
            check(v1, "/v1/users", Some("/users"));
            check(v1, "/v10", None);
            check(v1, "/", None);
        }
        check("/", "/", Some("/"));
        check("/", "/v1", Some("/v1"));
        check("/", "*", None);
        assert_eq!([prefix("/").as_str(), prefix("/v1/").as_str()], ["/", "/v1"]);
    }

    #[test]
    fn what_is_no_prefix() {
        let check = |text: &str, expected: &str| {
            let error = PathPrefix::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("", "begins with /");
        check("v1", "begins with /");
        check("/a b", "cannot hold ' '");
        check("/a?b", "cannot hold '?'");
        check("/\u{e4}", "cannot hold '\u{e4}'");
        check("/%", "two digits");
        check("/../a", "without . and ..");
        check("/a/../b", "write \"/b\"");
        check("/a//b", "write \"/a/b\"");
        check("/%61", "write \"/a\"");
        check("/%c3%a4", "write \"/%C3%A4\"");
    }

    #[test]
    fn edits_change_the_beginning_only() {
        let check = |edit: &PathEdit, path: &str, expected: Option<&str>| {
            let found = edit.apply(path).map(|parts| parts.concat());
            assert_eq!(found.as_deref(), expected, "{path}");
        };
        let strip = PathEdit::strip(prefix("/v1"));
        check(&strip, "/v1", Some("/"));
        check(&strip, "/v1/", Some("/"));
        check(&strip, "/v1/v1/a", Some("/v1/a"));
        check(&strip, "/v2/a", None);
        let replace = PathEdit::Replace { prefix: prefix("/v1"), with: prefix("/api/old/") };
        check(&replace, "/v1", Some("/api/old"));
        check(&replace, "/v1/a", Some("/api/old/a"));
        let prepend = PathEdit::Replace { prefix: prefix("/"), with: prefix("/app") };
        check(&prepend, "/", Some("/app/"));
        check(&prepend, "/a", Some("/app/a"));
        check(&prepend, "*", None);
        check(&PathEdit::Keep, "/a", None);
    }
}
