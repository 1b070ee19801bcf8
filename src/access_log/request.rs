//! The line of an HTTP request, in either format.
//!
//! # JSON
//! One object a line, always with all of these keys, in this order:
//!
//! | key | value |
//! |---|---|
//! | `time` | when the request ended, RFC 3339 in UTC with milliseconds |
//! | `listener` | its name |
//! | `client` | its address: the peer's, or what trusted peers say |
//! | `peer` | the address at the other end of the connection |
//! | `request_id` | as servers and clients see it in `X-Request-Id` |
//! | `method`, `host`, `path`, `protocol` | what was asked for, as it was asked |
//! | `status` | what the client was answered; `null` for no answer |
//! | `referer`, `user_agent` | the fields of the request; `null` for none |
//! | `upstream`, `server` | where the request was sent to, or tried last; `null` for nowhere |
//! | `reused` | whether the connection to the server had served another request before |
//! | `retries` | how often it was tried again on another connection |
//! | `upstream_bytes`, ... | bytes delivered, heads among them, as for connections |
//! | `fallbacks` | why bytes were copied although splice was asked for |
//! | `queue_seconds` | from the whole head of the request to the connect that succeeded |
//! | `connect_seconds` | that connect |
//! | `head_seconds` | from the first byte of the request to the whole head of the response |
//! | `total_seconds` | from the first byte of the request to the end |
//! | `tls_version`, ... `tls_client_subject` | the client's TLS session, as for connections |
//! | `rejection` | why the request or the response was refused; `null` if it was not |
//! | `reason` | why the exchange ended |
//!
//! # Combined
//! The combined log format of the web servers, and after it what they have no field for:
//!
//! ```text
//! CLIENT - LISTENER [21/Nov/2026:03:48:50 +0000] "METHOD PATH PROTOCOL" STATUS BYTES "REFERER" "USER-AGENT"
//!     peer=P host=H request_id=I upstream=U server=S reused=yes|no retries=N up=N up_spliced=N
//!     up_copied=N down=N down_spliced=N down_copied=N fallbacks=A,B queue=S connect=S head=S
//!     total=S tls_version=V tls_cipher=C tls_resumed=yes|no tls_server_name=N
//!     tls_client_subject=S rejection=W reason=R          (all of it on one line)
//! ```
//!
//! `BYTES` are those delivered to the client, its head among them. A request without an answer has
//! the status that says the same as its reason: 499 for a client that broke off.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;

use super::connection::status;
use super::text::{
    Foreign, Shown, write_combined_seconds, write_foreign_token, write_json_field,
    write_json_seconds, write_quoted, write_token,
};
use super::tls::ClientTls;
use super::traffic::Traffic;
use crate::config::LogFormat;
use crate::error::{CloseReason, Direction};
use crate::http::reject::RejectReason;

/// One request and its response, at their end. What the client sent is bytes.
pub struct RequestRecord<'a> {
    /// When it ended.
    pub time: Timestamp,
    /// The listener's name.
    pub listener: &'a str,
    /// The client's address.
    pub client: &'a dyn Display,
    /// The address at the other end of the connection.
    pub peer: &'a dyn Display,
    /// Its name.
    pub request_id: &'a str,
    /// The method; empty where it could not be told.
    pub method: &'a [u8],
    /// The host that was asked for; empty for none.
    pub host: &'a [u8],
    /// The request-target; empty where it could not be told.
    pub path: &'a [u8],
    /// The version.
    pub protocol: &'static str,
    /// The status of the response that the client got the head of.
    pub status: Option<u16>,
    /// `Referer`
    pub referer: Option<&'a [u8]>,
    /// `User-Agent`
    pub user_agent: Option<&'a [u8]>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The server that got the request, or was tried last.
    pub server: Option<&'a dyn Display>,
    /// The connection to the server had served another request before.
    pub reused: bool,
    /// How often it was tried again on another connection.
    pub retries: u32,
    /// Bytes delivered, and how.
    pub traffic: Traffic<'a>,
    /// When it went how far.
    pub timings: Timings,
    /// The client's TLS session.
    pub tls: ClientTls<'a>,
    /// Why the request or the response was refused.
    pub rejection: Option<RejectReason>,
    /// Why it ended.
    pub reason: CloseReason,
}

/// How long the parts of an exchange took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// From the whole head of the request to the connect that succeeded, or to the connection
    /// that was there.
    pub queue: Option<Duration>,
    /// The connect that succeeded; none for a connection that was there.
    pub connect: Option<Duration>,
    /// From the first byte of the request to the whole head of the response.
    pub head: Option<Duration>,
    /// From the first byte of the request to the end.
    pub total: Duration,
}

impl RequestRecord<'_> {
    /// Appends the line, with its line feed, to `line`. A buffer that is cleared and used again
    /// makes this free of allocations.
    pub fn write(&self, format: LogFormat, line: &mut Vec<u8>) {
        let written = match format {
            LogFormat::Json => self.write_json(line),
            LogFormat::Combined => self.write_combined(line),
        };
        debug_assert!(written.is_ok(), "writing to memory does not fail");
    }

    fn write_json(&self, line: &mut Vec<u8>) -> io::Result<()> {
        write!(line, "{{\"time\":\"{:.3}\"", self.time)?;
        write_json_field(line, "listener", self.listener)?;
        write_json_field(line, "client", &Shown(self.client))?;
        write_json_field(line, "peer", &Shown(self.peer))?;
        write_json_field(line, "request_id", self.request_id)?;
        let asked = [("method", self.method), ("host", self.host), ("path", self.path)];
        for (key, value) in asked {
            write_json_field(line, key, &Shown(&Foreign(value)))?;
        }
        write_json_field(line, "protocol", self.protocol)?;
        write_json_field(line, "status", &self.status)?;
        for (key, value) in [("referer", self.referer), ("user_agent", self.user_agent)] {
            let value = value.map(Foreign);
            let value = value.as_ref().map(|value| Shown(value));
            write_json_field(line, key, &value)?;
        }
        write_json_field(line, "upstream", &self.upstream)?;
        write_json_field(line, "server", &self.server.map(Shown))?;
        write!(line, ",\"reused\":{},\"retries\":{}", self.reused, self.retries)?;
        self.traffic.write_json(line)?;
        let Timings { queue, connect, head, total } = self.timings;
        write_json_seconds(line, "queue_seconds", queue)?;
        write_json_seconds(line, "connect_seconds", connect)?;
        write_json_seconds(line, "head_seconds", head)?;
        write_json_seconds(line, "total_seconds", Some(total))?;
        self.tls.write_json(line)?;
        write_json_field(line, "rejection", &self.rejection.map(RejectReason::label))?;
        write_json_field(line, "reason", self.reason.label())?;
        line.extend_from_slice(b"}\n");
        Ok(())
    }

    fn write_combined(&self, line: &mut Vec<u8>) -> io::Result<()> {
        write_token(line, self.client)?;
        line.extend_from_slice(b" - ");
        write_token(line, &self.listener)?;
        write!(line, " [{}] \"", self.time.strftime("%d/%b/%Y:%H:%M:%S +0000"))?;
        write_foreign_token(line, self.method)?;
        line.push(b' ');
        write_foreign_token(line, self.path)?;
        let status = self.status.unwrap_or_else(|| status(self.reason));
        let delivered = self.traffic.bytes(Direction::Downstream).sum;
        write!(line, " {}\" {status} {delivered} ", self.protocol)?;
        write_quoted(line, self.referer.unwrap_or_default())?;
        line.push(b' ');
        write_quoted(line, self.user_agent.unwrap_or_default())?;
        line.extend_from_slice(b" peer=");
        write_token(line, self.peer)?;
        line.extend_from_slice(b" host=");
        write_foreign_token(line, self.host)?;
        line.extend_from_slice(b" request_id=");
        write_token(line, &self.request_id)?;
        line.extend_from_slice(b" upstream=");
        write_token(line, &self.upstream.unwrap_or_default())?;
        line.extend_from_slice(b" server=");
        write_token(line, self.server.unwrap_or(&""))?;
        let reused = if self.reused { "yes" } else { "no" };
        write!(line, " reused={reused} retries={}", self.retries)?;
        self.traffic.write_combined(line)?;
        let Timings { queue, connect, head, total } = self.timings;
        write_combined_seconds(line, "queue", queue)?;
        write_combined_seconds(line, "connect", connect)?;
        write_combined_seconds(line, "head", head)?;
        write_combined_seconds(line, "total", Some(total))?;
        self.tls.write_combined(line)?;
        let rejection = self.rejection.map_or("-", RejectReason::label);
        writeln!(line, " rejection={rejection} reason={}", self.reason)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::FallbackReason;

    fn record<'a>(text: &'a [u8]) -> RequestRecord<'a> {
        RequestRecord {
            time: "2026-11-21T03:48:50.1239Z".parse().unwrap(),
            listener: "web",
            client: &"203.0.113.5",
            peer: &"127.0.0.1:5000",
            request_id: "0123abcd",
            method: b"GET",
            host: b"a.example",
            path: b"/a?b=c",
            protocol: "HTTP/1.1",
            status: Some(200),
            referer: Some(text),
            user_agent: Some(text),
            upstream: Some("app"),
            server: Some(&"10.0.0.1:9001"),
            reused: true,
            retries: 1,
            traffic: Traffic {
                bytes: [[100, 20], [3000, 4]],
                fallbacks: &[FallbackReason::PipeMemory],
            },
            timings: Timings {
                queue: Some(Duration::from_micros(7)),
                connect: Some(Duration::from_nanos(123_999)),
                head: Some(Duration::from_millis(2)),
                total: Duration::from_millis(61_500),
            },
            tls: ClientTls { version: Some("TLSv1.3"), ..ClientTls::default() },
            rejection: Some(RejectReason::ChunkSize),
            reason: CloseReason::Completed,
        }
    }

    fn line(record: &RequestRecord<'_>, format: LogFormat) -> String {
        let mut line = Vec::new();
        record.write(format, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn json_holds_every_field() {
        let expected = concat!(
            r#"{"time":"2026-11-21T03:48:50.123Z","listener":"web","client":"203.0.113.5","#,
            r#""peer":"127.0.0.1:5000","request_id":"0123abcd","method":"GET","host":"a.example","path":"/a?b=c","#,
            r#""protocol":"HTTP/1.1","status":200,"referer":"curl/8 (x)","#,
            r#""user_agent":"curl/8 (x)","upstream":"app","server":"10.0.0.1:9001","#,
            r#""reused":true,"retries":1,"#,
            r#""upstream_bytes":120,"upstream_bytes_spliced":100,"upstream_bytes_copied":20,"#,
            r#""downstream_bytes":3004,"downstream_bytes_spliced":3000,"#,
            r#""downstream_bytes_copied":4,"fallbacks":["pipe_memory"],"#,
            r#""queue_seconds":0.000007,"connect_seconds":0.000123,"head_seconds":0.002000,"#,
            r#""total_seconds":61.500000,"tls_version":"TLSv1.3","tls_cipher":null,"#,
            r#""tls_resumed":null,"tls_server_name":null,"tls_client_subject":null,"#,
            r#""rejection":"chunk_size","reason":"completed"}"#,
            "\n"
        );
        assert_eq!(line(&record(b"curl/8 (x)"), LogFormat::Json), expected);
    }

    #[test]
    fn combined_holds_every_field() {
        let expected = "203.0.113.5 - web [21/Nov/2026:03:48:50 +0000] \
            \"GET /a?b=c HTTP/1.1\" 200 3004 \"curl/8 (x)\" \"curl/8 (x)\" peer=127.0.0.1:5000 \
            host=a.example request_id=0123abcd upstream=app server=10.0.0.1:9001 reused=yes retries=1 up=120 \
            up_spliced=100 up_copied=20 down=3004 down_spliced=3000 down_copied=4 \
            fallbacks=pipe_memory queue=0.000007 connect=0.000123 head=0.002000 total=61.500000 \
            tls_version=TLSv1.3 tls_cipher=- tls_resumed=- tls_server_name=- tls_client_subject=- \
            rejection=chunk_size reason=completed\n";
        assert_eq!(line(&record(b"curl/8 (x)"), LogFormat::Combined), expected);
    }

    #[test]
    fn what_is_missing_has_a_sign() {
        let mut record = record(b"");
        (record.method, record.host, record.path) = (b"", b"", b"");
        (record.referer, record.user_agent, record.status) = (None, None, None);
        (record.upstream, record.server, record.rejection) = (None, None, None);
        (record.timings.queue, record.timings.connect, record.timings.head) = (None, None, None);
        (record.reused, record.reason) = (false, CloseReason::ClientReset);
        record.traffic.fallbacks = &[];
        let json = line(&record, LogFormat::Json);
        for part in [
            r#""method":"","host":"","path":"","#,
            r#""status":null,"referer":null,"user_agent":null,"upstream":null,"server":null,"#,
            r#""queue_seconds":null,"connect_seconds":null,"head_seconds":null,"#,
            r#""rejection":null,"#,
        ] {
            assert!(json.contains(part), "{part} in {json}");
        }
        let combined = line(&record, LogFormat::Combined);
        for part in [
            "\"- - HTTP/1.1\" 499 3004 \"-\" \"-\" peer=127.0.0.1:5000 host=- ",
            " upstream=- server=- reused=no ",
            " fallbacks=- queue=- connect=- head=- ",
            " rejection=- reason=client_reset\n",
        ] {
            assert!(combined.contains(part), "{part} in {combined}");
        }
    }

    #[test]
    fn what_a_client_sends_injects_nothing() {
        let hostile = record(b"x\" 200 0 \"-\" \"evil\r\n127.0.0.1 - - \\");
        let combined = line(&hostile, LogFormat::Combined);
        let escaped = r#""x\x22 200 0 \x22-\x22 \x22evil\x0D\x0A127.0.0.1 - - \x5C""#;
        assert!(combined.contains(&format!(" {escaped} {escaped} ")), "{combined}");
        let json = line(&hostile, LogFormat::Json);
        assert_eq!(json.lines().count(), 1);
        let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["user_agent"], "x\" 200 0 \"-\" \"evil\r\n127.0.0.1 - - \\");
    }

    proptest! {
        #[test]
        fn any_bytes_make_one_line_with_the_same_fields(
            bytes in prop::collection::vec(any::<u8>(), 0..300)
        ) {
            let mut record = record(&bytes);
            (record.method, record.host, record.path) = (&bytes, &bytes, &bytes);
            let json = line(&record, LogFormat::Json);
            prop_assert_eq!(json.bytes().filter(|&b| b == b'\n').count(), 1);
            let parsed: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&json).unwrap();
            prop_assert_eq!(parsed.len(), 34);
            let shown = String::from_utf8_lossy(&bytes);
            prop_assert_eq!(parsed["path"].as_str(), Some(&*shown));
            let combined = line(&record, LogFormat::Combined);
            let is_plain = |byte: u8| (b' '..=b'~').contains(&byte);
            prop_assert!(combined.trim_end_matches('\n').bytes().all(is_plain));
            prop_assert_eq!(combined.bytes().filter(|&b| b == b'"').count(), 6);
            let request = combined.split('"').nth(1).unwrap();
            prop_assert_eq!(request.split(' ').count(), 3);
        }
    }
}
