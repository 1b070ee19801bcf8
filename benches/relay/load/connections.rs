//! New connections, each with one small request and one small response.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use crate::rig::load::{Gauge, Latencies, Load, accept, connect, describe};

const REQUEST: [u8; 100] = [b'q'; 100];
const RESPONSE: [u8; 300] = [b'r'; 300];

/// `clients` clients that each open one connection after the other.
///
/// # Errors
/// When the listening socket refuses its timeout.
pub fn start(origin: TcpListener, proxy: SocketAddr, clients: usize) -> io::Result<Load> {
    // Short, for the origin looks between two connections whether the load has ended.
    let timeout = Duration::from_millis(50);
    socket2::SockRef::from(&origin).set_read_timeout(Some(timeout))?;
    let mut load = Load::new();
    load.spawn(move |gauge| answer(&origin, gauge));
    for _ in 0..clients {
        load.spawn(move |gauge| ask(proxy, gauge));
    }
    Ok(load)
}

/// The origin closes first, as a server does that answers `Connection: close`.
fn answer(origin: &TcpListener, gauge: &Gauge) -> io::Result<Latencies> {
    loop {
        let mut stream = match accept(origin) {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if gauge.is_stopping() {
                    return Ok(Latencies::new());
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut request = [0; REQUEST.len()];
        stream
            .read_exact(&mut request)
            .and_then(|()| stream.write_all(&RESPONSE))
            .map_err(|error| describe("the origin answered", &error))?;
    }
}

fn ask(proxy: SocketAddr, gauge: &Gauge) -> io::Result<Latencies> {
    let mut latencies = Latencies::new();
    let mut response = Vec::with_capacity(RESPONSE.len() + 1);
    while !gauge.is_stopping() {
        let started = Instant::now();
        let mut stream = connect(proxy)?;
        response.clear();
        stream
            .write_all(&REQUEST)
            .and_then(|()| stream.read_to_end(&mut response))
            .map_err(|error| describe("the client asked", &error))?;
        if response.len() != RESPONSE.len() {
            return Err(io::Error::other(format!("a response of {} bytes", response.len())));
        }
        gauge.add(1);
        if gauge.is_window_open() {
            latencies.push(started.elapsed().as_nanos() as u64);
        }
    }
    Ok(latencies)
}
