//! Names and values of fields (RFC 9110, section 5), and the fields that mean something here.

/// The name of a field, as a configuration gives it: a token, kept as written.
#[derive(Debug, Clone)]
pub struct FieldName(Box<str>);

impl FieldName {
    /// The longest name that is taken, in bytes.
    pub const BYTES_MAX: usize = 128;

    /// A name to look for.
    ///
    /// # Errors
    /// A sentence that says why it is no field name.
    pub fn parse(text: &str) -> Result<FieldName, String> {
        if text.is_empty() {
            return Err("a field name cannot be empty".to_owned());
        }
        if text.len() > FieldName::BYTES_MAX {
            return Err(format!("a field name has at most {} bytes", FieldName::BYTES_MAX));
        }
        match text.chars().find(|it| !(it.is_ascii() && is_token_byte(*it as u8))) {
            Some(bad) => Err(format!(
                "a field name cannot hold {bad:?}; expected letters, digits and !#$%&'*+-.^_`|~"
            )),
            None => Ok(FieldName(text.into())),
        }
    }

    /// A name that an edit may set, add or remove.
    ///
    /// # Errors
    /// A sentence: it is no name, or the field belongs to the framing of messages, to connections
    /// or to a setting of its own, and the proxy alone writes it.
    pub fn editable(text: &str) -> Result<FieldName, String> {
        let name = FieldName::parse(text)?;
        match Known::of(text.as_bytes()) {
            Some(Known::Host) => {
                Err("Host is not edited like other fields; use host_header".to_owned())
            }
            Some(known)
                if known.is_framing() || known.is_hop_by_hop() || known == Known::Trailer =>
            {
                Err(format!("{text} belongs to the connection, and the proxy writes it itself"))
            }
            _ => Ok(name),
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a field's name is this one: case does not matter (RFC 9110, section 5.1).
    pub fn matches(&self, name: &[u8]) -> bool {
        self.0.as_bytes().eq_ignore_ascii_case(name)
    }

    /// Whether a field's name is this one to a program that cannot tell `_` from `-`.
    pub fn covers(&self, name: &[u8]) -> bool {
        is_alike(self.0.as_bytes(), name)
    }
}

impl PartialEq for FieldName {
    fn eq(&self, other: &FieldName) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl Eq for FieldName {}

/// A field that the proxy understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Known {
    /// `Accept`
    Accept,
    /// `Accept-Encoding`
    AcceptEncoding,
    /// `Connection`
    Connection,
    /// `Content-Length`
    ContentLength,
    /// `Date`
    Date,
    /// `Expect`
    Expect,
    /// `Forwarded`
    Forwarded,
    /// `Host`
    Host,
    /// `If-Match`
    IfMatch,
    /// `If-Modified-Since`
    IfModifiedSince,
    /// `If-None-Match`
    IfNoneMatch,
    /// `If-Range`
    IfRange,
    /// `If-Unmodified-Since`
    IfUnmodifiedSince,
    /// `Keep-Alive`
    KeepAlive,
    /// `Max-Forwards`
    MaxForwards,
    /// `Proxy`, which CGI programs would take for the `HTTP_PROXY` of their environment.
    Proxy,
    /// `Proxy-Authenticate`
    ProxyAuthenticate,
    /// `Proxy-Authorization`
    ProxyAuthorization,
    /// `Proxy-Connection`
    ProxyConnection,
    /// `Range`
    Range,
    /// `TE`
    Te,
    /// `Trailer`
    Trailer,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Upgrade`
    Upgrade,
    /// `Via`
    Via,
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `X-Forwarded-Host`
    XForwardedHost,
    /// `X-Forwarded-Port`
    XForwardedPort,
    /// `X-Forwarded-Proto`
    XForwardedProto,
    /// `X-Real-IP`
    XRealIp,
    /// `X-Request-Id`
    XRequestId,
}

impl Known {
    /// The known field of this name. Case does not matter, and `_` counts as `-`: programs that
    /// hand fields on as environment variables cannot tell the two apart, and so a
    /// `Transfer_Encoding` or `X_Forwarded_For` must not pass where the real one would not.
    pub fn of(name: &[u8]) -> Option<Known> {
        // Length and first letter leave one candidate, or two.
        let first = name.first()?.to_ascii_lowercase();
        let (candidate, other) = match (name.len(), first) {
            (2, b't') => (Known::Te, None),
            (3, b'v') => (Known::Via, None),
            (4, b'h') => (Known::Host, None),
            (4, b'd') => (Known::Date, None),
            (5, b'p') => (Known::Proxy, None),
            (5, b'r') => (Known::Range, None),
            (6, b'a') => (Known::Accept, None),
            (6, b'e') => (Known::Expect, None),
            (7, b'u') => (Known::Upgrade, None),
            (7, b't') => (Known::Trailer, None),
            (8, b'i') => (Known::IfMatch, Some(Known::IfRange)),
            (9, b'f') => (Known::Forwarded, None),
            (9, b'x') => (Known::XRealIp, None),
            (10, b'c') => (Known::Connection, None),
            (10, b'k') => (Known::KeepAlive, None),
            (12, b'm') => (Known::MaxForwards, None),
            (12, b'x') => (Known::XRequestId, None),
            (13, b'i') => (Known::IfNoneMatch, None),
            (14, b'c') => (Known::ContentLength, None),
            (15, b'a') => (Known::AcceptEncoding, None),
            (15, b'x') => (Known::XForwardedFor, None),
            (16, b'x') => (Known::XForwardedHost, Some(Known::XForwardedPort)),
            (16, b'p') => (Known::ProxyConnection, None),
            (17, b'i') => (Known::IfModifiedSince, None),
            (17, b't') => (Known::TransferEncoding, None),
            (17, b'x') => (Known::XForwardedProto, None),
            (18, b'p') => (Known::ProxyAuthenticate, None),
            (19, b'i') => (Known::IfUnmodifiedSince, None),
            (19, b'p') => (Known::ProxyAuthorization, None),
            _ => return None,
        };
        let is_it = |known: &Known| is_alike(name, known.lower_case().as_bytes());
        [Some(candidate), other].into_iter().flatten().find(is_it)
    }

    /// The name in lower case.
    pub fn lower_case(self) -> &'static str {
        match self {
            Known::Accept => "accept",
            Known::AcceptEncoding => "accept-encoding",
            Known::Connection => "connection",
            Known::ContentLength => "content-length",
            Known::Date => "date",
            Known::Expect => "expect",
            Known::Forwarded => "forwarded",
            Known::Host => "host",
            Known::IfMatch => "if-match",
            Known::IfModifiedSince => "if-modified-since",
            Known::IfNoneMatch => "if-none-match",
            Known::IfRange => "if-range",
            Known::IfUnmodifiedSince => "if-unmodified-since",
            Known::KeepAlive => "keep-alive",
            Known::MaxForwards => "max-forwards",
            Known::Proxy => "proxy",
            Known::ProxyAuthenticate => "proxy-authenticate",
            Known::ProxyAuthorization => "proxy-authorization",
            Known::ProxyConnection => "proxy-connection",
            Known::Range => "range",
            Known::Te => "te",
            Known::Trailer => "trailer",
            Known::TransferEncoding => "transfer-encoding",
            Known::Upgrade => "upgrade",
            Known::Via => "via",
            Known::XForwardedFor => "x-forwarded-for",
            Known::XForwardedHost => "x-forwarded-host",
            Known::XForwardedPort => "x-forwarded-port",
            Known::XForwardedProto => "x-forwarded-proto",
            Known::XRealIp => "x-real-ip",
            Known::XRequestId => "x-request-id",
        }
    }

    /// Whether the field says how long a body is.
    pub fn is_framing(self) -> bool {
        matches!(self, Known::ContentLength | Known::TransferEncoding)
    }

    /// Whether the field is for the next recipient only (RFC 9110, section 7.6.1). The two of
    /// `Proxy-Auth...` are for proxies that the client chose, and this one is chosen by the
    /// server's side.
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Known::Connection
                | Known::KeepAlive
                | Known::Proxy
                | Known::ProxyAuthenticate
                | Known::ProxyAuthorization
                | Known::ProxyConnection
                | Known::Te
                | Known::TransferEncoding
                | Known::Upgrade
        )
    }
}

/// Whether two names are the same but for case and for `_` in the place of `-`.
pub(super) fn is_alike(one: &[u8], other: &[u8]) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| plain(*a) == plain(*b))
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether the whole of it is a token.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// Without the optional white space around it (RFC 9110, section 5.6.3).
pub fn trim(bytes: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let Some(start) = bytes.iter().position(is_text) else { return &[] };
    let end = bytes.iter().rposition(is_text).map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// The members of a list, trimmed; empty ones are left out (RFC 9110, section 5.6.1).
pub fn members(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Known; 31] = [
        Known::Accept,
        Known::AcceptEncoding,
        Known::Connection,
        Known::ContentLength,
        Known::Date,
        Known::Expect,
        Known::Forwarded,
        Known::Host,
        Known::IfMatch,
        Known::IfModifiedSince,
        Known::IfNoneMatch,
        Known::IfRange,
        Known::IfUnmodifiedSince,
        Known::KeepAlive,
        Known::MaxForwards,
        Known::Proxy,
        Known::ProxyAuthenticate,
        Known::ProxyAuthorization,
        Known::ProxyConnection,
        Known::Range,
        Known::Te,
        Known::Trailer,
        Known::TransferEncoding,
        Known::Upgrade,
        Known::Via,
        Known::XForwardedFor,
        Known::XForwardedHost,
        Known::XForwardedPort,
        Known::XForwardedProto,
        Known::XRealIp,
        Known::XRequestId,
    ];

    #[test]
    fn known_fields_are_known_in_every_spelling() {
        for known in ALL {
            let lower = known.lower_case();
            let spellings = [lower.to_owned(), lower.to_uppercase(), lower.replace('-', "_")];
            for spelling in spellings {
                assert_eq!(Known::of(spelling.as_bytes()), Some(known), "{spelling}");
            }
        }
    }

    #[test]
    fn other_fields_are_not_known() {
        for name in ["", "x", "cookie", "content-type", "transfer-encodinh", "ho-t", "x-real--ip"] {
            assert_eq!(Known::of(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn names_that_are_none_say_why() {
        let check = |text: &str, expected: &str| {
            let error = FieldName::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("", "empty");
        check("X A", "cannot hold ' '");
        check("X-A:", "cannot hold ':'");
        check("X-A\r\nB", "cannot hold '\\r'");
        check("\u{c4}", "cannot hold '\u{c4}'");
        check(&"x".repeat(129), "at most 128 bytes");
    }

    #[test]
    fn fields_of_the_connection_are_not_edited() {
        let check = |text: &str, expected: &str| {
            let error = FieldName::editable(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("host", "use host_header");
        for text in ["Content-Length", "Transfer-Encoding", "content_length", "TE", "Upgrade"] {
            check(text, "belongs to the connection");
        }
        for text in ["X-Forwarded-For", "Via", "Set-Cookie", "Server", "Date"] {
            assert_eq!(FieldName::editable(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn lists_have_members() {
        let check = |value: &str, expected: &[&str]| {
            let found: Vec<&[u8]> = members(value.as_bytes()).collect();
            let expected: Vec<&[u8]> = expected.iter().map(|it| it.as_bytes()).collect();
            assert_eq!(found, expected, "{value}");
        };
        check("", &[]);
        check(" , ,", &[]);
        check("a", &["a"]);
        check(" a ,\tb\t, c d", &["a", "b", "c d"]);
    }
}
