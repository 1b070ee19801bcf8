//! A part of a file in the memory of the process (mmap(2)).

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::transfer::uninterrupted;

/// A part of a file, mapped for reading; unmapped when dropped.
///
/// The process never looks at the bytes itself: only the kernel does, on its behalf. Should the
/// file be cut short meanwhile, a call returns `EFAULT`, where a look would be a SIGBUS.
#[derive(Debug)]
pub struct Mapping {
    address: NonNull<c_void>,
    length: NonZeroUsize,
}

// SAFETY: an address, at which nothing is read or written by this process. It is valid until the
// value is dropped, in whichever thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `length` bytes from `offset` on, a multiple of the page size.
    ///
    /// # Errors
    /// As mmap(2): `EINVAL` for an offset that is none, `ENODEV` where the file cannot be mapped.
    pub fn of(file: BorrowedFd<'_>, offset: u64, length: NonZeroUsize) -> io::Result<Mapping> {
        let offset = i64::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: the kernel chooses the address, so nothing that is mapped already is replaced.
        let address = unsafe {
            mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, file, offset)
        }?;
        Ok(Mapping { address, length })
    }

    /// Sends the bytes from `start` to `end` to a socket, as far as it takes them.
    ///
    /// # Errors
    /// As send(2); `EFAULT` when the file was cut short meanwhile.
    ///
    /// # Panics
    /// When `start` is after `end`, or `end` after the end of the mapping.
    pub fn send(&self, socket: BorrowedFd<'_>, start: usize, end: usize) -> io::Result<usize> {
        assert!(start <= end && end <= self.length.get(), "a range within the mapping");
        uninterrupted(|| {
            // SAFETY: the range is within the mapping, as was just checked, and the mapping lives as
            // long as `self`. That the pages behind it are there is not needed: the kernel checks.
            let sent = unsafe {
                let first = self.address.as_ptr().cast::<u8>().add(start);
                libc::send(socket.as_raw_fd(), first.cast(), end - start, libc::MSG_NOSIGNAL)
            };
            usize::try_from(sent).map_err(|_| nix::Error::last())
        })
    }

    /// How many of its pages are in the page cache (mincore(2)).
    ///
    /// # Errors
    /// As mincore(2).
    pub fn resident_pages(&self, page_size: usize) -> io::Result<usize> {
        let mut pages = vec![0_u8; self.length.get().div_ceil(page_size)];
        // SAFETY: the range is the mapping, and `pages` has a byte for each of its pages.
        let outcome =
            unsafe { libc::mincore(self.address.as_ptr(), self.length.get(), pages.as_mut_ptr()) };
        if outcome < 0 {
            return Err(io::Error::last_os_error());
        }
        // The lowest bit of each says it; the others are reserved.
        Ok(pages.iter().filter(|page| **page & 1 == 1).count())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is that of mmap, and nothing refers to it any more. The call cannot
        // fail for such a range; were it to, the memory would stay until the process ends.
        let _unmapped = unsafe { munmap(self.address, self.length.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_mapping_is_sent_and_a_cut_file_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[b'a'; 4096]).unwrap();
        file.write_all(b"hello").unwrap();
        let length = NonZeroUsize::new(4101).unwrap();
        let mapping = Mapping::of(file.as_fd(), 0, length).unwrap();
        let (sender, mut receiver) = UnixStream::pair().unwrap();
        assert_eq!(mapping.send(sender.as_fd(), 4096, 4101).unwrap(), 5);
        let mut received = [0; 5];
        receiver.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"hello");
        assert_eq!(mapping.resident_pages(4096).unwrap(), 2);

        file.set_len(4096).unwrap();
        let error = mapping.send(sender.as_fd(), 4096, 4101).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
    }
}
