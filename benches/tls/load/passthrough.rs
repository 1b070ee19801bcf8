//! Sessions that client and origin have with each other, and bulk over them.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use rustls::{ClientConnection, ServerConnection};

use crate::rig::load::{Load, Priority, accept, bulk, connect, describe};
use crate::rig::tls::{Tickets, client_config, client_connection, server_config};

/// What a record of full size carries: its data, their type and the tag (RFC 8446, section 5.2).
const RECORD_PAYLOAD_BYTES: u16 = (16 << 10) + 1 + 16;

/// As many records as go out with one call.
const RECORDS: usize = 16;

/// The origin sends over `connections` connections at once. All have a handshake from end to end;
/// what follows looks like the records of such a session, of full size, but is sent again and again
/// and thrown away unread, so that the ends need no more CPU than they have.
///
/// # Errors
/// When a handshake does not come through.
pub fn start(origin: &TcpListener, proxy: SocketAddr, connections: usize) -> io::Result<Load> {
    let open = |_| open(origin, proxy).map_err(|error| describe("the handshake", &error));
    let ends: io::Result<Vec<_>> = (0..connections).map(open).collect();
    Ok(bulk::start_over(ends?, &records().into(), Priority::Normal))
}

/// The origin's end of an established session, and the client's.
fn open(origin: &TcpListener, proxy: SocketAddr) -> io::Result<(TcpStream, TcpStream)> {
    let mut server = ServerConnection::new(server_config()?).map_err(io::Error::other)?;
    let mut client = client_connection(&client_config(Tickets::Ignored)?)?;
    let mut client_socket = connect(proxy)?;
    thread::scope(|scope| {
        let served = scope.spawn(move || {
            let mut socket = accept(origin)?;
            while server.is_handshaking() {
                server.complete_io(&mut socket)?;
            }
            io::Result::Ok(socket)
        });
        let established = establish(&mut client, &mut client_socket);
        let served = served.join().map_err(|_| io::Error::other("the origin panicked"))?;
        established?;
        Ok((served?, client_socket))
    })
}

fn establish(client: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    while client.is_handshaking() || client.wants_write() {
        client.complete_io(socket)?;
    }
    Ok(())
}

/// Records of application data, whose contents are none.
pub fn records() -> Vec<u8> {
    let [high, low] = RECORD_PAYLOAD_BYTES.to_be_bytes();
    // The type of data, and the version that all records of TLS 1.3 claim.
    let mut record = vec![23, 3, 3, high, low];
    record.resize(record.len() + usize::from(RECORD_PAYLOAD_BYTES), 0x5a);
    record.repeat(RECORDS)
}
