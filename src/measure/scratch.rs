//! The file that is sent: without a name, so that nothing is left of it however the program ends.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::sys::uio::pread;

use crate::config::units::show_size;
use crate::measure::results::Dropped;
use crate::sys::mapping::Mapping;

/// What is written with one call.
const WRITE_BYTES: usize = 1 << 20;

/// The pages that residence is counted in; the kernel's own may be larger, which changes nothing,
/// as only none and some are told apart.
const PAGE_BYTES: usize = 4096;

/// How much of the file may stay in the page cache where it counts as dropped: one in so many.
const RESIDENT_PART_MAX: u64 = 50;

/// Pages that are on their way through a socket stay until they have arrived. So often the advice
/// is given again, with a pause before.
const ADVICES_MAX: usize = 200;
const ADVICE_PAUSE: Duration = Duration::from_millis(5);

/// Writing a number here drops the page cache of the whole machine (proc_sys_vm(5)).
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// Why there is no scratch file.
#[derive(Debug)]
pub struct ScratchError {
    directory: PathBuf,
    bytes: u64,
    error: io::Error,
}

impl fmt::Display for ScratchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScratchError { directory, bytes, error } = self;
        let (directory, size) = (directory.display(), show_size(*bytes));
        write!(
            f,
            "the scratch file of {size} cannot be written in {directory}: {error}; --scratch names \
             another directory, --sizes smaller transfers"
        )
    }
}

impl std::error::Error for ScratchError {}

/// The scratch file.
pub struct Scratch {
    file: File,
    bytes: u64,
    directory: PathBuf,
    may_drop_all: bool,
    /// All of it is in the page cache.
    is_cached: Cell<bool>,
    /// Why it does not leave the page cache, once that is known.
    is_kept: OnceCell<String>,
}

impl Scratch {
    /// Writes `bytes` bytes to a file without a name in `directory`. With `may_drop_all` the page
    /// cache of the whole machine may be dropped, where that of the file alone cannot be.
    ///
    /// # Errors
    /// No such directory, no permission, or no room.
    pub fn create(
        directory: &Path,
        bytes: u64,
        may_drop_all: bool,
    ) -> Result<Scratch, ScratchError> {
        let failure = |error| ScratchError { directory: directory.to_owned(), bytes, error };
        let file = tempfile::tempfile_in(directory).map_err(failure)?;
        fill(&file, bytes).map_err(failure)?;
        let is_cached = Cell::new(true);
        let (directory, is_kept) = (directory.to_owned(), OnceCell::new());
        Ok(Scratch { file, bytes, directory, may_drop_all, is_cached, is_kept })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// To be read from.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Has all of it in the page cache.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn warm(&self) -> io::Result<()> {
        if self.is_cached.get() {
            return Ok(());
        }
        let mut buffer = vec![0; WRITE_BYTES];
        let mut at = 0;
        loop {
            match pread(&self.file, &mut buffer, at)? {
                0 => break,
                read => at += read.cast_signed() as i64,
            }
        }
        self.is_cached.set(true);
        Ok(())
    }

    /// Has none of it in the page cache, if that can be had; says by which means.
    ///
    /// # Errors
    /// As posix_fadvise(2) and mincore(2).
    pub fn drop_cache(&self) -> io::Result<Dropped> {
        if let Some(because) = self.is_kept.get() {
            return Ok(Dropped::Not(because.clone()));
        }
        let dropped = self.try_drop_cache()?;
        if let Dropped::Not(because) = &dropped {
            self.is_kept.get_or_init(|| because.clone());
        }
        Ok(dropped)
    }

    fn try_drop_cache(&self) -> io::Result<Dropped> {
        if fstatfs(&self.file)?.filesystem_type() == TMPFS_MAGIC {
            let because = "its directory is a tmpfs, which is nowhere but in the page cache";
            return Ok(Dropped::Not(because.to_owned()));
        }
        self.is_cached.set(false);
        for _ in 0..ADVICES_MAX {
            posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
            if !self.is_resident()? {
                return Ok(Dropped::ByAdvice);
            }
            std::thread::sleep(ADVICE_PAUSE);
        }
        if !self.may_drop_all {
            let because = "its file system keeps pages that were advised away; as root, \
                           --drop-caches drops those of the whole machine";
            return Ok(Dropped::Not(because.to_owned()));
        }
        match fs::write(DROP_CACHES, "1") {
            Ok(()) if !self.is_resident()? => Ok(Dropped::ByControl),
            Ok(()) => Ok(Dropped::Not("its file system keeps its pages".to_owned())),
            Err(error) => Ok(Dropped::Not(format!("{DROP_CACHES}: {error}"))),
        }
    }

    fn is_resident(&self) -> io::Result<bool> {
        let length = usize::try_from(self.bytes).ok().and_then(NonZeroUsize::new);
        let length = length.ok_or_else(|| io::Error::other("a file of no bytes"))?;
        let pages = Mapping::of(self.file.as_fd(), 0, length)?.resident_pages(PAGE_BYTES)?;
        Ok(pages as u64 * PAGE_BYTES as u64 > self.bytes / RESIDENT_PART_MAX)
    }
}

/// Bytes that no file system can store in fewer: SplitMix64 (Steele, Lea, Flood 2014). They are on
/// the disk when this returns, since the page cache gives up nothing that is not.
fn fill(file: &File, bytes: u64) -> io::Result<()> {
    // A full disk shows at once; where the file system cannot reserve, it shows later.
    if let Err(error) = fallocate(file, FallocateFlags::empty(), 0, bytes.cast_signed())
        && matches!(error, nix::Error::ENOSPC | nix::Error::EFBIG | nix::Error::EDQUOT)
    {
        return Err(error.into());
    }
    let mut state = 0_u64;
    let mut buffer = vec![0; WRITE_BYTES];
    let mut left = bytes;
    while left > 0 {
        for word in buffer.chunks_exact_mut(8) {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        }
        let length = left.min(WRITE_BYTES as u64) as usize;
        (&*file).write_all(&buffer[..length])?;
        left -= length as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_no_name_and_the_length_that_was_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(directory.path(), 3 << 20, false).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(scratch.file.metadata().unwrap().len(), 3 << 20);
        match scratch.drop_cache().unwrap() {
            Dropped::ByAdvice => assert!(!scratch.is_resident().unwrap()),
            Dropped::ByControl => panic!("not without being told to"),
            Dropped::Not(reason) => assert!(!reason.is_empty()),
        }
        scratch.warm().unwrap();
        assert!(scratch.is_resident().unwrap());
    }

    #[test]
    fn a_directory_that_is_not_there_is_named_in_one_line() {
        let error = Scratch::create(Path::new("/nonexistent"), 1, false).err().unwrap();
        let text = error.to_string();
        assert!(text.contains("/nonexistent") && !text.contains('\n'), "{text}");
    }
}
