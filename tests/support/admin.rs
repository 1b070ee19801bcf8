//! The admin endpoint, asked as simply as can be, and what its metrics say.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{PATIENCE, eventually};

/// A response: status code and body.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: String,
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One HTTP/1.1 GET over a connection of its own; `None` when the server is not there or cuts
/// the response.
pub fn get(from: SocketAddr, path: &str) -> Option<Response> {
    let mut stream = TcpStream::connect(from).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    // In one piece: `write!` on the socket would send a segment for each part.
    let request = format!("GET {path} HTTP/1.1\r\nHost: {from}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let headers = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
    let status = headers.split_whitespace().nth(1)?.parse().ok()?;
    let mut body = bytes[head_end + 4..].to_vec();
    if headers.contains("transfer-encoding: chunked") {
        body = unchunk(&body)?;
    }
    Some(Response { status, headers, body })
}

/// The chunked coding of RFC 9112 section 7.1, without trailers.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|window| window == b"\r\n")?;
        let length = std::str::from_utf8(&rest[..line_end]).ok()?;
        let length = usize::from_str_radix(length.split(';').next()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        let start = line_end + 2;
        body.extend_from_slice(rest.get(start..start + length)?);
        rest = rest.get(start + length + 2..)?;
    }
}

/// What `/metrics` said at one moment.
#[derive(Debug)]
pub struct Metrics(String);

impl Metrics {
    /// Asks the admin endpoint.
    ///
    /// # Panics
    /// When it does not answer with 200.
    pub fn scrape(admin: SocketAddr) -> Metrics {
        let response = get(admin, "/metrics").expect("/metrics answers");
        assert_eq!(response.status, 200, "/metrics");
        Metrics(response.text())
    }

    /// The sum of all series with this name that carry all of these labels; 0 without any.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = self.0.lines().filter_map(|line| sample(line, name, labels));
        // Not `sum()`: of nothing, that is -0.
        samples.fold(0.0, |total, value| total + value)
    }
}

/// The value of a line in Prometheus' text format, when it is of that name and has those labels.
/// Label values of this proxy hold neither commas nor quotes.
fn sample(line: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (present, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.rsplit_once('}')?,
        None => ("", rest.strip_prefix(' ')?),
    };
    let has = |(key, value): &(&str, &str)| {
        let wanted = format!("{key}=\"{value}\"");
        present.split(',').any(|label| label.trim() == wanted)
    };
    labels.iter().all(has).then(|| value.split_whitespace().next()?.parse().ok())?
}

/// Waits until the sum of the series fulfils `holds`, and returns it.
///
/// # Panics
/// When it does not in time, with what the metrics said last.
pub fn await_metric(
    admin: SocketAddr,
    name: &str,
    labels: &[(&str, &str)],
    holds: impl Fn(f64) -> bool,
) -> f64 {
    let last = std::cell::Cell::new(f64::NAN);
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(&format!("{name}{labels:?}"), || {
            last.set(Metrics::scrape(admin).sum(name, labels));
            holds(last.get()).then(|| last.get())
        })
    }));
    found.unwrap_or_else(|_| panic!("{name}{labels:?} stayed at {}", last.get()))
}
