//! The directory that a route serves, as a lookup asks it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::dir::{Dir, Type};
use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstatat};

use crate::files::listing::{ENTRIES_MAX, ENTRIES_READ_MAX, Entry, Listing};
use crate::files::lookup::{Opened, Tree};
use crate::sys::file::{
    File, Waiting, file_status, find_directory, open_beneath, open_leased, status,
};

/// How often something that was renamed meanwhile is looked up again.
const RENAMES_MAX: usize = 16;

/// What is beneath a directory.
#[derive(Debug)]
pub struct Beneath<'r> {
    root: BorrowedFd<'r>,
    waiting: Waiting,
}

impl<'r> Beneath<'r> {
    /// What is beneath `root`.
    pub fn new(root: BorrowedFd<'r>, waiting: Waiting) -> Beneath<'r> {
        Beneath { root, waiting }
    }
}

impl Tree for Beneath<'_> {
    type File = File;

    fn open(&mut self, path: &[u8]) -> io::Result<Opened<File>> {
        let mut tries = 0;
        let descriptor = loop {
            match open_beneath(self.root, path, self.waiting, false) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        && self.waiting == Waiting::Allowed =>
                {
                    tries += 1;
                    if tries > RENAMES_MAX {
                        break open_leased(self.root, path)?;
                    }
                }
                // One that may be searched but not read has files all the same.
                Err(error)
                    if error.kind() == io::ErrorKind::PermissionDenied
                        && find_directory(self.root, path, self.waiting).is_ok() =>
                {
                    return Ok(Opened::Directory);
                }
                opened => break opened?,
            }
        };
        let stat = status(descriptor.as_fd())?;
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        let status = file_status(&stat);
        Ok(match kind {
            SFlag::S_IFREG => {
                let file = File::new(descriptor, status).identified_by(&stat);
                Opened::File(file, status)
            }
            SFlag::S_IFDIR => Opened::Directory,
            _ => Opened::Other,
        })
    }

    /// A directory is read only where waiting is allowed.
    fn list(&mut self, path: &[u8], shows_hidden: bool) -> io::Result<Listing> {
        if self.waiting == Waiting::Never {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut directory = Dir::from_fd(open_beneath(self.root, path, self.waiting, true)?)?;
        let mut entries = Vec::new();
        let is_shown = |name: &[u8]| match name {
            b"." | b".." => false,
            name => shows_hidden || !name.starts_with(b"."),
        };
        let mut looked_at = 0;
        let found = directory.iter().inspect(|_| looked_at += 1).take(ENTRIES_READ_MAX);
        let found = found.filter(|found| {
            found.as_ref().map_or(true, |found| is_shown(found.file_name().to_bytes()))
        });
        let found: Vec<_> = found.take(ENTRIES_MAX + 1).collect::<Result<_, _>>()?;
        let is_cut = found.len() > ENTRIES_MAX || looked_at == ENTRIES_READ_MAX;
        for found in &found[..found.len().min(ENTRIES_MAX)] {
            let name = found.file_name();
            // What is gone again, and what is neither a file nor a directory, is left out; so are
            // symbolic links, of which nobody knows yet whether they lead outside.
            let Ok(stat) = fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) else {
                continue;
            };
            let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
            let is_file = kind == SFlag::S_IFREG;
            if found.file_type() == Some(Type::Symlink) || !(is_file || kind == SFlag::S_IFDIR) {
                continue;
            }
            let status = file_status(&stat);
            let (size, modified) = (status.size, status.modified);
            entries.push(Entry { is_file, name: name.to_bytes().to_vec(), size, modified });
        }
        Ok(Listing { entries, is_cut, has_parent: false })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::sys::file::open_root;

    /// What a path leads to, in a word.
    fn kind(root: BorrowedFd<'_>, path: &str, waiting: Waiting) -> String {
        match Beneath::new(root, waiting).open(path.as_bytes()) {
            Ok(Opened::File(_, status)) => format!("file {}", status.size),
            Ok(Opened::Directory) => "directory".to_owned(),
            Ok(Opened::Other) => "other".to_owned(),
            Err(error) => format!("{:?}", error.kind()),
        }
    }

    #[test]
    fn nothing_outside_is_found_and_nothing_makes_it_wait() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        fs::write(root.join("file"), "12345").unwrap();
        symlink("../file", root.join("sub/inside")).unwrap();
        symlink("../../secret", root.join("sub/outside")).unwrap();
        symlink(outside.path().join("secret"), root.join("absolute")).unwrap();
        symlink("/proc/self/root/etc", root.join("magic")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();
        let root = open_root(&root, Waiting::Allowed).unwrap();
        let check = |path: &str, expected: &str| {
            let found = kind(root.as_fd(), path, Waiting::Allowed);
            assert_eq!(found, expected, "{path}");
            // What has just been found is in memory, or the answer is that it may not be.
            let cached = kind(root.as_fd(), path, Waiting::Never);
            assert!(cached == expected || cached == "WouldBlock", "{path}: {cached}");
        };
        check("", "directory");
        check("sub", "directory");
        check("file", "file 5");
        check("sub/inside", "file 5");
        check("sub/../file", "file 5");
        check("fifo", "other");
        check("none", "NotFound");
        check("file/x", "NotADirectory");
        for path in ["sub/outside", "absolute", "magic", "../secret", "sub/../../secret", "/etc"] {
            check(path, "CrossesDevices");
        }
        assert!(kind(root.as_fd(), "loop", Waiting::Allowed).contains("Loop"));
        assert_eq!(kind(root.as_fd(), "file", Waiting::Never), "file 5");
        let error = Beneath::new(root.as_fd(), Waiting::Allowed).open(b"socket").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(6));
    }

    /// As Samba has one on what its clients have open.
    #[test]
    fn a_lease_is_waited_for_where_that_is_allowed() {
        use libc::{F_GETLEASE, F_SETLEASE, F_UNLCK, F_WRLCK, SIGCHLD, fcntl};
        use std::os::fd::AsRawFd;
        /// fcntl(2), which libc does not name.
        const F_SETSIG: i32 = 10;
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "12345").unwrap();
        let holder = fs::File::open(directory.path().join("file")).unwrap();
        // SAFETY: numbers only, and a descriptor that is open.
        let lease =
            |command: i32, argument: i32| unsafe { fcntl(holder.as_raw_fd(), command, argument) };
        // Whoever breaks it sends a signal; this one is ignored.
        assert_eq!(lease(F_SETSIG, SIGCHLD), 0);
        if lease(F_SETLEASE, F_WRLCK) != 0 {
            eprintln!("skipped: no leases on this file system");
            return;
        }
        let root = open_root(directory.path(), Waiting::Allowed).unwrap();
        std::thread::scope(|scope| {
            let opener = scope.spawn(|| kind(root.as_fd(), "file", Waiting::Allowed));
            // Somebody wants to read: the lease is to become one that lets him.
            while lease(F_GETLEASE, 0) == F_WRLCK {
                std::thread::yield_now();
            }
            lease(F_SETLEASE, F_UNLCK);
            assert_eq!(opener.join().unwrap(), "file 5");
        });
    }

    #[test]
    fn directories_are_listed_without_what_cannot_be_served() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("sub")).unwrap();
        fs::write(directory.path().join("file"), "12345").unwrap();
        symlink("file", directory.path().join("link")).unwrap();
        nix::unistd::mkfifo(&directory.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let root = open_root(directory.path(), Waiting::Allowed).unwrap();
        // However many hidden ones stand before it.
        for index in 0..ENTRIES_MAX + 10 {
            fs::write(directory.path().join(format!(".{index}")), "").unwrap();
        }
        let list = |shows_hidden: bool| {
            Beneath::new(root.as_fd(), Waiting::Allowed).list(b"", shows_hidden).unwrap()
        };
        let all = list(true);
        assert!(all.is_cut && all.entries.len() <= ENTRIES_MAX);
        let mut listing = list(false);
        assert!(!listing.is_cut);
        listing.entries.sort();
        let names: Vec<_> =
            listing.entries.iter().map(|entry| (entry.name.as_slice(), entry.is_file)).collect();
        assert_eq!(names, [(&b"sub"[..], false), (&b"file"[..], true)]);
        let refused = Beneath::new(root.as_fd(), Waiting::Never).list(b"", false).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    }
}
