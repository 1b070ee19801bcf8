//! Whether bytes of a file are in memory, as far as the kernel tells.
//!
//! | asked for | calls | answer |
//! |---|---|---|
//! | up to 16 KiB | they are read without waiting (`RWF_NOWAIT`) | certain |
//! | more | pages are counted (`cachestat(2)`, Linux 6.5), and the last byte is read | certain |
//! | more, of a file that this process could not write | the last byte is read, then all | certain, but dear |
//!
//! Since early 2025 the kernel counts pages only for those who own the file or may write it, which
//! a proxy with a user of its own does not. Reading costs a copy, though to the same page over and
//! over: 50 µs for 1 MiB where this was written, and 10 µs to count. So whoever asks often should
//! remember the answer for a while ([`crate::io::residency`]).
//!
//! tmpfs and ramfs do not read without waiting, but there is no disk that they would wait for.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::statfs::{FsType, TMPFS_MAGIC, fstatfs};

use crate::http::range::ByteRange;

/// What the kernel tells of bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residence {
    /// Some of them are not in memory, or nobody can say.
    Missing,
    /// All of them are in memory.
    Cached,
    /// The same, which only reading them has told.
    Read,
    /// The file system has no disk. (What of it was swapped out must be waited for like all other
    /// memory of this process.)
    Diskless,
}

/// Up to so many bytes it costs less to read them than to count their pages.
const READ_BYTES_MAX: u64 = 16 << 10;

/// Pages in which bytes are counted and read; larger ones only make it ask more than it must.
const PAGE_BYTES: usize = 4096;

/// Pages that are read by one call, where only reading tells.
const PAGES_PER_READ: usize = 256;

/// The same up to [`READ_BYTES_MAX`].
const PAGES_PER_SMALL_READ: usize = READ_BYTES_MAX as usize / PAGE_BYTES;

/// The number of `cachestat(2)`, the same for all architectures, which libc does not name.
const CACHESTAT: libc::c_long = 451;

/// `RAMFS_MAGIC` of statfs(2), which nix does not name.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Whether bytes of a file are in memory, so that sending them does not wait for a disk.
pub fn residence(file: BorrowedFd<'_>, range: ByteRange) -> Residence {
    if range.start >= range.end {
        return Residence::Cached;
    }
    if range.length() <= READ_BYTES_MAX {
        return concluded(file, range, read::<PAGES_PER_SMALL_READ>(file, range));
    }
    let counted = count(file, range);
    if counted == Count::Some {
        return Residence::Missing;
    }
    // Pages that are being read count, but their bytes cannot be had yet.
    let last = ByteRange { start: range.end - 1, end: range.end };
    let ending = read::<PAGES_PER_SMALL_READ>(file, last);
    match (ending, counted) {
        // A file system may keep its pages elsewhere, as overlayfs does. Not before the end is
        // there: to read what is missing has the kernel bring all of it, at this thread's cost.
        (Reading::Complete, Count::None | Count::Unknown) => {
            match concluded(file, range, read::<PAGES_PER_READ>(file, range)) {
                Residence::Cached => Residence::Read,
                other => other,
            }
        }
        (ending, _) => concluded(file, range, ending),
    }
}

/// What follows from a reading.
fn concluded(file: BorrowedFd<'_>, range: ByteRange, reading: Reading) -> Residence {
    match reading {
        Reading::Complete => Residence::Cached,
        Reading::Stopped => Residence::Missing,
        Reading::Unsupported if is_diskless(file) => Residence::Diskless,
        Reading::Unsupported if count(file, range) == Count::All => Residence::Cached,
        Reading::Unsupported => Residence::Missing,
    }
}

/// What came of reading without waiting.
#[derive(Debug, Clone, Copy)]
enum Reading {
    /// All of it could be read; or what cannot be read at all is for whoever sends it to find out.
    Complete,
    /// Something was not in memory, or the file has become shorter.
    Stopped,
    /// This file system does not read without waiting.
    Unsupported,
}

/// Reads `PAGES` by one call.
fn read<const PAGES: usize>(file: BorrowedFd<'_>, range: ByteRange) -> Reading {
    // All into the same page: nobody wants the bytes.
    let mut page = MaybeUninit::<[u8; PAGE_BYTES]>::uninit();
    let whole = libc::iovec { iov_base: page.as_mut_ptr().cast(), iov_len: PAGE_BYTES };
    let mut places = [whole; PAGES];
    let mut offset = range.start;
    while offset < range.end {
        let left = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
        let asked = left.min(PAGES * PAGE_BYTES);
        let count = asked.div_ceil(PAGE_BYTES);
        places[count - 1].iov_len = asked - (count - 1) * PAGE_BYTES;
        // SAFETY: there are `count` entries at least, each of which names a page, or some of it,
        // that lives until the call returns and that nobody reads meanwhile.
        let read = unsafe {
            libc::preadv2(
                file.as_raw_fd(),
                places.as_ptr(),
                count as libc::c_int,
                libc::off64_t::try_from(offset).unwrap_or(libc::off64_t::MAX),
                libc::RWF_NOWAIT,
            )
        };
        match Errno::result(read) {
            Ok(read) if read.cast_unsigned() == asked => offset += asked as u64,
            Ok(_) | Err(Errno::EAGAIN) => return Reading::Stopped,
            Err(Errno::EINTR) => {}
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return Reading::Unsupported,
            Err(_) => return Reading::Complete,
        }
    }
    Reading::Complete
}

/// How many pages of a range are in memory.
#[derive(PartialEq, Eq)]
enum Count {
    None,
    Some,
    All,
    Unknown,
}

fn count(file: BorrowedFd<'_>, range: ByteRange) -> Count {
    /// `struct cachestat_range`
    #[repr(C)]
    struct Asked {
        offset: u64,
        length: u64,
    }
    /// `struct cachestat`
    #[repr(C)]
    #[derive(Default)]
    struct Counted {
        cached: u64,
        dirty: u64,
        writeback: u64,
        evicted: u64,
        recently_evicted: u64,
    }
    let asked = Asked { offset: range.start, length: range.length() };
    let mut counted = Counted::default();
    // SAFETY: both structures are as the kernel has them, and live until the call returns.
    let called = unsafe {
        let counted = &raw mut counted;
        libc::syscall(CACHESTAT, file.as_raw_fd(), &raw const asked, counted, 0)
    };
    let page = PAGE_BYTES as u64;
    let pages = (range.end - 1) / page - range.start / page + 1;
    match (called, counted.cached) {
        (0, 0) => Count::None,
        (0, cached) if cached < pages => Count::Some,
        (0, _) => Count::All,
        _ => Count::Unknown,
    }
}

fn is_diskless(file: BorrowedFd<'_>) -> bool {
    fstatfs(file).is_ok_and(|found| matches!(found.filesystem_type(), TMPFS_MAGIC | RAMFS_MAGIC))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;
    use std::path::Path;

    use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

    use super::*;

    const RANGES: [ByteRange; 5] = [
        ByteRange { start: 0, end: 300_001 },
        ByteRange { start: 0, end: 4096 },
        ByteRange { start: 300_000, end: 300_001 },
        ByteRange { start: 5000, end: 40_000 },
        ByteRange { start: 7, end: 7 },
    ];

    #[test]
    fn what_was_written_is_in_memory_until_it_is_dropped() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &vec![7; 300_001]).unwrap();
        for range in RANGES {
            assert_ne!(residence(file.as_fd(), range), Residence::Missing, "{range:?}");
        }
        // Only pages that are clean can be dropped.
        nix::unistd::fsync(&file).unwrap();
        for range in &RANGES[..4] {
            // To ask has the kernel read ahead, so they are dropped each time.
            posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
            if count(file.as_fd(), RANGES[0]) == Count::None {
                assert_eq!(residence(file.as_fd(), *range), Residence::Missing, "{range:?}");
            }
        }
    }

    #[test]
    fn all_of_it_is_read_where_nobody_counts() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes = 3 * PAGES_PER_READ * PAGE_BYTES + 5;
        std::io::Write::write_all(&mut file, &vec![7; bytes]).unwrap();
        if is_diskless(file.as_fd()) {
            return;
        }
        for (start, end) in [(0, bytes), (1, bytes), (4095, 4097), (bytes - 1, bytes)] {
            let range = ByteRange { start: start as u64, end: end as u64 };
            let found = read::<PAGES_PER_READ>(file.as_fd(), range);
            assert!(matches!(found, Reading::Complete), "{range:?}");
        }
        let longer = ByteRange { start: 0, end: bytes as u64 + 1 };
        assert!(matches!(read::<PAGES_PER_READ>(file.as_fd(), longer), Reading::Stopped));
    }

    #[test]
    fn a_file_system_without_a_disk_keeps_nobody_waiting() {
        let shared_memory = Path::new("/dev/shm");
        let Ok(directory) = tempfile::tempdir_in(shared_memory) else { return };
        let path = directory.path().join("file");
        fs::write(&path, vec![7; 300_001]).unwrap();
        let file = fs::File::open(path).unwrap();
        if is_diskless(file.as_fd()) {
            for range in &RANGES[..4] {
                let found = residence(file.as_fd(), *range);
                assert!(matches!(found, Residence::Diskless | Residence::Cached), "{range:?}");
            }
        }
    }
}
