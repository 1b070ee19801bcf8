//! nginx as a server that shares nothing with the proxy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use spliceway::address::Address;
use tempfile::TempDir;

use super::eventually;
use super::stream::Stream;
use super::tools::skip;

/// An nginx that listens on unix sockets within its folder. Killed when dropped.
pub struct Nginx {
    child: Child,
    directory: TempDir,
}

/// Where it is; where it is not, says so.
fn path() -> Option<PathBuf> {
    let found = |path: &&str| Command::new(path).arg("-v").output().is_ok();
    let path = ["nginx", "/usr/sbin/nginx"].into_iter().find(found).map(PathBuf::from);
    if path.is_none() {
        skip("nginx is not installed");
    }
    path
}

impl Nginx {
    /// Runs it in `directory`, with `servers` within its block of HTTP, where `{at}` stands for the
    /// folder. `None` where there is no nginx.
    ///
    /// # Panics
    /// When it does not listen on the socket called `socket`.
    pub fn start(directory: TempDir, servers: &str) -> Option<Nginx> {
        let program = path()?;
        let at = directory.path();
        let configuration = format!(
            "daemon off;\nmaster_process off;\nerror_log stderr;\npid {{at}}/pid;\n\
             events {{}}\n\
             http {{\n\
               access_log off;\n\
               client_body_temp_path {{at}}/body;\nproxy_temp_path {{at}}/proxy;\n\
               fastcgi_temp_path {{at}}/fastcgi;\nuwsgi_temp_path {{at}}/uwsgi;\n\
               scgi_temp_path {{at}}/scgi;\n\
               {servers}\n\
             }}\n"
        );
        let configuration = configuration.replace("{at}", &at.display().to_string());
        fs::write(at.join("conf"), configuration).expect("there is room for a file");
        let mut command = Command::new(program);
        command.args(["-p".as_ref(), at, "-c".as_ref(), &at.join("conf")]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("nginx can be run");
        let nginx = Nginx { child, directory };
        eventually("nginx listens", || Stream::connect(&nginx.address("socket")).ok());
        Some(nginx)
    }

    /// The socket of that name.
    pub fn address(&self, socket: &str) -> Address {
        Address::Unix(self.folder().join(socket))
    }

    /// Where it runs.
    pub fn folder(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Both fail only for a child that has ended: what is wanted.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}
