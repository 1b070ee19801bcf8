//! Who is measured, and how each is started and tuned.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::kind::Kind;
use crate::machine::{Cpus, pin_this_thread};
use crate::names::{AUTO, BARE_COPY, BARE_SPLICE, COPY, HAPROXY_SPLICE, SPLICE};
use crate::process::{ProxyProcess, free_address};

/// A way to relay bytes.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// As in the tables.
    pub name: &'static str,
    program: Program,
    version: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Program {
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
enum Haproxy {
    Always,
    Auto,
    Never,
}

/// A contestant at work. The directory holds its configuration.
pub struct Running {
    pub address: SocketAddr,
    /// `None` where there is no proxy.
    pub process: Option<ProxyProcess>,
    _directory: TempDir,
}

impl Contestant {
    /// All that this benchmark knows, installed or not.
    pub fn all() -> Vec<Contestant> {
        let known =
            |name, program: Program| Contestant { name, program, version: program.version() };
        vec![
            known(SPLICE, Program::Spliceway { mode: "splice" }),
            known(COPY, Program::Spliceway { mode: "copy" }),
            known(AUTO, Program::Spliceway { mode: "auto" }),
            known("no proxy at all", Program::Nothing),
            known(BARE_SPLICE, Program::BareSplice { pipe_size: 1 << 20, low_water: 0 }),
            known(
                "bare splice, 256 KiB pipes",
                Program::BareSplice { pipe_size: 256 << 10, low_water: 0 },
            ),
            known(
                "bare splice, SO_RCVLOWAT 512 KiB",
                Program::BareSplice { pipe_size: 1 << 20, low_water: 512 << 10 },
            ),
            known(BARE_COPY, Program::BareCopy),
            known(HAPROXY_SPLICE, Program::Haproxy(Haproxy::Always)),
            known("haproxy splice-auto", Program::Haproxy(Haproxy::Auto)),
            known("haproxy copy", Program::Haproxy(Haproxy::Never)),
            known("nginx stream", Program::Nginx),
        ]
    }

    /// Whether its program is there.
    pub fn is_installed(&self) -> bool {
        self.version.is_some()
    }

    /// Its program and version, as the program itself says.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Whether it is measured under this kind of load. The variants of the splice loop and the
    /// HAProxy that always splices are there for bulk; a small message would wait behind
    /// `SO_RCVLOWAT` for ever. Without a proxy there is no memory of one, nor a queue in it:
    /// bulk flows that nothing slows down would measure the kernel's backlog.
    pub fn takes_part_in(&self, kind: Kind) -> bool {
        match (self.program, kind) {
            (_, Kind::Bulk { .. }) => true,
            (Program::Nothing, Kind::Idle { .. } | Kind::Fairness { .. }) => false,
            (Program::BareSplice { pipe_size, low_water }, _) => {
                low_water == 0 && pipe_size == 1 << 20
            }
            (Program::Haproxy(Haproxy::Always), Kind::RoundTrips { .. }) => false,
            _ => true,
        }
    }

    /// Starts it between a free port and `to`.
    ///
    /// # Errors
    /// When it cannot be started, or does not listen.
    pub fn start(&self, to: SocketAddr, cpus: Cpus) -> io::Result<Running> {
        let directory = TempDir::new()?;
        let address = match self.program {
            Program::Nothing => {
                pin_this_thread(cpus.ends)?;
                return Ok(Running { address: to, process: None, _directory: directory });
            }
            _ => free_address()?,
        };
        let command = match self.program {
            Program::Spliceway { mode } => spliceway(mode, address, to),
            Program::Nothing => return Err(io::Error::other("there is nothing to start")),
            Program::BareSplice { pipe_size, low_water } => {
                let mut command = this_benchmark()?;
                command.args(["bare-splice".into(), address.to_string(), to.to_string()]);
                command.args([pipe_size.to_string(), low_water.to_string()]);
                command
            }
            Program::BareCopy => {
                let mut command = this_benchmark()?;
                command.args(["bare-copy".into(), address.to_string(), to.to_string()]);
                command
            }
            Program::Haproxy(when) => haproxy(when, address, to, &directory)?,
            Program::Nginx => nginx(address, to, &directory)?,
        };
        let process = ProxyProcess::start(command, address, cpus)?;
        Ok(Running { address, process: Some(process), _directory: directory })
    }
}

impl Program {
    fn version(self) -> Option<String> {
        match self {
            Program::Spliceway { .. } => {
                Some(concat!("spliceway ", env!("CARGO_PKG_VERSION")).to_owned())
            }
            Program::Nothing | Program::BareSplice { .. } | Program::BareCopy => {
                Some("bare loops of this benchmark".to_owned())
            }
            Program::Haproxy(_) => {
                let printed = Command::new("haproxy").arg("-v").output().ok()?;
                let text = String::from_utf8_lossy(&printed.stdout).into_owned();
                Some(format!("haproxy {}", text.split_whitespace().nth(2)?))
            }
            Program::Nginx => {
                nginx_modules()?;
                let printed = Command::new(nginx_path()?).arg("-v").output().ok()?;
                let text = String::from_utf8_lossy(&printed.stderr).into_owned();
                Some(text.trim().rsplit_once(' ')?.1.replace('/', " "))
            }
        }
    }
}

fn spliceway(mode: &str, listen: SocketAddr, to: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spliceway"));
    command.args(["tcp", "--workers", "1", "--relay", mode, "--admin", "127.0.0.1:0"]);
    command.args(["--listen", &listen.to_string(), "--to", &to.to_string()]);
    // As its peers here: none of them writes a line for each connection.
    command.args(["--set", "access_log.path=off"]);
    command
}

fn this_benchmark() -> io::Result<Command> {
    std::env::current_exe().map(Command::new)
}

/// One thread; pipes as large as the bare splice loop's. Where it copies, buffers as large as the
/// bare copy loop's; where it splices, of the default size, since `option splice-auto` looks for
/// reads that fill whole buffers. Debian's 2.6 may copy all the same under `splice-auto`, so the
/// options that make it splice always are measured as well.
fn haproxy(when: Haproxy, listen: SocketAddr, to: SocketAddr, at: &TempDir) -> io::Result<Command> {
    let (buffers, option) = match when {
        Haproxy::Always => ("", "option splice-request\n option splice-response"),
        Haproxy::Auto => ("", "option splice-auto"),
        Haproxy::Never => ("tune.bufsize 65536", ""),
    };
    let path = at.path().join("haproxy.cfg");
    fs::write(
        &path,
        format!(
            "global\n nbthread 1\n maxconn 4096\n maxpipes 1024\n tune.pipesize 1048576\n \
             {buffers}\n\
             defaults\n mode tcp\n {option}\n timeout connect 5s\n timeout client 1m\n \
             timeout server 1m\n\
             listen relay\n bind {listen}\n server origin {to}\n"
        ),
    )?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(path);
    Ok(command)
}

/// One process; a buffer as large as the bare copy loop's; `tcp_nodelay` is on by default, and
/// `reuseport` and a backlog change nothing with a single worker.
fn nginx(listen: SocketAddr, to: SocketAddr, at: &TempDir) -> io::Result<Command> {
    let modules = nginx_modules().ok_or_else(|| io::Error::other("no stream module"))?;
    let program = nginx_path().ok_or_else(|| io::Error::other("no nginx"))?;
    let path = at.path().join("nginx.conf");
    fs::write(
        &path,
        format!(
            "{modules}\ndaemon off;\nmaster_process off;\nworker_processes 1;\n\
             pid {pid};\nerror_log stderr error;\n\
             events {{ worker_connections 8192; }}\n\
             stream {{ access_log off; proxy_buffer_size 64k; proxy_connect_timeout 5s;\n\
             server {{ listen {listen}; proxy_pass {to}; }} }}\n",
            pid = at.path().join("nginx.pid").display(),
        ),
    )?;
    let mut command = Command::new(program);
    command.arg("-e").arg("stderr").arg("-p").arg(at.path()).arg("-c").arg(path);
    Ok(command)
}

/// `/usr/sbin` is not on everybody's PATH.
fn nginx_path() -> Option<PathBuf> {
    let found = |path: &str| Command::new(path).arg("-v").output().is_ok();
    ["nginx", "/usr/sbin/nginx"].into_iter().find(|path| found(path)).map(PathBuf::from)
}

/// The line that loads the stream module, which Debian packages apart
/// (`libnginx-mod-stream`); empty where it is built in, `None` where there is none.
fn nginx_modules() -> Option<String> {
    let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
    if fs::exists(module).unwrap_or(false) {
        return Some(format!("load_module {module};"));
    }
    let options = Command::new(nginx_path()?).arg("-V").output().ok()?;
    let text = String::from_utf8_lossy(&options.stderr).into_owned();
    text.split_whitespace().any(|option| option == "--with-stream").then(String::new)
}
