//! The process log: what an operator reads on standard error.
//!
//! To the journal, lines carry the priority that it sorts by (sd-daemon(3)) and no time, because
//! the journal has its own; to anything else, time and level.

use std::fmt;
use std::os::fd::AsFd;

use nix::sys::stat::fstat;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// The environment variable that says how much is logged: a level (`error`, `warn`, `info`,
/// `debug`, `trace`), or directives of tracing-subscriber's `EnvFilter`.
pub const LEVEL_VARIABLE: &str = "SPLICEWAY_LOG";

const LEVEL_DEFAULT: &str = "info";

/// Starts logging. A value of [`LEVEL_VARIABLE`] that makes no sense is reported and replaced by
/// the default.
///
/// # Errors
/// When logging was started before.
pub fn install() -> Result<(), TryInitError> {
    let asked = std::env::var(LEVEL_VARIABLE).unwrap_or_else(|_| LEVEL_DEFAULT.to_owned());
    let (filter, complaint) = match EnvFilter::try_new(&asked) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(LEVEL_DEFAULT), Some(error)),
    };
    let stream = std::env::var("JOURNAL_STREAM").ok();
    let layout = if stderr_is_journal(stream.as_deref()) { Layout::Journal } else { Layout::Plain };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .event_format(layout)
        .finish()
        .try_init()?;
    if let Some(error) = complaint {
        tracing::warn!(
            "{LEVEL_VARIABLE}=\"{asked}\" is no level: {error}; logging at \"{LEVEL_DEFAULT}\""
        );
    }
    Ok(())
}

/// Whether `JOURNAL_STREAM`, the device and inode of the stream that systemd connected, names
/// what standard error is now; a redirection in between would make it another (systemd.exec(5)).
fn stderr_is_journal(journal_stream: Option<&str>) -> bool {
    journal_stream.is_some_and(|stream| is_stream(std::io::stderr(), stream))
}

fn is_stream(descriptor: impl AsFd, device_and_inode: &str) -> bool {
    let Some((device, inode)) = device_and_inode.split_once(':') else { return false };
    let (Ok(device), Ok(inode)) = (device.parse(), inode.parse()) else { return false };
    fstat(descriptor).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (device, inode))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Journal,
    Plain,
}

impl Layout {
    fn write_prefix(self, writer: &mut Writer<'_>, level: Level) -> fmt::Result {
        match self {
            Layout::Journal => write!(writer, "<{}>", priority(level)),
            Layout::Plain => write!(writer, "{:.3} {level:>5} ", jiff::Timestamp::now()),
        }
    }
}

/// The number of syslog(3) that the journal expects.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

impl<S, N> FormatEvent<S, N> for Layout
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        if let Some(scope) = context.event_scope() {
            for span in scope.from_root() {
                if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                    text.push(' ');
                    text.push_str(fields);
                }
            }
        }
        // A message of several lines must not lose its priority, nor pass for several messages.
        for (index, line) in text.lines().enumerate() {
            self.write_prefix(&mut writer, *event.metadata().level())?;
            writeln!(writer, "{}{line}", if index == 0 { "" } else { "  " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(layout: Layout, log: impl FnOnce()) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .event_format(layout)
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(memory.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn the_journal_gets_priorities() {
        let text = logged(Layout::Journal, || {
            tracing::error!("bad");
            tracing::warn!(port = 80, "odd");
            tracing::info!("two\nlines");
            tracing::debug!("small");
        });
        assert_eq!(text, "<3>bad\n<4>odd port=80\n<6>two\n<6>  lines\n<7>small\n");
    }

    #[test]
    fn a_terminal_gets_time_and_level() {
        let text = logged(Layout::Plain, || tracing::warn!("odd"));
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{text}");
        assert_eq!(time.len(), "2026-11-21T03:48:50.123Z".len(), "{text}");
        assert_eq!(rest, " WARN odd\n");
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let file = tempfile::tempfile().unwrap();
        let (device, inode) = {
            let metadata = file.metadata().unwrap();
            (metadata.dev(), metadata.ino())
        };
        let check = |stream: String, expected: bool| {
            assert_eq!(is_stream(&file, &stream), expected, "{stream}");
        };
        check(format!("{device}:{inode}"), true);
        check(format!("{device}:{}", inode + 1), false);
        check(format!("{}:{inode}", device + 1), false);
        check(format!("{device}"), false);
        check(String::new(), false);
        check("x:y".to_owned(), false);
        assert!(!stderr_is_journal(None));
    }
}
