//! Brings parts of files into the page cache and out of it, and looks whether they are there.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::sys::uio::pread;

use crate::measure::results::Dropped;
use crate::sys::mapping::Mapping;

/// What is read with one call.
const READ_BYTES: usize = 1 << 20;

/// The pages that residence is counted in; the kernel's own may be larger, which changes nothing,
/// as only shares are looked at.
const PAGE_BYTES: usize = 4096;

/// How much of a place may stay in the page cache where it counts as dropped: one page in so many,
/// so none of a small one. They are on their way through the socket that the warm-up has used.
const RESIDENT_PART_MAX: u64 = 50;

/// Pages that are on their way through a socket, or to the disk, stay until they have arrived. So
/// often the advice is given again, with a pause before.
const ADVICES_MAX: usize = 200;
const ADVICE_PAUSE: Duration = Duration::from_millis(5);

/// Writing a number here drops the page cache of the whole machine (proc_sys_vm(5)).
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// A part of a file.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The file.
    pub file: &'a File,
    /// Where it begins: a multiple of the page size.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
}

impl Place<'_> {
    /// Pages of it that are in the page cache, and all of its pages.
    ///
    /// # Errors
    /// As mmap(2) and mincore(2).
    fn resident_pages(&self) -> io::Result<[u64; 2]> {
        let length = usize::try_from(self.bytes).ok().and_then(NonZeroUsize::new);
        let length = length.ok_or_else(|| io::Error::other("a place of no bytes"))?;
        let mapping = Mapping::of(self.file.as_fd(), self.offset, length)?;
        let resident = mapping.resident_pages(PAGE_BYTES)? as u64;
        Ok([resident, self.bytes.div_ceil(PAGE_BYTES as u64)])
    }

    /// Whether it would have to be read from the disk: asked of the kernel, not assumed.
    ///
    /// # Errors
    /// As mmap(2) and mincore(2).
    pub fn is_absent(&self) -> io::Result<bool> {
        let [resident, all] = self.resident_pages()?;
        Ok(resident * RESIDENT_PART_MAX <= all)
    }

    /// Whether all of it is in the page cache; else how much of it is, in words for people.
    ///
    /// # Errors
    /// As mmap(2) and mincore(2).
    pub fn is_cached(&self) -> io::Result<Result<(), String>> {
        let [resident, all] = self.resident_pages()?;
        Ok(if resident == all {
            Ok(())
        } else {
            Err(format!(
                "the page cache keeps only {}% of the scratch file: memory, or this process's share \
                 of it, is short; --sizes names smaller transfers",
                resident * 100 / all
            ))
        })
    }

    /// Reads all of it that is not in the page cache; says whether all of it stayed there.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn warm(&self) -> io::Result<Result<(), String>> {
        if self.is_cached()?.is_ok() {
            return Ok(Ok(()));
        }
        let mut buffer = vec![0; READ_BYTES];
        let mut moved = 0;
        while moved < self.bytes {
            let wanted = (self.bytes - moved).min(READ_BYTES as u64) as usize;
            let at = (self.offset + moved).cast_signed();
            match pread(self.file, &mut buffer[..wanted], at)? {
                0 => break,
                read => moved += read as u64,
            }
        }
        self.is_cached()
    }
}

/// Drops places from the page cache, by the gentlest means that works.
#[derive(Debug)]
pub struct Dropper {
    may_drop_all: bool,
    /// What has worked; why nothing did, once that has proved so at the first attempt.
    known: RefCell<Option<Dropped>>,
}

impl Dropper {
    /// With `may_drop_all` the page cache of the whole machine may be dropped, where places alone
    /// do not leave it.
    pub fn new(may_drop_all: bool) -> Dropper {
        Dropper { may_drop_all, known: RefCell::new(None) }
    }

    /// What has worked so far, or why nothing did.
    pub fn known(&self) -> Dropped {
        let known = self.known.borrow().clone();
        known.unwrap_or_else(|| Dropped::Not("nothing was to be read from the disk".to_owned()))
    }

    /// Has none of the places in the page cache, if that can be had. A failure after a success is
    /// one of this time only: somebody else may have read the files.
    ///
    /// # Errors
    /// As posix_fadvise(2) and mincore(2).
    pub fn drop(&self, places: &[Place<'_>]) -> io::Result<Dropped> {
        let known = self.known.borrow().clone();
        if let Some(Dropped::Not(_)) = known {
            return Ok(self.known());
        }
        let dropped = self.attempt(places, known.as_ref())?;
        if known.is_none() || !matches!(dropped, Dropped::Not(_)) {
            self.known.replace(Some(dropped.clone()));
        }
        Ok(dropped)
    }

    fn attempt(&self, places: &[Place<'_>], known: Option<&Dropped>) -> io::Result<Dropped> {
        if let Some(place) = places.first()
            && is_in_memory(place.file)?
        {
            let because = "its directory is a tmpfs, which is nowhere but in the page cache";
            return Ok(Dropped::Not(because.to_owned()));
        }
        // Advice that was of no use at first is not given again.
        let advices = if known == Some(&Dropped::ByControl) { 0 } else { ADVICES_MAX };
        for _ in 0..advices {
            for place in places {
                posix_fadvise(place.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
            }
            if are_absent(places)? {
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
            Ok(()) if are_absent(places)? => Ok(Dropped::ByControl),
            Ok(()) => Ok(Dropped::Not("its file system keeps its pages".to_owned())),
            Err(error) => Ok(Dropped::Not(format!("{DROP_CACHES}: {error}"))),
        }
    }
}

/// Whether the file is on a tmpfs.
///
/// # Errors
/// As fstatfs(2).
pub fn is_in_memory(file: &File) -> io::Result<bool> {
    Ok(fstatfs(file)?.filesystem_type() == TMPFS_MAGIC)
}

fn are_absent(places: &[Place<'_>]) -> io::Result<bool> {
    for place in places {
        if !place.is_absent()? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(directory: &str) -> Option<File> {
        let mut file = tempfile::tempfile_in(directory).ok()?;
        file.write_all(&vec![7; 1 << 20]).unwrap();
        Some(file)
    }

    #[test]
    fn what_was_dropped_is_absent_and_what_was_read_is_cached() {
        let file = file("/var/tmp").unwrap();
        let place = Place { file: &file, offset: 256 << 10, bytes: 64 << 10 };
        place.warm().unwrap().unwrap();
        assert!(!place.is_absent().unwrap());
        let dropper = Dropper::new(false);
        match dropper.drop(&[place]).unwrap() {
            Dropped::ByAdvice => {
                assert!(place.is_absent().unwrap());
                assert!(place.is_cached().unwrap().unwrap_err().contains("0%"));
            }
            Dropped::ByControl => panic!("not without being told to"),
            Dropped::Not(reason) => assert!(!reason.is_empty()),
        }
        place.warm().unwrap().unwrap();
        assert!(place.is_cached().unwrap().is_ok());
    }

    /// What fails for good at the first attempt is not tried again; what has worked once is.
    #[test]
    fn one_failure_is_remembered_only_if_it_was_the_first_attempt() {
        let Some(file) = file("/dev/shm").filter(|file| is_in_memory(file).unwrap()) else {
            return;
        };
        let place = Place { file: &file, offset: 0, bytes: 4096 };
        let dropper = Dropper::new(false);
        assert!(matches!(dropper.drop(&[place]).unwrap(), Dropped::Not(_)));
        assert!(matches!(dropper.known(), Dropped::Not(reason) if reason.contains("tmpfs")));

        let dropper = Dropper::new(false);
        dropper.known.replace(Some(Dropped::ByAdvice));
        assert!(matches!(dropper.drop(&[place]).unwrap(), Dropped::Not(_)));
        assert_eq!(dropper.known(), Dropped::ByAdvice, "a hiccup");
    }
}
