//! The files that are sent: without names, so that nothing is left of them however the program
//! ends.
//!
//! Most of it is one file. What is sent from the disk in small transfers has files of its own, of
//! just that length: the kernel reads ahead, on some disks 8 MiB at once, but never past the end of
//! a file. From places of a large file all but the first transfer would find its bytes in memory.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::sys::uio::pread;

use crate::config::units::show_size;
use crate::measure::page_cache::{Dropper, Place, is_in_memory};
use crate::measure::results::Dropped;
use crate::measure::technique::open_file;
use crate::measure::way::Method;

/// What is written with one call.
const WRITE_BYTES: usize = 1 << 20;

/// Transfers of this size and more are taken from places of the large file.
const OWN_FILE_BYTES_MAX: u64 = 4 << 20;

/// Files of each smaller size: so many transfers are measured from the disk in one sample.
const FILES_OF_A_SIZE: usize = 32;

/// How far apart places of the large file are that are read from the disk: more than the kernel
/// reads ahead of any disk with usual settings. Whether it was enough is asked before each transfer.
const GAP_BYTES: u64 = 16 << 20;

/// Places begin at multiples of this, which is one of any page size that Linux knows.
const ALIGNMENT: u64 = 64 << 10;

/// What direct I/O is tried with: offset, length and address are multiples of the block of any disk
/// in use.
const BLOCK_BYTES: usize = 4096;

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

/// The scratch files.
#[derive(Debug)]
pub struct Scratch {
    file: File,
    bytes: u64,
    /// Those of each small size.
    small: Vec<(u64, Vec<File>)>,
    directory: PathBuf,
    dropper: Dropper,
    /// Why reads with `O_DIRECT` do not go past the page cache, if that is so.
    buffered: Option<String>,
}

impl Scratch {
    /// Writes a file of `bytes` bytes, and small ones for those of `sizes` that are small, into
    /// `directory`. With `may_drop_all` the page cache of the whole machine may be dropped, where
    /// that of the files alone cannot be.
    ///
    /// # Errors
    /// No such directory, no permission, or no room.
    pub fn create(
        directory: &Path,
        bytes: u64,
        sizes: &[u64],
        may_drop_all: bool,
    ) -> Result<Scratch, ScratchError> {
        let failure = |error| ScratchError { directory: directory.to_owned(), bytes, error };
        let write = |bytes: u64| {
            let file = tempfile::tempfile_in(directory)?;
            fill(&file, bytes)?;
            Ok(file)
        };
        let file = write(bytes).map_err(failure)?;
        // The page cache gives up nothing that is not on the disk. The advice to do so, given here for
        // the first time, has small files written without anybody waiting for each.
        file.sync_all().map_err(failure)?;
        let mut small = Vec::new();
        for size in sizes.iter().filter(|size| **size < OWN_FILE_BYTES_MAX) {
            let files: io::Result<Vec<File>> = (0..FILES_OF_A_SIZE).map(|_| write(*size)).collect();
            let files = files.map_err(failure)?;
            for file in &files {
                let advised = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
                advised.map_err(|error| failure(error.into()))?;
            }
            small.push((*size, files));
        }
        let dropper = Dropper::new(may_drop_all);
        let whole = Place { file: &file, offset: 0, bytes };
        dropper.drop(&[whole]).map_err(failure)?;
        let buffered = why_buffered(&file, &dropper).map_err(failure)?;
        let directory = directory.to_owned();
        Ok(Scratch { file, bytes, small, directory, dropper, buffered })
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How long all of them are together.
    pub fn bytes(&self) -> u64 {
        let small = self.small.iter().map(|(size, files)| size * files.len() as u64);
        self.bytes + small.sum::<u64>()
    }

    /// The large file.
    pub fn whole(&self) -> Place<'_> {
        Place { file: &self.file, offset: 0, bytes: self.bytes }
    }

    /// How places left the page cache, or why they did not.
    pub fn dropped(&self) -> Dropped {
        self.dropper.known()
    }

    /// Why `method` does not do here what its name says, if that is so.
    pub fn refuses(&self, method: Method) -> Option<&str> {
        self.buffered.as_deref().filter(|_| method == Method::DirectRead)
    }

    /// Places of so many bytes, none of which was in the page cache just now. Reading one may read
    /// ahead into the next, so whoever wants to be certain asks again before each.
    ///
    /// # Errors
    /// Why they stay there, in words for people.
    pub fn uncached(&self, bytes: u64) -> Result<Vec<Place<'_>>, String> {
        let own = self.small.iter().find(|(size, _)| *size == bytes);
        let places: Vec<Place<'_>> = match own {
            Some((_, files)) => files.iter().map(|file| Place { file, offset: 0, bytes }).collect(),
            None => {
                let step = (bytes + GAP_BYTES).next_multiple_of(ALIGNMENT);
                let places = self.bytes.saturating_sub(bytes) / step + 1;
                let offsets = (0..places).map(|place| place * step);
                offsets.map(|offset| Place { offset, bytes, ..self.whole() }).collect()
            }
        };
        match self.dropper.drop(&places) {
            Ok(Dropped::Not(because)) => Err(format!("the page cache keeps it: {because}")),
            Ok(_) => Ok(places),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Why a direct read does not go past the page cache; `None` where it does, where there is no
/// direct I/O at all, which shows when it is measured, and where one cannot tell, since nothing
/// leaves the page cache.
fn why_buffered(file: &File, dropper: &Dropper) -> io::Result<Option<String>> {
    if is_in_memory(file)? {
        let because = "a tmpfs has no disk: a direct read is served from memory all the same";
        return Ok(Some(because.to_owned()));
    }
    let Ok(direct) = open_file(Method::DirectRead, file.as_fd()) else { return Ok(None) };
    let block = Place { file, offset: 0, bytes: BLOCK_BYTES as u64 };
    if let Dropped::Not(_) = dropper.drop(&[block])? {
        return Ok(None);
    }
    let mut memory = vec![0; 2 * BLOCK_BYTES];
    let first = memory.as_ptr().align_offset(BLOCK_BYTES);
    if pread(&direct, &mut memory[first..][..BLOCK_BYTES], 0).is_err() || block.is_absent()? {
        return Ok(None);
    }
    Ok(Some("this file system serves direct reads through the page cache".to_owned()))
}

/// Bytes that no file system can store in fewer: SplitMix64 (Steele, Lea, Flood 2014).
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn it_has_no_name_and_the_length_that_was_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let sizes = [1 << 10, 64 << 10, 8 << 20];
        let scratch = Scratch::create(directory.path(), 24 << 20, &sizes, false).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(scratch.file.metadata().unwrap().len(), 24 << 20);
        assert_eq!(scratch.bytes(), (24 << 20) + 32 * (65 << 10));
        scratch.whole().warm().unwrap().unwrap();
        for size in sizes {
            let places = match scratch.uncached(size) {
                Ok(places) => places,
                Err(because) => {
                    assert!(matches!(scratch.dropped(), Dropped::Not(_)), "{because}");
                    continue;
                }
            };
            assert_eq!(places.len(), if size < 4 << 20 { 32 } else { 1 });
            assert!(places.iter().all(|place| place.bytes == size && place.is_absent().unwrap()));
        }
    }

    /// The first transfer from the disk leaves the others where they are.
    #[test]
    fn reading_one_small_place_reads_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(directory.path(), 1 << 20, &[4096], false).unwrap();
        let Ok(places) = scratch.uncached(4096) else { return };
        for (index, place) in places.iter().enumerate() {
            assert!(place.is_absent().unwrap(), "{index}");
            place.warm().unwrap().unwrap();
        }
    }

    #[test]
    fn a_tmpfs_has_no_direct_reads() {
        let Ok(scratch) = Scratch::create(Path::new("/dev/shm"), 1 << 20, &[], false) else {
            return;
        };
        if is_in_memory(&scratch.file).unwrap() {
            assert!(scratch.refuses(Method::DirectRead).unwrap().contains("tmpfs"));
            assert_eq!(scratch.refuses(Method::Sendfile), None);
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_named_in_one_line() {
        let error = Scratch::create(Path::new("/nonexistent"), 1, &[], false).err().unwrap();
        let text = error.to_string();
        assert!(text.contains("/nonexistent") && !text.contains('\n'), "{text}");
    }
}
