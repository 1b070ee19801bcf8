//! The sockets of a configuration that follows the one in force: those of addresses that stay are
//! kept, with all that waits in their backlogs, whichever listener they belong to now.

use std::path::PathBuf;

use tracing::warn;

use super::{BindError, Bound, SocketFiles, bind_group};
use crate::address::Address;
use crate::config::{Config, Listener};
use crate::id::ListenerId;
use crate::sys::listening::ListeningSocket;
use crate::sys::socket::{self, ListenOptions};

/// What takes the place of the sockets in force, once nothing can fail any more.
#[derive(Debug)]
pub struct Followed {
    workers: Vec<Vec<ListeningSocket>>,
    addresses: Vec<(String, Vec<String>)>,
    next_id: u64,
    /// Of unix sockets that were made.
    files: SocketFiles,
    /// Of unix sockets that nobody accepts from any more.
    gone: Vec<PathBuf>,
    /// Listeners whose sockets were kept.
    kept: Vec<(usize, ListenOptions)>,
    /// Addresses that were not bound before, with the names of their listeners.
    pub added: Vec<(String, String)>,
    /// Addresses that are not bound any more.
    pub removed: Vec<String>,
}

/// The sockets of all workers for one address.
struct Group {
    listener: ListenerId,
    asked: Address,
    bound: Address,
    is_kept: bool,
}

impl Bound {
    /// Binds what `config` asks for and is not bound yet. Nothing that is in force changes.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub fn following(&self, config: &Config) -> Result<Followed, BindError> {
        let mut groups = self.groups();
        let mut followed = Followed {
            workers: vec![Vec::new(); self.workers.len()],
            addresses: Vec::new(),
            next_id: self.next_id,
            files: SocketFiles::default(),
            gone: Vec::new(),
            kept: Vec::new(),
            added: Vec::new(),
            removed: Vec::new(),
        };
        for (place, listener) in config.active_listeners() {
            let id = ListenerId(u32::try_from(place).unwrap_or(u32::MAX));
            let mut names = Vec::new();
            for address in &listener.bind {
                names.push(match claim(&mut groups, id, address) {
                    Some(group) => {
                        self.keep(group, id, &mut followed);
                        group.bound.to_string()
                    }
                    None => bind_new(id, listener, address, &mut followed)?,
                });
            }
            let options =
                ListenOptions { backlog: listener.backlog, keepalive: listener.keepalive };
            followed.kept.push((place, options));
            followed.addresses.push((listener.name.clone(), names));
        }
        for group in groups.iter().filter(|group| !group.is_kept) {
            followed.removed.push(group.bound.to_string());
            if let Address::Unix(path) = &group.asked {
                followed.gone.push(path.clone());
            }
        }
        Ok(followed)
    }

    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for ListeningSocket { listener, asked, bound, .. } in self.workers.iter().flatten() {
            if !groups.iter().any(|it| it.bound == *bound) {
                let (asked, bound) = (asked.clone(), bound.clone());
                groups.push(Group { listener: *listener, asked, bound, is_kept: false });
            }
        }
        groups
    }

    fn keep(&self, group: &Group, listener: ListenerId, followed: &mut Followed) {
        for (present, next) in self.workers.iter().zip(&mut followed.workers) {
            let kept = present.iter().filter(|it| it.bound == group.bound);
            next.extend(kept.map(|it| ListeningSocket { listener, ..it.clone() }));
        }
    }

    /// Takes over what [`Bound::following`] has made. The sockets that are not part of it are
    /// closed once no worker has them any more.
    pub fn take_over(&mut self, followed: Followed) {
        let Followed { workers, addresses, next_id, files, gone, kept, .. } = followed;
        for path in gone {
            self.files.remove(&path);
        }
        self.files.take(files);
        for (place, options) in kept {
            let sockets = workers.iter().flatten().filter(|it| it.listener.index() == place);
            for socket in sockets {
                if let Err(error) = socket::change(&socket.socket, options) {
                    let address = &socket.bound;
                    warn!(%address, %error, "the options of a listening socket stay as they were");
                }
            }
        }
        (self.workers, self.addresses, self.next_id) = (workers, addresses, next_id);
    }

    /// Lets go of all sockets: nobody is to connect any more once the workers have too.
    pub fn close(&mut self) {
        self.workers.iter_mut().for_each(Vec::clear);
    }
}

/// The sockets that an address of a listener has already. A free port stays with its listener;
/// every other address may go from one to another.
fn claim<'g>(
    groups: &'g mut [Group],
    listener: ListenerId,
    address: &Address,
) -> Option<&'g Group> {
    let is_any_port = matches!(address, Address::Ip(ip) if ip.port() == 0);
    let fits = |group: &Group| {
        let is_own = group.listener == listener;
        !group.is_kept && group.asked == *address && (is_own || !is_any_port)
    };
    let place = groups.iter().position(fits)?;
    groups[place].is_kept = true;
    Some(&groups[place])
}

fn bind_new(
    id: ListenerId,
    listener: &Listener,
    address: &Address,
    followed: &mut Followed,
) -> Result<String, BindError> {
    let bound = bind_group(
        id,
        listener,
        address,
        Vec::new(),
        (&mut followed.workers, &mut followed.files, &mut followed.next_id),
    )?;
    followed.added.push((listener.name.clone(), bound.clone()));
    Ok(bound)
}
