//! Messages as a peer reads them: a parser of its own, that knows nothing of the proxy's.

use crate::world::byte_at;

/// A head.
#[derive(Debug, Clone)]
pub struct Head {
    pub start: String,
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// Takes a head off the beginning of `bytes`, if it is whole.
    pub fn take(bytes: &mut Vec<u8>) -> Option<Head> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head: Vec<u8> = bytes.drain(..end + 4).collect();
        let text = String::from_utf8(head).expect("heads are text");
        let mut lines = text.trim_end().split("\r\n");
        let start = lines.next().expect("a first line").to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a field line");
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Some(Head { start, fields: lines.map(field).collect() })
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice: {self:?}");
        value
    }

    /// The framing that the head declares.
    pub fn body(&self, is_response: bool) -> Reading {
        let length = self.value("content-length").map(|value| value.parse().expect("a length"));
        let is_chunked = self.value("transfer-encoding").inspect(|it| assert_eq!(*it, "chunked"));
        match (length, is_chunked, is_response) {
            (Some(_), Some(_), _) => panic!("two framings: {self:?}"),
            (Some(length), None, _) => Reading::Length(length),
            (None, Some(_), _) => Reading::Size,
            (None, None, true) => Reading::UntilEnd,
            (None, None, false) => Reading::Done,
        }
    }
}

/// Where the reader of a body stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Length(usize),
    Size,
    Chunk(usize),
    ChunkEnd,
    Trailers,
    UntilEnd,
    Done,
}

/// A body, checked byte for byte as it comes.
#[derive(Debug, Clone)]
pub struct BodyReader {
    pub reading: Reading,
    stream: Option<u64>,
    /// Where in the stream it begins.
    first: usize,
    pub received: usize,
}

impl BodyReader {
    /// Without a stream, the bytes are not looked at.
    pub fn new(reading: Reading, stream: Option<u64>) -> BodyReader {
        let reading = if reading == Reading::Length(0) { Reading::Done } else { reading };
        BodyReader { reading, stream, first: 0, received: 0 }
    }

    /// The same from a place in the stream on.
    pub fn from(self, first: usize) -> BodyReader {
        BodyReader { first, ..self }
    }

    /// Takes what belongs to the body off the beginning of `bytes`.
    pub fn read(&mut self, bytes: &mut Vec<u8>) {
        loop {
            match self.reading {
                Reading::Done => return,
                Reading::Length(left) => {
                    let left = left - self.data(bytes, left);
                    self.reading = if left == 0 { Reading::Done } else { Reading::Length(left) };
                    if left > 0 {
                        return;
                    }
                }
                Reading::UntilEnd => {
                    self.data(bytes, usize::MAX);
                    return;
                }
                Reading::Chunk(left) => {
                    let left = left - self.data(bytes, left);
                    self.reading = if left == 0 { Reading::ChunkEnd } else { Reading::Chunk(left) };
                    if left > 0 {
                        return;
                    }
                }
                Reading::Size | Reading::ChunkEnd | Reading::Trailers => {
                    let Some(end) = bytes.windows(2).position(|it| it == b"\r\n") else { return };
                    let line: Vec<u8> = bytes.drain(..end + 2).collect();
                    let line = std::str::from_utf8(&line[..end]).expect("lines are text");
                    self.reading = match self.reading {
                        Reading::Size => match usize::from_str_radix(line, 16).expect("a size") {
                            0 => Reading::Trailers,
                            size => Reading::Chunk(size),
                        },
                        Reading::ChunkEnd => {
                            assert_eq!(line, "");
                            Reading::Size
                        }
                        _ if line.is_empty() => Reading::Done,
                        _ => Reading::Trailers,
                    };
                }
            }
        }
    }

    fn data(&mut self, bytes: &mut Vec<u8>, max: usize) -> usize {
        let count = bytes.len().min(max);
        for byte in bytes.drain(..count) {
            if let Some(stream) = self.stream {
                let expected = byte_at(stream, self.first + self.received);
                assert_eq!(byte, expected, "a body is wrong at offset {}", self.received);
            }
            self.received += 1;
        }
        count
    }
}
