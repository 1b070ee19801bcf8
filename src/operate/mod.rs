//! Commands to a process that runs, from the side of whoever types them: `spliceway status`,
//! `upgrade` and their like ask over its control socket and print what comes back.

mod ask;
mod table;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::ask::{Answer, ask};
use crate::config::{Config, ControlSocket};
use crate::control::ServerOrder;

/// Where the control socket is unless somebody says otherwise: in the folder that systemd makes
/// with `RuntimeDirectory=spliceway`.
pub const SOCKET_DEFAULT: &str = "/run/spliceway/control.sock";

/// What the running process is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To say what it does.
    Status {
        /// As JSON instead of tables.
        json: bool,
    },
    /// To start its binary again and hand over to it.
    Upgrade,
    /// To read its configuration again.
    Reload,
    /// To treat a server otherwise.
    Server(ServerOrder),
}

/// Why it did not do it.
#[derive(Debug)]
pub enum OperateError {
    /// The configuration says that there is no control socket.
    Off,
    /// Nobody answers at the path.
    Unreachable {
        /// Where.
        socket: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The process answered with something else than HTTP, or broke off.
    Broken(String),
    /// The configuration that it was to use is wrong.
    Config(String),
    /// It refused, or failed at it.
    Refused(String),
}

impl fmt::Display for OperateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OperateError::Off => f.write_str(
                "control.socket is \"off\" in that configuration: such a process takes no commands",
            ),
            OperateError::Unreachable { socket, source } => {
                write!(f, "nobody answers at {}: {source}; ", socket.display())?;
                f.write_str(match source.kind() {
                    io::ErrorKind::NotFound => {
                        "is spliceway running, with control.socket at this path? --socket and \
                         --config name another one"
                    }
                    io::ErrorKind::PermissionDenied => {
                        "control.mode says who may use it; the user that runs spliceway may, and \
                         root"
                    }
                    io::ErrorKind::ConnectionRefused => "the process that has made it is gone",
                    _ => "try again",
                })
            }
            OperateError::Broken(problem) => {
                write!(f, "the process broke off before it was done: {problem}")
            }
            OperateError::Config(message) | OperateError::Refused(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for OperateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OperateError::Unreachable { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Where the process listens that runs with a configuration.
///
/// # Errors
/// Nowhere.
pub fn socket_of(config: &Config) -> Result<PathBuf, OperateError> {
    match &config.control.socket {
        ControlSocket::At(path) => Ok(path.clone()),
        ControlSocket::Auto => Ok(PathBuf::from(SOCKET_DEFAULT)),
        ControlSocket::Off => Err(OperateError::Off),
    }
}

/// Has the process at `socket` do it. Returns what to print.
///
/// # Errors
/// See [`OperateError`].
pub fn operate(socket: &Path, request: &Request) -> Result<String, OperateError> {
    let (method, path, order) = match request {
        Request::Status { .. } => ("GET", "/status", None),
        Request::Upgrade => ("POST", "/upgrade", None),
        Request::Reload => ("POST", "/reload", None),
        Request::Server(order) => ("POST", "/server", Some(order)),
    };
    let order = order.map(serde_json::to_vec).transpose();
    let order = order.map_err(|error| OperateError::Broken(error.to_string()))?;
    let Answer { status, body } = ask(socket, method, path, order.unwrap_or_default())?;
    let document: Value = serde_json::from_slice(&body)
        .map_err(|_| OperateError::Broken(String::from_utf8_lossy(&body).trim().to_owned()))?;
    let text = |key: &str| document[key].as_str().unwrap_or("no reason given").to_owned();
    match (status, request) {
        (200, Request::Status { json: true }) => Ok(format!("{document:#}\n")),
        (200, Request::Status { json: false }) => Ok(table::show(&document)),
        (200, _) => Ok(format!("{}\n", text("message"))),
        (422, _) => Err(OperateError::Config(text("error"))),
        _ => Err(OperateError::Refused(text("error"))),
    }
}
