//! What is compared: each way for bytes to travel, and how often they are copied on it.

/// From where to where bytes travel, and where they are at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// From a file, all of it in the page cache, to a socket.
    FileCached,
    /// From a file, nothing of it in the page cache, to a socket.
    FileUncached,
    /// From a socket to a socket: one message after the other, each sent when the one before has
    /// arrived.
    Sockets,
    /// From a socket to a socket, from a sender that is slower than the thread under measurement.
    PacedSockets,
}

impl Case {
    /// In the order of the report.
    pub const ALL: [Case; 4] =
        [Case::FileCached, Case::FileUncached, Case::Sockets, Case::PacedSockets];

    /// As in JSON.
    pub fn label(self) -> &'static str {
        match self {
            Case::FileCached => "file_cached",
            Case::FileUncached => "file_uncached",
            Case::Sockets => "sockets",
            Case::PacedSockets => "sockets_paced",
        }
    }

    /// As a heading.
    pub fn title(self) -> &'static str {
        match self {
            Case::FileCached => "File to socket, the file in the page cache",
            Case::FileUncached => "File to socket, the file on the disk",
            Case::Sockets => "Socket to socket, message by message",
            Case::PacedSockets => "Socket to socket, bulk from a slower sender",
        }
    }
}

/// How bytes are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `read` into a buffer, `write` out of it.
    ReadWrite {
        /// Bytes of the buffer.
        buffer: usize,
    },
    /// `mmap` of the part of the file that is sent, `write` out of it, `munmap`.
    MapWrite,
    /// `sendfile`.
    Sendfile,
    /// `splice` into a pipe, `splice` out of it.
    Splice {
        /// Bytes of the pipe.
        pipe: u32,
    },
    /// The same from a socket with a low-water mark (`SO_RCVLOWAT`).
    CoalescedSplice {
        /// Bytes of the pipe.
        pipe: u32,
        /// The mark, in bytes.
        low_water: u32,
    },
    /// `read` past the page cache (`O_DIRECT`), `write` out of the buffer.
    DirectRead,
    /// io_uring: reads and sends of several buffers in one system call.
    Ring,
    /// The same with sends that leave the buffer where it is.
    RingZeroCopy,
}

/// What the CPU and the devices copy for each byte, on a machine with a network card that gathers
/// what it sends from several places (scatter-gather).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    /// By the CPU.
    pub cpu: u8,
    /// By devices (direct memory access).
    pub dma: u8,
}

/// A method with its parameters, as it is shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Way {
    /// As in JSON.
    pub key: &'static str,
    /// As in tables.
    pub name: &'static str,
    /// What is done.
    pub method: Method,
}

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

/// The low-water mark that is tried: the default of `relay.low_water`.
pub const LOW_WATER: u32 = 512 * KIB;

/// From a file to a socket.
pub const FILE_WAYS: [Way; 7] = [
    way("read_write", "read + write", Method::ReadWrite { buffer: 64 << 10 }),
    way("mmap_write", "mmap + write", Method::MapWrite),
    way("sendfile", "sendfile", Method::Sendfile),
    way("splice", "splice, 1 MiB pipe", Method::Splice { pipe: MIB }),
    way("direct", "O_DIRECT read + write", Method::DirectRead),
    way("io_uring", "io_uring read + send", Method::Ring),
    way("io_uring_zero_copy", "io_uring read + send_zc", Method::RingZeroCopy),
];

/// From a socket to a socket.
pub const SOCKET_WAYS: [Way; 7] = [
    way("read_write_16k", "read + write, 16 KiB", Method::ReadWrite { buffer: 16 << 10 }),
    way("read_write_64k", "read + write, 64 KiB", Method::ReadWrite { buffer: 64 << 10 }),
    way("read_write_256k", "read + write, 256 KiB", Method::ReadWrite { buffer: 256 << 10 }),
    way("splice_64k", "splice, 64 KiB pipe", Method::Splice { pipe: 64 * KIB }),
    way("splice_256k", "splice, 256 KiB pipe", Method::Splice { pipe: 256 * KIB }),
    way("splice_1m", "splice, 1 MiB pipe", Method::Splice { pipe: MIB }),
    way("io_uring", "io_uring recv + send", Method::Ring),
];

/// From a socket to a socket, from a slower sender: each pipe with and without coalescing.
pub const PACED_WAYS: [Way; 6] = [
    way("splice_64k", "splice, 64 KiB pipe", Method::Splice { pipe: 64 * KIB }),
    coalesced("splice_64k_coalesced", "splice, 64 KiB pipe, coalesced", 64 * KIB),
    way("splice_256k", "splice, 256 KiB pipe", Method::Splice { pipe: 256 * KIB }),
    coalesced("splice_256k_coalesced", "splice, 256 KiB pipe, coalesced", 256 * KIB),
    way("splice_1m", "splice, 1 MiB pipe", Method::Splice { pipe: MIB }),
    coalesced("splice_1m_coalesced", "splice, 1 MiB pipe, coalesced", MIB),
];

/// Bytes of a transfer from a slower sender: enough for a window, and for several marks.
pub const PACED_BYTES: u64 = 4 << 20;

const fn coalesced(key: &'static str, name: &'static str, pipe: u32) -> Way {
    way(key, name, Method::CoalescedSplice { pipe, low_water: LOW_WATER })
}

const fn way(key: &'static str, name: &'static str, method: Method) -> Way {
    Way { key, name, method }
}

/// The ways of a case, in the order of the report.
pub fn ways(case: Case) -> &'static [Way] {
    match case {
        Case::FileCached | Case::FileUncached => &FILE_WAYS,
        Case::Sockets => &SOCKET_WAYS,
        Case::PacedSockets => &PACED_WAYS,
    }
}

impl Method {
    /// How often a byte is copied. Between sockets it comes from a network card and goes to one.
    pub fn copies(self, case: Case) -> Copies {
        let cpu = match self {
            Method::ReadWrite { .. } | Method::Ring => 2,
            Method::MapWrite | Method::DirectRead | Method::RingZeroCopy => 1,
            Method::Sendfile | Method::Splice { .. } | Method::CoalescedSplice { .. } => 0,
        };
        let from_page_cache = case == Case::FileCached && self != Method::DirectRead;
        Copies { cpu, dma: if from_page_cache { 1 } else { 2 } }
    }

    /// Whether the kernel may let threads of its own do a part of the work.
    pub fn has_ring(self) -> bool {
        matches!(self, Method::Ring | Method::RingZeroCopy)
    }

    /// Whether a transfer of `bytes` bytes is any different from one with the next smaller buffer
    /// or pipe. From a file there is one of each.
    pub fn is_worth_trying(self, case: Case, bytes: u64) -> bool {
        match self {
            _ if case != Case::Sockets => true,
            Method::ReadWrite { buffer } => buffer <= 64 << 10 || bytes >= buffer as u64,
            Method::Splice { pipe } => pipe <= 64 * KIB || bytes >= u64::from(pipe) / 4,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_those_of_the_textbook() {
        let check = |method: Method, case: Case, cpu: u8, dma: u8| {
            assert_eq!(method.copies(case), Copies { cpu, dma }, "{method:?} {case:?}");
        };
        use Case::{FileCached, FileUncached, Sockets};
        let read_write = Method::ReadWrite { buffer: 1 };
        check(read_write, FileUncached, 2, 2);
        check(read_write, FileCached, 2, 1);
        check(read_write, Sockets, 2, 2);
        check(Method::MapWrite, FileUncached, 1, 2);
        check(Method::Sendfile, FileCached, 0, 1);
        check(Method::Splice { pipe: 1 }, Sockets, 0, 2);
        check(Method::DirectRead, FileCached, 1, 2);
        check(Method::RingZeroCopy, FileUncached, 1, 2);
    }

    #[test]
    fn keys_and_names_tell_ways_apart() {
        for case in Case::ALL {
            for (index, way) in ways(case).iter().enumerate() {
                let others = &ways(case)[index + 1..];
                assert!(others.iter().all(|it| it.key != way.key && it.name != way.name));
            }
        }
    }
}
