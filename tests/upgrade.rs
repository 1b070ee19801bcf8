//! A new binary takes over while clients are served: nobody notices, whatever becomes of it.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use spliceway::address::Address;
use support::eventually;
use support::http::{Connection, HttpOrigin, get, ok};
use support::origin::{Origin, echo, exchange};
use support::pattern::{digest, read_digest, write_pattern};
use support::proxy::{Launch, Proxy, binary};
use support::stream::Stream;
use support::tools::{have, skip};
use tempfile::TempDir;

/// More than the buffers of all sockets on the way hold.
const BULK_BYTES: u64 = 64 << 20;

/// A proxy with those that come after it, which are nobody's children.
struct Family {
    proxy: Proxy,
    folder: TempDir,
}

/// What runs, and what is changed from one generation to the next.
struct Settings {
    web: Address,
    bulk: Address,
    echo: Address,
    workers: usize,
    more: &'static str,
}

impl Settings {
    fn write(&self, folder: &Path) {
        let Settings { web, bulk, echo, workers, more } = self;
        let at = |name: &str| folder.join(name).display().to_string();
        let toml = format!(
            "{more}
            [process]
            workers = {workers}
            upgrade_timeout = \"60s\"
            [admin]
            bind = \"127.0.0.1:0\"
            [control]
            socket = \"{control}\"
            [listeners.web]
            bind = [\"127.0.0.1:0\", \"127.0.0.2:0\"]
            protocol = \"http\"
            upstream = \"web\"
            [listeners.bulk]
            bind = \"127.0.0.1:0\"
            upstream = \"bulk\"
            [listeners.www]
            bind = \"127.0.0.1:0\"
            protocol = \"http\"
            routes = [{{ files = {{ root = \"{www}\" }} }}]
            [listeners.file]
            bind = \"unix:{file}\"
            upstream = \"echo\"
            [upstreams]
            web.servers = [\"{web}\"]
            bulk.servers = [\"{bulk}\"]
            echo.servers = [\"{echo}\"]
            ",
            control = at("control.sock"),
            www = at("www"),
            file = at("file.sock"),
        );
        fs::write(folder.join("proxy.toml"), toml).unwrap();
    }
}

impl Family {
    /// Starts `program`, which a symbolic link in the folder leads to.
    fn start(settings: &Settings) -> Family {
        Family::start_with(settings, &[])
    }

    fn start_with(settings: &Settings, flags: &[&str]) -> Family {
        Family::start_by(settings, &[], flags)
    }

    /// By a command that ends by running the program.
    fn start_by(settings: &Settings, by: &[&str], flags: &[&str]) -> Family {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("www")).unwrap();
        settings.write(folder.path());
        let program = folder.path().join("spliceway");
        symlink(binary(), &program).unwrap();
        let mut launch = Launch::with_arguments(&[]);
        let command = launch.command();
        *command = match by {
            [] => Command::new(program),
            [first, more @ ..] => {
                let mut command = Command::new(first);
                command.args(more).arg(program);
                command
            }
        };
        command.arg("run").arg("--config").arg(folder.path().join("proxy.toml")).args(flags);
        Family { proxy: launch.start(), folder }
    }

    fn control(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// `spliceway upgrade`: exit code, and what it printed.
    fn upgrade(&self) -> (Option<i32>, String) {
        let control = self.control();
        Launch::with_arguments(&["upgrade", "--socket", control.to_str().unwrap()]).run_to_end()
    }

    /// The same, which must go well: the new process.
    fn must_upgrade(&self) -> Pid {
        let (code, printed) = self.upgrade();
        assert_eq!(code, Some(0), "{printed}\n{}", self.proxy.stderr_lines().join("\n"));
        let words: Vec<&str> = printed.split_whitespace().collect();
        assert_eq!(words[..1], ["process"], "{printed}");
        Pid::from_raw(words[1].parse().unwrap())
    }

    fn status(&self) -> serde_json::Value {
        let control = self.control();
        let arguments = ["status", "--json", "--socket", control.to_str().unwrap()];
        let (code, printed) = Launch::with_arguments(&arguments).run_to_end();
        assert_eq!(code, Some(0), "{printed}");
        serde_json::from_str(&printed).unwrap()
    }

    /// Puts a shell script in the place of the binary.
    fn replace_binary(&self, script: &str) {
        let (program, new) = (self.program(), self.folder.path().join("new"));
        fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, program).unwrap();
    }

    /// Begins an upgrade to a process that gets ready only once there is a file, and gives both.
    fn begin_upgrade_that_waits(&mut self) -> (PathBuf, Pid) {
        let go = self.folder.path().join("go");
        let waiting = format!("while [ ! -e {} ]; do sleep 0.01; done", go.display());
        self.replace_binary(&format!("{waiting}; exec {} \"$@\"", binary()));
        self.proxy.signal(Signal::SIGUSR2);
        let successor = eventually("a process was started", || self.successors().first().copied());
        (go, successor)
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("spliceway")
    }

    fn file(&self) -> Address {
        Address::Unix(self.folder.path().join("file.sock"))
    }

    /// The thread of that name in the first process.
    fn thread(&self, name: &str) -> Pid {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.proxy.pid())).unwrap();
        let mut tasks = tasks.map(|task| task.unwrap().path());
        let is_it = |task: &PathBuf| fs::read_to_string(task.join("comm")).unwrap().trim() == name;
        let task = tasks.find(is_it).unwrap();
        Pid::from_raw(task.file_name().unwrap().to_str().unwrap().parse().unwrap())
    }

    /// The processes that were started here.
    fn successors(&self) -> Vec<Pid> {
        let lines = self.proxy.stderr_lines();
        let started = lines.iter().filter(|line| line.contains("a new process was started"));
        let pid = |line: &String| line.split("pid=").nth(1)?.split(' ').next()?.parse().ok();
        started.filter_map(pid).map(Pid::from_raw).collect()
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        for pid in self.successors() {
            // Its number may be another's by now.
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let folder = self.folder.path().to_str().unwrap_or_default().as_bytes();
            if command.windows(folder.len()).any(|window| window == folder) {
                let _gone = kill(pid, Signal::SIGKILL);
            }
        }
    }
}

fn is_running(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // One that nobody has waited for is over.
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Requests as fast as they are answered, counted.
struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

/// How a client uses its connections.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// One request after the other.
    Busy,
    /// With a pause, in which the connection is idle.
    Pausing,
    /// A connection for each request.
    Fresh,
}

impl Load {
    fn start(addresses: &[Address]) -> Load {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let failures = Arc::<Mutex<Vec<String>>>::default();
        let mut clients = Vec::new();
        for address in addresses {
            for manner in [Manner::Busy, Manner::Pausing, Manner::Pausing, Manner::Fresh] {
                let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
                let (failures, address) = (Arc::clone(&failures), address.clone());
                clients.push(std::thread::spawn(move || {
                    let mut connection = None;
                    while !stop.load(Ordering::Relaxed) {
                        match one_request(&mut connection, &address, manner) {
                            Ok(()) => served.fetch_add(1, Ordering::Relaxed),
                            Err(problem) => {
                                connection = None;
                                failures.lock().unwrap().push(format!("{manner:?}: {problem}"));
                                0
                            }
                        };
                    }
                }));
            }
        }
        Load { stop, served, failures, clients }
    }

    /// Waits for so many more.
    fn await_served(&self, more: usize) {
        let before = self.served.load(Ordering::Relaxed);
        eventually("requests are served", || {
            (self.served.load(Ordering::Relaxed) >= before + more).then_some(())
        });
    }

    /// How many were served; none may have failed.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        let failures = self.failures.lock().unwrap();
        let served = self.served.load(Ordering::Relaxed);
        assert!(failures.is_empty(), "{} of {served} failed: {failures:?}", failures.len());
        served
    }
}

fn one_request(
    connection: &mut Option<Connection>,
    address: &Address,
    manner: Manner,
) -> Result<(), String> {
    let mut used = match connection.take() {
        Some(connection) => connection,
        None => Connection::new(Stream::connect(address).map_err(|error| error.to_string())?),
    };
    used.try_send(get("/")).map_err(|error| format!("send: {error}"))?;
    let response = used.try_read_response("GET").map_err(|error| format!("read: {error}"))?;
    if response.status() != 200 || response.body != b"hello" {
        return Err(format!("{response:?}"));
    }
    match manner {
        Manner::Pausing => std::thread::sleep(Duration::from_millis(3)),
        Manner::Fresh => return Ok(()),
        Manner::Busy => {}
    }
    if response.field("connection") != Some("close") {
        *connection = Some(used);
    }
    Ok(())
}

/// Answers, and becomes an echo where it is asked to be something else than HTTP.
fn web() -> HttpOrigin {
    HttpOrigin::by_connection(|connection| {
        while let Ok(Some(request)) = connection.read_request() {
            if request.field("upgrade").is_none() {
                connection.send(ok("hello"));
                continue;
            }
            connection.send("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
            while let Ok(bytes) = connection.read_some() {
                if bytes.is_empty() || connection.try_send(bytes).is_err() {
                    return;
                }
            }
        }
    })
}

fn ping(stream: &mut Stream, word: &[u8; 4]) {
    let mut answer = [0; 4];
    stream.write_all(word).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, word);
}

fn open_tunnel(address: &Address) -> Connection {
    let mut tunnel = Connection::open(address);
    tunnel
        .send("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(tunnel.read_head().unwrap().unwrap().status(), 101);
    tunnel
}

fn ping_tunnel(tunnel: &mut Connection, word: &str) {
    tunnel.send(word);
    assert_eq!(tunnel.read_bytes(word.len() as u64).unwrap(), word.as_bytes());
}

#[test]
fn two_upgrades_under_load_cost_nobody_anything() {
    let (web, bulk, echoing) = (web(), Origin::start(exchange(7, BULK_BYTES)), Origin::start(echo));
    let mut settings = Settings {
        web: web.address().clone(),
        bulk: bulk.address().clone(),
        echo: echoing.address().clone(),
        workers: 2,
        more: "",
    };
    let mut family = Family::start(&settings);
    let addresses = family.proxy.addresses();
    let webs: Vec<Address> =
        addresses.iter().filter(|(name, _)| name == "web").map(|(_, it)| it.clone()).collect();
    assert_eq!(webs.len(), 2);
    let load = Load::start(&webs);
    let mut download = Stream::connect(&family.proxy.address_of("bulk")).unwrap();
    download.end_writing().unwrap();
    let mut first = vec![0; 1 << 20];
    download.read_exact(&mut first).unwrap();
    let mut file = fs::File::create(family.folder.path().join("www/big")).unwrap();
    write_pattern(&mut file, 8, BULK_BYTES).unwrap();
    let mut www = Connection::open(&family.proxy.address_of("www"));
    www.send(get("/big"));
    assert_eq!(www.read_head().unwrap().unwrap().status(), 200);
    let mut tunnel = open_tunnel(&webs[0]);
    let mut flow = Stream::connect(&family.file()).unwrap();
    let mut processes = vec![Pid::from_raw(family.proxy.pid().cast_signed())];
    for (generation, workers) in [3, 1].into_iter().enumerate() {
        load.await_served(300);
        ping_tunnel(&mut tunnel, "before");
        ping(&mut flow, b"ping");
        settings.workers = workers;
        settings.write(family.folder.path());
        let successor = family.must_upgrade();
        let status = family.status();
        assert_eq!(status["pid"], successor.as_raw(), "generation {generation}");
        assert_eq!(status["workers"].as_array().unwrap().len(), workers);
        assert_eq!(status["stage"], "serving");
        processes.push(successor);
        load.await_served(1000);
        ping_tunnel(&mut tunnel, "after");
        ping(&mut flow, b"pong");
        ping(&mut Stream::connect(&family.file()).unwrap(), b"new!");
    }
    let served = load.end();
    let counted = family.proxy.metrics();
    assert_eq!(counted.sum("spliceway_upgrades_total", &[("result", "success")]), 1.0);
    assert_eq!(counted.sum("spliceway_upgrades_total", &[("result", "failure")]), 0.0);
    // Those of the third process alone; workers report a few times a second.
    let requests = "spliceway_http_requests_total";
    family.proxy.await_metric(requests, &[], |counted| counted >= 1000.0);
    assert!(served >= 2600, "{served}");

    // What began in the first process ends there, two generations later.
    let mut whole = std::io::Read::chain(&first[..], &mut download);
    let (received, ending) = read_digest(&mut whole);
    ending.unwrap();
    assert_eq!(received, digest(7, BULK_BYTES));
    let body = www.read_bytes(BULK_BYTES).unwrap();
    assert_eq!(read_digest(&mut &body[..]).0, digest(8, BULK_BYTES));
    drop(www);
    assert!(family.proxy.is_running(), "the tunnel is open");
    ping_tunnel(&mut tunnel, "at last");
    drop((tunnel, flow, download));
    assert_eq!(family.proxy.wait().code(), Some(0));
    eventually("the second process ends", || (!is_running(processes[1])).then_some(()));
    ping(&mut Stream::connect(&family.file()).unwrap(), b"file");
    kill(processes[2], Signal::SIGTERM).unwrap();
    eventually("the third process ends", || (!is_running(processes[2])).then_some(()));
    for name in ["file.sock", "control.sock"] {
        assert!(!family.folder.path().join(name).exists(), "{name} is left over");
    }
}

/// Each proxy here serves the same.
fn small(more: &'static str) -> (HttpOrigin, Settings) {
    let web = web();
    let settings = Settings {
        web: web.address().clone(),
        bulk: web.address().clone(),
        echo: web.address().clone(),
        workers: 1,
        more,
    };
    (web, settings)
}

#[test]
fn whatever_is_wrong_with_the_new_one_the_old_one_goes_on() {
    let (_web, settings) = small("");
    let mut family = Family::start_with(&settings, &["--set", "process.upgrade_timeout=3s"]);
    let webs = [family.proxy.address_of("web")];
    let load = Load::start(&webs);
    let mut failures = 0;
    let mut check = |family: &Family, expected: &[&str]| {
        load.await_served(50);
        let (code, printed) = family.upgrade();
        assert_eq!(code, Some(4), "{printed}");
        assert!(expected.iter().all(|words| printed.contains(words)), "{printed}");
        failures += 1;
        let status = family.status();
        assert_eq!(status["pid"], family.proxy.pid());
        assert_eq!(status["stage"], "serving");
        let labels = [("result", "failure")];
        let counted = f64::from(failures);
        family.proxy.await_metric("spliceway_upgrades_total", &labels, |it| it == counted);
        load.await_served(50);
    };
    family.replace_binary("exit 7");
    check(&family, &["exit status: 7", "the old process goes on"]);
    family.replace_binary("kill -SEGV $$");
    check(&family, &["SIGSEGV"]);
    let marker = family.folder.path().join("hangs");
    family.replace_binary(&format!("echo $$ >{}; exec sleep 600", marker.display()));
    check(&family, &["not ready after 3s (process.upgrade_timeout)"]);
    let hanging = fs::read_to_string(marker).unwrap().trim().parse().unwrap();
    eventually("what hangs is killed", || (!is_running(Pid::from_raw(hanging))).then_some(()));
    fs::remove_file(family.program()).unwrap();
    check(&family, &["cannot be started", "No such file"]);
    fs::write(family.program(), "text").unwrap();
    check(&family, &["cannot be started", "Permission denied"]);

    symlink(binary(), family.folder.path().join("new")).unwrap();
    fs::rename(family.folder.path().join("new"), family.program()).unwrap();
    let wrong = Settings { more: "[nonsense]\nkey = 1\n", ..settings };
    wrong.write(family.folder.path());
    check(&family, &["exit status: 1", "nonsense", "proxy.toml:"]);
    let right = Settings { more: "", ..wrong };
    right.write(family.folder.path());
    family.must_upgrade();
    load.await_served(50);
    load.end();
    family.proxy.wait();
}

#[test]
fn usr2_does_it_too_and_one_at_a_time() {
    let (_web, settings) = small("");
    let mut family = Family::start(&settings);
    let go = family.folder.path().join("go");
    let waiting = format!("while [ ! -e {} ]; do sleep 0.01; done", go.display());
    family.replace_binary(&format!("{waiting}; exec {} \"$@\"", binary()));
    family.proxy.signal(Signal::SIGUSR2);
    eventually("a process was started", || family.successors().first().copied());
    let (code, printed) = family.upgrade();
    assert_eq!((code, printed.contains("under way")), (Some(4), true), "{printed}");
    fs::write(go, "").unwrap();
    assert_eq!(family.proxy.wait().code(), Some(0));
    let successor = family.successors()[0];
    eventually("the new one serves", || {
        (family.status()["pid"] == successor.as_raw()).then_some(())
    });
    let mut client = Connection::open(&family.proxy.address_of("web"));
    assert_eq!(client.exchange(get("/")).status(), 200);
}

#[test]
fn a_predecessor_that_is_killed_is_succeeded() {
    let (_web, settings) = small("");
    let mut family = Family::start(&settings);
    let (go, successor) = family.begin_upgrade_that_waits();
    family.proxy.signal(Signal::SIGKILL);
    family.proxy.wait();
    // Nobody accepts now, and nobody is refused: the backlog is the successor's already.
    let address = family.proxy.address_of("web");
    let mut clients: Vec<Connection> = (0..50).map(|_| Connection::open(&address)).collect();
    clients.iter_mut().for_each(|client| client.send(get("/")));
    fs::write(go, "").unwrap();
    for client in &mut clients {
        assert_eq!(client.read_response("GET").status(), 200);
    }
    assert_eq!(family.status()["pid"], successor.as_raw());
}

/// The kernel refuses a worker of the old process to wait for events, which nothing else brings
/// about: the process fails while the new one gets ready.
#[test]
fn what_a_predecessor_that_fails_was_found_by_is_its_successors() {
    if !have("strace", "-V") {
        return;
    }
    let (_web, settings) = small("");
    let mut family = Family::start(&settings);
    let (go, successor) = family.begin_upgrade_that_waits();
    let worker = family.thread("worker-0").to_string();
    let inject = ["-qq", "-o", "/dev/null", "-e", "inject=epoll_wait:error=EBADF", "-p", &worker];
    let mut tracer = Command::new("strace").args(inject).stderr(Stdio::null()).spawn().unwrap();
    // With the worker's thread its tracer ends.
    if !eventually("the worker fails", || tracer.try_wait().unwrap()).success() {
        skip("this user may not trace other processes");
        return;
    }
    assert_ne!(family.proxy.wait().code(), Some(0));
    fs::write(go, "").unwrap();
    for address in [family.proxy.address_of("web"), family.file()] {
        assert_eq!(Connection::open(&address).exchange(get("/")).status(), 200);
    }
    assert_eq!(family.status()["pid"], successor.as_raw());
}

#[test]
fn whoever_is_told_to_end_does_not_hand_over() {
    let (_web, settings) = small("");
    let mut family = Family::start(&settings);
    family.replace_binary("exec sleep 600");
    family.proxy.signal(Signal::SIGUSR2);
    let successor = eventually("a process was started", || family.successors().first().copied());
    family.proxy.signal(Signal::SIGTERM);
    assert_eq!(family.proxy.wait().code(), Some(0));
    eventually("the new one is gone as well", || (!is_running(successor)).then_some(()));
    assert!(!family.control().exists());
}

/// What systemd hears: who is the main process, and nothing that would make it believe that the
/// service ends.
#[test]
fn systemd_is_told_who_is_the_main_process() {
    let (_web, settings) = small("");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify.sock");
    let heard = UnixDatagram::bind(&path).unwrap();
    heard.set_read_timeout(Some(support::PATIENCE)).unwrap();
    // Until one holds it: all messages so far, this one among them.
    let hear = |word: &str| {
        let mut messages = Vec::new();
        loop {
            let mut bytes = [0; 4096];
            let count = heard.recv(&mut bytes).unwrap();
            messages.extend(String::from_utf8_lossy(&bytes[..count]).lines().map(str::to_owned));
            if messages.iter().any(|message| message == word) {
                return messages;
            }
        }
    };
    let notify = format!("NOTIFY_SOCKET={}", path.display());
    let mut family = Family::start_by(&settings, &["env", &notify], &[]);
    hear("READY=1");
    let successor = family.must_upgrade();
    assert_eq!(family.proxy.wait().code(), Some(0));
    let until_handed_over = hear(&format!("MAINPID={successor}"));
    assert!(!until_handed_over.iter().any(|it| it.starts_with("STOPPING")));
    let serving = hear("READY=1");
    assert!(!serving.iter().any(|it| it.starts_with("STOPPING")), "{serving:?}");
    kill(successor, Signal::SIGTERM).unwrap();
    let rest = hear("STOPPING=1");
    let mains = rest.iter().filter(|it| it.starts_with("MAINPID")).count();
    assert_eq!(mains, 0, "{rest:?}");
}
