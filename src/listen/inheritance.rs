//! What a process starts with: the sockets that a service manager has bound for it, and those of a
//! predecessor, which hands over all that it listens on when it is upgraded.
//!
//! Both come the same way (`LISTEN_FDS`, sd_listen_fds(3)); the names tell them apart:
//!
//! | name | what it is |
//! |---|---|
//! | `spliceway.listener.NAME` | a socket of the listener NAME |
//! | `spliceway.file.NAME` | the same, a unix socket whose file goes with it |
//! | `spliceway.admin` | the socket of the admin endpoint |
//! | `spliceway.control` | the control socket, whose file goes with it |
//! | `spliceway.predecessor` | a connection to the predecessor, which waits to hear from this process |
//! | anything else | a socket of the service manager |

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::BindError;
use crate::address::Address;
use crate::sys::activation::{self, Handed};
use crate::sys::socket;

const LISTENER: &str = "spliceway.listener.";
const FILE: &str = "spliceway.file.";

/// The name of the admin endpoint's socket.
pub const ADMIN: &str = "spliceway.admin";

/// The name of the control socket.
pub const CONTROL: &str = "spliceway.control";

/// The name of the connection between the two processes of an upgrade.
pub const PREDECESSOR: &str = "spliceway.predecessor";

/// What this process was handed and nobody has claimed yet.
#[derive(Debug, Default)]
pub struct Inheritance {
    pub(super) sockets: Vec<Inherited>,
    admin: Option<(SocketAddr, OwnedFd)>,
    control: Option<(PathBuf, OwnedFd)>,
    predecessor: Option<UnixStream>,
}

/// A listening socket that somebody else has bound.
#[derive(Debug)]
pub(super) struct Inherited {
    pub(super) address: Address,
    pub(super) socket: OwnedFd,
    pub(super) giver: Giver,
}

/// Who has bound it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Giver {
    ServiceManager,
    /// For the listener of that name.
    Predecessor {
        listener: String,
        owns_file: bool,
    },
}

/// The name under which a successor gets a socket of a listener. `owns_file`: it is a unix socket
/// whose file this process would remove.
pub(super) fn name_for_successor(listener: &str, owns_file: bool) -> String {
    format!("{}{listener}", if owns_file { FILE } else { LISTENER })
}

impl Inheritance {
    /// Takes what this process was started with; a second call finds nothing.
    ///
    /// # Errors
    /// The variables are malformed, or name something that is not there.
    pub fn take() -> Result<Inheritance, BindError> {
        let sorted = activation::take().and_then(|handed| {
            let mut inheritance = Inheritance::default();
            handed.into_iter().try_for_each(|one| inheritance.sort(one))?;
            Ok(inheritance)
        });
        sorted.map_err(|source| BindError {
            address: "the sockets that this process is handed".into(),
            key: "LISTEN_FDS".into(),
            source,
        })
    }

    fn sort(&mut self, handed: Handed) -> io::Result<()> {
        let Handed { name, descriptor } = handed;
        if name == PREDECESSOR {
            self.predecessor = Some(UnixStream::from(descriptor));
            return Ok(());
        }
        // What is bound to nothing cannot be listened on.
        let Some(address) = socket::local_address(descriptor.as_fd())? else { return Ok(()) };
        let of_predecessor =
            |name: &str, owns_file| Giver::Predecessor { listener: name.to_owned(), owns_file };
        let giver = match (&*name, &address) {
            (ADMIN, Address::Ip(ip)) => {
                self.admin = Some((*ip, descriptor));
                return Ok(());
            }
            (CONTROL, Address::Unix(path)) => {
                self.control = Some((path.clone(), descriptor));
                return Ok(());
            }
            (name, _) => match (name.strip_prefix(LISTENER), name.strip_prefix(FILE)) {
                (Some(name), _) => of_predecessor(name, false),
                (_, Some(name)) => of_predecessor(name, true),
                (None, None) => Giver::ServiceManager,
            },
        };
        self.sockets.push(Inherited { address, socket: descriptor, giver });
        Ok(())
    }

    /// The same, with a second handle on the connection to the predecessor, if there is one.
    #[must_use]
    pub fn with_predecessor(self) -> (Inheritance, Option<UnixStream>) {
        let link = self.predecessor.as_ref().and_then(|link| link.try_clone().ok());
        (self, link)
    }

    /// The connection to the predecessor, if this process is an upgrade.
    pub fn take_predecessor(&mut self) -> Option<UnixStream> {
        self.predecessor.take()
    }

    /// The sockets for one address of a listener: several where the predecessor's workers had one
    /// each.
    pub(super) fn claim(&mut self, listener: &str, address: &Address) -> Vec<Inherited> {
        let fits = |one: &Inherited| one.is_for(listener, address);
        // A service manager's socket is one, and a second with its address is of no use.
        let first = self.sockets.iter().position(fits);
        let Some(first) = first.map(|place| self.sockets.remove(place)) else { return Vec::new() };
        let mut claimed = vec![first];
        if claimed[0].giver != Giver::ServiceManager {
            let group = claimed[0].address.clone();
            let others = |one: &mut Inherited| one.address == group && fits(one);
            claimed.extend(self.sockets.extract_if(.., others));
        }
        claimed
    }

    /// The socket of the admin endpoint, if it is bound where the config wants it.
    pub(super) fn claim_admin(&mut self, address: SocketAddr) -> Option<OwnedFd> {
        let fits = |it: &(SocketAddr, OwnedFd)| is_at(it.0, address);
        self.admin.take_if(|it| fits(it)).map(|(_, socket)| socket)
    }

    /// The control socket, likewise.
    pub(super) fn claim_control(&mut self, path: &Path) -> Option<OwnedFd> {
        self.control.take_if(|(bound, _)| bound == path).map(|(_, socket)| socket)
    }

    /// The files that went with sockets which nobody has claimed.
    pub(super) fn files_left(&self) -> impl Iterator<Item = &Path> {
        let sockets = self.sockets.iter().filter_map(|it| match (&it.giver, &it.address) {
            (Giver::Predecessor { owns_file: true, .. }, Address::Unix(path)) => Some(&**path),
            _ => None,
        });
        sockets.chain(self.control.iter().map(|(path, _)| &**path))
    }
}

impl Inherited {
    fn is_for(&self, listener: &str, wanted: &Address) -> bool {
        match (&self.giver, &self.address, wanted) {
            (
                Giver::Predecessor { listener: name, .. },
                Address::Ip(bound),
                Address::Ip(wanted),
            ) => bound == wanted || (name == listener && is_at(*bound, *wanted)),
            (_, bound, wanted) => bound == wanted,
        }
    }
}

/// Whether a socket is bound where it is wanted: port 0 has become another one.
fn is_at(bound: SocketAddr, wanted: SocketAddr) -> bool {
    bound.ip() == wanted.ip() && (wanted.port() == 0 || bound.port() == wanted.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn handed(name: &str, socket: impl Into<OwnedFd>) -> Handed {
        Handed { name: name.to_owned(), descriptor: socket.into() }
    }

    fn bound() -> (SocketAddr, TcpListener) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        (socket.local_addr().unwrap(), socket)
    }

    #[test]
    fn names_say_what_is_what() {
        let mut inheritance = Inheritance::default();
        let ((web, one), (admin, two), (manager, three)) = (bound(), bound(), bound());
        for (name, socket) in
            [("spliceway.listener.web", one), (ADMIN, two), ("spliceway.socket", three)]
        {
            inheritance.sort(handed(name, socket)).unwrap();
        }
        let (link, _other) = UnixStream::pair().unwrap();
        inheritance.sort(handed(PREDECESSOR, link)).unwrap();
        assert!(inheritance.take_predecessor().is_some());
        assert!(inheritance.claim_admin("127.0.0.1:1".parse().unwrap()).is_none());
        assert!(inheritance.claim_admin(admin).is_some());

        let any: Address = "127.0.0.1:0".parse().unwrap();
        assert!(inheritance.claim("other", &any).is_empty(), "port 0 is for its own listener");
        assert!(inheritance.claim("other", &Address::Ip(manager)).len() == 1);
        let claimed = inheritance.claim("web", &any);
        assert_eq!(claimed.len(), 1);
        assert_eq!(claimed[0].address, Address::Ip(web));
        assert!(inheritance.sockets.is_empty());
    }

    #[test]
    fn a_group_is_claimed_whole_and_a_file_that_is_left_is_known() {
        let mut inheritance = Inheritance::default();
        let (address, socket) = bound();
        for _ in 0..3 {
            let copy = socket.try_clone().unwrap();
            inheritance.sort(handed("spliceway.listener.web", copy)).unwrap();
        }
        assert_eq!(inheritance.claim("web", &Address::Ip(address)).len(), 3);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let name = name_for_successor("gone", true);
        inheritance.sort(handed(&name, socket)).unwrap();
        assert_eq!(inheritance.files_left().collect::<Vec<_>>(), [path]);
    }
}
