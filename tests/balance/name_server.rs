//! A small name server (RFC 1035), over UDP and TCP, whose answers a test changes.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What fits into a datagram that nobody has agreed on another size for.
const DATAGRAM: usize = 512;

const A: u16 = 1;
const SRV: u16 = 33;
const NO_SUCH_NAME: u16 = 3;
const SERVER_FAILURE: u16 = 2;

/// What is answered for a name.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Addresses.
    Addresses(Vec<Ipv4Addr>),
    /// Priority, weight, port and host of each.
    Services(Vec<(u16, u16, u16, String)>),
    /// There is no such name.
    NoSuchName,
    /// There is a name, and it has nothing.
    Nothing,
    /// The server has failed.
    Failure,
    /// Nothing at all is said.
    Silence,
}

#[derive(Debug)]
struct Zone {
    answers: Mutex<HashMap<String, Answer>>,
    questions: AtomicUsize,
}

/// The server. Its threads end with the process.
pub(crate) struct NameServer {
    address: SocketAddr,
    zone: Arc<Zone>,
}

impl NameServer {
    /// One that knows nothing yet. Records live for a second.
    pub(crate) fn start() -> NameServer {
        let zone = Arc::new(Zone { answers: Mutex::default(), questions: AtomicUsize::new(0) });
        let (socket, listener) = loop {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            // The same port may be taken over UDP.
            if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()) {
                break (socket, listener);
            }
        };
        let address = socket.local_addr().unwrap();
        let of_udp = Arc::clone(&zone);
        std::thread::spawn(move || serve_datagrams(&socket, &of_udp));
        let of_tcp = Arc::clone(&zone);
        std::thread::spawn(move || serve_streams(&listener, &of_tcp));
        NameServer { address, zone }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it answers so.
    pub(crate) fn answer(&self, name: &str, answer: Answer) {
        self.zone.answers.lock().unwrap().insert(name.to_owned(), answer);
    }

    /// How often it was asked.
    pub(crate) fn questions(&self) -> usize {
        self.zone.questions.load(Ordering::SeqCst)
    }
}

fn serve_datagrams(socket: &UdpSocket, zone: &Zone) {
    let mut question = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut question) {
        if let Some(mut answer) = zone.answer(&question[..length]) {
            if answer.len() > DATAGRAM {
                // Truncated: only the head and the question, to be asked again over TCP.
                answer.truncate(length.min(answer.len()));
                answer.truncate(question_end(&question[..length]));
                answer[2] |= 0x02;
                answer[6..12].fill(0);
            }
            // Whoever has asked may be gone.
            let _gone = socket.send_to(&answer, from);
        }
    }
}

fn serve_streams(listener: &TcpListener, zone: &Arc<Zone>) {
    for stream in listener.incoming().flatten() {
        let zone = Arc::clone(zone);
        std::thread::spawn(move || {
            let mut stream = stream;
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                if stream.read_exact(&mut question).is_err() {
                    return;
                }
                let Some(answer) = zone.answer(&question) else { return };
                let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                if stream.write_all(&[&length[..], &answer].concat()).is_err() {
                    return;
                }
            }
        });
    }
}

/// Where the first question ends.
fn question_end(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5
}

fn name_of(message: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut at = 12;
    while message[at] != 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    labels.join(".")
}

impl Zone {
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        let end = question_end(question);
        let kind = u16::from_be_bytes([question[end - 4], question[end - 3]]);
        let known = self.answers.lock().unwrap().get(&name_of(question)).cloned();
        let mut records: Vec<Vec<u8>> = Vec::new();
        let mut code = 0;
        match known.unwrap_or(Answer::NoSuchName) {
            Answer::Silence => return None,
            Answer::Nothing => {}
            Answer::NoSuchName => code = NO_SUCH_NAME,
            Answer::Failure => code = SERVER_FAILURE,
            Answer::Addresses(addresses) if kind == A => {
                records.extend(addresses.iter().map(|it| it.octets().to_vec()));
            }
            Answer::Services(services) if kind == SRV => {
                for (priority, weight, port, host) in services {
                    let mut data: Vec<u8> =
                        [priority, weight, port].into_iter().flat_map(u16::to_be_bytes).collect();
                    for label in host.split('.') {
                        data.push(u8::try_from(label.len()).unwrap());
                        data.extend_from_slice(label.as_bytes());
                    }
                    data.push(0);
                    records.push(data);
                }
            }
            Answer::Addresses(_) | Answer::Services(_) => {}
        }
        let mut answer = question[..2].to_vec();
        // An answer, with recursion as it was asked for.
        let flags = 0x8180 | code;
        let counts = [flags, 1, u16::try_from(records.len()).unwrap(), 0, 0];
        answer.extend(counts.into_iter().flat_map(u16::to_be_bytes));
        answer.extend_from_slice(&question[12..end]);
        for data in records {
            // The name of the question, the class IN, a second to live.
            answer.extend_from_slice(&[0xC0, 12]);
            answer.extend_from_slice(&kind.to_be_bytes());
            answer.extend_from_slice(&[0, 1, 0, 0, 0, 1]);
            answer.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            answer.extend_from_slice(&data);
        }
        Some(answer)
    }
}
