//! The proxy that this project is about, as its command line starts it.

use std::net::SocketAddr;
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
    let mut command = Command::new(env!("CARGO_BIN_EXE_spliceway"));
    command.args([protocol, "--workers", &workers.to_string(), "--relay", mode]);
    command.args(["--listen", &listen.to_string(), "--to", &to.to_string()]);
    // As its peers here: none of them writes a line for each connection.
    command.args(["--admin", "127.0.0.1:0", "--set", "access_log.path=off"]);
    command
}
