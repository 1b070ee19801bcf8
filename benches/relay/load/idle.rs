//! Connections that have carried one small message there and back, and then rest.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::rig::load::{accept, connect, describe};

const MESSAGE: [u8; 64] = [b'm'; 64];

/// Both ends of resting connections; they are closed when dropped.
#[derive(Default)]
pub struct Resting {
    ends: Vec<(TcpStream, TcpStream)>,
}

impl Resting {
    /// Opens `connections` more through `proxy`.
    ///
    /// # Errors
    /// When a connection or its message does not come through.
    pub fn open(
        &mut self,
        origin: &TcpListener,
        proxy: SocketAddr,
        connections: usize,
    ) -> io::Result<()> {
        for _ in 0..connections {
            let mut client = connect(proxy)?;
            let mut upstream = accept(origin)?;
            let mut message = MESSAGE;
            client
                .write_all(&message)
                .and_then(|()| upstream.read_exact(&mut message))
                .and_then(|()| upstream.write_all(&message))
                .and_then(|()| client.read_exact(&mut message))
                .map_err(|error| describe("the one message of an idle connection", &error))?;
            self.ends.push((client, upstream));
        }
        Ok(())
    }
}
