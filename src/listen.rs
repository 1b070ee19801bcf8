//! Binds what the config's listeners ask for, once for each worker.
//!
//! TCP sockets are bound anew for each worker (`SO_REUSEPORT`), and the kernel spreads new
//! connections over them. A unix socket, and a socket that a service manager hands over, exists
//! once: the workers share it, and whoever is first accepts.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use crate::address::Address;
use crate::config::{Config, Listener};
use crate::id::{ListenerId, SocketId};
use crate::sys::activation;
use crate::sys::listening::ListeningSocket;
use crate::sys::socket::{self, ListenOptions};

mod follow;

pub use follow::Followed;

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
    /// Sockets handed over that no listener asks for.
    pub unclaimed: Vec<Address>,
    /// Files of unix sockets that were made here.
    pub files: SocketFiles,
    /// The id of the next socket.
    next_id: u64,
}

/// The files of unix sockets, removed when this is dropped. One that another process has put in
/// the place of ours, as at a rolling restart, is left alone.
#[derive(Debug, Default)]
pub struct SocketFiles(Vec<(PathBuf, FileId)>);

/// Device and inode.
type FileId = (u64, u64);

impl SocketFiles {
    fn add(&mut self, path: &Path) -> io::Result<()> {
        self.0.push((path.to_owned(), file_id(path)?));
        Ok(())
    }

    /// Adds the files of `others`.
    fn take(&mut self, mut others: SocketFiles) {
        self.0.append(&mut others.0);
    }

    /// Removes a file before the others.
    fn remove(&mut self, path: &Path) {
        let (gone, kept) = std::mem::take(&mut self.0).into_iter().partition(|(it, _)| it == path);
        self.0 = kept;
        drop(SocketFiles(gone));
    }
}

impl Drop for SocketFiles {
    fn drop(&mut self) {
        for (path, id) in &self.0 {
            if file_id(path).is_ok_and(|found| found == *id)
                && let Err(error) = std::fs::remove_file(path)
            {
                warn!(path = %path.display(), %error, "cannot remove the file of a unix socket");
            }
        }
    }
}

fn file_id(path: &Path) -> io::Result<FileId> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Binds every listener of the config for `workers` workers.
///
/// # Errors
/// The first address that cannot be bound.
pub fn bind(config: &Config, workers: usize) -> Result<Bound, BindError> {
    let mut inherited = inherited_sockets()?;
    let mut bound = Bound::default();
    bound.workers.resize_with(workers, Vec::new);
    for (index, listener) in config.listeners.iter().enumerate() {
        let id = ListenerId(u32::try_from(index).unwrap_or(u32::MAX));
        let mut names = Vec::new();
        for address in &listener.bind {
            let place = inherited.iter().position(|(bound, _)| bound == address);
            let handed_over = place.map(|place| inherited.swap_remove(place).1);
            let into = (&mut bound.workers, &mut bound.files, &mut bound.next_id);
            names.push(bind_group(id, listener, address, handed_over, into)?);
        }
        bound.addresses.push((listener.name.clone(), names));
    }
    bound.unclaimed = inherited.into_iter().map(|(address, _)| address).collect();
    Ok(bound)
}

fn inherited_sockets() -> Result<Vec<(Address, OwnedFd)>, BindError> {
    let named = |socket: OwnedFd| {
        let address = socket::local_address(socket.as_fd())?;
        Ok(address.map(|address| (address, socket)))
    };
    let sockets = activation::take_sockets();
    sockets
        .and_then(|sockets| sockets.into_iter().filter_map(|one| named(one).transpose()).collect())
        .map_err(|source| BindError {
            address: "the sockets that the service manager hands over".into(),
            key: "LISTEN_FDS".into(),
            source,
        })
}

/// Where the sockets of an address go: to the workers, with the file of a unix socket and the ids
/// that they get.
type Into<'b> = (&'b mut Vec<Vec<ListeningSocket>>, &'b mut SocketFiles, &'b mut u64);

/// Binds one address for all workers; says which one it became.
fn bind_group(
    listener: ListenerId,
    settings: &Listener,
    address: &Address,
    handed_over: Option<OwnedFd>,
    into: Into<'_>,
) -> Result<String, BindError> {
    bind_one(listener, settings, address, handed_over, into).map_err(|source| BindError {
        address: address.to_string(),
        key: format!("listeners.{}.bind", settings.name),
        source,
    })
}

fn bind_one(
    listener: ListenerId,
    settings: &Listener,
    address: &Address,
    handed_over: Option<OwnedFd>,
    (workers, files, next_id): Into<'_>,
) -> io::Result<String> {
    let options = ListenOptions { backlog: settings.backlog, keepalive: settings.keepalive };
    let is_handed_over = handed_over.is_some();
    let first = match handed_over {
        Some(socket) => {
            socket::adopt(&socket, options)?;
            socket
        }
        None => {
            if let Address::Ip(ip) = address {
                socket::ensure_free(*ip)?;
            }
            socket::listen(address, options)?
        }
    };
    if let (Address::Unix(path), false) = (address, is_handed_over) {
        files.add(path)?;
    }
    // Port 0 became a port that the other workers must share.
    let bound = socket::local_address(first.as_fd())?.unwrap_or_else(|| address.clone());
    let is_shared = is_handed_over || address.is_unix();
    let mut group = vec![Arc::new(first)];
    while group.len() < workers.len() {
        group.push(match is_shared {
            true => Arc::clone(&group[0]),
            false => Arc::new(socket::listen(&bound, options)?),
        });
    }
    for (sockets, socket) in workers.iter_mut().zip(group) {
        let id = SocketId(*next_id);
        *next_id += 1;
        let (asked, bound) = (address.clone(), bound.clone());
        sockets.push(ListeningSocket { id, socket, listener, asked, bound });
    }
    Ok(bound.to_string())
}
