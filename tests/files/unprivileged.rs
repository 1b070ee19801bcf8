//! A proxy with a user of its own, who may read what it serves and nothing more: as it should run.
//! The kernel tells such a user less of what is in memory.

use std::fs::{self, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use tempfile::TempDir;

use crate::support::http::Connection;
use crate::support::pattern::Pattern;
use crate::support::proxy::{Launch, Proxy, binary};
use crate::support::tools::{is_root, skip};
use crate::transfers::read_by_threads;
use crate::{Root, get};

const NOBODY: u32 = 65534;

fn open_to_all(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// A proxy of nobody that serves a directory. `None` where this test cannot become nobody.
fn serve(root: &Root) -> Option<(Proxy, TempDir)> {
    if !is_root() {
        skip("only root can become another user");
        return None;
    }
    open_to_all(root.folder());
    // The build directory need not be open to everybody; a copy of the binary is.
    let folder = tempfile::tempdir().unwrap();
    open_to_all(folder.path());
    let (copy, config) = (folder.path().join("spliceway"), folder.path().join("test.toml"));
    fs::copy(binary(), &copy).unwrap();
    let at = root.folder().display();
    let toml = format!(
        "[access_log]\npath = \"off\"\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
         [[listeners.web.routes]]\nfiles = {{ root = \"{at}\" }}\n"
    );
    fs::write(&config, toml).unwrap();
    let mut command = Command::new(&copy);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    let mut launch = Launch::of(command);
    launch.command().args(["run", "--config"]).arg(&config);
    launch.command().args(["--admin", "127.0.0.1:0", "--workers", "1"]);
    Some((launch.start(), folder))
}

/// Pages are missing between those that are there, where a look here and there does not find them.
#[test]
fn what_is_partly_in_memory_is_read_by_threads() {
    const BYTES: u64 = 1 << 20;
    let root = Root::new();
    root.write_pattern("file", 13, BYTES);
    let Some((proxy, _folder)) = serve(&root) else { return };
    let file = fs::File::open(root.path("file")).unwrap();
    nix::unistd::fsync(&file).unwrap();
    for advice in [PosixFadviseAdvice::POSIX_FADV_DONTNEED, PosixFadviseAdvice::POSIX_FADV_RANDOM] {
        posix_fadvise(&file, 0, 0, advice).unwrap();
    }
    for offset in (0..BYTES).step_by(32 << 10).chain([BYTES - 1]) {
        file.read_exact_at(&mut [0], offset).unwrap();
    }
    let end = spliceway::http::range::ByteRange { start: 0, end: BYTES };
    let is_cold = spliceway::sys::residence::residence(file.as_fd(), end)
        == spliceway::sys::residence::Residence::Missing;
    let mut expected = vec![0; usize::try_from(BYTES).unwrap()];
    Pattern::new(13).fill(&mut expected);
    assert!(get(&proxy, "/file", &[]).body == expected);
    let read = read_by_threads(&proxy);
    assert!(read > 0 || !is_cold, "a worker has waited for a disk");
    let mut connection = Connection::open(&proxy.address());
    for _ in 0..10 {
        let answer = connection.exchange("GET /file HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(answer.body == expected);
    }
    assert_eq!(read_by_threads(&proxy), read, "what is in memory needs no thread");
}

/// tmpfs has no disk, though it cannot be read without waiting.
#[test]
fn what_has_no_disk_needs_no_thread() {
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
        skip("/dev/shm cannot be written");
        return;
    };
    let root = Root { folder };
    root.write("small", "small").write_pattern("large", 3, 3 << 20);
    let Some((proxy, _folder)) = serve(&root) else { return };
    for _ in 0..3 {
        assert_eq!(get(&proxy, "/small", &[]).text(), "small");
        assert_eq!(get(&proxy, "/large", &[]).body.len(), 3 << 20);
    }
    assert_eq!(read_by_threads(&proxy), 0);
}

/// Who may enter a directory finds the files in it, also where he may not see their names.
#[test]
fn what_may_be_searched_is_served() {
    let root = Root::new();
    root.write("index.html", "home").write("shut/index.html", "inside").write("secret", "secret");
    let restrict = |name: &str, mode: u32| {
        fs::set_permissions(root.path(name), Permissions::from_mode(mode)).unwrap();
    };
    restrict("shut", 0o711);
    restrict("secret", 0o600);
    let Some((proxy, _folder)) = serve(&root) else { return };
    restrict("", 0o711);
    assert_eq!(get(&proxy, "/", &[]).text(), "home");
    assert_eq!(get(&proxy, "/shut/", &[]).text(), "inside");
    assert_eq!(get(&proxy, "/shut", &[]).field("location"), Some("/shut/"));
    assert_eq!(get(&proxy, "/secret", &[]).status(), 403);
    restrict("shut", 0o700);
    assert_eq!(get(&proxy, "/shut/", &[]).status(), 403);
}
