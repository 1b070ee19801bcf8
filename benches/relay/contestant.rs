//! Who relays, and how each is tuned.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::kind::Kind;
use crate::rig::contestant::{self, Contestant};
use crate::rig::names::{
    AUTO, BARE_COPY, BARE_SPLICE, COPY, HAPROXY_COPY, HAPROXY_SPLICE, NO_PROXY, SPLICE,
};
use crate::rig::program::{BUFFER_BYTES, PIPE_BYTES, bare, haproxy, nginx, spliceway};

/// What is run.
#[derive(Debug, Clone, Copy)]
pub enum Program {
    /// The client talks straight to the server.
    Nothing,
    Spliceway {
        mode: &'static str,
    },
    BareSplice {
        pipe_size: u32,
        low_water: u32,
    },
    BareCopy,
    Haproxy(Haproxy),
    Nginx,
}

/// When HAProxy splices.
#[derive(Debug, Clone, Copy)]
pub enum Haproxy {
    Always,
    Auto,
    Never,
}

/// All that this benchmark knows, installed or not.
pub fn all() -> Vec<Contestant<Program>> {
    let bare_splice = |pipe_size, low_water| Program::BareSplice { pipe_size, low_water };
    [
        (SPLICE, Program::Spliceway { mode: "splice" }),
        (COPY, Program::Spliceway { mode: "copy" }),
        (AUTO, Program::Spliceway { mode: "auto" }),
        (NO_PROXY, Program::Nothing),
        (BARE_SPLICE, bare_splice(PIPE_BYTES, 0)),
        ("bare splice, 256 KiB pipes", bare_splice(256 << 10, 0)),
        ("bare splice, SO_RCVLOWAT 512 KiB", bare_splice(PIPE_BYTES, 512 << 10)),
        (BARE_COPY, Program::BareCopy),
        (HAPROXY_SPLICE, Program::Haproxy(Haproxy::Always)),
        ("haproxy splice-auto", Program::Haproxy(Haproxy::Auto)),
        (HAPROXY_COPY, Program::Haproxy(Haproxy::Never)),
        ("nginx stream", Program::Nginx),
    ]
    .map(|(name, program)| Contestant::new(name, program))
    .into()
}

impl Program {
    /// Whether it is measured under this kind of load. The variants of the splice loop and the
    /// HAProxy that always splices are there for bulk; a small message would wait behind
    /// `SO_RCVLOWAT` for ever. Without a proxy there is no memory of one, nor a queue in it:
    /// bulk flows that nothing slows down would measure the kernel's backlog.
    pub fn takes_part_in(self, kind: Kind) -> bool {
        match (self, kind) {
            (_, Kind::Bulk { .. }) => true,
            (Program::Nothing, Kind::Idle { .. } | Kind::Fairness { .. }) => false,
            (Program::BareSplice { pipe_size, low_water }, _) => {
                low_water == 0 && pipe_size == PIPE_BYTES
            }
            (Program::Haproxy(Haproxy::Always), Kind::RoundTrips { .. }) => false,
            _ => true,
        }
    }
}

impl contestant::Program for Program {
    fn version(self) -> Option<String> {
        match self {
            Program::Spliceway { .. } => Some(spliceway::VERSION.to_owned()),
            Program::Nothing | Program::BareSplice { .. } | Program::BareCopy => {
                Some(bare::VERSION.to_owned())
            }
            Program::Haproxy(_) => haproxy::version(),
            Program::Nginx => nginx::stream_module().and_then(|_| nginx::version()),
        }
    }

    fn command(self, listen: SocketAddr, to: SocketAddr, at: &Path) -> io::Result<Option<Command>> {
        Ok(Some(match self {
            Program::Nothing => return Ok(None),
            Program::Spliceway { mode } => spliceway::command("tcp", mode, 1, listen, to),
            Program::BareSplice { pipe_size, low_water } => {
                bare::splice(listen, to, pipe_size, low_water)?
            }
            Program::BareCopy => bare::copy(listen, to)?,
            Program::Haproxy(when) => haproxy::command(&haproxy_settings(when), listen, to, at)?,
            Program::Nginx => nginx::command(&nginx_settings(listen, to)?, at)?,
        }))
    }
}

/// Where it copies, buffers as large as the bare copy loop's; where it splices, of the default
/// size, since `option splice-auto` looks for reads that fill whole buffers. Debian's 2.6 may copy
/// all the same under `splice-auto`, so the options that make it splice always are measured as
/// well.
fn haproxy_settings(when: Haproxy) -> haproxy::Settings {
    let (buffer_bytes, options) = match when {
        Haproxy::Always => (None, haproxy::SPLICE_ALWAYS),
        Haproxy::Auto => (None, haproxy::SPLICE_AUTO),
        Haproxy::Never => (Some(BUFFER_BYTES), ""),
    };
    haproxy::Settings {
        mode: "tcp",
        threads: 1,
        connections: 4096,
        buffer_bytes,
        options,
        tls: None,
    }
}

/// A buffer as large as the bare copy loop's; `tcp_nodelay` is on by default, and `reuseport` and
/// a backlog change nothing with a single worker.
fn nginx_settings(listen: SocketAddr, to: SocketAddr) -> io::Result<nginx::Settings> {
    let modules = nginx::stream_module().ok_or_else(|| io::Error::other("no stream module"))?;
    let block = format!(
        "stream {{ access_log off; proxy_buffer_size {BUFFER_BYTES}; proxy_connect_timeout 5s;\n\
         server {{ listen {listen}; proxy_pass {to}; }} }}"
    );
    Ok(nginx::Settings { workers: 1, connections: 8192, modules, block })
}
