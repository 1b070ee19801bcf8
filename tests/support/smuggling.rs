//! Requests that two recipients could understand in different ways, and what must come of each:
//! the table that the parser is tested with, and the whole proxy.
//!
//! Most of them carry a second request for [`SMUGGLED`], where a recipient that is fooled would
//! find it. It must never be seen by a server, but for the cases that pass and say so.

/// The path of the request that is smuggled.
pub const SMUGGLED: &str = "/smuggled";

/// Stands for a body that is not over: the server waits for the rest, and so does the proxy.
pub const UNFINISHED: &str = "(unfinished)";

/// One connection's worth of bytes.
pub struct Case {
    /// What is tried.
    pub name: &'static str,
    /// What the client sends.
    pub bytes: &'static [u8],
    /// What must come of it.
    pub verdict: Verdict,
}

/// What must come of the first request of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is refused by its head: an answer with this status, the connection is closed, and not a
    /// byte reaches a server.
    Refused {
        /// The status of the answer.
        status: u16,
        /// The label in metrics and log.
        reason: &'static str,
    },
    /// The head is in order, the body is not: the same, but that a server may have seen the head
    /// and what was in order. It never sees a whole request.
    RefusedInBody {
        /// The status of the answer.
        status: u16,
        /// The label in metrics and log.
        reason: &'static str,
    },
    /// It is one request, beyond doubt.
    Passes {
        /// Its body, without chunks.
        body: &'static str,
        /// What is behind it: the next request.
        rest: &'static str,
    },
}

const fn refused(status: u16, reason: &'static str) -> Verdict {
    Verdict::Refused { status, reason }
}

const fn refused_in_body(reason: &'static str) -> Verdict {
    Verdict::RefusedInBody { status: 400, reason }
}

const fn passes(body: &'static str, rest: &'static str) -> Verdict {
    Verdict::Passes { body, rest }
}

macro_rules! smuggled {
    () => {
        "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"
    };
}

/// A head of `POST /`, from the fields behind `Host`, and the bytes behind it.
macro_rules! post {
    ($($field:literal),* ; $($rest:expr),*) => {
        concat!("POST / HTTP/1.1\r\nHost: a.example\r\n", $($field, "\r\n",)* "\r\n", $($rest),*)
            .as_bytes()
    };
}

/// A request with a chunked body.
macro_rules! chunked {
    ($($rest:expr),*) => { post!("Transfer-Encoding: chunked"; $($rest),*) };
}

/// A head from its lines, and the smuggled request behind it.
macro_rules! head {
    ($($line:literal),*) => { concat!($($line, "\r\n",)* "\r\n", smuggled!()).as_bytes() };
}

macro_rules! cases {
    ($($name:literal, $bytes:expr => $verdict:expr;)*) => {
        &[$(Case { name: $name, bytes: $bytes, verdict: $verdict },)*]
    };
}

/// The table.
pub const CASES: &[Case] = cases! {
    // Two framings, or none that is one.
    "both framings, length first",
        post!("Content-Length: 6", "Transfer-Encoding: chunked"; "0\r\n\r\n", smuggled!())
        => refused(400, "both_framings");
    "both framings, chunked first",
        post!("Transfer-Encoding: chunked", "Content-Length: 4"; "2b\r\n", smuggled!())
        => refused(400, "both_framings");
    "both framings, agreeing",
        post!("Transfer-Encoding: chunked", "Content-Length: 5"; "0\r\n\r\n")
        => refused(400, "both_framings");
    "differing lengths",
        post!("Content-Length: 0", "Content-Length: 43"; smuggled!())
        => refused(400, "content_length_differing");
    "differing lengths in a list",
        post!("Content-Length: 0, 43"; smuggled!()) => refused(400, "content_length_differing");
    "equal lengths",
        post!("Content-Length: 2", "Content-Length: 2, 02"; "hi") => passes("hi", "");
    "a length with a sign",
        post!("Content-Length: +43"; smuggled!()) => refused(400, "content_length");
    "a negative length",
        post!("Content-Length: -1"; smuggled!()) => refused(400, "content_length");
    "a hexadecimal length",
        post!("Content-Length: 0x2b"; smuggled!()) => refused(400, "content_length");
    "a length with white space inside",
        post!("Content-Length: 4 3"; smuggled!()) => refused(400, "content_length");
    "a length with an empty member",
        post!("Content-Length: 43,"; smuggled!()) => refused(400, "content_length");
    "an empty length",
        post!("Content-Length:"; smuggled!()) => refused(400, "content_length");
    "a length that wraps around to 0",
        post!("Content-Length: 18446744073709551616"; smuggled!()) => refused(400, "content_length");
    "a length in quotes",
        post!("Content-Length: \"43\""; smuggled!()) => refused(400, "content_length");
    "a length with an exponent",
        post!("Content-Length: 1e2"; smuggled!()) => refused(400, "content_length");
    "a length with leading zeros",
        post!("Content-Length: 0002"; "hi", smuggled!()) => passes("hi", smuggled!());
    "a length on GET",
        b"GET / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi" => passes("hi", "");
    "no framing on POST",
        post!(; smuggled!()) => passes("", smuggled!());
    "a length with an underscore",
        post!("Content_Length: 43"; smuggled!()) => refused(400, "disguised_field");

    // Spellings of Transfer-Encoding.
    "chunked in capitals",
        post!("Transfer-Encoding: CHUNKED"; "2\r\nhi\r\n0\r\n\r\n") => passes("hi", "");
    "chunked twice",
        post!("Transfer-Encoding: chunked, chunked"; "0\r\n\r\n", smuggled!())
        => refused(400, "transfer_encoding");
    "chunked twice, in two fields",
        post!("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"; "0\r\n\r\n", smuggled!())
        => refused(400, "transfer_encoding");
    "chunked, then another",
        post!("Transfer-Encoding: chunked", "Transfer-Encoding: x"; "0\r\n\r\n", smuggled!())
        => refused(400, "transfer_encoding");
    "chunked, then identity",
        post!("Transfer-Encoding: chunked, identity"; "0\r\n\r\n", smuggled!())
        => refused(400, "transfer_encoding");
    "identity",
        post!("Transfer-Encoding: identity", "Content-Length: 43"; smuggled!())
        => refused(400, "both_framings");
    "identity alone",
        post!("Transfer-Encoding: identity"; smuggled!()) => refused(400, "transfer_encoding");
    "gzip, then chunked",
        post!("Transfer-Encoding: gzip, chunked"; "0\r\n\r\n", smuggled!())
        => refused(501, "transfer_coding");
    "an unknown coding, then chunked",
        post!("Transfer-Encoding: x", "Transfer-Encoding: chunked"; "0\r\n\r\n", smuggled!())
        => refused(501, "transfer_coding");
    "xchunked",
        post!("Transfer-Encoding: xchunked"; "0\r\n\r\n", smuggled!())
        => refused(400, "transfer_encoding");
    "chunked with a parameter",
        post!("Transfer-Encoding: chunked;a=b"; "0\r\n\r\n", smuggled!())
        => refused(400, "transfer_encoding");
    "chunked in quotes",
        post!("Transfer-Encoding: \"chunked\""; "0\r\n\r\n", smuggled!())
        => refused(400, "transfer_encoding");
    "an empty coding",
        post!("Transfer-Encoding:"; "0\r\n\r\n", smuggled!()) => refused(400, "transfer_encoding");
    "chunked behind an empty member",
        post!("Transfer-Encoding: ,chunked"; "0\r\n\r\n", smuggled!())
        => refused(400, "transfer_encoding");
    "chunked behind a vertical tab",
        post!("Transfer-Encoding: \x0bchunked"; "0\r\n\r\n", smuggled!()) => refused(400, "field");
    "chunked before a NUL",
        post!("Transfer-Encoding: chunked\0"; "0\r\n\r\n", smuggled!()) => refused(400, "field");
    "chunked behind a bare CR",
        post!("Transfer-Encoding:\rchunked"; "0\r\n\r\n", smuggled!()) => refused(400, "field");
    "chunked behind a tab, which is white space",
        post!("Transfer-Encoding:\tchunked \t"; "0\r\n\r\n") => passes("", "");
    "Transfer-Encoding with an underscore",
        post!("Transfer_Encoding: chunked"; "0\r\n\r\n", smuggled!())
        => refused(400, "disguised_field");
    "Transfer-Encoding with an underscore beside a length",
        post!("Content-Length: 5", "Transfer_Encoding: chunked"; "0\r\n\r\n", smuggled!())
        => refused(400, "disguised_field");
    "Transfer-Encoding with a space before the colon",
        post!("Transfer-Encoding : chunked"; "0\r\n\r\n", smuggled!()) => refused(400, "field");
    "Transfer-Encoding with a tab before the colon",
        post!("Transfer-Encoding\t: chunked"; "0\r\n\r\n", smuggled!()) => refused(400, "field");
    "Transfer-Encoding with a NUL in its name",
        post!("Transfer\0-Encoding: chunked"; "0\r\n\r\n", smuggled!()) => refused(400, "field");
    "a value that looks like a line of its own",
        post!("X: a\nTransfer-Encoding: chunked"; "0\r\n\r\n", smuggled!())
        => refused(400, "bare_line_feed");
    "a value with a bare CR before Transfer-Encoding",
        post!("X: a\rTransfer-Encoding: chunked"; "0\r\n\r\n", smuggled!()) => refused(400, "field");
    "chunked in HTTP/1.0",
        b"POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        => refused(400, "transfer_encoding_version");
    "chunked and a length in HTTP/1.0",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
        => refused(400, "both_framings");
    "Connection names the framing",
        post!("Connection: content-length", "Content-Length: 2"; "hi") => passes("hi", "");
    "Connection names Transfer-Encoding",
        post!("Connection: transfer-encoding", "Transfer-Encoding: chunked"; "2\r\nhi\r\n0\r\n\r\n")
        => passes("hi", "");

    // Lines.
    "bare line feeds",
        concat!("GET / HTTP/1.1\nHost: a.example\n\n", smuggled!()).as_bytes()
        => refused(400, "bare_line_feed");
    "a bare line feed behind the request line",
        head!("GET / HTTP/1.1\nHost: a.example") => refused(400, "bare_line_feed");
    "a bare line feed between fields",
        head!("GET / HTTP/1.1", "Host: a.example\nX: y") => refused(400, "bare_line_feed");
    "a bare line feed as the empty line",
        concat!("GET / HTTP/1.1\r\nHost: a.example\r\n\n", smuggled!()).as_bytes()
        => refused(400, "bare_line_feed");
    "a bare CR in the request line",
        head!("GET /\rHTTP/1.1", "Host: a.example") => refused(400, "start_line");
    "a bare CR behind the request line",
        head!("GET / HTTP/1.1\rX: y", "Host: a.example") => refused(400, "start_line");
    "a bare CR between fields",
        head!("GET / HTTP/1.1", "Host: a.example\rX: y") => refused(400, "field");
    "two CRs before a line feed",
        head!("GET / HTTP/1.1", "Host: a.example\r") => refused(400, "field");
    "a field folded with a space",
        head!("GET / HTTP/1.1", "Host: a.example", "X: a", " b") => refused(400, "field");
    "a field folded with a tab",
        head!("GET / HTTP/1.1", "Host: a.example", "X: a", "\tb") => refused(400, "field");
    "a fold that hides a length",
        head!("POST / HTTP/1.1", "Host: a.example", "X: a", " Content-Length: 43")
        => refused(400, "field");
    "white space before the first field",
        head!("GET / HTTP/1.1", " Host: a.example") => refused(400, "field");
    "a space before the colon",
        head!("GET / HTTP/1.1", "Host : a.example") => refused(400, "field");
    "a space in a name",
        head!("GET / HTTP/1.1", "Host: a.example", "Content Length: 43") => refused(400, "field");
    "no colon",
        head!("GET / HTTP/1.1", "Host: a.example", "Content-Length") => refused(400, "field");
    "no name",
        head!("GET / HTTP/1.1", "Host: a.example", ": b") => refused(400, "field");
    "a NUL in a value",
        head!("GET / HTTP/1.1", "Host: a.example", "X: a\0b") => refused(400, "field");
    "a DEL in a value",
        head!("GET / HTTP/1.1", "Host: a.example", "X: a\x7fb") => refused(400, "field");
    "a name beyond ASCII",
        "GET / HTTP/1.1\r\nHost: a.example\r\nContent-L\u{e9}ngth: 43\r\n\r\n".as_bytes()
        => refused(400, "field");
    "an empty line in front",
        b"\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n" => passes("", "");
    "two empty lines in front",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n" => refused(400, "start_line");
    "white space in front",
        b" GET / HTTP/1.1\r\nHost: a.example\r\n\r\n" => refused(400, "start_line");

    // Request lines.
    "no version",
        head!("GET /", "Host: a.example") => refused(400, "start_line");
    "two spaces",
        head!("GET  / HTTP/1.1", "Host: a.example") => refused(400, "start_line");
    "a tab for a space",
        head!("GET\t/ HTTP/1.1", "Host: a.example") => refused(400, "start_line");
    "a space in the target",
        head!("GET / x HTTP/1.1", "Host: a.example") => refused(400, "start_line");
    "a second version",
        head!("GET / HTTP/1.1 HTTP/1.1", "Host: a.example") => refused(400, "start_line");
    "a space behind the version",
        head!("GET / HTTP/1.1 ", "Host: a.example") => refused(400, "start_line");
    "a version in lower case",
        head!("GET / http/1.1", "Host: a.example") => refused(400, "start_line");
    "a version with two digits",
        head!("GET / HTTP/1.10", "Host: a.example") => refused(400, "start_line");
    "HTTP/0.9 spelt out",
        head!("GET / HTTP/0.9", "Host: a.example") => refused(505, "version");
    "HTTP/1.2",
        head!("GET / HTTP/1.2", "Host: a.example") => refused(505, "version");
    "the preface of HTTP/2",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" => refused(505, "version");
    "a method that is no token",
        head!("GE(T / HTTP/1.1", "Host: a.example") => refused(400, "start_line");
    "a NUL in the target",
        head!("GET /\0 HTTP/1.1", "Host: a.example") => refused(400, "start_line");
    "a TLS handshake",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" => refused(400, "start_line");
    "CONNECT",
        head!("CONNECT b.example:443 HTTP/1.1", "Host: b.example:443") => refused(501, "connect");

    // Hosts.
    "no Host",
        head!("GET / HTTP/1.1", "X: y") => refused(400, "host_missing");
    "no Host beside an absolute target",
        head!("GET http://a.example/ HTTP/1.1", "X: y") => refused(400, "host_missing");
    "two Hosts",
        head!("GET / HTTP/1.1", "Host: a.example", "Host: b.example")
        => refused(400, "host_duplicate");
    "two equal Hosts",
        head!("GET / HTTP/1.1", "Host: a.example", "Host: a.example")
        => refused(400, "host_duplicate");
    "a list of Hosts",
        head!("GET / HTTP/1.1", "Host: a.example, b.example") => refused(400, "host_invalid");
    "an empty Host",
        head!("GET / HTTP/1.1", "Host:") => refused(400, "host_invalid");
    "a Host with a path",
        head!("GET / HTTP/1.1", "Host: a.example/b") => refused(400, "host_invalid");
    "a Host with a user",
        head!("GET / HTTP/1.1", "Host: a.example@b.example") => refused(400, "host_invalid");
    "a Host with a bad port",
        head!("GET / HTTP/1.1", "Host: a.example:80x") => refused(400, "host_invalid");
    "a Host with an empty label",
        head!("GET / HTTP/1.1", "Host: a.example..") => refused(400, "host_invalid");
    "a Host that begins with a dot",
        head!("GET / HTTP/1.1", "Host: .a.example") => refused(400, "host_invalid");
    "an absolute target with an empty label",
        head!("GET http://a..example/ HTTP/1.1", "Host: a..example") => refused(400, "target");
    "an absolute target that agrees in another spelling",
        head!("GET http://[::1]/ HTTP/1.1", "Host: [0:0::01]:80") => passes("", smuggled!());
    "a second Host with an underscore for nothing",
        head!("GET / HTTP/1.1", "Host: a.example", "Ho_st: b.example") => passes("", smuggled!());
    "an absolute target against Host",
        head!("GET http://b.example/ HTTP/1.1", "Host: a.example") => refused(400, "host_mismatch");
    "an absolute target against the port of Host",
        head!("GET http://a.example:8080/ HTTP/1.1", "Host: a.example")
        => refused(400, "host_mismatch");
    "an absolute target that agrees",
        head!("GET http://A.example:80/ HTTP/1.1", "Host: a.example") => passes("", smuggled!());
    "an absolute target with a user",
        head!("GET http://a.example@b.example/ HTTP/1.1", "Host: b.example")
        => refused(400, "target");
    "an absolute target without a host",
        head!("GET http:///a HTTP/1.1", "Host: a.example") => refused(400, "target");
    "an absolute target of another scheme",
        head!("GET ftp://a.example/ HTTP/1.1", "Host: a.example") => refused(400, "target");
    "an authority for a target",
        head!("GET a.example:80 HTTP/1.1", "Host: a.example") => refused(400, "target");
    "an asterisk for a target of GET",
        head!("GET * HTTP/1.1", "Host: a.example") => refused(400, "target");
    "a target without a slash",
        head!("GET index.html HTTP/1.1", "Host: a.example") => refused(400, "target");

    // Paths.
    "a path above the root",
        head!("GET /../etc HTTP/1.1", "Host: a.example") => refused(400, "path_above_root");
    "an encoded path above the root",
        head!("GET /a/%2e%2E/.%2e/etc HTTP/1.1", "Host: a.example")
        => refused(400, "path_above_root");
    "dots behind an encoded slash",
        head!("GET /public/..%2fadmin HTTP/1.1", "Host: a.example")
        => refused(400, "path_ambiguous");
    "dots behind an encoded backslash",
        head!("GET /public/..%5cadmin HTTP/1.1", "Host: a.example")
        => refused(400, "path_ambiguous");
    "dots with a parameter",
        head!("GET /public/..;/admin HTTP/1.1", "Host: a.example") => refused(400, "path_ambiguous");
    "dots behind an empty segment",
        head!("GET /admin//../x HTTP/1.1", "Host: a.example") => refused(400, "path_ambiguous");
    "dots behind a segment that may be two",
        head!("GET /admin/x%2Fy/../../z HTTP/1.1", "Host: a.example")
        => refused(400, "path_ambiguous");
    "dots behind a segment that may be none",
        head!("GET /public/;x/../admin HTTP/1.1", "Host: a.example")
        => refused(400, "path_ambiguous");
    "a backslash",
        head!("GET /public\\..\\admin HTTP/1.1", "Host: a.example") => refused(400, "target");
    "an encoded NUL",
        head!("GET /admin%00.html HTTP/1.1", "Host: a.example") => refused(400, "target");
    "a percent sign without digits",
        head!("GET /100% HTTP/1.1", "Host: a.example") => refused(400, "target");
    "a fragment",
        head!("GET /public#/../admin HTTP/1.1", "Host: a.example") => refused(400, "target");
    "dots within the root",
        head!("GET /a/../b HTTP/1.1", "Host: a.example") => passes("", smuggled!());

    // Chunks.
    "chunks, and a request behind them",
        chunked!("2\r\nhi\r\n1;a=b\r\n!\r\n0\r\n\r\n", smuggled!()) => passes("hi!", smuggled!());
    "a request inside a chunk",
        chunked!("2b\r\n", smuggled!(), "\r\n0\r\n\r\n") => passes(smuggled!(), "");
    "trailers",
        chunked!("0\r\nContent-Length: 43\r\nX: y\r\n\r\n", smuggled!()) => passes("", smuggled!());
    "a chunk size with 0x",
        chunked!("0x2\r\nhi\r\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_size");
    "a chunk size with a sign",
        chunked!("+2\r\nhi\r\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_size");
    "a negative chunk size",
        chunked!("-2\r\nhi\r\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_size");
    "an empty chunk size",
        chunked!("\r\nhi\r\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_size");
    "a chunk size behind a space",
        chunked!(" 2\r\nhi\r\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_size");
    "a chunk size before a space",
        chunked!("2 \r\nhi\r\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_size");
    "a chunk size that wraps around to 2",
        chunked!("10000000000000002\r\nhi\r\n0\r\n\r\n", smuggled!())
        => refused_in_body("chunk_size");
    "a chunk size of 32 bits that wraps around to 2 there",
        chunked!("100000002\r\nhi\r\n0\r\n\r\n", smuggled!()) => passes(UNFINISHED, "");
    "a chunk size with an underscore",
        chunked!("0_2\r\nhi\r\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_size");
    "a chunk size before a bare line feed",
        chunked!("2\nhi\r\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_size");
    "a chunk size before a bare CR",
        chunked!("2\rhi\r\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_size");
    "a chunk size before a NUL",
        chunked!("2\0\r\nhi\r\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_size");
    "an extension that ends with a bare line feed",
        chunked!("2;a\nhi\r\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_extension");
    "an extension with a line feed in quotes",
        chunked!("2;a=\"\n\"\r\nhi\r\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_extension");
    "a chunk longer than its size",
        chunked!("2\r\nhi!\r\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_end");
    "a chunk that ends with a bare line feed",
        chunked!("2\r\nhi\n0\r\n\r\n", smuggled!()) => refused_in_body("chunk_end");
    "a chunk without an end",
        chunked!("2\r\nhi0\r\n\r\n", smuggled!()) => refused_in_body("chunk_end");
    "a last chunk before bare line feeds",
        chunked!("0\n\n", smuggled!()) => refused_in_body("chunk_size");
    "a last chunk before a bare line feed",
        chunked!("0\r\n\n", smuggled!()) => refused_in_body("bare_line_feed");
    "a request for a trailer",
        chunked!("0\r\n", smuggled!()) => refused_in_body("trailer");
    "a folded trailer",
        chunked!("0\r\nX: a\r\n b\r\n\r\n", smuggled!()) => refused_in_body("trailer");
    "a trailer with a space before its colon",
        chunked!("0\r\nX : a\r\n\r\n", smuggled!()) => refused_in_body("trailer");
};
