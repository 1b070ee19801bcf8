//! Bytes in every transfer: all of them, however the client reads and whatever happens to the file.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use spliceway::files::FileStatus;
use spliceway::http::range::ByteRange;
use spliceway::sys::file::{File, Waiting, open_beneath, open_root};

use crate::support::eventually;
use crate::support::http::Connection;
use crate::support::pattern::{Pattern, digest, read_digest, read_digest_slowly};
use crate::support::proxy::{Proxy, logged};
use crate::support::stream::Stream;
use crate::{Root, TRANSFERS, get};

const GET: &[u8] = b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
pub(crate) const BIG: u64 = 24 << 20;

/// Sends a request, and reads the head of the answer to it.
pub(crate) fn begin(proxy: &Proxy, is_slow: bool) -> Stream {
    begin_with_head(proxy, is_slow).0
}

/// The same, and the head.
fn begin_with_head(proxy: &Proxy, is_slow: bool) -> (Stream, Vec<u8>) {
    let mut stream = proxy.connect();
    if is_slow {
        stream.receive_little_ahead();
    }
    stream.write_all(GET).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&head));
    (stream, head)
}

/// Runs a check in each transfer, all at once.
pub(crate) fn in_each_transfer(check: impl Fn(&'static str) + Sync) {
    std::thread::scope(|scope| {
        for transfer in TRANSFERS {
            let named = std::thread::Builder::new().name(transfer.to_owned());
            named.spawn_scoped(scope, || check(transfer)).unwrap();
        }
    });
}

pub(crate) fn serve(root: &Root, transfer: &str) -> Proxy {
    root.serve(&format!(", transfer = \"{transfer}\""))
}

#[test]
fn every_byte_arrives_by_the_way_that_was_asked_for() {
    let root = Root::new();
    root.write_pattern("big", 7, BIG);
    let sizes = [0_u64, 1, 100, 4096, 65_536, 300_001, 1 << 20, (1 << 20) + 1];
    for size in sizes {
        root.write_pattern(&size.to_string(), size, size);
    }
    in_each_transfer(|transfer| {
        let proxy = serve(&root, transfer);
        // One after the other on one connection, so that an end in the wrong place is seen.
        let mut connection = Connection::open(&proxy.address());
        for size in sizes {
            let answer = connection.exchange(format!("GET /{size} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let mut expected = vec![0; usize::try_from(size).unwrap()];
            Pattern::new(size).fill(&mut expected);
            assert!(answer.body == expected, "{size} by {transfer}");
        }
        let (mut stream, head) = begin_with_head(&proxy, false);
        let (found, end) = read_digest(&mut stream);
        assert_eq!((found, end.is_ok()), (digest(7, BIG), true));
        let path = match transfer {
            "sendfile" | "splice" => transfer,
            _ => "copy",
        };
        let labels = |path| [("direction", "downstream"), ("path", path)];
        let all = (sizes.iter().sum::<u64>() + BIG) as f64;
        let name = "spliceway_relay_bytes_total";
        proxy.await_metric(name, &labels(path), |bytes| bytes >= all);
        let copied = proxy.metrics().sum(name, &labels("copy"));
        assert_eq!(copied, if path == "copy" { all } else { 0.0 }, "bytes were copied");
        let line = logged(&proxy, "path", "/big");
        let bytes = |key: &str| line[format!("downstream_bytes_{key}")].as_u64().unwrap();
        // Nothing but the head is copied, and all of the body is what it should be.
        let of_head = head.len() as u64;
        let (copied, spliced, sent) = match path {
            "sendfile" => (of_head, 0, BIG),
            "splice" => (of_head, BIG, 0),
            _ => (of_head + BIG, 0, 0),
        };
        let found = (bytes("copied"), bytes("spliced"), bytes("sendfile"));
        assert_eq!(found, (copied, spliced, sent), "{line}");
        assert_eq!(line["reason"], "completed", "{line}");
    });
}

/// Heads are no bytes of anybody's: what is not copied is nothing of a file at all.
#[test]
fn a_gibibyte_is_sent_and_nothing_of_it_copied() {
    const GIBIBYTE: u64 = 1 << 30;
    let root = Root::new();
    root.write_pattern("big", 13, GIBIBYTE);
    let expected = std::thread::spawn(|| digest(13, GIBIBYTE));
    let proxy = root.serve("");
    let (found, end) = read_digest(&mut begin(&proxy, false));
    end.unwrap();
    assert_eq!(found, expected.join().unwrap());
    let name = "spliceway_relay_bytes_total";
    let of_path = |path| [("direction", "downstream"), ("path", path)];
    proxy.await_metric(name, &of_path("sendfile"), |bytes| bytes == GIBIBYTE as f64);
    assert_eq!(proxy.metrics().sum(name, &of_path("copy")), 0.0);
}

/// Bandwidth holds bytes back, and changes none.
#[test]
fn limits_of_bandwidth_hold_for_files() {
    const BYTES: u64 = 8 << 20;
    let root = Root::new();
    root.write_pattern("big", 17, BYTES);
    in_each_transfer(|transfer| {
        let keys = format!(", transfer = \"{transfer}\"");
        let limits = "limits.client_bandwidth = \"8MiB/s burst 512KiB\"";
        let proxy = root.serve_as(&keys, "", limits);
        let began = std::time::Instant::now();
        let (found, end) = read_digest(&mut begin(&proxy, false));
        end.unwrap();
        assert_eq!(found, digest(17, BYTES), "{transfer}");
        // A bound below, which no slow machine breaks.
        let least = (BYTES - (512 << 10)) as f64 / f64::from(8 << 20);
        assert!(began.elapsed().as_secs_f64() >= least * 0.99, "{:?}", began.elapsed());
        let labels = [("direction", "downstream")];
        proxy.await_metric("spliceway_bandwidth_pauses_total", &labels, |pauses| pauses > 0.0);
    });
}

#[test]
fn slow_readers_get_everything_too() {
    let root = Root::new();
    root.write_pattern("big", 3, 3 << 20);
    in_each_transfer(|transfer| {
        let proxy = serve(&root, transfer);
        let (found, end) = read_digest_slowly(&mut begin(&proxy, true));
        assert_eq!((found, end.is_ok()), (digest(3, 3 << 20), true));
    });
}

#[test]
fn thousands_of_small_files() {
    const COUNT: usize = 3000;
    let root = Root::new();
    for index in 0..COUNT {
        root.write(&format!("{}/{index}", index % 7), format!("file {index}"));
    }
    in_each_transfer(|transfer| {
        let proxy = serve(&root, transfer);
        let mut connection = Connection::open(&proxy.address());
        for batch in (0..COUNT).collect::<Vec<_>>().chunks(50) {
            // Pipelined: the answers come in order all the same.
            let request =
                |index: &usize| format!("GET /{}/{index} HTTP/1.1\r\nHost: a\r\n\r\n", index % 7);
            connection.send(batch.iter().map(request).collect::<String>());
            for index in batch {
                assert_eq!(connection.read_response("GET").text(), format!("file {index}"));
            }
        }
        drop(connection);
        proxy.await_closed("completed", 1.0);
        let open = fs::read_dir(format!("/proc/{}/fd", proxy.pid())).unwrap();
        let targets = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        // The root itself stays open for a moment.
        let is_left = |target: &std::path::PathBuf| {
            target.starts_with(root.folder()) && target != root.folder()
        };
        assert_eq!(targets.filter(is_left).count(), 0, "no file stays open");
    });
}

/// Bytes that the threads have read which wait for disks.
pub(crate) fn read_by_threads(proxy: &Proxy) -> u64 {
    read_by(proxy, "file-", "rchar: ")
}

/// What a line of the books says of all threads of a kind.
fn read_by(proxy: &Proxy, kind: &str, line: &str) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", proxy.pid())).unwrap();
    let read = tasks.filter_map(|task| {
        let task = task.unwrap().path();
        let is_ours = fs::read_to_string(task.join("comm")).ok()?.starts_with(kind);
        let books = fs::read_to_string(task.join("io")).ok().filter(|_| is_ours)?;
        let bytes = books.lines().find_map(|it| it.strip_prefix(line))?;
        bytes.parse::<u64>().ok()
    });
    read.sum()
}

/// Drops what of a file is in memory, and says whether that was possible: it is not on tmpfs.
pub(crate) fn evict(root: &Root, name: &str) -> bool {
    let directory = open_root(root.folder(), Waiting::Allowed).unwrap();
    let file = open_beneath(directory.as_fd(), name.as_bytes(), Waiting::Allowed, false).unwrap();
    nix::unistd::fsync(&file).unwrap();
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    !File::new(file, FileStatus::default()).is_cached(ByteRange { start: 0, end: BIG })
}

/// What is not in memory is read by threads, and no worker waits for a disk; what is, is not.
#[test]
fn cold_files_are_read_by_threads() {
    for transfer in TRANSFERS {
        let root = Root::new();
        root.write_pattern("big", 11, BIG);
        let proxy = serve(&root, transfer);
        let (found, _) = read_digest(&mut begin(&proxy, false));
        assert_eq!((found, read_by_threads(&proxy)), (digest(11, BIG), 0), "what is hot");
        // What was hot a moment ago counts as hot, so once may not be enough.
        let (is_cold, read) = eventually("threads read what is cold", || {
            let is_cold = evict(&root, "big");
            let (found, _) = read_digest(&mut begin(&proxy, false));
            assert_eq!(found, digest(11, BIG));
            let read = read_by_threads(&proxy);
            (!is_cold || read > 0).then_some((is_cold, read))
        });
        if is_cold {
            let (found, _) = read_digest(&mut begin(&proxy, false));
            assert_eq!(found, digest(11, BIG));
            // But for a window or two that the kernel had no room for.
            let again = read_by_threads(&proxy) - read;
            assert!(
                again <= read / 8,
                "threads have read {again} of what is hot again, {read} cold"
            );
        }
    }
}

/// A file that becomes shorter while it is sent: the client sees that its body is not whole, and
/// the proxy goes on. (Where it is mapped, too.)
#[test]
fn a_file_that_is_cut_short_cuts_the_connection() {
    // Within a page, whose rest is zeros where it is mapped; and at the end of one.
    for left in [(1 << 20) + 100, 1 << 20, BIG - 5] {
        in_each_transfer(|transfer| cut_short(transfer, left));
    }
}

fn cut_short(transfer: &str, left: u64) {
    let root = Root::new();
    root.write_pattern("big", 5, BIG).write("small", "still here");
    let mut proxy = serve(&root, transfer);
    let mut stream = begin(&proxy, true);
    let file = fs::File::options().write(true).open(root.path("big")).unwrap();
    file.set_len(left).unwrap();
    let mut received = Vec::new();
    let end = stream.read_to_end(&mut received);
    assert!((received.len() as u64) < BIG, "{} bytes by {transfer}", received.len());
    let reset = end.expect_err("a body that is not whole ends by a reset");
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    let mut expected = vec![0; received.len()];
    Pattern::new(5).fill(&mut expected);
    // Behind where it ends now the kernel has cleared the rest of the page, which may still have
    // been on its way: it is the file's own.
    let is_sent = |(index, (got, written)): (usize, (&u8, &u8))| {
        got == written || (*got == 0 && index as u64 >= left)
    };
    let mut sent = received.iter().zip(&expected).enumerate();
    assert!(sent.all(is_sent), "what came is the beginning of the file");
    assert_eq!(logged(&proxy, "path", "/big")["reason"], "file_failed");
    assert!(proxy.is_running());
    assert_eq!(get(&proxy, "/small", &[]).text(), "still here");
}

/// A file that is written anew in its place while it is sent: nobody gets a mixture of both that
/// looks whole.
#[test]
fn a_file_that_is_written_over_cuts_the_connection() {
    in_each_transfer(|transfer| {
        let root = Root::new();
        root.write_pattern("big", 5, BIG);
        let proxy = serve(&root, transfer);
        let mut stream = begin(&proxy, true);
        root.write_pattern("big", 6, BIG);
        let mut received = Vec::new();
        let reset = stream.read_to_end(&mut received).expect_err("a body that is not whole");
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
        assert!((received.len() as u64) < BIG, "{} bytes by {transfer}", received.len());
        assert_eq!(logged(&proxy, "path", "/big")["reason"], "file_failed");
    });
}

/// Parts in the order of the file or against it: threads read what is cold, whichever comes first.
#[test]
fn cold_parts_are_read_by_threads() {
    let root = Root::new();
    root.write_pattern("big", 11, BIG);
    let last = BIG - 1;
    for parts in [format!("0-9, 10-{last}"), format!("{}-{last}, 0-{}", BIG - 10, BIG - 11)] {
        // One that does not remember what was in memory a moment ago.
        let proxy = root.serve("");
        if !evict(&root, "big") {
            eprintln!("skipped: this file system keeps all of its files in memory");
            return;
        }
        let before = read_by_threads(&proxy);
        let answer = get(&proxy, "/big", &[&format!("Range: bytes={parts}")]);
        assert_eq!(answer.status(), 206);
        assert!(answer.body.len() as u64 > BIG);
        // (What workers have read says nothing: the kernel reads ahead on their account as well,
        // which they do not wait for.)
        assert!(read_by_threads(&proxy) > before, "threads have read nothing of {parts}");
    }
}

/// A file that is replaced or deleted while it is sent is sent to its end as it was.
#[test]
fn a_file_that_is_replaced_is_sent_as_it_was() {
    in_each_transfer(|transfer| {
        for deletes in [false, true] {
            let root = Root::new();
            root.write_pattern("big", 5, BIG).write("next", "other");
            let proxy = serve(&root, transfer);
            let mut stream = begin(&proxy, true);
            match deletes {
                true => fs::remove_file(root.path("big")).unwrap(),
                false => fs::rename(root.path("next"), root.path("big")).unwrap(),
            }
            let (found, end) = read_digest(&mut stream);
            assert_eq!((found, end.is_ok()), (digest(5, BIG), true));
            let status = if deletes { 404 } else { 200 };
            assert_eq!(get(&proxy, "/big", &[]).status(), status);
        }
    });
}

/// Clients that go in the middle leave nothing behind.
#[test]
fn clients_that_break_off_leave_nothing_open() {
    let root = Root::new();
    root.write_pattern("big", 1, BIG);
    in_each_transfer(|transfer| {
        let proxy = serve(&root, transfer);
        let before = proxy.descriptors();
        for round in 0..20 {
            let stream = begin(&proxy, true);
            if round % 2 == 0 { stream.reset() } else { drop(stream) }
        }
        proxy.await_metric("spliceway_connections", &[], |open| open == 0.0);
        eventually("all descriptors are closed", || {
            // A root stays open for a while, and pipes are kept for others.
            (proxy.descriptors() <= before + 5).then_some(())
        });
    });
}
