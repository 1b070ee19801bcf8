//! Binds what the config's listeners ask for, once for each worker.
//!
//! TCP sockets are bound anew for each worker (`SO_REUSEPORT`), and the kernel spreads new
//! connections over them. A unix socket, and a socket that a service manager hands over, exists
//! once: the workers share it, and whoever is first accepts. What a predecessor hands over stays
//! as it is: a connection that waits in the backlog of a socket is lost with it, so each of them
//! finds a worker.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use crate::address::Address;
use crate::config::{Config, Listener};
use crate::id::{ListenerId, SocketId};
use crate::sys::listening::ListeningSocket;
use crate::sys::socket::{self, ListenOptions};

mod files;
mod follow;
mod inheritance;

use inheritance::{Giver, Inherited};

pub use files::SocketFiles;
pub use follow::Followed;
pub use inheritance::{ADMIN, CONTROL, Inheritance, PREDECESSOR};

/// Commands that wait to be accepted.
const CONTROL_BACKLOG: u32 = 64;

/// An address cannot be bound.
#[derive(Debug)]
pub struct BindError {
    /// Which one.
    pub address: String,
    /// The key of the config that asks for it.
    pub key: String,
    /// The system's words.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BindError { address, key, source } = self;
        write!(f, "cannot bind {address} ({key}): {source}; ")?;
        match source.kind() {
            io::ErrorKind::AddrInUse => f.write_str(
                "stop the program that has it (`ss -lnp` names it), or choose another address",
            ),
            io::ErrorKind::PermissionDenied => f.write_str(
                "ports below 1024 need CAP_NET_BIND_SERVICE, and a unix socket a folder that this \
                 user may write to",
            ),
            io::ErrorKind::AddrNotAvailable => f.write_str(
                "no interface of this machine has that address (`ip address` lists them)",
            ),
            io::ErrorKind::NotFound => f.write_str("the folder of the socket must exist"),
            _ => f.write_str("choose another address"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// All listening sockets of the process.
#[derive(Debug, Default)]
pub struct Bound {
    /// Those of each worker.
    pub workers: Vec<Vec<ListeningSocket>>,
    /// For each listener, in the order of the config, its name and the addresses really bound.
    pub addresses: Vec<(String, Vec<String>)>,
    /// Files of unix sockets that were made here, or taken over with their sockets.
    pub files: SocketFiles,
    /// The id of the next socket.
    next_id: u64,
}

impl Bound {
    /// Each socket once, under the name by which a successor knows it.
    pub fn named(&self, config: &Config) -> Vec<(String, BorrowedFd<'_>)> {
        let mut seen: Vec<&ListeningSocket> = Vec::new();
        for socket in self.workers.iter().flatten() {
            // Workers share those that exist once.
            if !seen.iter().any(|it| Arc::ptr_eq(&it.socket, &socket.socket)) {
                seen.push(socket);
            }
        }
        let named = |it: &&'_ ListeningSocket| {
            let listener = &config.listeners[it.listener.index()].name;
            let owns_file = matches!(&it.asked, Address::Unix(path) if self.files.contains(path));
            inheritance::name_for_successor(listener, owns_file)
        };
        seen.iter().map(|it| (named(it), it.socket.as_fd())).collect()
    }
}

/// Binds every listener of the config for `workers` workers, or takes its sockets from the
/// inheritance.
///
/// # Errors
/// The first address that cannot be bound.
pub fn bind(
    config: &Config,
    workers: usize,
    inheritance: &mut Inheritance,
) -> Result<Bound, BindError> {
    let mut bound = Bound::default();
    bound.workers.resize_with(workers, Vec::new);
    for (index, listener) in config.listeners.iter().enumerate() {
        let id = ListenerId(u32::try_from(index).unwrap_or(u32::MAX));
        let mut names = Vec::new();
        for address in &listener.bind {
            let inherited = inheritance.claim(&listener.name, address);
            let into = (&mut bound.workers, &mut bound.files, &mut bound.next_id);
            names.push(bind_group(id, listener, address, inherited, into)?);
        }
        bound.addresses.push((listener.name.clone(), names));
    }
    Ok(bound)
}

/// Where the sockets of an address go: to the workers, with the file of a unix socket and the ids
/// that they get.
type Into<'b> = (&'b mut Vec<Vec<ListeningSocket>>, &'b mut SocketFiles, &'b mut u64);

/// Binds one address for all workers, or takes what was inherited for it; says which one it became.
fn bind_group(
    listener: ListenerId,
    settings: &Listener,
    address: &Address,
    inherited: Vec<Inherited>,
    into: Into<'_>,
) -> Result<String, BindError> {
    bind_one(listener, settings, address, inherited, into).map_err(|source| BindError {
        address: address.to_string(),
        key: format!("listeners.{}.bind", settings.name),
        source,
    })
}

fn bind_one(
    listener: ListenerId,
    settings: &Listener,
    address: &Address,
    inherited: Vec<Inherited>,
    (workers, files, next_id): Into<'_>,
) -> io::Result<String> {
    let options = ListenOptions { backlog: settings.backlog, keepalive: settings.keepalive };
    let is_ours = inherited.iter().all(|it| it.giver != Giver::ServiceManager);
    let is_new = inherited.is_empty();
    let mut group = Vec::new();
    let mut inherits_file = false;
    for Inherited { socket, giver, .. } in inherited {
        socket::adopt(&socket, options)?;
        if let Giver::Predecessor { owns_file: owned, .. } = giver {
            socket::set_backlog(socket.as_fd(), options.backlog)?;
            inherits_file = owned;
        }
        group.push(Arc::new(socket));
    }
    if is_new {
        if let Address::Ip(ip) = address {
            socket::ensure_free(*ip)?;
        }
        group.push(Arc::new(socket::listen(address, options)?));
    }
    match address {
        Address::Unix(path) if is_new => files.add(path)?,
        Address::Unix(path) if inherits_file => files.inherit(path)?,
        Address::Unix(_) | Address::Abstract(_) | Address::Ip(_) => {}
    }
    // Port 0 became a port that the other workers must share.
    let bound = socket::local_address(group[0].as_fd())?.unwrap_or_else(|| address.clone());
    let is_group = is_ours && !address.is_unix() && socket::is_of_group(group[0].as_fd())?;
    while group.len() < workers.len() {
        let joined = if is_group { socket::listen(&bound, options).map(Some) } else { Ok(None) };
        match joined {
            Ok(Some(socket)) => group.push(Arc::new(socket)),
            Err(error) if is_new => return Err(error),
            // The group of another user cannot be joined; its sockets can be shared.
            Ok(None) | Err(_) => group.push(Arc::clone(&group[0])),
        }
    }
    // A predecessor with more workers has left more sockets than there are workers now.
    let count = workers.len();
    for (index, socket) in group.into_iter().enumerate() {
        let id = SocketId(*next_id);
        *next_id += 1;
        let (asked, bound) = (address.clone(), bound.clone());
        workers[index % count].push(ListeningSocket { id, socket, listener, asked, bound });
    }
    Ok(bound.to_string())
}

/// Binds the admin endpoint, or takes its socket from the inheritance.
///
/// # Errors
/// It cannot be bound.
pub fn bind_admin(
    config: &Config,
    inheritance: &mut Inheritance,
) -> Result<Option<TcpListener>, BindError> {
    let Some(address) = config.admin else { return Ok(None) };
    if let Some(inherited) = inheritance.claim_admin(address) {
        return Ok(Some(inherited.into()));
    }
    let bound = TcpListener::bind(address).map_err(|source| BindError {
        address: address.to_string(),
        key: "admin.bind".into(),
        source,
    })?;
    Ok(Some(bound))
}

/// Binds the control socket at `path` with the permissions `mode`, or takes it from the
/// inheritance.
///
/// # Errors
/// It cannot be bound.
pub fn bind_control(
    path: &Path,
    mode: u32,
    inheritance: &mut Inheritance,
    files: &mut SocketFiles,
) -> Result<UnixListener, BindError> {
    let inherited = inheritance.claim_control(path);
    let bound = match inherited {
        Some(socket) => {
            socket::set_mode(path, mode).and_then(|()| files.inherit(path)).map(|()| socket)
        }
        None => {
            let bound = socket::listen_with_mode(path, CONTROL_BACKLOG, mode);
            bound.and_then(|socket| files.add(path).map(|()| socket))
        }
    };
    bound.map(UnixListener::from).map_err(|source| BindError {
        address: path.display().to_string(),
        key: "control.socket".into(),
        source,
    })
}

/// Sockets of the inheritance that nobody has claimed: they are closed here, and named for a
/// warning. The files of those that a predecessor owned are removed with the others, at the end.
pub fn leave(inheritance: Inheritance, files: &mut SocketFiles) -> Vec<Address> {
    for path in inheritance.files_left() {
        // Somebody else may have removed it.
        let _gone = files.inherit(path).is_err();
    }
    inheritance.sockets.into_iter().map(|it| it.address).collect()
}
