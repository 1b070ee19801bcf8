//! Who serves files, and how each is tuned: one worker, no log of requests.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::site;
use crate::rig::contestant::{self, Contestant};
use crate::rig::names::NGINX;
use crate::rig::program::{nginx, spliceway};

pub const SENDFILE: &str = "spliceway sendfile";
pub const SPLICE: &str = "spliceway splice";
pub const MMAP: &str = "spliceway mmap";
pub const COPY: &str = "spliceway copy";
pub const NGINX_NOPUSH: &str = "nginx, tcp_nopush";
/// The same, and it need not open what it has open already.
pub const NGINX_CACHED: &str = "nginx, open_file_cache";

/// What is run.
#[derive(Debug, Clone, Copy)]
pub enum Program {
    Spliceway { transfer: &'static str },
    Nginx { directives: &'static str },
}

/// All that this benchmark knows, installed or not.
pub fn all() -> Vec<Contestant<Program>> {
    let nopush = "tcp_nopush on;";
    let cached = "tcp_nopush on; open_file_cache max=1000 inactive=60s;";
    [
        (SENDFILE, Program::Spliceway { transfer: "sendfile" }),
        (SPLICE, Program::Spliceway { transfer: "splice" }),
        (MMAP, Program::Spliceway { transfer: "mmap" }),
        (COPY, Program::Spliceway { transfer: "copy" }),
        (NGINX, Program::Nginx { directives: "" }),
        (NGINX_NOPUSH, Program::Nginx { directives: nopush }),
        (NGINX_CACHED, Program::Nginx { directives: cached }),
    ]
    .map(|(name, program)| Contestant::new(name, program))
    .into()
}

impl contestant::Program for Program {
    fn version(self) -> Option<String> {
        match self {
            Program::Spliceway { .. } => Some(spliceway::VERSION.to_owned()),
            Program::Nginx { .. } => nginx::version(),
        }
    }

    fn command(self, listen: SocketAddr, _: SocketAddr, at: &Path) -> io::Result<Option<Command>> {
        let root = site::directory();
        let root = root.display();
        match self {
            Program::Spliceway { transfer } => {
                let path = at.join("files.toml");
                let text = format!(
                    "process.workers = 1\nadmin.bind = \"127.0.0.1:0\"\naccess_log.path = \"off\"\n\
                     [listeners.files]\nprotocol = \"http\"\nbind = \"{listen}\"\n\
                     [[listeners.files.routes]]\n\
                     files = {{ root = \"{root}\", transfer = \"{transfer}\" }}\n"
                );
                fs::write(&path, text)?;
                let mut command = Command::new(env!("CARGO_BIN_EXE_spliceway"));
                command.arg("run").arg("--config").arg(path);
                Ok(Some(command))
            }
            // With `tcp_nopush` a head and the first bytes of its file leave in one segment, as
            // they do here; it is not what nginx does by itself, and costs it two calls.
            Program::Nginx { directives } => {
                let block = format!(
                    "http {{ access_log off; server_tokens off; sendfile on;\n\
                     keepalive_requests 1000000000; {directives}\n\
                     server {{ listen {listen}; root {root}; }} }}"
                );
                let modules = String::new();
                let settings = nginx::Settings { workers: 1, connections: 4096, modules, block };
                Ok(Some(nginx::command(&settings, at)?))
            }
        }
    }
}
