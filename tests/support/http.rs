//! HTTP/1.1 by hand, as simply as can be: what the proxy says and hears, read by code that shares
//! nothing with it.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};

use socket2::SockRef;
use spliceway::address::Address;

use super::origin::Origin;
use super::stream::Stream;

/// One request or response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The first line.
    pub start: String,
    /// Names as they were written, and values without the white space around them.
    pub fields: Vec<(String, String)>,
    /// Without chunks.
    pub body: Vec<u8>,
    /// Behind the last chunk.
    pub trailers: Vec<(String, String)>,
    /// How many chunks there were.
    pub chunks: usize,
}

impl Message {
    /// The value of the field of that name, which stands there once at most.
    ///
    /// # Panics
    /// When there are several.
    pub fn field(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() <= 1, "several {name}: {self:?}");
        values.first().copied()
    }

    /// All values of fields of that name.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(it, _)| it.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The status of a response.
    ///
    /// # Panics
    /// When it is none.
    pub fn status(&self) -> u16 {
        let status = self.start.strip_prefix("HTTP/1.").and_then(|it| it.get(2..5)?.parse().ok());
        status.unwrap_or_else(|| panic!("no status line: {self:?}"))
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn is_chunked(&self) -> bool {
        self.values("transfer-encoding").contains(&"chunked")
    }

    fn length(&self) -> Option<u64> {
        self.field("content-length").map(|value| value.parse().expect("a length is a number"))
    }

    /// Whether a response to `method` has no body whatever its fields say.
    fn is_bodiless(&self, method: &str) -> bool {
        method == "HEAD" || matches!(self.status(), 100..=199 | 204 | 304)
    }
}

/// A connection on which messages are read.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// Read and not used.
    buffer: Vec<u8>,
    /// Everything that was ever read, where somebody wants to know.
    record: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Connection {
    pub fn new(stream: Stream) -> Connection {
        Connection { stream, buffer: Vec::new(), record: None }
    }

    /// To the proxy, or to an origin.
    ///
    /// # Panics
    /// When it is not there.
    pub fn open(to: &Address) -> Connection {
        Connection::new(Stream::connect(to).expect("the peer accepts"))
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// # Panics
    /// When the peer does not take it.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the peer takes what is sent");
    }

    /// # Errors
    /// As send(2).
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Says that nothing more will be sent.
    pub fn end_sending(&self) {
        // A peer that is gone needs no word.
        let _gone = self.stream.end_writing();
    }

    /// Closes both directions, whatever handles there are.
    pub fn close(self) {
        let _gone = SockRef::from(&self.stream).shutdown(Shutdown::Both);
    }

    /// Closes by a reset.
    pub fn reset(self) {
        self.stream.reset();
    }

    /// What was read and belongs to nothing yet.
    pub fn unused(&self) -> &[u8] {
        &self.buffer
    }

    /// Reads more; `false` at the end of the stream.
    fn fill(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 16 << 10];
        let count = loop {
            match self.stream.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome?,
            }
        };
        self.buffer.extend_from_slice(&bytes[..count]);
        if let Some(record) = &self.record {
            record.lock().expect("no reader panics").extend_from_slice(&bytes[..count]);
        }
        Ok(count > 0)
    }

    fn fill_or_fail(&mut self) -> io::Result<()> {
        if self.fill()? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.buffer.drain(..count).collect()
    }

    /// A line without its end.
    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let mut line = self.take(end + 2);
                line.truncate(end);
                return String::from_utf8(line).map_err(io::Error::other);
            }
            self.fill_or_fail()?;
        }
    }

    fn read_fields(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other(&*line))?;
            assert!(!name.is_empty() && !name.contains([' ', '\t']), "a field: {line:?}");
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// The first line and the fields of a message; `None` where the stream ends before it.
    ///
    /// # Errors
    /// What a read says, and `UnexpectedEof` for an end within the head.
    pub fn read_head(&mut self) -> io::Result<Option<Message>> {
        if self.buffer.is_empty() && !self.fill()? {
            return Ok(None);
        }
        let start = self.read_line()?;
        Ok(Some(Message { start, fields: self.read_fields()?, ..Message::default() }))
    }

    /// # Errors
    /// What a read says, and `UnexpectedEof` for an end before so many bytes.
    pub fn read_bytes(&mut self, count: u64) -> io::Result<Vec<u8>> {
        let count = usize::try_from(count).expect("a body of a test fits into memory");
        while self.buffer.len() < count {
            self.fill_or_fail()?;
        }
        Ok(self.take(count))
    }

    /// # Errors
    /// What a read says, and `UnexpectedEof` for an end within the body.
    pub fn read_chunks(&mut self, into: &mut Message) -> io::Result<()> {
        loop {
            let line = self.read_line()?;
            let size = line.split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                into.trailers = self.read_fields()?;
                return Ok(());
            }
            into.chunks += 1;
            into.body.extend(self.read_bytes(size)?);
            let end = self.read_bytes(2)?;
            assert_eq!(end, b"\r\n", "the end of a chunk");
        }
    }

    /// The next request; `None` where the client has none any more.
    ///
    /// # Errors
    /// What a read says, and `UnexpectedEof` for an end within it.
    pub fn read_request(&mut self) -> io::Result<Option<Message>> {
        let Some(mut request) = self.read_head()? else { return Ok(None) };
        if request.is_chunked() {
            self.read_chunks(&mut request)?;
        } else if let Some(length) = request.length() {
            request.body = self.read_bytes(length)?;
        }
        Ok(Some(request))
    }

    /// The next response, to a request with `method`. Interim ones count.
    ///
    /// # Errors
    /// What a read says, and `UnexpectedEof` for an end within it or before it.
    pub fn try_read_response(&mut self, method: &str) -> io::Result<Message> {
        let head = self.read_head()?;
        let mut response = head.ok_or(io::ErrorKind::UnexpectedEof)?;
        if response.is_bodiless(method) {
            return Ok(response);
        }
        if response.is_chunked() {
            self.read_chunks(&mut response)?;
        } else if let Some(length) = response.length() {
            response.body = self.read_bytes(length)?;
        } else {
            response.body = self.read_to_end()?;
        }
        Ok(response)
    }

    /// The next response, to a request with `method`.
    ///
    /// # Panics
    /// When it does not come, or not whole.
    pub fn read_response(&mut self, method: &str) -> Message {
        self.try_read_response(method).expect("a whole response comes")
    }

    /// Sends a request and reads the response to it.
    ///
    /// # Panics
    /// When it does not come, or not whole.
    pub fn exchange(&mut self, request: impl AsRef<[u8]>) -> Message {
        let request = request.as_ref();
        self.send(request);
        let method = request.split(|byte| *byte == b' ').next().unwrap_or_default();
        self.read_response(&String::from_utf8_lossy(method))
    }

    /// Whatever comes next; nothing at the end of the stream.
    ///
    /// # Errors
    /// What a read says.
    pub fn read_some(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Everything until the end of the stream.
    ///
    /// # Errors
    /// What a read says.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// # Panics
    /// When more comes, or a reset.
    pub fn expect_end(&mut self) {
        let rest = self.read_to_end().expect("an orderly end");
        assert!(rest.is_empty(), "more came: {:?}", String::from_utf8_lossy(&rest));
    }
}

/// `GET` with a `Host`.
pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

/// `POST` with a `Host` and a length.
pub fn post(target: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nHost: a.example\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// A response of status 200 with a length.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What one connection has sent, as far as it has come.
type Recording = Arc<Mutex<Vec<u8>>>;

/// An origin of HTTP that keeps what it was sent.
pub struct HttpOrigin {
    origin: Origin,
    raw: Arc<Mutex<Vec<Recording>>>,
    requests: Arc<Mutex<Vec<Message>>>,
}

impl HttpOrigin {
    /// Reads whole requests, and has `answer` write to each what it likes. The connection goes on
    /// while that says so and the peer does.
    pub fn start(
        answer: impl Fn(&Message, &mut Connection) -> bool + Send + Sync + 'static,
    ) -> HttpOrigin {
        let requests = Arc::<Mutex<Vec<Message>>>::default();
        let kept = Arc::clone(&requests);
        HttpOrigin::start_raw(requests, move |connection| {
            while let Ok(Some(request)) = connection.read_request() {
                kept.lock().expect("no reader panics").push(request.clone());
                if !answer(&request, connection) {
                    return;
                }
            }
        })
    }

    /// Answers every request with the same bytes.
    pub fn answering(response: impl Into<String>) -> HttpOrigin {
        let response = response.into();
        HttpOrigin::start(move |_, connection| connection.try_send(&response).is_ok())
    }

    /// Tells each client what it asked for: method, target and body.
    pub fn echo() -> HttpOrigin {
        HttpOrigin::start(|request, connection| {
            let body = format!("{} {} {}", request.method(), request.target(), request.text());
            connection.try_send(ok(if request.method() == "HEAD" { "" } else { &body })).is_ok()
        })
    }

    /// Has `serve` do what it likes with each connection.
    pub fn by_connection(serve: impl Fn(&mut Connection) + Send + Sync + 'static) -> HttpOrigin {
        HttpOrigin::start_raw(Arc::default(), serve)
    }

    fn start_raw(
        requests: Arc<Mutex<Vec<Message>>>,
        serve: impl Fn(&mut Connection) + Send + Sync + 'static,
    ) -> HttpOrigin {
        let raw = Arc::<Mutex<Vec<Recording>>>::default();
        let records = Arc::clone(&raw);
        let origin = Origin::start(move |stream| {
            let record = Arc::<Mutex<Vec<u8>>>::default();
            records.lock().expect("no reader panics").push(Arc::clone(&record));
            let mut connection = Connection::new(stream);
            connection.record = Some(record);
            serve(&mut connection);
            None
        });
        HttpOrigin { origin, raw, requests }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        self.origin.address()
    }

    /// How many connections it has accepted.
    pub fn accepted(&self) -> usize {
        self.origin.accepted()
    }

    /// The requests that have come whole so far, in the order of their ends.
    pub fn requests(&self) -> Vec<Message> {
        self.requests.lock().expect("no reader panics").clone()
    }

    /// Every byte that was read, by connection.
    pub fn raw(&self) -> Vec<Vec<u8>> {
        let records = self.raw.lock().expect("no reader panics");
        records.iter().map(|record| record.lock().expect("no reader panics").clone()).collect()
    }

    /// Every byte that was read, as text.
    pub fn raw_text(&self) -> String {
        String::from_utf8_lossy(&self.raw().concat()).into_owned()
    }
}
