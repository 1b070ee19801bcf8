//! HAProxy, and how it is tuned in every benchmark.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::PIPE_BYTES;
use crate::rig::tls::Files;

/// What makes it splice whatever it can.
pub const SPLICE_ALWAYS: &str = "option splice-request\n option splice-response";
/// What makes it splice when it finds that a stream is worth it.
pub const SPLICE_AUTO: &str = "option splice-auto";

/// What makes it use connections to the origin again for whatever client comes next, as its manual
/// advises for servers that are trusted.
pub const REUSE_ALWAYS: &str = "http-reuse always";

/// What differs from one contestant to another.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `tcp` or `http`.
    pub mode: &'static str,
    pub threads: usize,
    /// Clients at once; those beyond wait in the backlog.
    pub connections: usize,
    /// `tune.bufsize`; `None` for the default, 16 KiB.
    pub buffer_bytes: Option<usize>,
    /// Lines of `defaults`.
    pub options: &'static str,
    /// What its clients' TLS is ended with; `None` without TLS.
    pub tls: Option<Files>,
}

/// Its name and version; `None` where it is not installed.
pub fn version() -> Option<String> {
    let printed = Command::new("haproxy").arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    Some(format!("haproxy {}", text.split_whitespace().nth(2)?))
}

/// How to run it; its configuration is written below `at`. Pipes are as large as those of the
/// bare splice loop.
///
/// # Errors
/// When the configuration cannot be written.
pub fn command(
    settings: &Settings,
    listen: SocketAddr,
    to: SocketAddr,
    at: &Path,
) -> io::Result<Command> {
    let Settings { mode, threads, connections, buffer_bytes, options, tls } = settings;
    let tls = tls.as_ref().map(|it| format!("ssl crt {}", it.both.display())).unwrap_or_default();
    let buffers = buffer_bytes.map(|bytes| format!("tune.bufsize {bytes}")).unwrap_or_default();
    let path = at.join("haproxy.cfg");
    fs::write(
        &path,
        format!(
            "global\n nbthread {threads}\n maxconn {connections}\n maxpipes 1024\n \
             tune.pipesize {PIPE_BYTES}\n {buffers}\n\
             defaults\n mode {mode}\n {options}\n timeout connect 5s\n timeout client 1m\n \
             timeout server 1m\n\
             listen relay\n bind {listen} {tls}\n server origin {to}\n"
        ),
    )?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(path);
    Ok(command)
}
