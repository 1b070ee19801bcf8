//! Values with placeholders, such as `{client_ip}`, that are filled in for each message.

use super::context::{Context, TlsSession};
use super::request::RequestHead;

/// What may stand between braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Placeholder {
    /// The IP address of the client ([`super::client`]); empty for a unix socket.
    ClientIp,
    /// Its port; empty where it is not known, as for a unix socket.
    ClientPort,
    /// The host that was asked for, without port; the address that the client connected to where
    /// it named none.
    Host,
    /// The method.
    Method,
    /// The path, with dot segments and needless encoding resolved; always begins with `/`, and
    /// never with `//`. For a request for no path (`*`), `/`.
    Path,
    /// The query with its `?`, or nothing.
    Query,
    /// `http` or `https`: how the client reached the first trusted proxy, or this one.
    Scheme,
    /// The id of the request.
    RequestId,
    /// The name of the listener.
    Listener,
    /// The name of the upstream; empty where the proxy answers itself.
    Upstream,
    /// The address of the server; empty where the proxy answers itself.
    Server,
    /// The version of TLS that the client speaks, such as `TLSv1.3`; empty without TLS.
    TlsVersion,
    /// The cipher suite of its session; empty without TLS.
    TlsCipher,
    /// The name that it asked for by SNI; empty where it asked for none.
    TlsServerName,
    /// The subject of its certificate (RFC 4514), which was found to be good; empty where it
    /// has shown none.
    TlsClientSubject,
    /// The SHA-256 of that certificate, in hexadecimal; empty likewise.
    TlsClientFingerprint,
}

impl Placeholder {
    /// All of them.
    pub const ALL: [Placeholder; 16] = [
        Placeholder::ClientIp,
        Placeholder::ClientPort,
        Placeholder::Host,
        Placeholder::Method,
        Placeholder::Path,
        Placeholder::Query,
        Placeholder::Scheme,
        Placeholder::RequestId,
        Placeholder::Listener,
        Placeholder::Upstream,
        Placeholder::Server,
        Placeholder::TlsVersion,
        Placeholder::TlsCipher,
        Placeholder::TlsServerName,
        Placeholder::TlsClientSubject,
        Placeholder::TlsClientFingerprint,
    ];

    /// What is written between the braces.
    pub fn name(self) -> &'static str {
        match self {
            Placeholder::ClientIp => "client_ip",
            Placeholder::ClientPort => "client_port",
            Placeholder::Host => "host",
            Placeholder::Method => "method",
            Placeholder::Path => "path",
            Placeholder::Query => "query",
            Placeholder::Scheme => "scheme",
            Placeholder::RequestId => "request_id",
            Placeholder::Listener => "listener",
            Placeholder::Upstream => "upstream",
            Placeholder::Server => "server",
            Placeholder::TlsVersion => "tls_version",
            Placeholder::TlsCipher => "tls_cipher",
            Placeholder::TlsServerName => "tls_server_name",
            Placeholder::TlsClientSubject => "tls_client_subject",
            Placeholder::TlsClientFingerprint => "tls_client_fingerprint",
        }
    }

    fn named(name: &str) -> Result<Placeholder, String> {
        let found = Placeholder::ALL.into_iter().find(|it| it.name() == name);
        found.ok_or_else(|| {
            let names = Placeholder::ALL.map(|it| format!("{{{}}}", it.name()));
            format!("there is no placeholder {{{name}}}; expected one of {}", names.join(" "))
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Placeholder(Placeholder),
}

/// A value, taken apart once. `{{` and `}}` stand for braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Box<[Piece]>,
}

impl Template {
    /// A value of a field: visible ASCII, with spaces and tabs only between.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Template, String> {
        let is_allowed = |it: char| matches!(it, ' ' | '\t' | '!'..='~');
        if let Some(bad) = text.chars().find(|it| !is_allowed(*it)) {
            return Err(format!("a field value cannot hold {bad:?}; expected visible ASCII"));
        }
        if text.trim() != text {
            return Err("a field value cannot begin or end with white space".to_owned());
        }
        Ok(Template { pieces: pieces(text)?.into() })
    }

    /// The target of a redirect: a URL with `http` or `https`, or a path.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse_location(text: &str) -> Result<Template, String> {
        let template = Template::parse(text)?;
        if text.contains([' ', '\t']) {
            return Err("a URL cannot hold white space".to_owned());
        }
        let is_path = text.starts_with('/') && !text.starts_with("//");
        let beginnings = ["http://", "https://", "{scheme}://", "{path}"];
        if !is_path && !beginnings.iter().any(|beginning| text.starts_with(beginning)) {
            return Err("expected a path, or a URL that begins with http://, https://, \
                        {scheme}:// or {path}"
                .to_owned());
        }
        Ok(template)
    }

    /// Appends the value for one message.
    pub fn render(&self, head: &RequestHead, context: &Context<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Placeholder(placeholder) => fill_in(*placeholder, head, context, out),
            }
        }
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(index) = rest.find(['{', '}']) {
        literal.push_str(&rest[..index]);
        let brace = &rest[index..index + 1];
        rest = &rest[index + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            literal.push_str(brace);
            rest = after;
            continue;
        }
        let Some((name, after)) = rest.split_once('}').filter(|_| brace == "{") else {
            return Err(format!("a {brace} without its pair; {brace}{brace} stands for {brace}"));
        };
        let placeholder = Placeholder::named(name)?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
        }
        pieces.push(Piece::Placeholder(placeholder));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
    Ok(pieces)
}

fn fill_in(placeholder: Placeholder, head: &RequestHead, context: &Context<'_>, out: &mut Vec<u8>) {
    let tls = |text: fn(TlsSession<'_>) -> &str| context.tls.map_or("", text);
    let text = match placeholder {
        Placeholder::ClientIp => return context.write_client_ip(out),
        Placeholder::ClientPort => return context.write_client_port(out),
        Placeholder::Host if head.host().is_empty() => return context.write_local_ip(out),
        Placeholder::Host => head.host(),
        Placeholder::Method => head.method_text(),
        // Behind a host, an asterisk would be part of that.
        Placeholder::Path if head.path() == "*" => "/",
        Placeholder::Path => head.path(),
        Placeholder::Query => head.query(),
        Placeholder::Scheme => context.client.scheme.label(),
        Placeholder::RequestId => context.request_id.as_str(),
        Placeholder::Listener => context.listener,
        Placeholder::Upstream => context.upstream,
        Placeholder::Server => context.server,
        Placeholder::TlsVersion => tls(|session| session.version),
        Placeholder::TlsCipher => tls(|session| session.cipher),
        Placeholder::TlsServerName => tls(|session| session.server_name),
        Placeholder::TlsClientSubject => tls(|session| session.client_subject),
        Placeholder::TlsClientFingerprint => tls(|session| session.client_fingerprint),
    };
    // Names of the configuration may hold anything; whatever could end the line does not pass.
    out.extend(text.bytes().map(|byte| if matches!(byte, b' '..=b'~') { byte } else { b'_' }));
}

#[cfg(test)]
mod tests {
    use super::super::client::Client;
    use super::super::request_id::RequestId;
    use super::super::samples::{context, request, written};
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        let head = request(&["PUT /a/%2e./b%20c?d=e HTTP/1.1", "Host: A.example:80"]);
        let request_id = RequestId::new(1);
        let check = |text: &str, expected: &str| {
            let template = Template::parse(text).unwrap();
            let found = written(|out| template.render(&head, &context(&request_id), out));
            assert_eq!(found, expected, "{text}");
        };
        check("", "");
        check("plain", "plain");
        check("{{a}} {{}}", "{a} {}");
        check("{{{method}}}", "{PUT}");
        check("{client_ip}:{client_port}", "192.0.2.7:4321");
        check("{scheme}://{host}{path}{query}", "http://a.example/b%20c?d=e");
        check("{listener} {upstream} {server}", "web app 198.51.100.1:9000");
        check("{request_id}", "00000000000000000000000000000001");
        let head = request(&["OPTIONS * HTTP/1.1", "Host: a"]);
        let location = Template::parse_location("https://{host}{path}").unwrap();
        let found = written(|out| location.render(&head, &context(&request_id), out));
        assert_eq!(found, "https://a/");
    }

    #[test]
    fn whatever_is_unknown_has_a_stand_in() {
        let head = request(&["GET / HTTP/1.0"]);
        let request_id = RequestId::default();
        let mut context = context(&request_id);
        (context.client, context.upstream) = (Client::default(), "line\r\nbreak\u{e4}");
        let render = |text: &str| {
            let template = Template::parse(text).unwrap();
            written(|out| template.render(&head, &context, out))
        };
        assert_eq!(render("[{client_ip}{client_port}{query}]"), "[]");
        assert_eq!(render("{host}"), "203.0.113.1");
        assert_eq!(render("{upstream}"), "line__break__");
        assert_eq!(render("[{tls_version}{tls_client_subject}]"), "[]");
    }

    #[test]
    fn a_session_is_told_of() {
        let head = request(&["GET / HTTP/1.0"]);
        let request_id = RequestId::default();
        let mut context = context(&request_id);
        context.tls = Some(TlsSession {
            version: "TLSv1.3",
            cipher: "TLS13_AES_128_GCM_SHA256",
            server_name: "a.example",
            client_subject: "CN=alice",
            client_fingerprint: "00ff",
        });
        let text = "{tls_version} {tls_cipher} {tls_server_name} {tls_client_subject} \
                    {tls_client_fingerprint}";
        let template = Template::parse(text).unwrap();
        assert_eq!(
            written(|out| template.render(&head, &context, out)),
            "TLSv1.3 TLS13_AES_128_GCM_SHA256 a.example CN=alice 00ff"
        );
    }

    #[test]
    fn what_is_no_template_says_why() {
        let check = |text: &str, expected: &str| {
            let error = Template::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("{hots}", "no placeholder {hots}; expected one of {client_ip} {client_port}");
        check("{}", "no placeholder {}");
        check("a{b", "a { without its pair; {{ stands for {");
        check("a}b", "a } without its pair");
        check("a\r\nX: b", "cannot hold '\\r'");
        check("\u{e4}", "cannot hold '\u{e4}'");
        check("\u{7f}", "cannot hold '\\u{7f}'");
        check(" a", "begin or end with white space");
    }

    #[test]
    fn locations_are_urls() {
        for text in
            ["/a", "/", "https://{host}{path}{query}", "http://a", "{path}x", "{scheme}://b"]
        {
            assert!(Template::parse_location(text).is_ok(), "{text}");
        }
        for text in ["", "a", "//a", "{host}/a", "javascript:a", "ftp://a", "{query}"] {
            let error = Template::parse_location(text).unwrap_err();
            assert!(error.contains("expected a path"), "{text}: {error}");
        }
        assert!(Template::parse_location("/a b").unwrap_err().contains("white space"));
    }
}
