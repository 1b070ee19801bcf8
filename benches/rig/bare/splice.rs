//! Moves bytes by `splice(2)` alone, through pipes of a fixed size that are used again.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};

use super::{Flow, Mover};

/// More than any pipe holds: the pipe's slots are the limit, not the length.
const LENGTH: usize = 1 << 30;

/// The pipes that no lane uses, and the size of each.
pub struct Splice {
    pipe_size: i32,
    idle: Vec<Pipe>,
}

struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// A pipe while bytes are in it.
#[derive(Default)]
pub struct Lane {
    pipe: Option<Pipe>,
    held: usize,
    source_ended: bool,
}

impl Splice {
    /// `pipe_size` in bytes, as for `F_SETPIPE_SZ`.
    pub fn new(pipe_size: i32) -> Splice {
        Splice { pipe_size, idle: Vec::new() }
    }

    fn take_pipe(&mut self) -> nix::Result<Pipe> {
        if let Some(pipe) = self.idle.pop() {
            return Ok(pipe);
        }
        let (read, write) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        fcntl(&write, FcntlArg::F_SETPIPE_SZ(self.pipe_size))?;
        Ok(Pipe { read, write })
    }
}

impl Mover for Splice {
    type Lane = Lane;

    fn pump(
        &mut self,
        lane: &mut Lane,
        from: &OwnedFd,
        to: &OwnedFd,
        _ending: bool,
    ) -> nix::Result<Flow> {
        let pipe = match lane.pipe.take() {
            Some(pipe) => pipe,
            None => self.take_pipe()?,
        };
        let flow = pump_through(&pipe, lane, from, to);
        if lane.held == 0 {
            self.idle.push(pipe);
        } else {
            lane.pipe = Some(pipe);
        }
        flow
    }

    fn is_stuck(lane: &Lane) -> bool {
        lane.held > 0
    }

    fn retire(&mut self, lane: Lane) {
        // A pipe that still holds bytes is closed: they are nobody else's.
        drop(lane);
    }
}

fn pump_through(pipe: &Pipe, lane: &mut Lane, from: &OwnedFd, to: &OwnedFd) -> nix::Result<Flow> {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    loop {
        let mut source_drained = lane.source_ended;
        if !source_drained {
            match splice(from, None, &pipe.write, None, LENGTH, flags) {
                Ok(0) => lane.source_ended = true,
                Ok(moved) => lane.held += moved,
                Err(Errno::EAGAIN) => source_drained = lane.held == 0,
                Err(error) => return Err(error),
            }
        }
        while lane.held > 0 {
            match splice(&pipe.read, None, to, None, lane.held, flags) {
                Ok(moved) => lane.held -= moved,
                Err(Errno::EAGAIN) => return Ok(Flow::Open),
                Err(error) => return Err(error),
            }
        }
        if lane.source_ended {
            return Ok(Flow::Ended);
        }
        if source_drained {
            return Ok(Flow::Open);
        }
    }
}
