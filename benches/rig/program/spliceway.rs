//! The proxy that this project is about, as its command line starts it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// Its name and version.
pub const VERSION: &str = concat!("spliceway ", env!("CARGO_PKG_VERSION"));

/// `protocol` is the command of the command line, `mode` the relay's.
pub fn command(
    protocol: &str,
    mode: &str,
    workers: usize,
    listen: SocketAddr,
    to: SocketAddr,
) -> Command {
    let mut command = start(protocol, mode, workers);
    command.args(["--listen", &listen.to_string(), "--to", &to.to_string()]);
    command
}

/// The same with a configuration, which is written below `at`.
///
/// # Errors
/// When it cannot be written.
pub fn command_with(
    configuration: &str,
    mode: &str,
    workers: usize,
    at: &Path,
) -> io::Result<Command> {
    let path = at.join("spliceway.toml");
    fs::write(&path, configuration)?;
    let mut command = start("run", mode, workers);
    command.arg("--config").arg(path);
    Ok(command)
}

fn start(subcommand: &str, mode: &str, workers: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spliceway"));
    command.args([subcommand, "--workers", &workers.to_string(), "--relay", mode]);
    // As its peers here: none of them writes a line for each connection.
    command.args(["--admin", "127.0.0.1:0", "--set", "access_log.path=off"]);
    command
}
