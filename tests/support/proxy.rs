//! The real binary as a child process.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use spliceway::address::Address;
use tempfile::TempDir;

use super::admin::{Metrics, Response, await_metric, get};
use super::eventually;
use super::stream::Stream;

/// A proxy that is about to start.
pub struct Launch {
    command: Command,
    /// The configuration that was written for it.
    configuration: Option<TempDir>,
}

/// A proxy that has said that it is ready. Killed when dropped.
pub struct Proxy {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// What the proxy has printed so far, line by line.
type Lines = Arc<Mutex<Vec<String>>>;

impl Launch {
    /// `spliceway tcp` from a free port of 127.0.0.1 to `servers`.
    pub fn tcp(mode: &str, servers: &[&Address]) -> Launch {
        Launch::tcp_at("127.0.0.1:0", mode, servers)
    }

    /// `spliceway tcp` from `listen` to `servers`.
    pub fn tcp_at(listen: &str, mode: &str, servers: &[&Address]) -> Launch {
        Launch::tcp_under(Command::new(binary()), listen, mode, servers)
    }

    /// The same where `command` is a program that ends by running the binary (`prlimit`,
    /// `strace`), with the binary as its last argument so far.
    pub fn tcp_under(mut command: Command, listen: &str, mode: &str, servers: &[&Address]) -> Self {
        command.args(["tcp", "--listen", listen, "--relay", mode, "--admin", "127.0.0.1:0"]);
        for server in servers {
            command.args(["--to", &server.to_string()]);
        }
        Launch { command, configuration: None }.set("access_log.path", "stdout")
    }

    /// `spliceway http` from a free port of 127.0.0.1 to `servers`, with one worker: all clients
    /// share its pool.
    pub fn http(mode: &str, servers: &[&Address]) -> Launch {
        let mut launch = Launch::with_arguments(&["http", "--listen", "127.0.0.1:0"]);
        launch.command.args(["--relay", mode, "--admin", "127.0.0.1:0", "--workers", "1"]);
        for server in servers {
            launch.command.args(["--to", &server.to_string()]);
        }
        launch.set("access_log.path", "stdout")
    }

    /// `spliceway run` with a configuration in TOML, and one worker.
    ///
    /// # Panics
    /// When it cannot be written down.
    pub fn configured(toml: &str) -> Launch {
        let directory = tempfile::tempdir().expect("there is room for a file");
        let path = directory.path().join("test.toml");
        fs::write(&path, toml).expect("there is room for a file");
        let mut launch = Launch::with_arguments(&["run", "--config"]);
        launch.command.arg(path).args(["--admin", "127.0.0.1:0", "--workers", "1"]);
        launch.configuration = Some(directory);
        launch
    }

    /// The binary with any arguments.
    pub fn with_arguments(arguments: &[&str]) -> Launch {
        let mut command = Command::new(binary());
        command.args(arguments);
        Launch::of(command)
    }

    /// Whatever runs the binary.
    pub fn of(command: Command) -> Launch {
        Launch { command, configuration: None }
    }

    /// `--set KEY=VALUE`.
    pub fn set(mut self, key: &str, value: &str) -> Launch {
        self.command.arg("--set").arg(format!("{key}={value}"));
        self
    }

    /// One more argument pair.
    pub fn option(mut self, name: &str, value: &str) -> Launch {
        self.command.args([name, value]);
        self
    }

    /// A variable of its environment.
    pub fn environment(mut self, name: &str, value: &str) -> Launch {
        self.command.env(name, value);
        self
    }

    /// The command itself, for what has no method here.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Runs it to its end: exit code, and what it printed to both outputs.
    ///
    /// # Panics
    /// When it cannot be run, or goes on running.
    pub fn run_to_end(mut self) -> (Option<i32>, String) {
        let mut child = self.spawn();
        let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
        let status = eventually("the process ends", || child.try_wait().ok().flatten());
        let printed = || [&stdout, &stderr].map(|lines| snapshot(lines).join("\n")).concat();
        // The readers see the end of the pipes at once, for no process holds them any more.
        eventually("its output is read", || {
            (Arc::strong_count(&stdout) == 1 && Arc::strong_count(&stderr) == 1).then_some(())
        });
        (status.code(), printed())
    }

    /// Starts it and waits for its `ready` line.
    ///
    /// # Panics
    /// When it ends instead, with what it printed.
    pub fn start(mut self) -> Proxy {
        let mut child = self.spawn();
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let mut proxy = Proxy { child, stdout, stderr };
        eventually("the proxy is ready", || {
            let ended = proxy.child.try_wait().ok().flatten();
            let printed = proxy.stderr_lines();
            assert!(ended.is_none(), "the proxy ended with {ended:?}:\n{}", printed.join("\n"));
            printed.iter().any(|line| line.contains("ready")).then_some(())
        });
        proxy
    }

    fn spawn(&mut self) -> Child {
        self.command.env("NO_COLOR", "1").env_remove("NOTIFY_SOCKET").env_remove("RUST_LOG");
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.spawn().expect("the binary can be run")
    }
}

/// The binary under test.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_spliceway")
}

impl Proxy {
    /// Where its first listener listens.
    pub fn address(&self) -> Address {
        self.addresses().into_iter().next().expect("a listening line was printed").1
    }

    /// Where the listener of that name listens first.
    pub fn address_of(&self, listener: &str) -> Address {
        let found = self.addresses().into_iter().find(|(name, _)| name == listener);
        found.unwrap_or_else(|| panic!("no listening line of {listener}")).1
    }

    /// Every listener's name and address, as printed.
    pub fn addresses(&self) -> Vec<(String, Address)> {
        let printed = self.stderr_lines();
        let lines = printed.iter().filter(|line| line.contains("listening"));
        lines
            .filter_map(|line| {
                let address = field(line, "address")?.parse().ok()?;
                Some((field(line, "listener")?, address))
            })
            .collect()
    }

    /// Where its admin endpoint listens.
    pub fn admin(&self) -> SocketAddr {
        let printed = self.stderr_lines();
        let line = printed.iter().find(|line| line.contains("admin endpoint"));
        line.and_then(|line| field(line, "address")?.parse().ok())
            .expect("an admin endpoint line with its address was printed")
    }

    /// A client's connection to the first listener.
    pub fn connect(&self) -> Stream {
        Stream::connect(&self.address()).expect("the proxy accepts")
    }

    /// GET from the admin endpoint; `None` when it does not answer.
    pub fn get(&self, path: &str) -> Option<Response> {
        get(self.admin(), path)
    }

    /// What `/metrics` says now.
    pub fn metrics(&self) -> Metrics {
        Metrics::scrape(self.admin())
    }

    /// Waits for a metric; see [`await_metric`].
    pub fn await_metric(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        holds: impl Fn(f64) -> bool,
    ) -> f64 {
        await_metric(self.admin(), name, labels, holds)
    }

    /// Waits until so many connections have ended for `reason`.
    pub fn await_closed(&self, reason: &str, count: f64) {
        let name = "spliceway_connections_closed_total";
        self.await_metric(name, &[("reason", reason)], |closed| closed >= count);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).expect("the proxy is there to be signalled");
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the proxy ends", || self.child.try_wait().ok().flatten())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().ok().flatten().is_none()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.pid()));
        open.expect("the proxy is there to be looked at").count()
    }

    /// Its resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the proxy is there to be looked at");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("VmRSS is a number")
    }

    /// What it has printed to standard error so far.
    pub fn stderr_lines(&self) -> Vec<String> {
        snapshot(&self.stderr)
    }

    /// What it has printed to standard output so far: the access log.
    pub fn stdout_lines(&self) -> Vec<String> {
        snapshot(&self.stdout)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both fail only for a child that has ended and was waited for: what is wanted.
        let _killed = self.child.kill();
        let _status = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the proxy printed:\n{}", self.stderr_lines().join("\n"));
        }
    }
}

/// The line of the access log that says of `key` that it is `value`.
pub fn logged(proxy: &Proxy, key: &str, value: impl Into<Value>) -> Value {
    let value = value.into();
    eventually(&format!("a line with {key}={value}"), || {
        let lines = proxy.stdout_lines();
        let mut lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.find(|line| line[key] == value)
    })
}

fn collect(output: Option<impl Read + Send + 'static>) -> Lines {
    let lines = Lines::default();
    let output = output.expect("outputs are piped");
    std::thread::spawn({
        let lines = Arc::clone(&lines);
        move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                lines.lock().expect("no reader panics").push(line);
            }
        }
    });
    lines
}

fn snapshot(lines: &Lines) -> Vec<String> {
    lines.lock().expect("no reader panics").clone()
}

/// The value of `name=value` or `name="value"` in a log line.
fn field(line: &str, name: &str) -> Option<String> {
    let prefix = format!("{name}=");
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(&prefix))?;
    Some(value.trim_matches('"').to_owned())
}
