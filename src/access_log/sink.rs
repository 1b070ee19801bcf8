//! Where lines go: a bounded queue, a thread that empties it, a target that can be reopened.
//!
//! Three things may go wrong, and none of them touches traffic. The target is slow: the queue
//! fills and further lines are dropped. A write fails: what was to be written is dropped, and the
//! error is reported, at most once a minute. Reopening fails: the file that is open stays in use.
//! Every dropped line is counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::config::LogTarget;

/// Lines that wait for the thread that writes them, before further ones are dropped.
pub const LINES_QUEUED_MAX: usize = 16 * 1024;

/// Bytes of such lines. Lines of TCP stay below it; those of HTTP may be as long as a client
/// likes, within bounds.
pub const QUEUED_BYTES_MAX: usize = 16 << 20;

/// Bytes that are gathered while lines come faster than one by one.
const WRITE_BYTES: usize = 64 * 1024;

/// A target that fails is reported that often at most.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Takes the lines of all workers. Clones lead to the same target; the last one to be dropped
/// waits for queued lines to be written, a second at most.
#[derive(Debug, Clone)]
pub struct AccessLogSink(Option<Open>);

#[derive(Debug, Clone)]
struct Open {
    queue: NonBlocking,
    overflowed: ErrorCounter,
    backlog: Arc<Backlog>,
    failed: Arc<AtomicU64>,
    file: Option<ReopenableFile>,
    _flush_on_drop: Arc<WorkerGuard>,
}

/// What was handed over and not yet taken up by the thread that writes.
#[derive(Debug, Default)]
struct Backlog {
    lines: AtomicUsize,
    bytes: AtomicUsize,
    /// Lines that found no room.
    refused: AtomicU64,
}

impl Backlog {
    /// Takes up room for a line, if there is any.
    fn reserve(&self, bytes: usize) -> bool {
        let lines = self.lines.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let has_room = lines < LINES_QUEUED_MAX && before + bytes <= QUEUED_BYTES_MAX;
        if !has_room {
            self.release(bytes);
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    fn release(&self, bytes: usize) {
        self.lines.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The access log cannot be opened.
#[derive(Debug)]
pub struct AccessLogError {
    /// The file that was asked for.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl std::fmt::Display for AccessLogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "access_log.path: cannot open \"{}\" for appending: {}; name a file that this user \
             may write, or \"stdout\", \"stderr\" or \"off\"",
            self.path.display(),
            self.source
        )
    }
}

impl std::error::Error for AccessLogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl AccessLogSink {
    /// Opens the target and starts the thread that writes to it.
    ///
    /// # Errors
    /// When the target is a file that cannot be opened for appending.
    pub fn open(target: &LogTarget) -> Result<AccessLogSink, AccessLogError> {
        let (target, file): (Box<dyn Write + Send>, _) = match target {
            LogTarget::Off => return Ok(AccessLogSink(None)),
            LogTarget::Stdout => (Box::new(io::stdout()), None),
            LogTarget::Stderr => (Box::new(io::stderr()), None),
            LogTarget::File(path) => {
                let file = ReopenableFile::open(path)?;
                (Box::new(file.clone()), Some(file))
            }
        };
        Ok(AccessLogSink::over(target, file))
    }

    fn over(target: impl Write + Send + 'static, file: Option<ReopenableFile>) -> AccessLogSink {
        let (backlog, failed) = (Arc::<Backlog>::default(), Arc::<AtomicU64>::default());
        let writer = LineWriter::new(target, Arc::clone(&backlog), Arc::clone(&failed));
        let (queue, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(LINES_QUEUED_MAX)
            .thread_name("access-log")
            .finish(writer);
        let overflowed = queue.error_counter();
        AccessLogSink(Some(Open {
            queue,
            overflowed,
            backlog,
            failed,
            file,
            _flush_on_drop: Arc::new(guard),
        }))
    }

    /// Whether lines go anywhere; if not, a worker need not write any.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Hands over one line, which ends in a line feed. Never blocks and never fails: a line that
    /// finds the queue full is dropped and counted.
    pub fn append(&mut self, line: &[u8]) {
        let Some(open) = &mut self.0 else { return };
        if open.backlog.reserve(line.len()) {
            let queued = open.queue.write_all(line);
            debug_assert!(queued.is_ok(), "a lossy queue reports no errors");
        }
    }

    /// Lines lost since the start, for want of room in the queue or because a write failed.
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |open| {
            // The queue itself has room for all that is let into it, unless its thread is gone.
            open.overflowed.dropped_lines() as u64
                + open.backlog.refused.load(Ordering::Relaxed)
                + open.failed.load(Ordering::Relaxed)
        })
    }

    /// Opens the file of that name again, after a log rotation has moved the old one away.
    /// Nothing happens where the target is no file.
    ///
    /// # Errors
    /// When it cannot be opened; lines then still go to the old file.
    pub fn reopen(&self) -> Result<(), AccessLogError> {
        match self.0.as_ref().and_then(|open| open.file.as_ref()) {
            Some(file) => file.reopen(),
            None => Ok(()),
        }
    }
}

/// Clones share the file.
#[derive(Debug, Clone)]
struct ReopenableFile {
    path: PathBuf,
    file: Arc<ArcSwap<File>>,
}

impl ReopenableFile {
    fn open(path: &Path) -> Result<ReopenableFile, AccessLogError> {
        let file = Arc::new(ArcSwap::from_pointee(open_for_appending(path)?));
        Ok(ReopenableFile { path: path.to_owned(), file })
    }

    fn reopen(&self) -> Result<(), AccessLogError> {
        self.file.store(Arc::new(open_for_appending(&self.path)?));
        Ok(())
    }
}

impl Write for ReopenableFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&**self.file.load()).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open_for_appending(path: &Path) -> Result<File, AccessLogError> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|source| AccessLogError { path: path.to_owned(), source })
}

/// Gathers lines until the queue is empty, and deals with a target that fails. To its caller, the
/// thread of `tracing-appender`, it never fails.
struct LineWriter<W> {
    target: W,
    gathered: Vec<u8>,
    /// The target's last byte is not the end of a line, because a write failed in the middle.
    torn: bool,
    backlog: Arc<Backlog>,
    failed: Arc<AtomicU64>,
    reported_at: Option<Instant>,
}

impl<W: Write> LineWriter<W> {
    fn new(target: W, backlog: Arc<Backlog>, failed: Arc<AtomicU64>) -> LineWriter<W> {
        let gathered = Vec::with_capacity(WRITE_BYTES);
        LineWriter { target, gathered, torn: false, backlog, failed, reported_at: None }
    }

    fn write_gathered(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        if self.torn && self.write_counting(b"\n").is_ok() {
            self.torn = false;
        }
        let gathered = std::mem::take(&mut self.gathered);
        if let Err((written, error)) = self.write_counting(&gathered) {
            let (done, lost) = gathered.split_at(written);
            self.torn = match done.last() {
                Some(byte) => *byte != b'\n',
                None => self.torn,
            };
            self.count_failure(lost.iter().filter(|byte| **byte == b'\n').count() as u64, &error);
        }
        self.gathered = gathered;
        self.gathered.clear();
    }

    /// As `write_all`, but says how much was written before the error.
    fn write_counting(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < bytes.len() {
            match self.target.write(&bytes[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        self.target.flush().map_err(|error| (written, error))
    }

    fn count_failure(&mut self, lines: u64, error: &io::Error) {
        let lost = self.failed.fetch_add(lines, Ordering::Relaxed) + lines;
        let now = Instant::now();
        if self.reported_at.is_none_or(|at| now.duration_since(at) >= REPORT_INTERVAL) {
            self.reported_at = Some(now);
            tracing::error!(
                lines_lost = lost,
                "the access log cannot be written: {error}; traffic goes on, lines are dropped \
                 and counted in spliceway_access_log_dropped_total"
            );
        }
    }
}

impl<W: Write> Write for LineWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.backlog.release(line.len());
        if self.gathered.len() + line.len() > WRITE_BYTES {
            self.write_gathered();
        }
        self.gathered.extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_gathered();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    /// Dropping the last clone writes what is queued.
    fn write_and_close(mut sink: AccessLogSink, line: &str) {
        sink.append(line.as_bytes());
        drop(sink);
    }

    #[test]
    fn lines_are_appended_to_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        std::fs::write(&path, "before\n").unwrap();
        let mut sink = AccessLogSink::open(&LogTarget::File(path.clone())).unwrap();
        assert!(sink.is_on());
        sink.clone().append(b"one\n");
        sink.append(b"two\n");
        assert_eq!(sink.dropped(), 0);
        drop(sink);
        assert_eq!(read(&path), "before\none\ntwo\n");
    }

    #[test]
    fn a_rotated_file_is_left_alone_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let (path, rotated) = (folder.path().join("access.log"), folder.path().join("access.1"));
        let sink = AccessLogSink::open(&LogTarget::File(path.clone())).unwrap();
        std::fs::rename(&path, &rotated).unwrap();
        sink.reopen().unwrap();
        write_and_close(sink, "new\n");
        assert_eq!((read(&rotated).as_str(), read(&path).as_str()), ("", "new\n"));
    }

    #[test]
    fn a_file_that_cannot_be_reopened_stays_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let (path, rotated) = (folder.path().join("access.log"), folder.path().join("access.1"));
        let sink = AccessLogSink::open(&LogTarget::File(path.clone())).unwrap();
        std::fs::rename(&path, &rotated).unwrap();
        std::fs::create_dir(&path).unwrap();
        let error = sink.reopen().unwrap_err();
        assert!(error.to_string().contains("access.log"), "{error}");
        write_and_close(sink, "kept\n");
        assert_eq!(read(&rotated), "kept\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named_with_the_cause() {
        let missing = PathBuf::from("/nonexistent/access.log");
        let error = AccessLogSink::open(&LogTarget::File(missing)).unwrap_err().to_string();
        assert!(error.contains("\"/nonexistent/access.log\""), "{error}");
        assert!(error.contains("No such file or directory"), "{error}");
    }

    #[test]
    fn an_access_log_that_is_off_takes_nothing() {
        let mut sink = AccessLogSink::open(&LogTarget::Off).unwrap();
        sink.append(b"line\n");
        sink.reopen().unwrap();
        assert_eq!((sink.is_on(), sink.dropped()), (false, 0));
    }

    /// Blocks every write until the sender is gone.
    struct Blocked(mpsc::Receiver<()>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(self.0.recv().is_err(), "the gate is opened by dropping it");
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_target_that_blocks_costs_lines_and_no_time() {
        let (gate, blocked) = mpsc::channel();
        let mut sink = AccessLogSink::over(Blocked(blocked), None);
        // The thread may take up to a buffer of lines out of the queue before it blocks.
        let appended = 2 * LINES_QUEUED_MAX + WRITE_BYTES;
        for _ in 0..appended {
            sink.append(b"\n");
        }
        let dropped = sink.dropped();
        drop(gate);
        assert!(dropped > 0, "appending must not wait for the target");
        assert!(dropped <= (appended - LINES_QUEUED_MAX) as u64, "{dropped}");
    }

    #[test]
    fn long_lines_are_bounded_by_their_bytes() {
        let (gate, blocked) = mpsc::channel();
        let mut sink = AccessLogSink::over(Blocked(blocked), None);
        let line = vec![b'x'; 1 << 20];
        let fitting = QUEUED_BYTES_MAX / line.len();
        // The thread takes one out of the queue before it blocks.
        for _ in 0..2 * fitting {
            sink.append(&line);
        }
        let dropped = sink.dropped();
        drop(gate);
        assert!((fitting - 2..=fitting).contains(&(dropped as usize)), "{dropped}");
    }

    /// Takes so many bytes, fails once, and then takes everything.
    struct FailsOnce {
        room: usize,
        failed: bool,
        written: Vec<u8>,
    }

    impl Write for &mut FailsOnce {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 && !self.failed {
                self.failed = true;
                return Err(io::ErrorKind::StorageFull.into());
            }
            let count = if self.failed { bytes.len() } else { bytes.len().min(self.room) };
            self.room -= if self.failed { 0 } else { count };
            self.written.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_failed_write_loses_its_lines_and_no_other() {
        let check = |room: usize, expected: &str, lost: u64| {
            let mut target = FailsOnce { room, failed: false, written: Vec::new() };
            let failed = Arc::new(AtomicU64::new(0));
            let backlog = Arc::<Backlog>::default();
            let mut writer =
                LineWriter::new(&mut target, Arc::clone(&backlog), Arc::clone(&failed));
            for lines in [&b"one\ntwo\n"[..], b"three\n"] {
                assert!(backlog.reserve(lines.len()));
                writer.write_all(lines).unwrap();
                writer.flush().unwrap();
            }
            assert_eq!(String::from_utf8_lossy(&target.written), expected, "{room}");
            assert_eq!(failed.load(Ordering::Relaxed), lost, "{room}");
        };
        check(0, "three\n", 2);
        check(2, "on\nthree\n", 2);
        check(4, "one\nthree\n", 1);
        check(6, "one\ntw\nthree\n", 1);
        check(7, "one\ntwo\nthree\n", 1);
        check(8, "one\ntwo\n", 1);
    }
}
