//! Who relays HTTP, and how each is tuned: one worker, no log of requests, connections to the
//! origin that stay open. Spliceway's headers are as they come (`X-Forwarded-For`, `Via` and so
//! on); its peers add none.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::kind::Kind;
use crate::rig::contestant::{self, Contestant};
use crate::rig::names::{
    AUTO, BARE_COPY, BARE_SPLICE, COPY, HAPROXY_COPY, HAPROXY_SPLICE, NGINX, NO_PROXY, SPLICE,
};
use crate::rig::program::{BUFFER_BYTES, PIPE_BYTES, bare, haproxy, nginx, spliceway};

/// What is run, and with which limits.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    software: Software,
    workers: usize,
    /// Clients at once, and as many in the backlog; `None` for as many as come.
    clients_max: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Software {
    /// The client talks straight to the server.
    Nothing,
    Spliceway {
        mode: &'static str,
    },
    BareSplice,
    BareCopy,
    Nginx,
    Haproxy(Haproxy),
}

/// How HAProxy moves bodies.
#[derive(Debug, Clone, Copy)]
enum Haproxy {
    Copy,
    CopyLargeBuffers,
    Splice,
}

/// All that this benchmark knows, installed or not.
pub fn all() -> Vec<Contestant<Program>> {
    [
        (SPLICE, Software::Spliceway { mode: "splice" }),
        (COPY, Software::Spliceway { mode: "copy" }),
        (AUTO, Software::Spliceway { mode: "auto" }),
        (NO_PROXY, Software::Nothing),
        (BARE_SPLICE, Software::BareSplice),
        (BARE_COPY, Software::BareCopy),
        (NGINX, Software::Nginx),
        (HAPROXY_COPY, Software::Haproxy(Haproxy::Copy)),
        ("haproxy copy, 64 KiB buffers", Software::Haproxy(Haproxy::CopyLargeBuffers)),
        (HAPROXY_SPLICE, Software::Haproxy(Haproxy::Splice)),
    ]
    .map(|(name, software)| {
        Contestant::new(name, Program { software, workers: 1, clients_max: None })
    })
    .into()
}

impl Program {
    /// The same with so many workers.
    pub fn with_workers(self, workers: usize) -> Program {
        Program { workers, ..self }
    }

    /// The same with so many clients at once, and as many in the backlog.
    pub fn with_clients_max(self, clients: usize) -> Program {
        Program { clients_max: Some(clients), ..self }
    }

    /// How many workers it has.
    pub fn workers(self) -> usize {
        self.workers
    }

    /// Whether it is measured under this kind of load. The bare loops have one worker and no
    /// limits, and how bodies go makes no difference to several workers or to new connections.
    pub fn takes_part_in(self, kind: Kind) -> bool {
        let stands_for_its_kin = match self.software {
            Software::Spliceway { mode } => mode == "auto",
            Software::Nginx | Software::Haproxy(Haproxy::Copy) => true,
            _ => false,
        };
        match kind {
            Kind::Workers | Kind::Spread { .. } | Kind::Overload => stands_for_its_kin,
            Kind::Idle { .. } => !matches!(self.software, Software::Nothing),
            Kind::Body { .. } | Kind::Connections { .. } | Kind::WebSocket { .. } => true,
        }
    }
}

impl contestant::Program for Program {
    fn version(self) -> Option<String> {
        match self.software {
            Software::Spliceway { .. } => Some(spliceway::VERSION.to_owned()),
            Software::Nothing | Software::BareSplice | Software::BareCopy => {
                Some(bare::VERSION.to_owned())
            }
            Software::Nginx => nginx::version(),
            Software::Haproxy(_) => haproxy::version(),
        }
    }

    fn command(self, listen: SocketAddr, to: SocketAddr, at: &Path) -> io::Result<Option<Command>> {
        Ok(Some(match self.software {
            Software::Nothing => return Ok(None),
            Software::Spliceway { mode } => {
                let mut command = spliceway::command("http", mode, self.workers, listen, to);
                if let Some(clients) = self.clients_max {
                    command.args(["--set", &format!("process.connections_max={clients}")]);
                    command.args(["--set", &format!("listeners.http.backlog={clients}")]);
                }
                command
            }
            Software::BareSplice => bare::splice(listen, to, PIPE_BYTES, 0)?,
            Software::BareCopy => bare::copy(listen, to)?,
            Software::Nginx => nginx::command(&self.nginx_settings(listen, to), at)?,
            Software::Haproxy(how) => {
                haproxy::command(&self.haproxy_settings(how), listen, to, at)?
            }
        }))
    }
}

/// Clients at once where nothing is said of them.
const CLIENTS_MAX: usize = 4096;

impl Program {
    /// Its backlog is as long as its limit of clients.
    fn haproxy_settings(self, how: Haproxy) -> haproxy::Settings {
        let (buffer_bytes, options) = match how {
            Haproxy::Copy => (None, haproxy::REUSE_ALWAYS),
            Haproxy::CopyLargeBuffers => (Some(BUFFER_BYTES), haproxy::REUSE_ALWAYS),
            Haproxy::Splice => {
                (None, "http-reuse always\n option splice-request\n option splice-response")
            }
        };
        let connections = self.clients_max.unwrap_or(CLIENTS_MAX);
        haproxy::Settings {
            mode: "http",
            threads: self.workers,
            connections,
            buffer_bytes,
            options,
            tls: None,
        }
    }

    fn nginx_settings(self, listen: SocketAddr, to: SocketAddr) -> nginx::Settings {
        let clients_max = self.clients_max.unwrap_or(CLIENTS_MAX);
        let backlog = match self.clients_max {
            Some(clients) => format!("backlog={clients}"),
            None => String::new(),
        };
        let reuse_port = if self.workers > 1 { "reuseport" } else { "" };
        let listen = format!("listen {listen} {reuse_port} {backlog};");
        nginx::http_proxy(self.workers, clients_max, &listen, to)
    }
}
