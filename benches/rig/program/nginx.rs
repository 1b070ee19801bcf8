//! nginx, and how it is tuned in every benchmark.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What differs from one contestant to another.
#[derive(Debug, Clone)]
pub struct Settings {
    pub workers: usize,
    /// `worker_connections`: clients and upstreams at once, for each worker.
    pub connections: usize,
    /// What is to be loaded, as [`stream_module`] says; empty for nothing.
    pub modules: String,
    /// The block of the protocol: `http { ... }` or `stream { ... }`.
    pub block: String,
}

/// Its name and version; `None` where it is not installed.
pub fn version() -> Option<String> {
    let printed = Command::new(path()?).arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&printed.stderr).into_owned();
    Some(text.trim().rsplit_once(' ')?.1.replace('/', " "))
}

/// How to run it; its configuration is written below `at`. A single worker is its only process,
/// several have a master.
///
/// # Errors
/// When the configuration cannot be written.
pub fn command(settings: &Settings, at: &Path) -> io::Result<Command> {
    let Settings { workers, connections, modules, block } = settings;
    let program = path().ok_or_else(|| io::Error::other("no nginx"))?;
    let path = at.join("nginx.conf");
    let master = if *workers > 1 { "on" } else { "off" };
    fs::write(
        &path,
        format!(
            "{modules}\ndaemon off;\nmaster_process {master};\nworker_processes {workers};\n\
             pid {pid};\nerror_log stderr error;\n\
             events {{ worker_connections {connections}; }}\n{block}\n",
            pid = at.join("nginx.pid").display(),
        ),
    )?;
    let mut command = Command::new(program);
    command.arg("-e").arg("stderr").arg("-p").arg(at).arg("-c").arg(path);
    Ok(command)
}

/// `/usr/sbin` is not on everybody's PATH.
fn path() -> Option<PathBuf> {
    let found = |path: &str| Command::new(path).arg("-v").output().is_ok();
    ["nginx", "/usr/sbin/nginx"].into_iter().find(|path| found(path)).map(PathBuf::from)
}

/// The line that loads the stream module, which Debian packages apart
/// (`libnginx-mod-stream`); empty where it is built in, `None` where there is none.
pub fn stream_module() -> Option<String> {
    let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
    if fs::exists(module).unwrap_or(false) {
        return Some(format!("load_module {module};"));
    }
    let options = Command::new(path()?).arg("-V").output().ok()?;
    let text = String::from_utf8_lossy(&options.stderr).into_owned();
    text.split_whitespace().any(|option| option == "--with-stream").then(String::new)
}
