//! The README does what it says. Its rules, by the language of a block:
//!
//! - `sh`: every line is run, in order, in a folder of its own, with free ports in place of those
//!   that stand there. A line that starts the proxy runs until the next such line, and then ends
//!   with 0 upon TERM. What cannot be run is listed in [`NOT_RUN`] with its reason.
//! - `toml`: passes `spliceway check`. `<!-- file: NAME -->` before it: commands find it there.
//! - `ini`: a drop-in of the unit, which systemd-analyze must like.
//! - `text`: not for machines; but after `<!-- sample of: COMMAND -->`, each line of it is what the
//!   command really prints, numbers aside.
//!
//! Tables between `<!-- table: NAME -->` and `<!-- /table -->` say what the program says.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use spliceway::access_log::{
    ClientTls, ConnectionRecord, LINES_QUEUED_MAX, QUEUED_BYTES_MAX, RequestRecord, TEXT_BYTES_MAX,
    Timings, Traffic,
};
use spliceway::config::Effective;
use spliceway::config::units::{parse_duration, parse_size, show_size};
use spliceway::config::{LogFormat, limits};
use spliceway::error::{CloseReason, FallbackReason};
use spliceway::http::reject::{RejectReason, Rejection};
use spliceway::http::template::Placeholder;
use spliceway::load::{Base, Sources, load};
use spliceway::metrics::{FAMILIES, Kind};
use spliceway::{control, io, relay};
use support::certificates::write_named_certificates;
use support::proxy::{Launch, Proxy, binary};
use support::tools::have;
use tempfile::TempDir;

/// Commands that are not run here, and why. They are still read by `bash -n`, and tests/tidy.rs
/// looks whether the files that they name exist.
const NOT_RUN: [(&str, &str); 33] = [
    ("cargo test", "is what runs this"),
    ("cargo build --release", "the tests run what is built already"),
    (
        "sudo install -m 755 target/release/spliceway /usr/local/bin/spliceway",
        "needs root and changes the machine",
    ),
    (
        "sudo install -D -m 644 systemd/spliceway.sysusers /etc/sysusers.d/spliceway.conf",
        "needs root and changes the machine",
    ),
    ("sudo systemd-sysusers", "needs root and changes the machine"),
    (
        "sudo install -D -m 644 systemd/spliceway.toml /etc/spliceway/spliceway.toml",
        "needs root and changes the machine",
    ),
    (
        "sudo install -m 644 systemd/spliceway.service /etc/systemd/system/spliceway.service",
        "needs root and changes the machine",
    ),
    ("sudo systemctl daemon-reload", "needs root and a running systemd"),
    (
        "spliceway check --config /etc/spliceway/spliceway.toml",
        "is there once installed; the file that it comes from is checked further up",
    ),
    ("sudo systemctl enable --now spliceway.service", "needs root and a running systemd"),
    ("systemctl status spliceway.service", "needs a running systemd"),
    ("journalctl -u spliceway.service", "needs a running systemd"),
    (
        "spliceway check --config /etc/spliceway/spliceway.toml \
         && sudo systemctl restart spliceway.service",
        "needs root and a running systemd",
    ),
    (
        "sudo install -m 644 systemd/spliceway.socket /etc/systemd/system/spliceway.socket",
        "needs root and changes the machine",
    ),
    ("sudo systemctl stop spliceway.service", "needs root and a running systemd"),
    ("sudo systemctl enable --now spliceway.socket", "needs root and a running systemd"),
    ("sudo systemctl start spliceway.service", "needs root and a running systemd"),
    ("sudo systemctl kill --signal=USR1 spliceway.service", "needs root and a running systemd"),
    ("kill -HUP \"$(pidof spliceway)\"", "would reload every proxy of the machine"),
    ("spliceway measure", "takes a minute; tests/measure.rs runs it with tiny sizes"),
    (
        "spliceway measure --write measured.toml --svg measured.svg",
        "takes a minute; tests/measure.rs runs it with tiny sizes",
    ),
    ("cargo bench --bench relay", "takes minutes; .ci/run runs it with --quick"),
    ("cargo bench --bench http", "takes minutes; .ci/run runs it with --quick"),
    ("cargo bench --bench tls", "takes minutes; .ci/run runs it with --quick"),
    ("cargo bench --bench files", "takes minutes; .ci/run runs it with --quick"),
    (
        "sudo apt-get install haproxy nginx-light libnginx-mod-stream",
        "needs root and a network, and changes the machine",
    ),
    (
        "spliceway upgrade --config operated.toml",
        "leaves a process behind that is nobody's child; tests/upgrade.rs runs it",
    ),
    ("sudo spliceway upgrade", "needs root and a running systemd"),
    ("SPLICEWAY_SEED=1234 cargo test --test simulation", "is a test of its own"),
    ("SPLICEWAY_SEEDS=20000 cargo test --test simulation", "takes an hour"),
    ("cargo install cargo-fuzz", "needs a network, and changes the machine"),
    ("cargo +nightly fuzz run request_head", "needs a nightly compiler, and does not end"),
    (".ci/run", "runs this test among others"),
];

/// What the demo's listeners are called and where they listen unless told otherwise.
const DEMO_LISTENERS: [(&str, &str); 2] = [("WEB", "127.0.0.1:8080"), ("ECHO", "127.0.0.1:7007")];
const ADMIN: &str = "127.0.0.1:9900";
/// Where the README says that the service behind the proxy listens.
const SERVICE: &str = "127.0.0.1:3000";

const MINIMAL: &str = "[upstreams.app]\nservers = [\"127.0.0.1:9\"]\n\
    [listeners.web]\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\n";

/// A fenced block.
#[derive(Debug)]
struct Block {
    /// The number of its first line.
    line: usize,
    language: String,
    /// The comment on the line before it.
    note: String,
    lines: Vec<String>,
}

impl Block {
    fn note(&self, name: &str) -> Option<&str> {
        self.note.strip_prefix(name)?.strip_prefix(": ")
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

fn comment(line: &str) -> Option<&str> {
    Some(line.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim())
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut is_open, mut before) = (false, String::new());
    for (index, line) in readme().lines().enumerate() {
        if let Some(language) = line.strip_prefix("```") {
            is_open = !is_open;
            if is_open {
                let note = comment(&before).unwrap_or_default().to_owned();
                let language = language.to_owned();
                blocks.push(Block { line: index + 2, language, note, lines: Vec::new() });
            }
        } else if is_open {
            blocks.last_mut().unwrap().lines.push(line.to_owned());
        }
        before = line.to_owned();
    }
    assert!(!is_open, "a block of the README has no end");
    blocks
}

fn of_language(language: &str) -> impl Iterator<Item = Block> {
    blocks().into_iter().filter(move |block| block.language == language)
}

/// Line number and text of each command.
fn commands() -> Vec<(usize, String)> {
    let numbered = |block: Block| {
        let lines = block.lines.into_iter().enumerate();
        lines.map(move |(index, line)| (block.line + index, line)).collect::<Vec<_>>()
    };
    of_language("sh").flat_map(numbered).collect()
}

fn is_not_run(command: &str) -> bool {
    NOT_RUN.iter().any(|(text, _)| *text == command)
}

/// The rows of a table, without its head.
fn table(name: &str) -> Vec<Vec<String>> {
    let text = readme();
    let start = format!("table: {name}");
    let lines = text.lines().skip_while(|line| comment(line) != Some(&start)).skip(1);
    let rows: Vec<Vec<String>> = lines
        .take_while(|line| comment(line) != Some("/table"))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    assert!(rows.len() > 2, "the README has no table {name}");
    rows[2..].to_vec()
}

/// What stands in back quotes.
fn code(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn first_codes(name: &str) -> Vec<String> {
    table(name).iter().map(|row| code(&row[0]).join(" ")).collect()
}

#[test]
fn every_block_has_a_language_with_a_rule() {
    for Block { line, language, lines, .. } in blocks() {
        let known = ["sh", "toml", "ini", "text"].contains(&language.as_str());
        assert!(known && !lines.is_empty(), "README.md:{line}: {language:?}: {lines:?}");
    }
}

#[test]
fn every_configuration_loads() {
    let mut configurations = 0;
    for block in of_language("toml") {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("block.toml");
        let text = block.lines.join("\n");
        fs::write(&path, &text).unwrap();
        write_named_certificates(&text, directory.path());
        let launch = Launch::with_arguments(&["check", "--config", path.to_str().unwrap()]);
        let (code, printed) = launch.run_to_end();
        assert_eq!(code, Some(0), "README.md:{}: {printed}", block.line);
        configurations += 1;
    }
    assert!(configurations > 0);
}

/// Free ports in place of those that the README shows; the same one for the same one.
#[derive(Default)]
struct Ports(HashMap<u16, u16>);

impl Ports {
    fn free(&mut self, shown: u16) -> u16 {
        let taken: Vec<u16> = self.0.values().copied().collect();
        *self.0.entry(shown).or_insert_with(|| {
            // Below the ports that the kernel gives to other tests' connections unasked.
            let first = 20_000 + (std::process::id() % 1_000) as u16 * 10;
            let mut candidates = (first..32_000).filter(|port| !taken.contains(port));
            let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
            candidates.find(is_free).expect("one of some thousand ports is free")
        })
    }

    /// Each `:PORT` of four or five digits becomes one that is free.
    fn replace(&mut self, text: &str) -> String {
        let mut parts = text.split(':');
        let mut replaced = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            match part[..digits].parse::<u16>() {
                Ok(port) if port >= 1000 => {
                    replaced.push_str(&format!(":{}{}", self.free(port), &part[digits..]));
                }
                _ => replaced.push_str(&format!(":{part}")),
            }
        }
        replaced
    }
}

/// Somebody who types what the README says.
struct Reader {
    directory: TempDir,
    ports: Ports,
    /// The proxy that runs, and the command that started it.
    proxy: Option<(String, Proxy)>,
    /// Commands and what they printed.
    printed: Vec<(String, String)>,
}

impl Reader {
    /// In a folder with the files that the README shows, and those of the repository.
    fn new() -> Reader {
        let directory = tempfile::tempdir().unwrap();
        let mut ports = Ports::default();
        for folder in ["config", "systemd"] {
            std::os::unix::fs::symlink(root().join(folder), directory.path().join(folder)).unwrap();
        }
        for block in blocks() {
            if let Some(name) = block.note("file") {
                let text = ports.replace(&block.lines.join("\n"));
                fs::write(directory.path().join(name), text).unwrap();
            }
        }
        Reader { directory, ports, proxy: None, printed: Vec::new() }
    }

    /// A launch of `command` by a shell that it replaces.
    fn launch(&mut self, command: &str) -> Launch {
        let command = self.ports.replace(command);
        let folder = Path::new(binary()).parent().unwrap().to_str().unwrap();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
        let mut launch = Launch::with_arguments(&[]);
        let shell = launch.command();
        *shell = Command::new("bash");
        shell.args(["-o", "pipefail", "-c", &command]);
        shell.current_dir(self.directory.path()).env("PATH", path);
        launch
    }

    /// Starts a proxy in place of the one that runs.
    fn start(&mut self, command: &str) {
        self.stop();
        let (typed, listeners) = match command {
            "cargo run --release" => ("spliceway", &DEMO_LISTENERS[..]),
            other => (other, &[][..]),
        };
        let typed = typed.replacen("spliceway", "exec spliceway", 1);
        let mut launch = self.launch(&typed);
        let admin = self.ports.replace(ADMIN);
        launch = launch.environment("SPLICEWAY__ADMIN__BIND", &admin);
        for (name, shown) in listeners {
            let variable = format!("SPLICEWAY__LISTENERS__{name}__BIND");
            launch = launch.environment(&variable, &self.ports.replace(shown));
        }
        self.proxy = Some((command.to_owned(), launch.start()));
    }

    fn stop(&mut self) {
        if let Some((command, mut proxy)) = self.proxy.take() {
            proxy.signal(Signal::SIGTERM);
            assert!(proxy.wait().success(), "{command}: {}", proxy.stderr_lines().join("\n"));
            self.printed.push((command, proxy.stderr_lines().join("\n")));
        }
    }

    fn run(&mut self, line: usize, command: &str) {
        let (code, printed) = self.launch(command).run_to_end();
        assert_eq!(code, Some(0), "README.md:{line}: {command}: {printed}");
        assert!(!printed.is_empty(), "README.md:{line}: {command} prints nothing");
        self.printed.push((command.to_owned(), printed));
    }
}

fn starts_the_proxy(command: &str) -> bool {
    ["cargo run", "spliceway tcp", "spliceway http", "spliceway run"]
        .iter()
        .any(|start| command.contains(start))
}

/// The service that the README supposes: it answers every request alike.
fn serve(listener: TcpListener) {
    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n";
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            // A client that breaks off is its own test's failure.
            let _request = client.read(&mut [0; 4096]);
            let _answered = client.write_all(ANSWER);
        }
    });
}

#[test]
fn every_command_runs_or_is_listed_with_a_reason() {
    if !have("curl", "--version") || !have("openssl", "version") {
        return;
    }
    let mut reader = Reader::new();
    serve(TcpListener::bind(reader.ports.replace(SERVICE)).unwrap());
    for (line, command) in commands() {
        if is_not_run(&command) {
            continue;
        }
        if starts_the_proxy(&command) {
            reader.start(&command);
        } else {
            reader.run(line, &command);
        }
    }
    reader.stop();
    let started = reader.printed.iter().filter(|(command, _)| starts_the_proxy(command)).count();
    assert!(started >= 4 && reader.printed.len() >= 12, "{} commands", reader.printed.len());
    check_samples(&reader);
}

/// Whatever a machine changes is left out: times, numbers, and what stands far to the right.
fn skeleton(line: &str) -> String {
    let is_time =
        |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with('Z');
    let words = line.split_whitespace().skip_while(is_time).take(3);
    let mut skeleton = String::new();
    for character in words.collect::<Vec<_>>().join(" ").chars() {
        match character {
            '0'..='9' if skeleton.ends_with('#') => {}
            '0'..='9' => skeleton.push('#'),
            other => skeleton.push(other),
        }
    }
    skeleton
}

fn check_samples(reader: &Reader) {
    let mut samples = 0;
    for block in of_language("text") {
        let Some(command) = block.note("sample of") else { continue };
        let printed = reader.printed.iter().find(|(it, _)| it == command);
        let (_, printed) = printed.unwrap_or_else(|| panic!("{command} was not run"));
        let real: Vec<String> = printed.lines().map(skeleton).collect();
        for line in block.lines.iter().filter(|line| line.trim() != "...") {
            let expected = skeleton(line);
            assert!(real.contains(&expected), "README.md:{}: {expected}\n{printed}", block.line);
        }
        samples += 1;
    }
    assert!(samples >= 3);
}

#[test]
fn what_is_not_run_is_there_and_well_formed() {
    let commands: Vec<String> = commands().into_iter().map(|(_, command)| command).collect();
    for (command, reason) in NOT_RUN {
        assert!(
            commands.iter().any(|it| it == command),
            "{command} ({reason}) is not in the README"
        );
    }
    for command in commands {
        assert!(!command.ends_with('\\'), "{command}: one command, one line");
        let output = Command::new("bash").args(["-n", "-c", &command]).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {printed}");
    }
}

#[test]
fn the_drop_ins_fit_the_unit() {
    if !have("systemd-analyze", "--version") {
        return;
    }
    let unit = fs::read_to_string(root().join("systemd/spliceway.service")).unwrap();
    for block in of_language("ini") {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spliceway.service");
        fs::write(&path, unit.replace("/usr/local/bin/spliceway", binary())).unwrap();
        let drop_ins = directory.path().join("spliceway.service.d");
        fs::create_dir(&drop_ins).unwrap();
        fs::write(drop_ins.join("override.conf"), block.lines.join("\n")).unwrap();
        let mut analyze = Command::new("systemd-analyze");
        let output = analyze.args(["verify", "--man=no"]).arg(&path).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && printed.is_empty(), "{}: {printed}", block.line);
    }
}

/// A value in force, as `explain` has it.
#[derive(Debug, Clone)]
struct Explained {
    key: String,
    value: String,
    origin: String,
}

/// What `explain` says of a configuration.
fn explain(path: &Path) -> Vec<Explained> {
    let mut command = Command::new(binary());
    let output =
        command.env_clear().args(["explain", "--json", "--config"]).arg(path).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let named = |key: String| {
        key.replace("listeners.web.", "listeners.NAME.")
            .replace("upstreams.app.", "upstreams.NAME.")
    };
    let values = json["values"].as_array().unwrap().iter();
    let explained = values.map(|it| Explained {
        key: named(text(&it["key"])),
        value: text(&it["value"]),
        origin: text(&it["origin"]),
    });
    explained.collect()
}

/// Each value in force of a configuration without options.
fn explain_minimal(protocol: &str) -> Vec<Explained> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("minimal.toml");
    fs::write(&path, format!("{MINIMAL}{protocol}")).unwrap();
    explain(&path)
}

/// A number, a size or a duration, however it is written.
#[derive(Debug, PartialEq)]
enum Amount {
    Number(u64),
    Bytes(u64),
    Time(Duration),
    Word(String),
}

impl Amount {
    fn of(text: &str) -> Amount {
        let number = text.parse().ok().map(Amount::Number);
        let bytes = || parse_size(text).ok().map(Amount::Bytes);
        let time = || parse_duration(text).ok().map(Amount::Time);
        number.or_else(bytes).or_else(time).unwrap_or_else(|| Amount::Word(text.to_owned()))
    }
}

/// What `src/config/limits.rs` says of a key.
fn limits_of(key: &str) -> Option<[Amount; 2]> {
    fn both<T: Clone>(range: &RangeInclusive<T>, amount: fn(T) -> Amount) -> Option<[Amount; 2]> {
        Some([amount(range.start().clone()), amount(range.end().clone())])
    }
    match key {
        "process.workers" => both(&limits::WORKERS, Amount::Number),
        "process.connections_max" => both(&limits::CONNECTIONS, Amount::Number),
        "process.handshakes_max" => both(&limits::HANDSHAKES, Amount::Number),
        "process.file_threads" => both(&limits::FILE_THREADS, Amount::Number),
        "process.limited_clients_max" => both(&limits::LIMITED_CLIENTS, Amount::Number),
        "process.drain_grace" | "process.drain_timeout" => both(&limits::DRAIN, Amount::Time),
        "process.upgrade_timeout" => both(&limits::UPGRADE, Amount::Time),
        "process.upgrade_drain_timeout" => both(&limits::UPGRADE_DRAIN, Amount::Time),
        "relay.pipe_size" => both(&limits::PIPE_SIZE, Amount::Bytes),
        "relay.low_water" => both(&limits::LOW_WATER, Amount::Bytes),
        "relay.pipe_memory" | "relay.buffer_memory" => both(&limits::RELAY_MEMORY, Amount::Bytes),
        "keepalive.idle" | "keepalive.interval" => both(&limits::KEEPALIVE, Amount::Time),
        "keepalive.probes" => both(&limits::KEEPALIVE_PROBES, Amount::Number),
        "http.head_size" => both(&limits::HEAD_SIZE, Amount::Bytes),
        "http.headers_max" => both(&limits::HEADERS, Amount::Number),
        "http.target_size" => both(&limits::TARGET_SIZE, Amount::Bytes),
        "http.chunk_extension_size" => both(&limits::CHUNK_EXTENSION_SIZE, Amount::Bytes),
        "http.trailer_size" => both(&limits::TRAILER_SIZE, Amount::Bytes),
        "http.request_body_max" => both(&limits::REQUEST_BODY, Amount::Bytes),
        "upstreams.NAME.pool.idle_max" => both(&limits::POOL_IDLE, Amount::Number),
        "upstreams.NAME.pool.idle_timeout" => both(&limits::TIMEOUT, Amount::Time),
        "upstreams.NAME.slow_start" => both(&limits::SLOW_START, Amount::Time),
        "upstreams.NAME.queue.max" => both(&limits::QUEUE, Amount::Number),
        "upstreams.NAME.queue.timeout" => both(&limits::TIMEOUT, Amount::Time),
        "upstreams.NAME.retries.max" => both(&limits::RETRIES, Amount::Number),
        "upstreams.NAME.ejection.requests_min" => both(&limits::REQUESTS_MIN, Amount::Number),
        "upstreams.NAME.ejection.window"
        | "upstreams.NAME.ejection.base_time"
        | "upstreams.NAME.ejection.max_time" => both(&limits::EJECTION, Amount::Time),
        "dns.timeout" => both(&limits::TIMEOUT, Amount::Time),
        "dns.ttl_min" | "dns.ttl_max" => both(&limits::DNS_TTL, Amount::Time),
        "dns.addresses_max" => both(&limits::DNS_ADDRESSES, Amount::Number),
        "listeners.NAME.backlog" => both(&limits::BACKLOG, Amount::Number),
        _ if key.starts_with("timeouts.") => both(&limits::TIMEOUT, Amount::Time),
        _ => None,
    }
}

#[test]
fn the_config_table_has_every_key_with_its_default_and_its_range() {
    let tcp = explain_minimal("");
    let http = explain_minimal("protocol = \"http\"\n").into_iter();
    let http: Vec<Explained> =
        http.filter(|it| !tcp.iter().any(|known| known.key == it.key)).collect();
    let mut keys: Vec<String> = Vec::new();
    for row in table("config") {
        let [key, _type, default, range, listener, _meaning] = row.try_into().unwrap();
        let key = code(&key).join(" ");
        let explained = tcp.iter().chain(&http).find(|it| it.key == key);
        let Explained { value, origin, .. } =
            explained.unwrap_or_else(|| panic!("explain does not know {key}"));
        match code(&default).as_slice() {
            [] => assert!(default == "required" && origin != "default", "{key}: {default:?}"),
            [written] => {
                assert_eq!(Amount::of(written), Amount::of(value), "the default of {key}");
                assert_eq!(origin, "default", "{key}");
            }
            more => panic!("{key}: {more:?}"),
        }
        let range: Vec<Amount> = code(&range).iter().map(|bound| Amount::of(bound)).collect();
        assert_eq!(range, limits_of(&key).map_or(Vec::new(), Vec::from), "the range of {key}");
        let of_listener = match listener.as_str() {
            "yes" | "yes, HTTP" => {
                keys.push(format!("listeners.NAME.{key}"));
                keys.last().unwrap()
            }
            _ => &key,
        };
        let is_of_http = http.iter().any(|it| it.key == *of_listener);
        assert_eq!(listener.ends_with("HTTP"), is_of_http, "{key}");
        keys.push(key);
    }
    let mut expected: Vec<String> = tcp.into_iter().chain(http).map(|it| it.key).collect();
    keys.sort();
    expected.sort();
    assert_eq!(keys, expected);
}

/// Those of the examples, which have every key but the one that nobody should use.
#[test]
fn the_tls_table_has_every_key() {
    let mut expected = vec!["upstreams.NAME.tls.danger_skip_verification".to_owned()];
    for file in ["config/tls.toml", "config/sni.toml"] {
        let base = Base::Files(vec![root().join(file)]);
        let (supplied, environment, flags) = (Vec::new(), Vec::new(), Vec::new());
        let sources = Sources { base, supplied, environment, flags };
        for Effective { key, .. } in load(sources).unwrap().effective {
            let (side, rest) = key.split_once('.').unwrap();
            let Some((_, key)) = rest.split_once('.') else { continue };
            let table = key.split(['.', '[']).next();
            if !matches!(side, "listeners" | "upstreams") || !matches!(table, Some("tls" | "sni")) {
                continue;
            }
            let key: String = key
                .split('[')
                .map(|part| part.trim_start_matches(char::is_numeric))
                .collect::<Vec<_>>()
                .join("[");
            expected.push(format!("{side}.NAME.{key}"));
        }
    }
    let mut shown = first_codes("tls");
    expected.sort();
    expected.dedup();
    shown.sort();
    assert_eq!(shown, expected);
}

/// Those of limits.toml, with what holds where they are not written, and the bounds of the source.
#[test]
fn the_limits_table_has_every_key_with_its_default_and_its_range() {
    let explain_limits = |toml: &str| {
        let (folder, name) = (tempfile::tempdir().unwrap(), "limits.toml");
        fs::write(folder.path().join(name), toml).unwrap();
        let explained = explain(&folder.path().join(name)).into_iter();
        explained
            .filter_map(|it| {
                let key = it.key.strip_prefix("listeners.NAME.limits.")?.to_owned();
                Some((key, it.value))
            })
            .collect::<Vec<_>>()
    };
    let written = explain_limits(&fs::read_to_string(root().join("config/limits.toml")).unwrap());
    let none = "[upstreams.app]\nservers = [\"127.0.0.1:9\"]\n[listeners.web]\n\
                protocol = \"http\"\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\nlimits = {}\n";
    let defaults = explain_limits(none);
    let mut shown = Vec::new();
    for row in table("limits") {
        let [key, default, range, _meaning] = row.try_into().unwrap();
        let key = code(&key).join(" ");
        if let [default] = code(&default).as_slice()
            && !defaults.iter().any(|(it, _)| it == default)
        {
            assert!(defaults.contains(&(key.clone(), (*default).to_owned())), "{key}: {default}");
        }
        let expected = match key.trim_start_matches("client_") {
            "connections" => both_of(&limits::CONNECTIONS, |it| it.to_string()),
            "connection_rate" | "request_rate" => both_of(&limits::RATE, |it| format!("{it}/s")),
            "prefix_v4" => both_of(&limits::PREFIX_V4, |it| it.to_string()),
            "prefix_v6" => both_of(&limits::PREFIX_V6, |it| it.to_string()),
            "allow" | "deny" => vec![],
            _ => both_of(&limits::BANDWIDTH, |it| format!("{}/s", show_size(it))),
        };
        assert_eq!(code(&range), expected, "the range of {key}");
        shown.push(key);
    }
    let expected: Vec<String> = written.into_iter().map(|(key, _)| key).collect();
    assert_eq!(shown, expected);
}

fn both_of(range: &RangeInclusive<u64>, show: impl Fn(u64) -> String) -> Vec<String> {
    vec![show(*range.start()), show(*range.end())]
}

/// Those that balance.toml has and that do not hold for every upstream.
#[test]
fn the_balancing_table_has_every_key() {
    let base = Base::Files(vec![root().join("config/balance.toml")]);
    let (supplied, environment, flags) = (Vec::new(), Vec::new(), Vec::new());
    let loaded = load(Sources { base, supplied, environment, flags }).unwrap();
    let general = first_codes("config");
    let keys = loaded.effective.iter().filter_map(|Effective { key, .. }| {
        let (_, key) = key.strip_prefix("upstreams.")?.split_once('.')?;
        // What a table of a server may have is told where servers are.
        let key = Some(key).filter(|key| !key.starts_with("servers["))?;
        let key = format!("upstreams.NAME.{key}");
        (!general.contains(&key)).then_some(key)
    });
    let mut expected: Vec<String> = keys.collect();
    let mut shown = first_codes("balancing");
    expected.sort();
    expected.dedup();
    shown.sort();
    assert_eq!(shown, expected);
}

/// Those of example.toml, which has every key; its own test sees to that.
#[test]
fn the_routes_table_has_every_key() {
    let routes = explain(&root().join("config/example.toml")).into_iter().filter_map(|it| {
        let (_, key) = it.key.strip_prefix("listeners.NAME.routes[")?.split_once("].")?;
        let names = ["set.", "add.", "headers."];
        let named = names.into_iter().find_map(|table| {
            let (before, name) = key.split_once(table)?;
            (!name.contains('.') && name != "remove").then(|| format!("{before}{table}NAME"))
        });
        Some(named.unwrap_or_else(|| key.to_owned()))
    });
    let mut expected: Vec<String> = routes.collect();
    let mut shown = first_codes("routes");
    expected.sort();
    expected.dedup();
    shown.sort();
    assert_eq!(shown, expected);
}

#[test]
fn the_placeholders_are_all_there() {
    let expected = Placeholder::ALL.map(|placeholder| format!("{{{}}}", placeholder.name()));
    assert_eq!(first_codes("placeholders"), expected);
}

#[test]
fn the_metrics_table_has_every_family_with_its_labels() {
    let shown: Vec<[String; 3]> = table("metrics")
        .into_iter()
        .map(|row| [code(&row[0]).join(" "), row[1].clone(), code(&row[2]).join(" ")])
        .collect();
    let expected: Vec<[String; 3]> = FAMILIES
        .iter()
        .map(|family| {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram(_) => "histogram",
            };
            [family.name.to_owned(), kind.to_owned(), family.labels.join(" ")]
        })
        .collect();
    assert_eq!(shown, expected);
}

const NO_TRAFFIC: Traffic<'static> = Traffic { bytes: [[0; 3]; 2], fallbacks: &[] };

fn log_line(reason: CloseReason, format: LogFormat) -> String {
    let record = ConnectionRecord {
        time: "2026-11-21T03:48:50.123Z".parse().unwrap(),
        listener: "web",
        client: &"127.0.0.1:5000",
        upstream: Some("app"),
        server: Some(&"10.0.0.1:9001"),
        traffic: NO_TRAFFIC,
        connect: None,
        total: Duration::from_secs(1),
        retries: 0,
        tls: ClientTls::default(),
        tls_failure: None,
        reason,
    };
    let mut line = Vec::new();
    record.write(format, &mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn the_reasons_are_all_there_with_their_status() {
    let shown: Vec<[String; 2]> = table("close reasons")
        .into_iter()
        .map(|row| [code(&row[0]).join(" "), code(&row[1]).join(" ")])
        .collect();
    let expected = CloseReason::ALL.map(|reason| {
        // CLIENT - LISTENER [TIME] "TCP UPSTREAM SERVER" STATUS BYTES ...
        let line = log_line(reason, LogFormat::Combined);
        let status = line.split('"').nth(2).and_then(|rest| rest.split_whitespace().next());
        [reason.label().to_owned(), status.unwrap().to_owned()]
    });
    assert_eq!(shown, expected);
    assert_eq!(first_codes("fallback reasons"), FallbackReason::ALL.map(FallbackReason::label));
}

fn request_line() -> String {
    let record = RequestRecord {
        time: "2026-11-21T03:48:50.123Z".parse().unwrap(),
        listener: "web",
        client: &"127.0.0.1:5000",
        peer: &"127.0.0.1:5000",
        request_id: "abc",
        method: b"GET",
        host: b"a.example",
        path: b"/",
        protocol: "HTTP/1.1",
        status: None,
        referer: None,
        user_agent: None,
        upstream: None,
        server: None,
        reused: false,
        retries: 0,
        traffic: NO_TRAFFIC,
        timings: Timings { queue: None, connect: None, head: None, total: Duration::ZERO },
        tls: ClientTls::default(),
        rejection: None,
        reason: CloseReason::Completed,
    };
    let mut line = Vec::new();
    record.write(LogFormat::Json, &mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn the_access_log_tables_have_every_field_in_order() {
    for (name, line) in [
        ("access log", log_line(CloseReason::Completed, LogFormat::Json)),
        ("request log", request_line()),
    ] {
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&line).unwrap();
        let mut fields: Vec<String> = fields.keys().cloned().collect();
        fields.sort_by_key(|field| line.find(&format!("\"{field}\":")));
        assert_eq!(first_codes(name), fields);
    }
}

#[test]
fn the_rejections_are_all_there_with_their_status() {
    let shown: Vec<[String; 2]> = table("rejections")
        .into_iter()
        .map(|row| [code(&row[0]).join(" "), code(&row[1]).join(" ")])
        .collect();
    let expected = RejectReason::ALL.map(|reason| {
        // The one that no request is refused for.
        let is_of_response = reason == RejectReason::Upgrade;
        let status = if is_of_response { 502 } else { Rejection::of_request(reason).status };
        [reason.label().to_owned(), status.to_string()]
    });
    assert_eq!(shown, expected);
}

#[test]
fn the_admin_table_has_every_path() {
    let proxy = Launch::tcp("splice", &[&"127.0.0.1:9".parse().unwrap()]).start();
    let index = proxy.get("/").unwrap().text();
    let paths = index.lines().filter(|line| line.starts_with('/'));
    let paths: Vec<&str> = paths.filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(first_codes("admin"), paths);
    for path in paths {
        assert_eq!(proxy.get(path).unwrap().status, 200, "{path}");
    }
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let (_, help) = Launch::with_arguments(&["--help"]).run_to_end();
    let (_, rest) = help.split_once("Exit codes:").unwrap();
    let (sentence, _) = rest.split_once('.').unwrap();
    let codes: Vec<&str> =
        sentence.split(',').filter_map(|part| part.split_whitespace().next()).collect();
    assert_eq!(first_codes("exit codes"), codes);
}

/// Numbers in sentences that are constants of the program.
#[test]
fn figures_in_sentences_are_those_of_the_source() {
    let text = readme().split_whitespace().collect::<Vec<_>>().join(" ");
    let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
    let word = |number: u32| ["no", "one", "two", "three", "four", "five"][number as usize];
    use relay::choice;
    let sentences = [
        format!("falls behind by {LINES_QUEUED_MAX} lines or by {} MiB", QUEUED_BYTES_MAX >> 20),
        format!("a client sent, {} are written at most", kib(TEXT_BYTES_MAX)),
        format!("at most {} connections", control::CONNECTIONS_MAX),
        format!(
            "request heads of at most {} within {} seconds",
            kib(control::HEAD_BYTES_MAX),
            control::HEAD_READ_TIMEOUT.as_secs()
        ),
        format!("woken {} times in a row", relay::lane::BARREN_WAKES_MAX),
        format!("looks again {} ms after", io::accept::ACCEPT_RETRY_INTERVAL.as_millis()),
        format!("One buffer of {} for each worker", kib(io::conduit::SCRATCH_BYTES)),
        format!("reads shrink to {}", kib(io::conduit::READ_BYTES_WHEN_SPENT)),
        format!("up to {}. |", kib(limits::RESPOND_BODY)),
        format!("for {} such clients of each worker", io::admission::TURNED_AWAY_MAX),
        format!("| {} networks |", limits::NETWORKS),
        format!("places of {} bytes", spliceway::limits::table::PLACE_BYTES),
        format!("a pipe of less than {}", kib(io::pipe_pool::PIPE_BYTES_MIN as usize)),
        format!(
            "{} reads in a row of {} or more, or one of {}, turn it to splice; {} reads in a row of \
             less than {}",
            ["No", "One", "Two", "Three"][usize::from(choice::BULK_READS_MIN)],
            kib(choice::BULK_READ_BYTES_MIN),
            kib(choice::DECISIVE_READ_BYTES_MIN),
            word(choice::SMALL_READS_MAX.into()),
            kib(choice::SMALL_READ_BYTES_MAX)
        ),
    ];
    for sentence in sentences {
        assert!(text.contains(&sentence), "the README does not say: {sentence}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let text = readme();
    let headings = text.lines().filter_map(|line| {
        let title =
            line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))?;
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
    });
    let anchors: Vec<String> = headings.collect();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for target in targets {
        match target.strip_prefix('#') {
            Some(anchor) => assert!(anchors.iter().any(|it| it == anchor), "#{anchor}"),
            None => assert!(root().join(target).exists(), "{target}"),
        }
    }
}
