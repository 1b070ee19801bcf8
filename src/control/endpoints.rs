//! The admin endpoint and the control socket of the process.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use super::admin::{Endpoint, Service};
use super::command::Commander;
use super::state::State;
use super::{command_routes, routes};
use crate::listen::{ADMIN, CONTROL};

/// Both, where there are any. The sockets are kept, to be handed to a successor.
#[derive(Debug)]
pub(super) struct Endpoints {
    admin: Option<TcpListener>,
    control: Option<UnixListener>,
    running: Vec<Endpoint>,
}

impl Endpoints {
    /// Both listen already; nobody is answered yet.
    pub(super) fn new(admin: Option<TcpListener>, control: Option<UnixListener>) -> Endpoints {
        Endpoints { admin, control, running: Vec::new() }
    }

    /// Begins to answer. Must be called within the runtime.
    ///
    /// # Errors
    /// The system's own.
    pub(super) fn start(&mut self, state: &Arc<State>, commander: &Commander) -> io::Result<()> {
        if let Some(listener) = &self.admin {
            let listener = listener.try_clone()?;
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let service = Service::admin(routes::router(Arc::clone(state)));
            self.running.push(Endpoint::start(listener, service));
        }
        if let Some(listener) = &self.control {
            let listener = listener.try_clone()?;
            listener.set_nonblocking(true)?;
            let listener = tokio::net::UnixListener::from_std(listener)?;
            let router = command_routes::router(Arc::clone(state), commander.clone());
            self.running.push(Endpoint::start(listener, Service::control(router)));
        }
        Ok(())
    }

    /// Each socket under the name by which a successor knows it.
    pub(super) fn named(&self) -> impl Iterator<Item = (String, BorrowedFd<'_>)> {
        let admin = self.admin.iter().map(|it| (ADMIN.to_owned(), it.as_fd()));
        let control = self.control.iter().map(|it| (CONTROL.to_owned(), it.as_fd()));
        admin.chain(control)
    }

    /// Leaves them to a successor: requests at hand are answered, and nobody else.
    pub(super) fn leave(&mut self) {
        self.admin = None;
        self.control = None;
        self.running.iter().for_each(Endpoint::close);
    }

    /// Has requests at hand answered; the process ends.
    pub(super) async fn finish(self) {
        for endpoint in self.running {
            endpoint.finish().await;
        }
    }
}
