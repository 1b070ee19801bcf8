//! Files that are served: opened beneath a root, asked whether they are in memory, and sent.
//!
//! Nothing here waits for a disk unless it says so. What a worker calls answers `EAGAIN` where a
//! page or a directory entry is not in memory, or is to be called after [`File::is_cached`].

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use nix::fcntl::{
    AT_FDCWD, OFlag, OpenHow, PosixFadviseAdvice, ResolveFlag, openat2, posix_fadvise,
};
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::sys::uio::pread;

use crate::files::FileStatus;
use crate::http::range::ByteRange;
use crate::sys::mapping::Mapping;
use crate::sys::residence::{Residence, residence};
use crate::sys::transfer;

/// How far apart bytes are that are waited for while a range is read ahead. The kernel reads in
/// larger steps than this.
const SAMPLE_BYTES: u64 = 32 * 1024;

/// `RESOLVE_CACHED` (openat2(2), Linux 5.12), which nix does not name.
const RESOLVE_CACHED: u64 = 0x20;

/// Whether a call may wait for a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// It answers `EAGAIN` instead.
    Never,
    /// It may.
    Allowed,
}

/// Opens the directory at a path, to look up others beneath it and for nothing else (`O_PATH`).
///
/// # Errors
/// There is none, or it cannot be reached. `EAGAIN`: see [`Waiting`].
pub fn open_root(path: &Path, waiting: Waiting) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(cached(waiting));
    Ok(openat2(AT_FDCWD, path, how)?)
}

/// Opens what is at `path` beneath a directory, for reading: the directory itself for an empty
/// path. No `..`, no absolute symbolic link and no magic link of `/proc` leads outside
/// (`RESOLVE_BENEATH`). A FIFO without a writer does not make it wait (`O_NONBLOCK`), and a
/// terminal does not become that of this process.
///
/// # Errors
/// Those of openat2(2); `EXDEV` where the path leads outside, `ENXIO` for a socket. `EAGAIN`: see
/// [`Waiting`]; or, where it may wait, something on the path was renamed meanwhile.
pub fn open_beneath(
    root: BorrowedFd<'_>,
    path: &[u8],
    waiting: Waiting,
    directory: bool,
) -> io::Result<OwnedFd> {
    let mut flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    flags.set(OFlag::O_DIRECTORY, directory);
    open_at(root, path, flags, waiting)
}

/// Opens the directory at `path` beneath another, to look up others beneath it and for nothing else
/// (`O_PATH`): one that may be searched, though perhaps not read.
///
/// # Errors
/// As [`open_beneath`].
pub fn find_directory(root: BorrowedFd<'_>, path: &[u8], waiting: Waiting) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open_at(root, path, flags, waiting)
}

fn open_at(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlag,
    waiting: Waiting,
) -> io::Result<OwnedFd> {
    let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags).resolve(beneath | cached(waiting));
    let path = if path.is_empty() { b"." } else { path };
    Ok(openat2(root, path, how)?)
}

/// The same for a regular file on which somebody else has a lease, as Samba takes them: opening it
/// waits until that is given back, for `/proc/sys/fs/lease-break-time` at most. What is no regular
/// file is not opened, so nothing else is waited for.
///
/// # Errors
/// As [`open_beneath`]. `EAGAIN`: it is no regular file.
pub fn open_leased(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let beneath = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(beneath);
    let place = openat2(root, path, how)?;
    let kind = SFlag::from_bits_truncate(status(place.as_fd())?.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFREG {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    // What was looked at, and nothing that has come in its place meanwhile.
    let same = format!("/proc/self/fd/{}", place.as_raw_fd());
    Ok(std::fs::File::open(same)?.into())
}

/// Whether paths can be resolved without waiting: from Linux 5.12 on, unless a seccomp filter is in
/// the way. Asked of the one directory that is always in memory.
pub fn resolves_cached() -> bool {
    let root = open_root(Path::new("/"), Waiting::Never);
    root.map_or_else(|error| error.kind() == io::ErrorKind::WouldBlock, |_| true)
}

fn cached(waiting: Waiting) -> ResolveFlag {
    match waiting {
        Waiting::Never => ResolveFlag::from_bits_retain(RESOLVE_CACHED),
        Waiting::Allowed => ResolveFlag::empty(),
    }
}

/// What a descriptor is of, and what is known of it.
///
/// # Errors
/// Those of fstat(2).
pub fn status(descriptor: BorrowedFd<'_>) -> io::Result<FileStat> {
    Ok(fstat(descriptor)?)
}

/// What a client may be told of a file.
pub fn file_status(stat: &FileStat) -> FileStatus {
    FileStatus {
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: u64::try_from(stat.st_mtime).unwrap_or(0),
        nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        inode: stat.st_ino,
    }
}

/// A regular file that is open for reading.
#[derive(Debug)]
pub struct File {
    descriptor: OwnedFd,
    /// As it was when it was opened.
    status: FileStatus,
    identity: Option<Identity>,
    mapping: Option<Mapping>,
}

/// What tells a file from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The file system that it is on.
    pub device: u64,
    /// Which one it is there.
    pub inode: u64,
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl File {
    /// A file, and what was known of it when it was opened: no more than that is sent of it.
    pub fn new(descriptor: OwnedFd, status: FileStatus) -> File {
        File { descriptor, status, identity: None, mapping: None }
    }

    /// Whether what it was when it was opened is still there, as far as its size and the time of its
    /// last modification tell. One that has grown is taken for one that is appended to, as logs
    /// are. That asks the inode only, which an open file has in memory.
    pub fn is_unchanged(&self) -> bool {
        let stat = status(self.descriptor.as_fd());
        stat.map(|stat| file_status(&stat))
            .is_ok_and(|now| now.size > self.status.size || now == self.status)
    }

    /// The same, and known by what tells it from others.
    #[must_use]
    pub fn identified_by(mut self, stat: &FileStat) -> File {
        self.identity = Some(Identity { device: stat.st_dev, inode: stat.st_ino });
        self
    }

    /// What tells it from other files.
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Whether bytes are in memory, as far as the kernel tells.
    pub fn residence(&self, range: ByteRange) -> Residence {
        residence(self.descriptor.as_fd(), range)
    }

    /// Whether these bytes are in memory, so that sending them does not wait for a disk.
    pub fn is_cached(&self, range: ByteRange) -> bool {
        self.residence(range) != Residence::Missing
    }

    /// Brings a range into memory, and waits for it: for a thread that may. Says how it went only
    /// by an error.
    ///
    /// All of the range is asked for first, so that the disk has all of it to do at once. Then a
    /// byte here and there is read, the last one first: what is waited for in the end has come
    /// with it. To read every byte instead cost a third more of CPU time for each cold GiB where
    /// this was written, and to leave it to the kernel's own reading ahead depends on how that is
    /// set: twice as fast with 8 MiB of it, and half as fast with the usual 128 KiB.
    ///
    /// # Errors
    /// The disk's.
    pub fn read_ahead(&self, range: ByteRange) -> io::Result<()> {
        let (start, length) = (as_offset(range.start), as_offset(range.length()));
        // Without it the reads below are slower, and that is all.
        let advice = PosixFadviseAdvice::POSIX_FADV_WILLNEED;
        let _unadvised = posix_fadvise(&self.descriptor, start, length, advice).is_err();
        let mut end = range.end;
        while end > range.start {
            // Where the file has become shorter there is none, which whoever sends it finds out.
            self.read(end - 1, &mut [0])?;
            end = end.saturating_sub(SAMPLE_BYTES).max(range.start);
        }
        Ok(())
    }

    /// Reads bytes at an offset. 0 is the end of the file.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        transfer::uninterrupted(|| pread(&self.descriptor, buffer, as_offset(offset)))
    }

    /// Sends bytes of a range to a socket by `sendfile(2)`, as far as it takes them. 0 is the end
    /// of the file: it is shorter than it was.
    ///
    /// # Errors
    /// `EAGAIN` when the socket is full. `EINVAL`: this file cannot be sent so. The socket's, or
    /// the disk's (`EIO`).
    pub fn send(&self, range: ByteRange, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let max = usize::try_from(range.length()).unwrap_or(usize::MAX);
        transfer::send_file(self.descriptor.as_fd(), range.start, socket, max)
    }

    /// Sends bytes of a range to a socket from where the file is mapped, but for those of its last
    /// page, which are read. 0 is the end of the file.
    ///
    /// A file that has become shorter is no danger: nothing here reads what is mapped. Only the
    /// kernel does, on behalf of `send(2)`, and where a page is gone it does not raise `SIGBUS` as
    /// it would for an instruction of this process, but fails with `EFAULT`. What lies behind the
    /// new end in the last page that is left would be sent as zeros. If that is not the last page
    /// of what is to be sent, then the next one is missing, and all ends there. If it is, nobody
    /// would ever know; `read(2)` does not go beyond the end.
    ///
    /// # Errors
    /// `EAGAIN` when the socket is full. `ENODEV`, `ENOMEM`: this file cannot be mapped. The
    /// socket's.
    pub fn send_mapped(&mut self, range: ByteRange, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let page = page_bytes();
        let last_page = range.end.saturating_sub(1) / page * page;
        if range.start >= last_page {
            return self.send_read(range, socket);
        }
        let mapping = match &mut self.mapping {
            Some(mapping) => mapping,
            none => {
                let length = usize::try_from(self.status.size).ok().and_then(NonZeroUsize::new);
                let length = length.ok_or(io::ErrorKind::InvalidInput)?;
                none.insert(Mapping::of(self.descriptor.as_fd(), 0, length)?)
            }
        };
        // What is mapped is no longer than memory can be.
        match mapping.send(socket, range.start as usize, last_page as usize) {
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(0),
            sent => sent,
        }
    }

    /// Sends the beginning of a range that is no longer than a page.
    fn send_read(&self, range: ByteRange, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let most = usize::try_from(range.length()).unwrap_or(usize::MAX).min(buffer.len());
        match self.read(range.start, &mut buffer[..most])? {
            0 => Ok(0),
            read => transfer::send(socket, &buffer[..read]),
        }
    }
}

/// The unit in which files are mapped, in bytes.
fn page_bytes() -> u64 {
    static PAGE_BYTES: OnceLock<u64> = OnceLock::new();
    // Where it cannot be told, the largest that Linux has on any machine.
    *PAGE_BYTES.get_or_init(|| {
        let bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
        bytes.ok().flatten().and_then(|it| u64::try_from(it).ok()).unwrap_or(65_536)
    })
}

/// No file is so long that its offsets do not fit.
fn as_offset(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    const WHOLE: ByteRange = ByteRange { start: 0, end: 20_000 };

    fn file(directory: &tempfile::TempDir) -> File {
        let path = directory.path().join("file");
        let bytes: Vec<u8> = (0..WHOLE.end).map(|index| index as u8).collect();
        fs::write(&path, bytes).unwrap();
        let root = open_root(directory.path(), Waiting::Allowed).unwrap();
        let opened = open_beneath(root.as_fd(), b"file", Waiting::Allowed, false).unwrap();
        let status = file_status(&status(opened.as_fd()).unwrap());
        assert_eq!(status.size, WHOLE.end);
        File::new(opened, status)
    }

    #[test]
    fn bytes_are_sent_in_every_way() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = file(&directory);
        let range = ByteRange { start: 10, end: 15 };
        let (sink, mut peer) = UnixStream::pair().unwrap();
        let mut received = [0; 5];
        assert_eq!(file.send(range, sink.as_fd()).unwrap(), 5);
        peer.read_exact(&mut received).unwrap();
        assert_eq!(received, [10, 11, 12, 13, 14]);
        assert_eq!(file.send_mapped(range, sink.as_fd()).unwrap(), 5);
        peer.read_exact(&mut received).unwrap();
        assert_eq!(received, [10, 11, 12, 13, 14]);
        // But for the last page of it.
        let pages = ByteRange { start: 10, end: 2 * page_bytes() + 5 };
        if pages.end <= WHOLE.end {
            assert_eq!(file.send_mapped(pages, sink.as_fd()).unwrap() as u64, pages.end - 15);
            let mut received = vec![0; pages.end as usize - 15];
            peer.read_exact(&mut received).unwrap();
            assert!(received.iter().zip(10..).all(|(byte, index)| *byte == index as u8));
        }
        let (mut reader, writer) = io::pipe().unwrap();
        assert_eq!(transfer::splice_file(file.as_fd(), 10, writer.as_fd(), 5).unwrap(), 5);
        reader.read_exact(&mut received).unwrap();
        assert_eq!(received, [10, 11, 12, 13, 14]);
        assert_eq!(file.read(12, &mut received).unwrap(), 5);
        assert_eq!(received, [12, 13, 14, 15, 16]);
    }

    #[test]
    fn a_file_that_has_become_shorter_ends_and_raises_no_signal() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = file(&directory);
        let (sink, _peer) = UnixStream::pair().unwrap();
        let end = ByteRange { start: 16_384, end: 20_000 };
        assert_eq!(file.send_mapped(end, sink.as_fd()).unwrap(), 3616);
        assert!(file.is_unchanged());
        let writer = fs::File::options().write(true).open(directory.path().join("file")).unwrap();
        writer.set_len(WHOLE.end + 1).unwrap();
        assert!(file.is_unchanged(), "more behind its end changes nothing of what was there");
        // In the last page, behind whose end memory is mapped that the file does not have.
        writer.set_len(16_500).unwrap();
        assert!(!file.is_unchanged());
        assert_eq!(file.send_mapped(end, sink.as_fd()).unwrap(), 116);
        let rest = ByteRange { start: 16_500, ..end };
        assert_eq!(file.send_mapped(rest, sink.as_fd()).unwrap(), 0);
        writer.set_len(100).unwrap();
        assert_eq!(file.send_mapped(end, sink.as_fd()).unwrap(), 0);
        assert_eq!(file.send(end, sink.as_fd()).unwrap(), 0);
        assert_eq!(file.read(end.start, &mut [0; 8]).unwrap(), 0);
        let (_reader, writer) = io::pipe().unwrap();
        assert_eq!(transfer::splice_file(file.as_fd(), end.start, writer.as_fd(), 8).unwrap(), 0);
        file.read_ahead(end).unwrap();
    }

    #[test]
    fn what_was_read_ahead_is_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        let file = file(&directory);
        // What was just written is there, on whichever file system.
        file.read_ahead(WHOLE).unwrap();
        let tail = ByteRange { start: 19_999, end: 20_000 };
        assert!(file.is_cached(WHOLE) && file.is_cached(tail));
        assert!(file.is_cached(ByteRange { start: 5, end: 5 }));
        // Pages that are clean can be dropped, but for those of tmpfs.
        nix::unistd::fsync(&file.descriptor).unwrap();
        let all = (0, as_offset(WHOLE.end));
        posix_fadvise(&file.descriptor, all.0, all.1, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
            .unwrap();
        if !file.is_cached(WHOLE) {
            assert!(!file.is_cached(tail));
            file.read_ahead(WHOLE).unwrap();
            assert!(file.is_cached(WHOLE) && file.is_cached(tail));
        }
    }
}
