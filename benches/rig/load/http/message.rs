//! A message as it comes in: its head is checked, its body counted.

use std::io;

use super::wire::TARGET;

/// Fields that a head may have.
const FIELDS_MAX: usize = 32;

/// Which message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Request,
    Response,
}

/// An incoming message.
#[derive(Debug)]
pub struct Message {
    part: Part,
    state: State,
    /// A head, a chunk's size or the end of the chunks, of which only the start has come.
    started: Vec<u8>,
    body: u64,
    closes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of the body are still to come.
    Length(u64),
    ChunkSize,
    /// So many bytes of the chunk are still to come, with the line end behind them. Were there more
    /// or fewer of them, what follows would be no size.
    Chunk(u64),
    /// Behind the last chunk: an empty line, since nobody here sends trailers.
    LastLine,
    Complete,
}

/// What a head says of what follows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Follows {
    length: Option<u64>,
    chunked: bool,
    closes: bool,
}

impl Message {
    /// None of it has come yet.
    pub fn new(part: Part) -> Message {
        Message { part, state: State::Head, started: Vec::new(), body: 0, closes: false }
    }

    /// Ready for the next of its sort.
    pub fn reset(&mut self) {
        self.state = State::Head;
        self.body = 0;
        self.closes = false;
    }

    /// Whether all of it has come.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Bytes of its body that have come, without framing.
    pub fn body(&self) -> u64 {
        self.body
    }

    /// Whether its sender ends the connection after the exchange.
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// So many of the next bytes need not be seen.
    pub fn unseen(&self) -> u64 {
        match self.state {
            State::Length(left) | State::Chunk(left) => left,
            _ => 0,
        }
    }

    /// The next `count` bytes have come, unseen.
    pub fn skip(&mut self, count: u64) {
        match &mut self.state {
            State::Length(left) => {
                *left -= count;
                self.body += count;
                if *left == 0 {
                    self.state = State::Complete;
                }
            }
            State::Chunk(left) => {
                // The last two are the line end.
                let data_before = left.saturating_sub(2);
                *left -= count;
                self.body += data_before - left.saturating_sub(2);
                if *left == 0 {
                    self.state = State::ChunkSize;
                }
            }
            State::Head | State::ChunkSize | State::LastLine | State::Complete => {}
        }
    }

    /// The next bytes.
    ///
    /// # Errors
    /// When they are no such message, or more than one.
    pub fn read(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let unseen = usize::try_from(self.unseen()).unwrap_or(usize::MAX).min(bytes.len());
            if unseen > 0 {
                self.skip(unseen as u64);
                bytes = &bytes[unseen..];
                continue;
            }
            if self.is_complete() {
                return Err(error(self.part, "has more behind it than was asked for"));
            }
            bytes = self.read_line(bytes)?;
        }
        Ok(())
    }

    /// Reads what has to be whole to be understood, or keeps its start. What is behind it.
    fn read_line<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        if self.started.is_empty() {
            return match self.understand(bytes)? {
                Some(used) => Ok(&bytes[used..]),
                None => {
                    self.started.extend_from_slice(bytes);
                    Ok(&[])
                }
            };
        }
        let before = self.started.len();
        let mut all = std::mem::take(&mut self.started);
        all.extend_from_slice(bytes);
        match self.understand(&all)? {
            Some(used) => {
                all.clear();
                self.started = all;
                Ok(&bytes[used - before..])
            }
            None => {
                self.started = all;
                Ok(&[])
            }
        }
    }

    /// How many bytes the head, the size or the last line has; `None` while it is not whole.
    fn understand(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        match self.state {
            State::Head => {
                let head = match self.part {
                    Part::Request => request_head(bytes)?,
                    Part::Response => response_head(bytes)?,
                };
                let Some((used, follows)) = head else { return Ok(None) };
                self.state = self.after_head(&follows)?;
                self.closes = follows.closes;
                Ok(Some(used))
            }
            State::ChunkSize => match httparse::parse_chunk_size(bytes) {
                Ok(httparse::Status::Complete((used, size))) => {
                    self.state = if size == 0 { State::LastLine } else { State::Chunk(size + 2) };
                    Ok(Some(used))
                }
                Ok(httparse::Status::Partial) => Ok(None),
                Err(_) => Err(error(self.part, "has a chunk without a size")),
            },
            State::LastLine if bytes.len() < 2 => Ok(None),
            State::LastLine if bytes.starts_with(b"\r\n") => {
                self.state = State::Complete;
                Ok(Some(2))
            }
            _ => Err(error(self.part, "does not end behind its last chunk")),
        }
    }

    fn after_head(&self, follows: &Follows) -> io::Result<State> {
        match (follows.length, follows.chunked, self.part) {
            (Some(0), false, _) | (None, false, Part::Request) => Ok(State::Complete),
            (Some(length), false, _) => Ok(State::Length(length)),
            (None, true, _) => Ok(State::ChunkSize),
            (Some(_), true, _) => Err(error(self.part, "has a length and chunks")),
            (None, false, Part::Response) => Err(error(self.part, "has neither length nor chunks")),
        }
    }
}

fn error(part: Part, what: &str) -> io::Error {
    let part = match part {
        Part::Request => "request",
        Part::Response => "response",
    };
    io::Error::other(format!("a {part} {what}"))
}

fn request_head(bytes: &[u8]) -> io::Result<Option<(usize, Follows)>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(used)) if request.path == Some(TARGET) => {
            Ok(Some((used, follows(Part::Request, request.headers)?)))
        }
        Ok(httparse::Status::Complete(_)) => Err(error(Part::Request, "asks for something else")),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(problem) => Err(error(Part::Request, &format!("has a wrong head: {problem}"))),
    }
}

fn response_head(bytes: &[u8]) -> io::Result<Option<(usize, Follows)>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(used)) if response.code == Some(200) => {
            Ok(Some((used, follows(Part::Response, response.headers)?)))
        }
        Ok(httparse::Status::Complete(_)) => {
            let status = response.code.unwrap_or_default();
            Err(error(Part::Response, &format!("has the status {status}")))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(problem) => Err(error(Part::Response, &format!("has a wrong head: {problem}"))),
    }
}

fn follows(part: Part, fields: &[httparse::Header<'_>]) -> io::Result<Follows> {
    let mut follows = Follows::default();
    for field in fields {
        // The lengths first: they tell most names apart without a look at a letter.
        match field.name.len() {
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                let value = std::str::from_utf8(field.value).unwrap_or_default();
                let length = value.parse().map_err(|_| error(part, "has a wrong length"))?;
                follows.length = Some(length);
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                follows.chunked = field.value.eq_ignore_ascii_case(b"chunked");
            }
            10 if field.name.eq_ignore_ascii_case("connection") => {
                follows.closes = field.value.eq_ignore_ascii_case(b"close");
            }
            _ => {}
        }
    }
    Ok(follows)
}
