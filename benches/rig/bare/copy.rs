//! Moves bytes by `recv(2)` and `send(2)` through one buffer that all connections share.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use super::{Flow, Mover};

const BUFFER_BYTES: usize = 64 << 10;

/// The buffer.
pub struct Copy {
    buffer: Box<[u8]>,
}

/// What the sink would not take.
#[derive(Default)]
pub struct Lane {
    stuck: Vec<u8>,
    source_ended: bool,
}

impl Copy {
    pub fn new() -> Copy {
        Copy { buffer: vec![0; BUFFER_BYTES].into_boxed_slice() }
    }
}

impl Mover for Copy {
    type Lane = Lane;

    fn pump(
        &mut self,
        lane: &mut Lane,
        from: &OwnedFd,
        to: &OwnedFd,
        ending: bool,
    ) -> nix::Result<Flow> {
        if !lane.stuck.is_empty() {
            let sent = send_all(to, &lane.stuck)?;
            lane.stuck.drain(..sent);
            if !lane.stuck.is_empty() {
                return Ok(Flow::Open);
            }
            lane.stuck = Vec::new();
        }
        while !lane.source_ended {
            let received = match recv(from.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Ok(0) => {
                    lane.source_ended = true;
                    break;
                }
                Ok(received) => received,
                Err(Errno::EAGAIN) => return Ok(Flow::Open),
                Err(error) => return Err(error),
            };
            let sent = send_all(to, &self.buffer[..received])?;
            if sent < received {
                lane.stuck.extend_from_slice(&self.buffer[sent..received]);
                return Ok(Flow::Open);
            }
            // A short read has emptied the socket; what comes later makes a new edge (epoll(7)).
            if received < self.buffer.len() && !ending {
                return Ok(Flow::Open);
            }
        }
        Ok(Flow::Ended)
    }

    fn is_stuck(lane: &Lane) -> bool {
        !lane.stuck.is_empty()
    }

    fn retire(&mut self, lane: Lane) {
        drop(lane);
    }
}

/// Sends until the socket takes no more; how many bytes it took.
fn send_all(to: &OwnedFd, bytes: &[u8]) -> nix::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match send(to.as_raw_fd(), &bytes[sent..], MsgFlags::MSG_NOSIGNAL) {
            Ok(count) => sent += count,
            Err(Errno::EAGAIN) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
