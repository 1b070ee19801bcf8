//! nginx, and how it is tuned in every benchmark.

use std::fs;
use std::io;
use std::net::SocketAddr;
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

/// A reverse proxy for as many clients at once, each of which takes two of its connections.
/// `server` is what begins its block: where it listens, and how.
///
/// Its defaults serve a connection to the origin for one request, a client for a thousand, and
/// write large bodies to the disk. Buffers hold what fits into a socket's, so that no body takes
/// more turns than it has to.
pub fn http_proxy(workers: usize, clients_max: usize, server: &str, to: SocketAddr) -> Settings {
    let block = format!(
        "http {{ access_log off; server_tokens off;\n\
         keepalive_requests 1000000000; client_max_body_size 0;\n\
         upstream origin {{ server {to}; keepalive 256; keepalive_requests 1000000000; }}\n\
         server {{ {server}\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_buffer_size 16k; proxy_buffers 8 64k; proxy_busy_buffers_size 256k;\n\
         proxy_max_temp_file_size 0; proxy_request_buffering off;\n\
         client_body_buffer_size 64k;\n\
         location / {{ proxy_pass http://origin; }}\n\
         location /websocket {{ proxy_pass http://origin;\n\
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}\n\
         }} }}"
    );
    Settings { workers, connections: 2 * clients_max, modules: String::new(), block }
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
