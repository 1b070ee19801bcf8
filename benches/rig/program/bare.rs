//! The bare loops: this benchmark itself, started once more.

use std::io;
use std::net::SocketAddr;
use std::process::Command;

/// How they are called beside the versions of the other programs.
pub const VERSION: &str = "bare loops of this benchmark";

/// `pipe_size` in bytes; `low_water` is `SO_RCVLOWAT`, 0 for that of the kernel.
///
/// # Errors
/// As [`std::env::current_exe`].
pub fn splice(
    listen: SocketAddr,
    to: SocketAddr,
    pipe_size: u32,
    low_water: u32,
) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bare-splice".into(), listen.to_string(), to.to_string()]);
    command.args([pipe_size.to_string(), low_water.to_string()]);
    Ok(command)
}

/// # Errors
/// As [`std::env::current_exe`].
pub fn copy(listen: SocketAddr, to: SocketAddr) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bare-copy".into(), listen.to_string(), to.to_string()]);
    Ok(command)
}
