//! The line of a TCP connection, in either format; and of a client of any protocol that was refused
//! before its connection began.
//!
//! # JSON
//! One object a line, always with all of these keys, in this order:
//!
//! | key | value |
//! |---|---|
//! | `time` | when the connection ended, RFC 3339 in UTC with milliseconds |
//! | `listener`, `upstream` | names from the config; no upstream for a client that was refused |
//! | `client` | the peer's address |
//! | `server` | the address of the server that was connected, or tried last; `null` for none |
//! | `upstream_bytes` | bytes delivered to the server |
//! | `upstream_bytes_spliced`, `upstream_bytes_copied` | the same by path; they add up |
//! | `downstream_bytes`, `downstream_bytes_spliced`, `downstream_bytes_copied` | to the client |
//! | `fallbacks` | why bytes were copied although splice was asked for; `[]` if they were not |
//! | `connect_seconds` | the successful connect; `null` when there was none |
//! | `total_seconds` | from accept to end |
//! | `retries` | connects that were tried again on the next server |
//! | `tls_version`, `tls_cipher`, `tls_resumed` | of the client's TLS session; `null` without one |
//! | `tls_server_name` | the name that the client asks for; `null` for none |
//! | `tls_client_subject` | of the certificate that the client has shown; `null` for none |
//! | `tls_failure` | why the client's TLS session came to nothing; `null` if it did not |
//! | `reason` | why the connection ended, as in `spliceway_connections_closed_total` |
//!
//! # Combined
//! The combined log format of the web servers, so that their analysers read it, and after it what
//! they have no field for:
//!
//! ```text
//! CLIENT - LISTENER [21/Nov/2026:03:48:50 +0000] "TCP UPSTREAM SERVER" STATUS BYTES "-" "-"
//!     reason=R up=N up_spliced=N up_copied=N down=N down_spliced=N down_copied=N
//!     fallbacks=A,B connect=S total=S retries=N tls_version=V tls_cipher=C tls_resumed=yes|no
//!     tls_server_name=N tls_client_subject=S tls_failure=F   (all of it on one line)
//! ```
//!
//! `BYTES` are those delivered to the client, `-` stands for none, times are seconds. `STATUS` is
//! the HTTP status that says the same as the reason, as nginx's stream module has it: 200
//! completed, 499 the client broke off, 408 idle, 502 the server failed or refused, 504 it did
//! not answer in time, 503 this proxy lacked something or was told to end.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;

use super::text::{
    Shown, write_combined_seconds, write_json_field, write_json_seconds, write_token,
};
use super::tls::ClientTls;
use super::traffic::Traffic;
use crate::config::LogFormat;
use crate::error::{CloseReason, Direction};
use crate::tls::failure::TlsFailure;

/// One TCP connection, at its end.
pub struct ConnectionRecord<'a> {
    /// When the connection ended.
    pub time: Timestamp,
    /// The listener's name.
    pub listener: &'a str,
    /// The peer's address.
    pub client: &'a dyn Display,
    /// The upstream's name, if it is known where the client goes.
    pub upstream: Option<&'a str>,
    /// The server that was connected, or tried last.
    pub server: Option<&'a dyn Display>,
    /// Bytes delivered, and how.
    pub traffic: Traffic<'a>,
    /// How long the successful connect took.
    pub connect: Option<Duration>,
    /// From accept to end.
    pub total: Duration,
    /// Connects that were tried again on the next server.
    pub retries: u32,
    /// The client's TLS session.
    pub tls: ClientTls<'a>,
    /// Why that came to nothing.
    pub tls_failure: Option<TlsFailure>,
    /// Why it ended.
    pub reason: CloseReason,
}

impl ConnectionRecord<'_> {
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
        write_json_field(line, "upstream", &self.upstream)?;
        write_json_field(line, "server", &self.server.map(Shown))?;
        self.traffic.write_json(line)?;
        write_json_seconds(line, "connect_seconds", self.connect)?;
        write_json_seconds(line, "total_seconds", Some(self.total))?;
        write!(line, ",\"retries\":{}", self.retries)?;
        self.tls.write_json(line)?;
        write_json_field(line, "tls_failure", &self.tls_failure.map(TlsFailure::label))?;
        write_json_field(line, "reason", self.reason.label())?;
        line.extend_from_slice(b"}\n");
        Ok(())
    }

    fn write_combined(&self, line: &mut Vec<u8>) -> io::Result<()> {
        write_token(line, self.client)?;
        line.extend_from_slice(b" - ");
        write_token(line, &self.listener)?;
        write!(line, " [{}] \"TCP ", self.time.strftime("%d/%b/%Y:%H:%M:%S +0000"))?;
        write_token(line, &self.upstream.unwrap_or_default())?;
        line.push(b' ');
        match self.server {
            Some(server) => write_token(line, server)?,
            None => line.push(b'-'),
        }
        let delivered = self.traffic.bytes(Direction::Downstream).sum;
        write!(line, "\" {} {delivered} \"-\" \"-\"", status(self.reason))?;
        write!(line, " reason={}", self.reason)?;
        self.traffic.write_combined(line)?;
        write_combined_seconds(line, "connect", self.connect)?;
        write_combined_seconds(line, "total", Some(self.total))?;
        write!(line, " retries={}", self.retries)?;
        self.tls.write_combined(line)?;
        writeln!(line, " tls_failure={}", self.tls_failure.map_or("-", TlsFailure::label))
    }
}

/// The status that nginx's stream module (`$status`) would log for such an end; 499 is nginx's
/// for a client that broke off.
pub(super) fn status(reason: CloseReason) -> u16 {
    match reason {
        CloseReason::Completed | CloseReason::KeepAliveTimeout => 200,
        CloseReason::ClientReset | CloseReason::ClientError => 499,
        CloseReason::Rejected
        | CloseReason::TlsHandshake
        | CloseReason::ProxyHeaderMissing
        | CloseReason::ProxyHeaderTooLong
        | CloseReason::ProxyHeaderMalformed
        | CloseReason::ProxyHeaderCut
        | CloseReason::ProxyHeaderTimeout
        | CloseReason::ProxyUntrusted
        | CloseReason::UnknownName => 400,
        CloseReason::Denied => 403,
        CloseReason::ConnectionLimit | CloseReason::RateLimit => 429,
        CloseReason::IdleTimeout | CloseReason::HalfClosedTimeout | CloseReason::RequestTimeout => {
            408
        }
        CloseReason::UpstreamReset
        | CloseReason::UpstreamError
        | CloseReason::ConnectRefused
        | CloseReason::ConnectTls
        | CloseReason::ConnectUnreachable => 502,
        CloseReason::ConnectTimeout | CloseReason::ResponseTimeout => 504,
        CloseReason::ConnectFailed
        | CloseReason::DrainTimeout
        | CloseReason::NoServer
        | CloseReason::QueueFull
        | CloseReason::QueueTimeout => 503,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::FallbackReason;

    const HOSTILE: &str = "a\"b\\c\n\r\t\u{0}\u{2028} d";

    fn record<'a>(listener: &'a str, client: &'a dyn Display) -> ConnectionRecord<'a> {
        ConnectionRecord {
            time: "2026-11-21T03:48:50.1239Z".parse().unwrap(),
            listener,
            client,
            upstream: Some("app"),
            server: Some(&"10.0.0.1:9001"),
            traffic: Traffic {
                bytes: [[100, 20], [3000, 4]],
                fallbacks: &[FallbackReason::PipeMemory, FallbackReason::NoProgress],
            },
            connect: Some(Duration::from_nanos(123_999)),
            total: Duration::from_millis(61_500),
            retries: 2,
            tls: ClientTls { server_name: Some(listener), ..ClientTls::default() },
            tls_failure: Some(TlsFailure::Alert),
            reason: CloseReason::UpstreamReset,
        }
    }

    fn line(record: &ConnectionRecord<'_>, format: LogFormat) -> String {
        let mut line = Vec::new();
        record.write(format, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn json_holds_every_field() {
        let expected = concat!(
            r#"{"time":"2026-11-21T03:48:50.123Z","listener":"web","client":"127.0.0.1:5000","#,
            r#""upstream":"app","server":"10.0.0.1:9001","#,
            r#""upstream_bytes":120,"upstream_bytes_spliced":100,"upstream_bytes_copied":20,"#,
            r#""downstream_bytes":3004,"downstream_bytes_spliced":3000,"#,
            r#""downstream_bytes_copied":4,"fallbacks":["pipe_memory","no_progress"],"#,
            r#""connect_seconds":0.000123,"total_seconds":61.500000,"retries":2,"#,
            r#""tls_version":null,"tls_cipher":null,"tls_resumed":null,"#,
            r#""tls_server_name":"web","tls_client_subject":null,"tls_failure":"alert","#,
            r#""reason":"upstream_reset"}"#,
            "\n"
        );
        assert_eq!(line(&record("web", &"127.0.0.1:5000"), LogFormat::Json), expected);
    }

    #[test]
    fn combined_holds_every_field() {
        let expected = "127.0.0.1:5000 - web [21/Nov/2026:03:48:50 +0000] \
            \"TCP app 10.0.0.1:9001\" 502 3004 \"-\" \"-\" reason=upstream_reset up=120 \
            up_spliced=100 up_copied=20 down=3004 down_spliced=3000 down_copied=4 \
            fallbacks=pipe_memory,no_progress connect=0.000123 total=61.500000 retries=2 tls_version=- \
            tls_cipher=- tls_resumed=- tls_server_name=web tls_client_subject=- \
            tls_failure=alert\n";
        assert_eq!(line(&record("web", &"127.0.0.1:5000"), LogFormat::Combined), expected);
    }

    #[test]
    fn what_is_missing_has_a_sign() {
        let mut record = record("web", &"");
        (record.server, record.connect, record.traffic.fallbacks) = (None, None, &[]);
        (record.upstream, record.tls_failure) = (None, None);
        let json = line(&record, LogFormat::Json);
        for part in [
            r#""upstream":null,"server":null"#,
            r#""tls_failure":null"#,
            r#""connect_seconds":null"#,
            r#""fallbacks":[]"#,
        ] {
            assert!(json.contains(part), "{json}");
        }
        let combined = line(&record, LogFormat::Combined);
        assert!(combined.starts_with("- - web ["), "{combined}");
        for part in ["\"TCP - -\"", " tls_failure=-\n", " fallbacks=- ", " connect=- "] {
            assert!(combined.contains(part), "{combined}");
        }
    }

    #[test]
    fn a_hostile_name_breaks_no_line() {
        let hostile = record(HOSTILE, &HOSTILE);
        let json: serde_json::Value =
            serde_json::from_str(&line(&hostile, LogFormat::Json)).unwrap();
        assert_eq!((&json["listener"], &json["client"]), (&HOSTILE.into(), &HOSTILE.into()));
        let combined = line(&hostile, LogFormat::Combined);
        let escaped = r"a\x22b\x5Cc\x0A\x0D\x09\x00\xE2\x80\xA8\x20d";
        assert!(combined.starts_with(&format!("{escaped} - {escaped} [")), "{combined}");
    }

    proptest! {
        #[test]
        fn any_text_makes_one_line_with_the_same_fields(text in any::<String>()) {
            let record = record(&text, &text);
            let json = line(&record, LogFormat::Json);
            prop_assert_eq!(json.bytes().filter(|&b| b == b'\n').count(), 1);
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(parsed["client"].as_str(), Some(text.as_str()));
            let combined = line(&record, LogFormat::Combined);
            prop_assert!(combined.trim_end_matches('\n').bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(combined.split(' ').count(), 29);
            prop_assert_eq!(combined.bytes().filter(|&b| b == b'"').count(), 6);
        }
    }
}
