//! Commands over the control socket, typed by people: what they do, print and exit with.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use nix::sys::signal::Signal;
use support::eventually;
use support::http::{Connection, HttpOrigin, get, ok};
use support::proxy::{Launch, Proxy};
use tempfile::TempDir;

/// A proxy that takes commands, in front of two servers that say their names.
struct Commanded {
    proxy: Proxy,
    folder: TempDir,
    _servers: [HttpOrigin; 2],
}

impl Commanded {
    fn start() -> Commanded {
        let servers = ["one", "two"].map(|name| HttpOrigin::answering(ok(name)));
        let folder = tempfile::tempdir().unwrap();
        let toml = format!(
            "[control]\nsocket = \"{}\"\nmode = \"0660\"\n\
             [admin]\nbind = \"127.0.0.1:0\"\n[process]\nworkers = 1\n\
             [listeners.web]\nprotocol = \"http\"\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\n\
             [upstreams.app]\nservers = [\n\
             {{ address = \"{}\", name = \"one\" }},\n{{ address = \"{}\", name = \"two\" }},\n]\n",
            folder.path().join("control.sock").display(),
            servers[0].address(),
            servers[1].address(),
        );
        let path = folder.path().join("proxy.toml");
        fs::write(&path, toml).unwrap();
        let proxy = Launch::with_arguments(&["run", "--config", path.to_str().unwrap()]).start();
        Commanded { proxy, folder, _servers: servers }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// Exit code, and what was printed.
    fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let socket = self.socket();
        let all = [arguments, &["--socket", socket.to_str().unwrap()]].concat();
        Launch::with_arguments(&all).run_to_end()
    }

    /// A command that goes well: what it printed.
    fn must(&self, arguments: &[&str]) -> String {
        let (code, printed) = self.command(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {printed}");
        printed
    }

    /// How many of so many requests each server has answered.
    fn shares(&self, requests: usize) -> [usize; 2] {
        let mut client = Connection::open(&self.proxy.address());
        let mut shares = [0; 2];
        for _ in 0..requests {
            let answer = client.exchange(get("/")).text();
            shares[usize::from(answer == "two")] += 1;
        }
        shares
    }

    /// Waits for shares that fit: what is under way goes where it was sent.
    fn await_shares(&self, what: &str, fits: impl Fn([usize; 2]) -> bool) {
        eventually(what, || fits(self.shares(40)).then_some(()));
    }
}

#[test]
fn servers_are_drained_taken_out_weighted_and_brought_back() {
    let commanded = Commanded::start();
    commanded.await_shares("both serve", |shares| shares == [20, 20]);
    let printed = commanded.must(&["server", "app/one", "drain"]);
    assert!(printed.starts_with("app/one drains; "), "{printed}");
    commanded.await_shares("one drains", |shares| shares == [0, 40]);
    commanded.must(&["server", "app/one", "up"]);
    commanded.await_shares("one is back", |shares| shares == [20, 20]);
    commanded.must(&["server", "app/two", "down"]);
    commanded.await_shares("two is out", |shares| shares == [40, 0]);
    commanded.must(&["server", "app/two", "up"]);
    let printed = commanded.must(&["server", "app/two", "weight", "3"]);
    assert_eq!(printed, "app/two has the weight 3");
    commanded.await_shares("two has three quarters", |shares| shares == [10, 30]);
    commanded.must(&["server", "app/two", "weight", "0"]);
    commanded.await_shares("a weight of nothing", |shares| shares == [40, 0]);
    let printed = commanded.must(&["server", "app/two", "weight", "configured"]);
    assert_eq!(printed, "app/two has its configured weight, 1");
    commanded.await_shares("as configured", |shares| shares == [20, 20]);
    // By its address as well.
    let address = commanded._servers[0].address().to_string();
    commanded.must(&["server", &format!("app/{address}"), "down"]);
    commanded.await_shares("one is out", |shares| shares == [0, 40]);
}

#[test]
fn a_configuration_is_reloaded_or_refused_with_its_errors() {
    let commanded = Commanded::start();
    let config = commanded.folder.path().join("proxy.toml");
    let text = fs::read_to_string(&config).unwrap();
    commanded.must(&["server", "app/two", "down"]);
    fs::write(&config, text.replace("name = \"one\"", "name = \"first\"")).unwrap();
    let printed = commanded.must(&["reload"]);
    assert!(printed.contains("changed upstream app"), "{printed}");
    let shown = commanded.must(&["status"]);
    for expected in ["configuration 1, reloaded", "app/first", "out_of_service"] {
        assert!(shown.contains(expected), "{expected} in\n{shown}");
    }
    commanded.await_shares("orders outlive a reload", |shares| shares == [40, 0]);
    fs::write(&config, text.replace("[control]", "[nonsense]\n[control]")).unwrap();
    let (code, printed) = commanded.command(&["reload"]);
    assert_eq!((code, printed.contains("nonsense")), (Some(1), true), "{printed}");
    assert!(commanded.must(&["status"]).contains("the last reload failed"));
    assert_eq!(commanded.shares(40), [40, 0], "what was there before is in force");
}

#[test]
fn orders_outlive_an_upgrade() {
    let mut commanded = Commanded::start();
    commanded.must(&["server", "app/one", "down"]);
    commanded.must(&["server", "app/two", "weight", "7"]);
    let printed = commanded.must(&["upgrade"]);
    let successor: i32 = printed.split_whitespace().nth(1).unwrap().parse().unwrap();
    commanded.proxy.wait();
    let shares = commanded.shares(40);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(successor), Signal::SIGTERM).unwrap();
    assert_eq!(shares, [0, 40]);
    let told = "took over from the predecessor orders=2";
    assert!(commanded.proxy.stderr_lines().iter().any(|line| line.contains(told)));
}

#[test]
fn what_cannot_be_done_is_said() {
    let commanded = Commanded::start();
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let (found, printed) = commanded.command(arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {printed}");
        assert!(printed.contains(expected), "{arguments:?}: {printed}");
    };
    check(&["server", "app/three", "down"], 4, "no server three: it has one, two");
    check(&["server", "web/one", "down"], 4, "no upstream web: there is app");
    check(&["server", "app/one", "weight", "1001"], 2, "0 to 1000");
    check(&["server", "app/one", "weight"], 2, "required");
    check(&["server", "one", "down"], 2, "UPSTREAM/SERVER");
    check(&["server", "app/one", "off"], 2, "drain");
    assert_eq!(commanded.shares(40), [20, 20], "nothing has changed");

    let elsewhere = commanded.folder.path().join("nobody.sock");
    let elsewhere = elsewhere.to_str().unwrap();
    let (code, printed) = Launch::with_arguments(&["status", "--socket", elsewhere]).run_to_end();
    assert_eq!(code, Some(5), "{printed}");
    assert!(printed.contains("is spliceway running"), "{printed}");
    drop(UnixListener::bind(elsewhere).unwrap());
    let (code, printed) = Launch::with_arguments(&["upgrade", "--socket", elsewhere]).run_to_end();
    assert_eq!(code, Some(5), "{printed}");
    assert!(printed.contains("the process that has made it is gone"), "{printed}");
}

#[test]
fn status_is_for_people_and_for_programs() {
    let mut commanded = Commanded::start();
    let shown = commanded.must(&["status"]);
    let version =
        format!("Spliceway {}, process {}", env!("CARGO_PKG_VERSION"), commanded.proxy.pid());
    for expected in [version.as_str(), "serving, ready", "Listeners\n", "Servers\n", "app/one"] {
        assert!(shown.contains(expected), "{expected} in\n{shown}");
    }
    let json = commanded.must(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let served: serde_json::Value =
        serde_json::from_str(&commanded.proxy.get("/status").unwrap().text()).unwrap();
    assert_eq!(json["pid"], served["pid"]);
    assert_eq!(json["upstreams"], served["upstreams"]);

    let config = commanded.folder.path().join("proxy.toml");
    let by_config = ["status", "--config", config.to_str().unwrap()];
    let (code, printed) = Launch::with_arguments(&by_config).run_to_end();
    assert_eq!((code, printed.starts_with("Spliceway")), (Some(0), true), "{printed}");
    let off = commanded.folder.path().join("off.toml");
    let text = fs::read_to_string(&config).unwrap().replace("[control]\nsocket", "[control]\n#");
    fs::write(&off, text.replace("[control]\n", "[control]\nsocket = \"off\"\n")).unwrap();
    let by_config = ["status", "--config", off.to_str().unwrap()];
    let (code, printed) = Launch::with_arguments(&by_config).run_to_end();
    assert_eq!((code, printed.contains("\"off\"")), (Some(5), true), "{printed}");

    commanded.proxy.signal(Signal::SIGTERM);
    commanded.proxy.wait();
    assert!(!commanded.socket().exists(), "the socket's file is left over");
}

#[test]
fn the_sockets_file_says_who_may_command() {
    let commanded = Commanded::start();
    let mode = fs::metadata(commanded.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

/// Nobody who may open the socket can do harm by mistake: what is no command is refused, and a
/// connection that says nothing keeps nobody out.
#[test]
fn what_is_no_command_is_refused() {
    let commanded = Commanded::start();
    let silent: Vec<UnixStream> =
        (0..80).map(|_| UnixStream::connect(commanded.socket()).unwrap()).collect();
    let ask = |request: &str| {
        let mut stream = UnixStream::connect(commanded.socket()).unwrap();
        // Whoever says too much may be cut off before the answer is read.
        let _cut_off = stream.write_all(request.as_bytes()).is_err();
        let mut answer = Vec::new();
        let _cut_off = stream.read_to_end(&mut answer).is_err();
        String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned()
    };
    let post = |path: &str, body: &str| {
        ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    assert_eq!(ask("GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "405");
    assert_eq!(post("/nothing", ""), "404");
    assert_eq!(post("/server", "{"), "400");
    let unknown = r#"{"upstream":"app","server":"one","change":"off"}"#;
    assert_eq!(post("/server", unknown), "422");
    let too_much = post("/server", &"x".repeat(100_000));
    assert!(["413", ""].contains(&&*too_much), "{too_much}");
    let heavy = r#"{"upstream":"app","server":"one","change":{"weight":1001}}"#;
    assert_eq!(post("/server", heavy), "404");
    assert_eq!(commanded.shares(40), [20, 20], "nothing has changed");
    drop(silent);
}
