//! Who is measured, and how each is started.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::machine::{Cpus, pin_this_thread};
use super::process::{ProxyProcess, free_address};

/// What carries the bytes: a program with its settings, or none.
pub trait Program: Copy + Debug {
    /// Its name and version, as the program itself says; `None` where it is not installed.
    fn version(self) -> Option<String>;

    /// How to run it between `listen` and `to`, with what it has to write down below `at`; `None`
    /// where the client talks straight to the server.
    ///
    /// # Errors
    /// When its configuration cannot be written.
    fn command(self, listen: SocketAddr, to: SocketAddr, at: &Path) -> io::Result<Option<Command>>;
}

/// A way to relay bytes.
#[derive(Debug, Clone)]
pub struct Contestant<P> {
    /// As in the tables.
    pub name: &'static str,
    /// What it runs.
    pub program: P,
    version: Option<String>,
}

/// A contestant at work. The directory holds its configuration.
pub struct Running {
    pub address: SocketAddr,
    /// `None` where there is no proxy.
    pub process: Option<ProxyProcess>,
    _directory: TempDir,
}

impl Running {
    /// Its process.
    ///
    /// # Errors
    /// Where there is no proxy.
    pub fn process(&self) -> io::Result<&ProxyProcess> {
        self.process.as_ref().ok_or_else(|| io::Error::other("there is no proxy to look at"))
    }
}

impl<P: Program> Contestant<P> {
    /// A contestant, installed or not.
    pub fn new(name: &'static str, program: P) -> Contestant<P> {
        Contestant { name, program, version: program.version() }
    }

    /// Whether its program is there.
    pub fn is_installed(&self) -> bool {
        self.version.is_some()
    }

    /// Its program and version, as the program itself says.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

/// Starts `program` between a free port and `to`. The calling thread belongs to the ends from now
/// on.
///
/// # Errors
/// When it cannot be started, or does not listen.
pub fn start(program: impl Program, to: SocketAddr, cpus: Cpus) -> io::Result<Running> {
    let directory = TempDir::new()?;
    let address = free_address()?;
    let Some(command) = program.command(address, to, directory.path())? else {
        pin_this_thread(&cpus.ends)?;
        return Ok(Running { address: to, process: None, _directory: directory });
    };
    let process = ProxyProcess::start(command, address, cpus)?;
    Ok(Running { address, process: Some(process), _directory: directory })
}
