//! What every request of the simulation is, and what its server does: the same for the same seed
//! and key, whatever else happens. So each side knows what it must see.

use fastrand::Rng;

/// How a body is framed, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(usize),
    /// Its length, and the size of its largest chunk.
    Chunked(usize, usize),
    /// Responses only.
    UntilEnd(usize),
}

impl Framing {
    pub fn length(self) -> usize {
        match self {
            Framing::None => 0,
            Framing::Length(length) | Framing::Chunked(length, _) | Framing::UntilEnd(length) => {
                length
            }
        }
    }
}

/// How a server breaks its promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// It keeps it.
    Never,
    /// It ends its stream after so many bytes of the response.
    End(usize),
    /// It resets the connection there.
    Reset(usize),
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// Its head is malformed.
    Field,
    /// There is nonsense behind so many chunks of its body, and the rest follows.
    Chunk(usize),
    /// The client ends its stream after so many bytes of it.
    End(usize),
}

/// What nobody asked for.
pub const SURPLUS: &[u8] = b"HTTP/1.1 200 X\r\nX-Key: 0\r\nContent-Length: 0\r\n\r\n";

/// One request, and the response to it.
#[derive(Debug, Clone)]
pub struct Plan {
    pub key: u64,
    pub method: &'static str,
    pub is_old: bool,
    pub body: Framing,
    pub status: u16,
    pub response: Framing,
    pub has_interim: bool,
    /// The server says that it closes, and does.
    pub closes: bool,
    /// The server answers as soon as it has the head.
    pub is_early: bool,
    pub breaks: Break,
    /// The server sends [`SURPLUS`] with the last bytes of its response. (Nobody could tell one
    /// that comes later from the next response.)
    pub has_surplus: bool,
    pub flaw: Flaw,
    /// Both sides leave HTTP: so many bytes of the request's stream then go one way and so many of
    /// the response's the other.
    pub upgrade: Option<[usize; 2]>,
    /// The client does not wait for the server to agree.
    pub is_hasty: bool,
    /// Bytes of the file that is asked for.
    pub file_size: usize,
    /// Parts of it that are asked for, in any order: first and last byte of each.
    pub parts: Vec<[usize; 2]>,
}

/// What servers and clients may do wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manners {
    pub servers_break: bool,
    pub servers_answer_early: bool,
    pub servers_send_surplus: bool,
    /// Idle connections are closed by servers, of 1000 chances in a step.
    pub idle_close: u32,
    pub clients_send_nonsense: bool,
    /// Clients end their stream in the middle of a request.
    pub clients_break: bool,
    pub clients_upgrade: bool,
    /// Clients send one large request after the other and wait for nothing, and servers are quick:
    /// a turn ends in the middle of what can be done at once.
    pub all_hurry: bool,
    /// The proxy answers with files. One that breaks is cut short once it is open.
    pub serves_files: bool,
    /// Clients half-close behind their last request, of 1000 chances.
    pub clients_half_close: bool,
}

fn framing(rng: &mut Rng) -> Framing {
    let sizes = [0, 1, 500, 9_000, 40_000, 120_000, 250_000];
    let longest = sizes[rng.usize(0..sizes.len())];
    let length = rng.usize(0..=longest);
    match rng.u32(0..5) {
        0..=2 => Framing::Length(length),
        _ => {
            Framing::Chunked(length, [7.max(length / 200), 3_000, 50_000, 200_000][rng.usize(0..4)])
        }
    }
}

/// The plan of a key.
pub fn plan(seed: u64, key: u64, manners: &Manners) -> Plan {
    let mut rng = Rng::with_seed(seed.wrapping_mul(1_000_033) ^ key.wrapping_mul(77_777));
    let is_old = rng.u32(0..8) == 0;
    if manners.serves_files {
        return of_file(key, is_old, manners, &mut rng);
    }
    let method = match manners.all_hurry {
        true => ["GET", "PUT"][rng.usize(0..2)],
        false => ["GET", "GET", "GET", "HEAD", "POST", "PUT"][rng.usize(0..6)],
    };
    let body = match method {
        "POST" | "PUT" => match framing(&mut rng) {
            Framing::Chunked(length, _) if is_old => Framing::Length(length),
            framing => framing,
        },
        _ => Framing::None,
    };
    let status = [200, 200, 200, 200, 204, 304, 404][rng.usize(0..7)];
    let mut response = framing(&mut rng);
    if rng.u32(0..6) == 0 {
        response = Framing::UntilEnd(response.length());
    }
    if matches!(status, 204 | 304) {
        response = Framing::None;
    }
    let closes =
        (rng.u32(0..8) == 0 && !manners.all_hurry) || matches!(response, Framing::UntilEnd(_));
    let at = rng.usize(0..=response.length() + 60);
    let breaks = match rng.u32(0..8) {
        0 if manners.servers_break => Break::End(at),
        1 if manners.servers_break => Break::Reset(at),
        _ => Break::Never,
    };
    let has_end = breaks == Break::Never && !matches!(response, Framing::UntilEnd(_));
    let has_surplus = rng.u32(0..6) == 0 && manners.servers_send_surplus && has_end;
    let upgrades = rng.u32(0..6) == 0 && manners.clients_upgrade;
    if upgrades && method == "GET" && !is_old {
        let lengths = [rng.usize(0..30_000), rng.usize(0..90_000)];
        // Where it may be refused, what is sent in haste would be taken for a request.
        return upgrading(key, lengths, rng.bool() && !manners.servers_break);
    }
    let is_chunked = matches!(body, Framing::Chunked(..));
    let flaw = match rng.u32(0..12) {
        0 if manners.clients_send_nonsense => Flaw::Field,
        1..=3 if manners.clients_send_nonsense && is_chunked => Flaw::Chunk(rng.usize(0..3)),
        4..=5 if manners.clients_break => Flaw::End(rng.usize(0..body.length() + 60)),
        _ => Flaw::None,
    };
    Plan {
        key,
        method,
        is_old,
        body,
        status,
        response,
        has_interim: rng.u32(0..6) == 0,
        closes,
        is_early: rng.u32(0..4) == 0 && manners.servers_answer_early,
        breaks,
        has_surplus,
        flaw,
        upgrade: None,
        is_hasty: false,
        file_size: 0,
        parts: Vec::new(),
    }
}

/// A request for a file.
fn of_file(key: u64, is_old: bool, manners: &Manners, rng: &mut Rng) -> Plan {
    let sizes = [0, 1, 500, 9_000, 120_000, 400_000];
    let longest = sizes[rng.usize(0..sizes.len())];
    let length = rng.usize(0..=longest);
    let method = ["GET", "GET", "GET", "HEAD"][rng.usize(0..4)];
    let is_cut = manners.servers_break && method == "GET" && length > 0 && rng.u32(0..6) == 0;
    let breaks = if is_cut { Break::End(rng.usize(0..length)) } else { Break::Never };
    let mut parts = Vec::new();
    if length > 2 && !is_cut && method == "GET" && rng.u32(0..3) == 0 {
        let middle = rng.usize(1..length);
        parts.extend([[0, middle - 1], [middle, length - 1]]);
        parts.rotate_left(rng.usize(0..2));
        parts.truncate(rng.usize(1..3));
    }
    let response = match parts[..] {
        [[first, last]] => Framing::Length(last + 1 - first),
        _ => Framing::Length(length),
    };
    Plan {
        method,
        is_old,
        response,
        breaks,
        status: if parts.is_empty() { 200 } else { 206 },
        file_size: length,
        parts,
        upgrade: None,
        ..upgrading(key, [0; 2], false)
    }
}

/// A request to leave HTTP, which the server grants.
fn upgrading(key: u64, lengths: [usize; 2], is_hasty: bool) -> Plan {
    Plan {
        key,
        method: "GET",
        is_old: false,
        body: Framing::None,
        status: 101,
        response: Framing::None,
        has_interim: false,
        closes: false,
        is_early: false,
        breaks: Break::Never,
        has_surplus: false,
        flaw: Flaw::None,
        upgrade: Some(lengths),
        is_hasty,
        file_size: 0,
        parts: Vec::new(),
    }
}

/// What a peer sends once it has left HTTP.
pub fn stream_bytes(stream: u64, length: usize) -> impl Iterator<Item = u8> {
    (0..length).map(move |offset| crate::world::byte_at(stream, offset))
}

impl Plan {
    pub fn is_idempotent(&self) -> bool {
        self.method != "POST"
    }

    /// The streams that both bodies are made of.
    pub fn request_stream(&self) -> u64 {
        self.key * 2 + 1_000_000
    }

    pub fn response_stream(&self) -> u64 {
        self.key * 2 + 1_000_001
    }

    /// What the client sends.
    pub fn request_bytes(&self) -> Vec<u8> {
        let version = if self.is_old { "1.0" } else { "1.1" };
        let mut head = format!("{} /k/{} HTTP/{version}\r\nHost: sim\r\n", self.method, self.key);
        if self.flaw == Flaw::Field {
            head.push_str("Bad Field: x\r\n");
        }
        if self.upgrade.is_some() {
            head.push_str("Connection: upgrade\r\nUpgrade: sim\r\n");
        }
        if !self.parts.is_empty() {
            let parts: Vec<_> = self.parts.iter().map(|[a, z]| format!("{a}-{z}")).collect();
            head.push_str(&format!("Range: bytes={}\r\n", parts.join(", ")));
        }
        let nonsense = if let Flaw::Chunk(at) = self.flaw { Some(at) } else { None };
        let mut bytes = write_message(head, self.body, self.request_stream(), true, nonsense);
        if let Flaw::End(at) = self.flaw {
            bytes.truncate(at.min(bytes.len() - 1));
        }
        bytes
    }

    /// What the server sends, up to where it breaks off.
    pub fn response_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.has_interim {
            bytes.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nX-Hint: 1\r\n\r\n");
        }
        let mut head = format!("HTTP/1.1 {} X\r\nX-Key: {}\r\n", self.status, self.key);
        if self.closes {
            head.push_str("Connection: close\r\n");
        }
        if self.upgrade.is_some() {
            head.push_str("Connection: upgrade\r\nUpgrade: sim\r\n");
        }
        let has_body = self.method != "HEAD" && !matches!(self.status, 204 | 304);
        bytes.extend(write_message(head, self.response, self.response_stream(), has_body, None));
        if let Break::End(at) | Break::Reset(at) = self.breaks {
            bytes.truncate(at);
        }
        bytes
    }

    /// Where the response is whole.
    pub fn response_length(&self) -> usize {
        let whole = Plan { breaks: Break::Never, ..self.clone() };
        whole.response_bytes().len()
    }

    /// Whether the server keeps the connection after the response.
    pub fn keeps_server(&self) -> bool {
        !self.closes && !self.has_surplus && self.breaks == Break::Never
    }
}

/// Writes a message, with something that is no chunk behind the first `nonsense` chunks.
fn write_message(
    mut head: String,
    framing: Framing,
    stream: u64,
    has_body: bool,
    nonsense: Option<usize>,
) -> Vec<u8> {
    let body: Vec<u8> = stream_bytes(stream, framing.length()).collect();
    match framing {
        Framing::None | Framing::UntilEnd(_) => {}
        Framing::Length(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
        Framing::Chunked(..) => head.push_str("Transfer-Encoding: chunked\r\n"),
    }
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(b"\r\n");
    if !has_body {
        return bytes;
    }
    match framing {
        Framing::Chunked(_, chunk) => {
            let count = body.len().div_ceil(chunk.max(1));
            let nonsense = nonsense.map(|at| at.min(count));
            for (index, piece) in body.chunks(chunk.max(1)).enumerate() {
                if nonsense == Some(index) {
                    bytes.extend_from_slice(b"nonsense\r\n");
                }
                bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                bytes.extend_from_slice(piece);
                bytes.extend_from_slice(b"\r\n");
            }
            if nonsense == Some(count) {
                bytes.extend_from_slice(b"nonsense\r\n");
            }
            bytes.extend_from_slice(b"0\r\nX-Trailer: 1\r\n\r\n");
        }
        _ => bytes.extend(body),
    }
    bytes
}
