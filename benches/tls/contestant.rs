//! Who ends TLS, or passes it through, and how each is tuned: one worker, no log of requests,
//! connections to the origin that stay open, and session tickets. Spliceway's headers are as they
//! come (`X-Forwarded-For`, `Via` and so on); its peers add none.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::kind::Kind;
use crate::rig::contestant::{self, Contestant};
use crate::rig::names::{AUTO, HAPROXY, HAPROXY_LARGE_BUFFERS, NGINX, PASSTHROUGH, RELAY};
use crate::rig::program::{BUFFER_BYTES, haproxy, nginx, spliceway};
use crate::rig::tls;

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Spliceway, which ends TLS.
    Spliceway,
    /// Spliceway, which passes sessions through by the name that they are for.
    Passthrough,
    /// Spliceway, which relays whatever comes.
    Relay,
    Nginx,
    Haproxy {
        buffer_bytes: Option<usize>,
    },
}

/// Clients at once.
const CLIENTS_MAX: usize = 4096;

const WORKERS: usize = 1;

/// How Spliceway relays.
const MODE: &str = "auto";

/// All that this benchmark knows, installed or not.
pub fn all() -> Vec<Contestant<Program>> {
    [
        (AUTO, Program::Spliceway),
        (PASSTHROUGH, Program::Passthrough),
        (RELAY, Program::Relay),
        (NGINX, Program::Nginx),
        (HAPROXY, Program::Haproxy { buffer_bytes: None }),
        (HAPROXY_LARGE_BUFFERS, Program::Haproxy { buffer_bytes: Some(BUFFER_BYTES) }),
    ]
    .map(|(name, program)| Contestant::new(name, program))
    .into()
}

impl Program {
    /// Whether it is measured under this kind of load: those that end sessions under all but one.
    pub fn takes_part_in(self, kind: Kind) -> bool {
        let ends_sessions = !matches!(self, Program::Passthrough | Program::Relay);
        ends_sessions != matches!(kind, Kind::Passthrough { .. })
    }
}

impl contestant::Program for Program {
    fn version(self) -> Option<String> {
        match self {
            Program::Spliceway | Program::Passthrough | Program::Relay => {
                Some(spliceway::VERSION.to_owned())
            }
            Program::Nginx => nginx::version(),
            Program::Haproxy { .. } => haproxy::version(),
        }
    }

    fn command(self, listen: SocketAddr, to: SocketAddr, at: &Path) -> io::Result<Option<Command>> {
        Ok(Some(match self {
            Program::Spliceway => {
                let configuration = termination(listen, to, &tls::write_files(at)?);
                spliceway::command_with(&configuration, MODE, WORKERS, at)?
            }
            Program::Passthrough => {
                spliceway::command_with(&passthrough(listen, to), MODE, WORKERS, at)?
            }
            Program::Relay => spliceway::command("tcp", MODE, WORKERS, listen, to),
            Program::Nginx => {
                let server = nginx_server(listen, &tls::write_files(at)?);
                nginx::command(&nginx::http_proxy(WORKERS, CLIENTS_MAX, &server, to), at)?
            }
            Program::Haproxy { buffer_bytes } => {
                let settings = haproxy::Settings {
                    mode: "http",
                    threads: WORKERS,
                    connections: CLIENTS_MAX,
                    buffer_bytes,
                    options: haproxy::REUSE_ALWAYS,
                    tls: Some(tls::write_files(at)?),
                };
                haproxy::command(&settings, listen, to, at)?
            }
        }))
    }
}

/// Spliceway's configuration as the end of sessions.
fn termination(listen: SocketAddr, to: SocketAddr, files: &tls::Files) -> String {
    let (chain, key) = (files.chain.display(), files.key.display());
    format!(
        "[listeners.bench]\nprotocol = \"http\"\nbind = \"{listen}\"\nupstream = \"origin\"\n\
         [listeners.bench.tls]\n\
         certificates = [{{ chain = \"{chain}\", key = \"{key}\" }}]\n\
         [upstreams.origin]\nservers = [\"{to}\"]\n"
    )
}

/// Its configuration where it only looks what name a session is for.
fn passthrough(listen: SocketAddr, to: SocketAddr) -> String {
    let name = tls::NAME;
    format!(
        "[listeners.bench]\nprotocol = \"tcp\"\nbind = \"{listen}\"\n\
         [[listeners.bench.sni]]\nnames = [\"{name}\"]\nupstream = \"origin\"\n\
         [upstreams.origin]\nservers = [\"{to}\"]\n"
    )
}

/// Its tickets need no cache of sessions beside them, and it has none by default.
fn nginx_server(listen: SocketAddr, files: &tls::Files) -> String {
    let (chain, key) = (files.chain.display(), files.key.display());
    format!(
        "listen {listen} ssl;\nssl_certificate {chain}; ssl_certificate_key {key};\n\
         ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;"
    )
}
