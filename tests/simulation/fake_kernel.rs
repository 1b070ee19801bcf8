//! The kernel as the worker sees it, over a [`World`].

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use spliceway::address::Address;
use spliceway::config::Keepalive;
use spliceway::id::Token;
use spliceway::io::kernel::{Connecting, Kernel, PipeState};

use crate::world::{Sabotage, Shared, Socket, errno};

#[derive(Debug)]
pub struct FakeKernel {
    pub world: Shared,
}

/// A descriptor of a socket; dropping it closes the socket.
#[derive(Debug)]
pub struct FakeSocket {
    pub id: u32,
    world: Shared,
}

impl FakeSocket {
    pub fn new(id: u32, world: Shared) -> FakeSocket {
        FakeSocket { id, world }
    }
}

impl Drop for FakeSocket {
    fn drop(&mut self) {
        let mut world = self.world.borrow_mut();
        let socket = world.sockets.get_mut(&self.id).expect("sockets are never forgotten");
        socket.closed = true;
        socket.has_edge = false;
        socket.abandoned = socket.connecting.is_some();
        // Linux sends a reset instead of a FIN when unread bytes are thrown away.
        if !socket.incoming.is_empty() && !socket.saw_reset {
            socket.outgoing.clear();
            socket.saw_reset = true;
        }
    }
}

#[derive(Debug)]
pub struct FakeListener;

/// A pipe with slots. A slot takes one segment's piece, however small.
#[derive(Debug)]
pub struct FakePipe {
    slots: VecDeque<VecDeque<u8>>,
    slots_max: usize,
    held: usize,
    capacity: u32,
    world: Shared,
}

impl Drop for FakePipe {
    fn drop(&mut self) {
        self.world.borrow_mut().pipes_open -= 1;
    }
}

impl PipeState for FakePipe {
    fn held(&self) -> usize {
        self.held
    }

    fn capacity(&self) -> u32 {
        self.capacity
    }
}

const SLOT_BYTES_MAX: usize = 32 * 1024;

fn fail<T>(errno: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(errno))
}

/// What a read finds before it comes to bytes: an error or the end, once the queue is empty.
fn end_of(socket: &mut Socket) -> Option<io::Result<usize>> {
    if !socket.incoming.is_empty() {
        return None;
    }
    if let Some(errno) = socket.error.take() {
        return Some(fail(errno));
    }
    Some(if socket.fin || socket.dead { Ok(0) } else { fail(errno::EAGAIN) })
}

/// Why a write fails before it takes bytes. As in the kernel, the error is reported once; later
/// writes get `EPIPE`.
fn broken(socket: &mut Socket) -> Option<i32> {
    match socket.error.take() {
        Some(errno) => Some(errno),
        None if socket.dead || socket.shut => Some(errno::EPIPE),
        None => None,
    }
}

impl FakeKernel {
    fn with<T>(&self, socket: &FakeSocket, act: impl FnOnce(&mut Socket) -> T) -> T {
        let mut world = self.world.borrow_mut();
        world.calls += 1;
        act(world.sockets.get_mut(&socket.id).expect("the socket exists"))
    }

    /// Whether splice is refused here and now, and how.
    fn refusal(&self, socket: &FakeSocket) -> Option<i32> {
        let mut world = self.world.borrow_mut();
        let forbidden = world.faults.splice_forbidden;
        if world.splice_forbidden || world.chance(forbidden) {
            world.splice_forbidden = true;
            return Some(if world.rng.bool() { errno::EPERM } else { errno::ENOSYS });
        }
        world.sockets[&socket.id].refuses_splice.then_some(errno::EINVAL)
    }

    /// How many of `offered` bytes a write takes.
    fn room(&self, socket: &FakeSocket, offered: usize) -> io::Result<usize> {
        let mut world = self.world.borrow_mut();
        world.calls += 1;
        let short = world.faults.short_write;
        let is_short = world.chance(short);
        let limit = world.rng.usize(0..=offered);
        let socket = world.sockets.get_mut(&socket.id).expect("the socket exists");
        if let Some(errno) = broken(socket) {
            return fail(errno);
        }
        let room = socket.send_buffer.saturating_sub(socket.outgoing.len()).min(offered);
        let taken = if is_short { room.min(limit) } else { room };
        if taken < offered && taken == room.min(limit) && is_short {
            // The kernel took less for want of memory; an edge tells when there is some again.
            socket.raise();
        }
        if taken == 0 { fail(errno::EAGAIN) } else { Ok(taken) }
    }
}

impl Kernel for FakeKernel {
    type Socket = FakeSocket;
    type Listener = FakeListener;
    type Pipe = FakePipe;

    fn watch_listener(&mut self, _listener: &FakeListener, _token: Token) -> io::Result<()> {
        self.world.borrow_mut().listener_edge = true;
        Ok(())
    }

    fn unwatch_listener(&mut self, _listener: &FakeListener) -> io::Result<()> {
        Ok(())
    }

    fn watch(&mut self, socket: &FakeSocket, token: Token) -> io::Result<()> {
        self.with(socket, |socket| {
            socket.token = Some(token);
            socket.watched = true;
            socket.raise();
        });
        let mut world = self.world.borrow_mut();
        match token {
            Token::Upstream(_) => world.watched_server(socket.id),
            Token::Socket(..) if world.speaks_http => {}
            Token::Socket(connection, side) => world.watched(socket.id, connection, side),
            Token::Waker | Token::Listener(_) => unreachable!("not a socket"),
        }
        Ok(())
    }

    fn rewatch(&mut self, socket: &FakeSocket, token: Token, hears: bool) -> io::Result<()> {
        let stays_deaf = self.world.borrow().sabotage == Sabotage::StayDeaf;
        self.with(socket, |socket| {
            assert!(socket.watched, "only a socket that is watched can be watched otherwise");
            socket.token = Some(token);
            socket.hears_reads = hears && !stays_deaf;
            socket.raise();
        });
        Ok(())
    }

    fn accept(&mut self, _: &FakeListener) -> io::Result<(FakeSocket, Option<SocketAddr>)> {
        let mut world = self.world.borrow_mut();
        world.calls += 1;
        let fails = world.faults.accept_fails;
        if !world.backlog.is_empty() && world.chance(fails) {
            return fail(if world.rng.bool() { errno::EMFILE } else { errno::ECONNABORTED });
        }
        let Some(id) = world.backlog.pop_front() else { return fail(errno::EAGAIN) };
        let address = world.address_of(id);
        drop(world);
        Ok((FakeSocket { id, world: Rc::clone(&self.world) }, address))
    }

    fn connect(
        &mut self,
        _address: &Address,
        _source: Option<IpAddr>,
    ) -> io::Result<Connecting<FakeSocket>> {
        let mut world = self.world.borrow_mut();
        world.calls += 1;
        let (refused, never) = (world.faults.connect_refused, world.faults.connect_never);
        if world.chance(refused / 2) {
            return fail(errno::EHOSTUNREACH);
        }
        // Whose server this is, and what it sends, is known once it is watched.
        let id = world.new_socket(0);
        let is_refused = world.chance(refused);
        let is_never = world.chance(never);
        let steps = if is_never { u32::MAX } else { world.rng.u32(0..20) };
        let socket = world.sockets.get_mut(&id).expect("just made");
        socket.connecting = (steps > 0).then_some(steps);
        if is_refused && steps > 0 {
            socket.connect_outcome = Err(errno::ECONNREFUSED);
        }
        drop(world);
        let socket = FakeSocket { id, world: Rc::clone(&self.world) };
        Ok(Connecting { socket, established: steps == 0 })
    }

    fn local_address(&mut self, _socket: &FakeSocket) -> Option<SocketAddr> {
        None
    }

    fn keep_alive(&mut self, socket: &FakeSocket, _keepalive: Keepalive) -> io::Result<()> {
        self.with(socket, |socket| socket.keeps_alive = true);
        Ok(())
    }

    fn set_low_water(&mut self, socket: &FakeSocket, bytes: u32) -> io::Result<()> {
        self.with(socket, |socket| {
            socket.low_water = bytes as usize;
            socket.raise();
        });
        Ok(())
    }

    fn take_error(&mut self, socket: &FakeSocket) -> Option<io::Error> {
        self.with(socket, |socket| socket.error.take().map(io::Error::from_raw_os_error))
    }

    fn recv(&mut self, socket: &FakeSocket, buffer: &mut [u8]) -> io::Result<usize> {
        let sabotage = self.world.borrow().sabotage;
        let swaps = sabotage == Sabotage::SwapBytes;
        if sabotage == Sabotage::HideSurplus && buffer.len() == 1024 {
            return fail(errno::EAGAIN);
        }
        let read = self.with(socket, |socket| {
            if let Some(end) = end_of(socket) {
                return end;
            }
            // A read ends before the mark, or begins with it.
            let until_mark = match socket.before_mark() {
                0 => {
                    socket.urgent = None;
                    usize::MAX
                }
                before => before,
            };
            let max = buffer.len().min(until_mark);
            let mut filled = 0;
            while filled < max {
                let Some(segment) = socket.take(max - filled) else { break };
                buffer[filled..filled + segment.len()].copy_from_slice(&segment);
                filled += segment.len();
            }
            Ok(filled)
        })?;
        if swaps && read > 3 && buffer[1] != buffer[2] {
            buffer.swap(1, 2);
            self.world.borrow_mut().sabotage = Sabotage::None;
        }
        Ok(read)
    }

    fn peek(&mut self, socket: &FakeSocket, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(socket, |socket| {
            if let Some(end) = end_of(socket) {
                return end;
            }
            let bytes = socket.incoming.iter().flatten().take(buffer.len());
            Ok(bytes.zip(buffer).map(|(byte, place)| *place = *byte).count())
        })
    }

    fn send(&mut self, socket: &FakeSocket, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.room(socket, bytes.len())?;
        self.with(socket, |socket| {
            socket.given += taken;
            socket.kept_back = 0;
            socket.outgoing.extend(&bytes[..taken]);
        });
        Ok(taken)
    }

    fn send_vectored(
        &mut self,
        socket: &FakeSocket,
        parts: &[IoSlice<'_>],
        more: bool,
    ) -> io::Result<usize> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let taken = self.send(socket, &bytes)?;
        // A socket that is full keeps nothing back: tcp_sendmsg() pushes before it waits for room.
        let is_kept = more && taken == bytes.len();
        self.with(socket, |socket| socket.kept_back = if is_kept { taken } else { 0 });
        Ok(taken)
    }

    fn push(&mut self, socket: &FakeSocket) -> io::Result<()> {
        self.with(socket, |socket| socket.kept_back = 0);
        Ok(())
    }

    fn open_pipe(&mut self, capacity: u32) -> io::Result<FakePipe> {
        let mut world = self.world.borrow_mut();
        world.calls += 1;
        let (none, small) = (world.faults.no_pipe, world.faults.small_pipe);
        if world.chance(none) {
            return fail(errno::EMFILE);
        }
        world.pipes_open += 1;
        let capacity = if world.chance(small) { 8192 } else { capacity };
        let slots_max = world.pipe_slots;
        drop(world);
        let world = Rc::clone(&self.world);
        Ok(FakePipe { slots: VecDeque::new(), slots_max, held: 0, capacity, world })
    }

    fn fill_pipe(
        &mut self,
        socket: &FakeSocket,
        pipe: &mut FakePipe,
        max: usize,
    ) -> io::Result<usize> {
        if let Some(errno) = self.refusal(socket) {
            return fail(errno);
        }
        let (is_short, limit) = {
            let mut world = self.world.borrow_mut();
            let short = world.faults.short_splice;
            (world.chance(short), world.rng.usize(1..3000))
        };
        let max = if is_short { max.min(limit) } else { max };
        let loses = self.world.borrow().sabotage == Sabotage::CorruptAByte;
        let moved = self.with(socket, |socket| {
            if let Some(end) = end_of(socket) {
                return end;
            }
            let max = max.min(socket.before_mark());
            if max == 0 && (socket.fin || socket.dead) {
                // What Linux says at the mark once the end is queued behind it.
                return Ok(0);
            }
            let mut moved = 0;
            while moved < max && pipe.slots.len() < pipe.slots_max {
                let Some(piece) = socket.take((max - moved).min(SLOT_BYTES_MAX)) else { break };
                moved += piece.len();
                pipe.slots.push_back(piece.into());
            }
            if moved == 0 { fail(errno::EAGAIN) } else { Ok(moved) }
        })?;
        pipe.held += moved;
        if loses && moved > 1 {
            // The count says one thing, the slots hold another.
            let slot = pipe.slots.front_mut().expect("something was moved");
            let first = slot.pop_front().expect("slots are not empty");
            slot.push_front(first.wrapping_add(1));
            self.world.borrow_mut().sabotage = Sabotage::None;
        }
        Ok(moved)
    }

    fn drain_pipe(&mut self, pipe: &mut FakePipe, socket: &FakeSocket) -> io::Result<usize> {
        if let Some(errno) = self.refusal(socket) {
            return fail(errno);
        }
        assert!(pipe.held > 0, "an empty pipe is never drained");
        let mut taken = self.room(socket, pipe.held)?;
        {
            let mut world = self.world.borrow_mut();
            let interrupted = world.faults.interrupted_splice;
            if world.chance(interrupted) {
                taken = world.rng.usize(1..=taken);
            }
        }
        self.with(socket, |socket| {
            socket.given += taken;
            socket.kept_back = 0;
            for _ in 0..taken {
                socket.outgoing.push_back(pipe.pop());
            }
        });
        Ok(taken)
    }

    fn read_pipe(&mut self, pipe: &mut FakePipe, buffer: &mut [u8]) -> io::Result<usize> {
        self.world.borrow_mut().calls += 1;
        let read = buffer.len().min(pipe.held).min(10_000);
        if read == 0 {
            return fail(errno::EAGAIN);
        }
        for byte in &mut buffer[..read] {
            *byte = pipe.pop();
        }
        Ok(read)
    }

    fn shutdown_write(&mut self, socket: &FakeSocket) -> io::Result<()> {
        self.with(socket, |socket| {
            assert!(!socket.shut, "a FIN is sent once");
            if socket.dead {
                return fail(errno::ENOTCONN);
            }
            socket.shut = true;
            Ok(())
        })
    }

    fn unsent(&mut self, socket: &FakeSocket) -> io::Result<usize> {
        self.with(socket, |socket| Ok(socket.outgoing.len()))
    }

    fn reset(&mut self, socket: FakeSocket) {
        self.with(&socket, |socket| {
            if !socket.dead {
                socket.outgoing.clear();
                socket.saw_reset = true;
            }
        });
    }
}

impl FakePipe {
    fn pop(&mut self) -> u8 {
        let slot = self.slots.front_mut().expect("the pipe holds bytes");
        let byte = slot.pop_front().expect("slots are not empty");
        if slot.is_empty() {
            self.slots.pop_front();
        }
        self.held -= 1;
        byte
    }
}
