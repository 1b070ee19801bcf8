//! The command line: what can be asked, and the configuration that its flags amount to.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::balance::candidate::WEIGHT_MAX;
use crate::config::units::{parse_duration, parse_size, show_size};
use crate::control::{Change, ServerOrder};
use crate::load::{Assignment, Base, EMBEDDED_DEFAULT, Sources};
use crate::measure::output::Outputs;
use crate::measure::schedule::Effort;
use crate::measure::{Options, SIZES, SIZES_FULL, SIZES_SHORT};
use crate::operate::{Request, SOCKET_DEFAULT};

/// A TCP and HTTP reverse proxy that moves bytes through kernel pipes with splice(2).
///
/// Without a command it runs; without a configuration it runs a demo of its own.
#[derive(Debug, Parser)]
#[command(name = "spliceway", version, args_conflicts_with_subcommands = true)]
#[command(after_help = "Exit codes: 0 done, 1 the configuration is wrong, 2 the command line is \
    wrong, 3 an address cannot be bound, 4 anything else failed, 5 nobody answers at the control \
    socket.\n\
    Variables such as SPLICEWAY__LISTENERS__WEB__RELAY__MODE=copy override files; flags override \
    both.")]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run with a configuration, or with the embedded default and its demo origin.
    Run(RunArguments),
    /// Run a TCP proxy that is described by flags alone.
    Tcp(ProxyArguments),
    /// Run an HTTP proxy that is described by flags alone.
    Http(ProxyArguments),
    /// Check a configuration and print every error in it with its place.
    Check(FileArguments),
    /// Print each value in force with its origin, and which way bytes will take and why.
    Explain(ExplainArguments),
    /// Show what the running process does: listeners, servers, connections.
    Status(StatusArguments),
    /// Have the running process start its binary again and hand over to it, without a client
    /// noticing.
    Upgrade(TargetArguments),
    /// Have the running process read its configuration again.
    Reload(TargetArguments),
    /// Take a server out of the running process, bring it back, or change its weight.
    Server(ServerArguments),
    /// Measure each way for bytes to travel on this machine, and recommend what to configure.
    Measure(MeasureArguments),
}

#[derive(Debug, Args)]
struct RunArguments {
    /// A file in TOML, YAML or JSON (by its extension); a later one overrides an earlier one.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Debug, Args)]
struct ProxyArguments {
    /// Where to listen, such as 127.0.0.1:8080 or unix:/run/proxy.sock.
    #[arg(long, value_name = "ADDRESS", required = true)]
    listen: Vec<String>,
    /// The servers to connect to, in turn.
    #[arg(long, value_name = "ADDRESS", required = true, num_args = 1..)]
    to: Vec<String>,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Debug, Args)]
struct FileArguments {
    /// A file in TOML, YAML or JSON (by its extension); a later one overrides an earlier one.
    #[arg(long, value_name = "FILE", required = true)]
    config: Vec<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Debug, Args)]
struct ExplainArguments {
    #[command(flatten)]
    file: FileArguments,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct StatusArguments {
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetArguments,
}

#[derive(Debug, Args)]
struct ServerArguments {
    /// Which server, such as app/10.0.0.1:8080 or app/NAME.
    #[arg(value_name = "UPSTREAM/SERVER", value_parser = parse_server)]
    server: (String, String),
    /// What to do with it.
    #[arg(value_enum)]
    change: ChangeArgument,
    /// From 0 to 1000, or "configured".
    #[arg(value_name = "N", value_parser = parse_weight, required_if_eq("change", "weight"))]
    weight: Option<Weight>,
    #[command(flatten)]
    target: TargetArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ChangeArgument {
    /// It gets nothing new but from clients that a cookie binds to it.
    Drain,
    /// It gets nothing new.
    Down,
    /// It gets its share again.
    Up,
    /// It gets another weight.
    Weight,
}

/// `None` for the configured one.
#[derive(Debug, Clone, Copy)]
struct Weight(Option<u32>);

fn parse_server(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((upstream, server)) if !upstream.is_empty() && !server.is_empty() => {
            Ok((upstream.to_owned(), server.to_owned()))
        }
        _ => Err("expected UPSTREAM/SERVER, such as app/10.0.0.1:8080".to_owned()),
    }
}

fn parse_weight(text: &str) -> Result<Weight, String> {
    let number = || text.parse().ok().filter(|weight| *weight <= WEIGHT_MAX);
    match text {
        "configured" => Ok(Weight(None)),
        _ => number().map(|it| Weight(Some(it))).ok_or_else(|| {
            format!("expected a whole number from 0 to {WEIGHT_MAX}, or \"configured\"")
        }),
    }
}

impl ServerArguments {
    fn into_request(self) -> (Request, TargetArguments) {
        let change = match (self.change, self.weight) {
            (ChangeArgument::Drain, _) => Change::Drain,
            (ChangeArgument::Down, _) => Change::Down,
            (ChangeArgument::Up, _) => Change::Up,
            (ChangeArgument::Weight, weight) => Change::Weight(weight.and_then(|it| it.0)),
        };
        let (upstream, server) = self.server;
        (Request::Server(ServerOrder { upstream, server, change }), self.target)
    }
}

/// Which process is meant.
#[derive(Debug, Args)]
struct TargetArguments {
    /// Its control socket [default: /run/spliceway/control.sock]
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// The configuration that it runs with, to find its control socket.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct MeasureArguments {
    /// Every size from 1KiB to 1GiB, and longer samples: ten minutes instead of under one.
    #[arg(long)]
    full: bool,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Save the recommendation as a configuration.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Draw the figures as a picture (SVG).
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Replace what stands between <!-- measure --> and <!-- /measure --> in a document with the
    /// tables in Markdown.
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    /// Where the scratch file goes, which is as large as the largest transfer; $TMPDIR or
    /// /var/tmp by default.
    #[arg(long, value_name = "DIRECTORY")]
    scratch: Option<PathBuf>,
    /// Sizes of transfers, from 1KiB to 1GiB.
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = parse_transfer_size)]
    sizes: Vec<u64>,
    /// How often everything is measured, at most.
    #[arg(long, value_name = "N", default_value_t = 9,
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// How long it may take, such as 2m; what does not fit into it is left out.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    time: Option<Duration>,
    /// How long each sample lasts, such as 50ms; by default what fits into the time.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    window: Option<Duration>,
    /// Where the scratch file alone cannot be dropped from the page cache, drop the page cache of
    /// the whole machine (needs root, and slows down whatever else runs here).
    #[arg(long)]
    drop_caches: bool,
}

/// What `measure` takes unless told otherwise, and with `--full`.
const MEASURE_TIME: Duration = Duration::from_secs(45);
const MEASURE_TIME_FULL: Duration = Duration::from_secs(10 * 60);

fn parse_transfer_size(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text)?;
    if SIZES.contains(&bytes) {
        return Ok(bytes);
    }
    let [least, most] = [SIZES.start(), SIZES.end()].map(|bytes| show_size(*bytes));
    Err(format!("it is not from {least} to {most}"))
}

impl MeasureArguments {
    fn into_action(self) -> Action {
        let (known, time): (&[u64], Duration) =
            if self.full { (&SIZES_FULL, MEASURE_TIME_FULL) } else { (&SIZES_SHORT, MEASURE_TIME) };
        let mut sizes = if self.sizes.is_empty() { known.to_vec() } else { self.sizes };
        sizes.sort_unstable();
        sizes.dedup();
        let rounds = usize::from(self.rounds);
        let options = Options {
            sizes,
            effort: Effort { rounds, time: self.time.unwrap_or(time), window: self.window },
            scratch: self.scratch,
            may_drop_caches: self.drop_caches,
        };
        let outputs =
            Outputs { json: self.json, config: self.write, picture: self.svg, document: self.into };
        Action::Measure { options, outputs }
    }
}

#[derive(Debug, Args)]
struct Overrides {
    /// Set any key, such as listeners.web.backlog=1024; commas separate the values of a list.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_assignment)]
    set: Vec<(String, String)>,
    /// relay.mode, for listeners that have none of their own: splice, copy or auto.
    #[arg(long, value_name = "MODE")]
    relay: Option<String>,
    /// process.workers: auto or a number.
    #[arg(long, value_name = "N")]
    workers: Option<String>,
    /// admin.bind: where /metrics, /healthz, /readyz and /status are served, or off.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
}

fn parse_assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("expected KEY=VALUE, such as relay.mode=copy".to_owned()),
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Action {
    /// Carry traffic.
    Run(Sources),
    /// Check the configuration.
    Check(Sources),
    /// Explain the configuration.
    Explain {
        /// What to explain.
        sources: Sources,
        /// Whether as JSON.
        json: bool,
    },
    /// Measure this machine.
    Measure {
        /// What is measured.
        options: Options,
        /// Where the report goes.
        outputs: Outputs,
    },
    /// Ask the running process for something.
    Operate {
        /// Which process.
        target: Target,
        /// For what.
        request: Request,
    },
}

/// Where a process takes commands.
#[derive(Debug)]
pub enum Target {
    /// At this path.
    Socket(PathBuf),
    /// Where this configuration says.
    Configured(Sources),
}

impl Cli {
    /// What is asked for, with `environment` between files and flags.
    pub fn into_action(self, environment: Vec<(String, String)>) -> Action {
        let sources = |base: Base, flags: Vec<Assignment>| Sources {
            base,
            supplied: Vec::new(),
            environment,
            flags,
        };
        match self.command.unwrap_or(Command::Run(self.run)) {
            Command::Run(RunArguments { config, overrides }) => {
                let base = match config.as_slice() {
                    [] => Base::Embedded(EMBEDDED_DEFAULT),
                    _ => Base::Files(config),
                };
                Action::Run(sources(base, overrides.into_flags()))
            }
            Command::Tcp(arguments) => {
                Action::Run(sources(Base::Flags, arguments.into_flags("tcp")))
            }
            Command::Http(arguments) => {
                Action::Run(sources(Base::Flags, arguments.into_flags("http")))
            }
            Command::Check(FileArguments { config, overrides }) => {
                Action::Check(sources(Base::Files(config), overrides.into_flags()))
            }
            Command::Explain(ExplainArguments { file, json }) => {
                let base = Base::Files(file.config);
                Action::Explain { sources: sources(base, file.overrides.into_flags()), json }
            }
            Command::Measure(arguments) => arguments.into_action(),
            Command::Status(StatusArguments { json, target }) => Action::Operate {
                target: target.resolve(sources),
                request: Request::Status { json },
            },
            Command::Upgrade(target) => {
                Action::Operate { target: target.resolve(sources), request: Request::Upgrade }
            }
            Command::Reload(target) => {
                Action::Operate { target: target.resolve(sources), request: Request::Reload }
            }
            Command::Server(arguments) => {
                let (request, target) = arguments.into_request();
                Action::Operate { target: target.resolve(sources), request }
            }
        }
    }
}

impl TargetArguments {
    fn resolve(self, sources: impl FnOnce(Base, Vec<Assignment>) -> Sources) -> Target {
        match (self.socket, self.config) {
            (Some(socket), _) => Target::Socket(socket),
            (None, files) if files.is_empty() => Target::Socket(SOCKET_DEFAULT.into()),
            (None, files) => Target::Configured(sources(Base::Files(files), Vec::new())),
        }
    }
}

impl ProxyArguments {
    /// One listener and one upstream, both called by the protocol, which is also the command.
    fn into_flags(self, protocol: &str) -> Vec<Assignment> {
        let listener = |key: &str| format!("listeners.{protocol}.{key}");
        let servers = format!("upstreams.{protocol}.servers");
        let mut flags = vec![
            Assignment::flag_list(&listener("bind"), self.listen, "--listen"),
            Assignment::flag(&listener("protocol"), protocol, protocol),
            Assignment::flag(&listener("upstream"), protocol, protocol),
            Assignment::flag_list(&servers, self.to, "--to"),
        ];
        flags.extend(self.overrides.into_flags());
        flags
    }
}

impl Overrides {
    /// Those that name a key come last, so that they override the others.
    fn into_flags(self) -> Vec<Assignment> {
        let short = [
            ("relay.mode", self.relay, "--relay"),
            ("process.workers", self.workers, "--workers"),
            ("admin.bind", self.admin, "--admin"),
        ];
        let short = short
            .into_iter()
            .filter_map(|(key, value, flag)| Some(Assignment::flag(key, value?, flag)));
        let named = self
            .set
            .into_iter()
            .map(|(key, value)| Assignment::flag(&key, value, &format!("--set {key}")));
        short.chain(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Loaded, load};

    fn loaded(arguments: &[&str]) -> Loaded {
        let cli = Cli::try_parse_from(arguments).unwrap();
        match cli.into_action(Vec::new()) {
            Action::Run(sources) => load(sources).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn run_is_the_default_command() {
        let base = |arguments: &[&str]| {
            let cli = Cli::try_parse_from(arguments).unwrap();
            match cli.into_action(Vec::new()) {
                Action::Run(sources) => sources.base,
                other => panic!("{other:?}"),
            }
        };
        assert!(matches!(base(&["spliceway"]), Base::Embedded(_)));
        assert!(matches!(base(&["spliceway", "run"]), Base::Embedded(_)));
        for arguments in [
            &["spliceway", "--config", "a.toml", "--config", "b.toml"][..],
            &["spliceway", "run", "--config", "a.toml", "--config", "b.toml"],
        ] {
            assert!(matches!(base(arguments), Base::Files(files) if files.len() == 2));
        }
    }

    #[test]
    fn tcp_needs_no_file() {
        let loaded = loaded(&[
            "spliceway",
            "tcp",
            "--listen",
            "127.0.0.1:7000",
            "--to",
            "127.0.0.1:1",
            "127.0.0.1:2",
            "--to",
            "unix:/a,b",
            "--relay",
            "copy",
            "--workers",
            "3",
            "--admin",
            "off",
        ]);
        let listener = &loaded.config.listeners[0];
        assert_eq!(listener.relay.mode.label(), "copy");
        assert_eq!(listener.bind[0].to_string(), "127.0.0.1:7000");
        let servers: Vec<String> =
            loaded.config.upstreams[0].servers.iter().map(|it| it.name.clone()).collect();
        assert_eq!(servers, ["127.0.0.1:1", "127.0.0.1:2", "unix:/a,b"]);
        assert_eq!(loaded.config.admin, None);
    }

    #[test]
    fn http_is_as_short_as_tcp() {
        let flags = ["--listen", "127.0.0.1:7000", "--to", "127.0.0.1:1", "127.0.0.1:2"];
        let check = |protocol: &str| {
            let loaded = loaded(&[&["spliceway", protocol], &flags[..]].concat());
            let listener = &loaded.config.listeners[0];
            assert_eq!((&*listener.name, listener.protocol.label()), (protocol, protocol));
            let upstream = &loaded.config.upstreams[listener.upstream().unwrap().index()];
            assert_eq!((&*upstream.name, upstream.servers.len()), (protocol, 2));
        };
        check("tcp");
        check("http");
    }

    #[test]
    fn set_overrides_the_short_flags() {
        let loaded = loaded(&[
            "spliceway",
            "tcp",
            "--listen",
            "127.0.0.1:7000",
            "--to",
            "127.0.0.1:1",
            "--set",
            "relay.mode=copy",
            "--relay",
            "auto",
            "--set",
            "process.drain_timeout=3s",
        ]);
        assert_eq!(loaded.config.listeners[0].relay.mode.label(), "copy");
        assert_eq!(loaded.config.process.drain_timeout.as_secs(), 3);
    }

    #[test]
    fn commands_find_their_process() {
        let target = |arguments: &[&str]| {
            let cli = Cli::try_parse_from([&["spliceway", "status"], arguments].concat()).unwrap();
            match cli.into_action(Vec::new()) {
                Action::Operate { target, .. } => target,
                other => panic!("{other:?}"),
            }
        };
        let at = |target: Target| match target {
            Target::Socket(path) => path,
            Target::Configured(sources) => panic!("{sources:?}"),
        };
        assert_eq!(at(target(&[])), PathBuf::from(SOCKET_DEFAULT));
        assert_eq!(at(target(&["--socket", "./a"])), PathBuf::from("./a"));
        assert!(matches!(target(&["--config", "a.toml"]), Target::Configured(_)));
        let both = ["spliceway", "status", "--socket", "./a", "--config", "a.toml"];
        assert!(Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn servers_are_ordered_about() {
        let order = |arguments: &[&str]| {
            let cli = Cli::try_parse_from([&["spliceway", "server"], arguments].concat()).ok()?;
            match cli.into_action(Vec::new()) {
                Action::Operate { request: Request::Server(order), .. } => Some(order),
                other => panic!("{other:?}"),
            }
        };
        let check = |arguments: &[&str], server: &str, change: Change| {
            let (upstream, server) = ("app".to_owned(), server.to_owned());
            let expected = ServerOrder { upstream, server, change };
            assert_eq!(order(arguments), Some(expected), "{arguments:?}");
        };
        check(&["app/10.0.0.1:1", "drain"], "10.0.0.1:1", Change::Drain);
        check(&["app/unix:/a/b", "down", "--socket", "./s"], "unix:/a/b", Change::Down);
        check(&["app/b", "up"], "b", Change::Up);
        check(&["app/b", "weight", "0"], "b", Change::Weight(Some(0)));
        check(&["app/b", "weight", "configured"], "b", Change::Weight(None));
        for wrong in [
            &["app", "up"][..],
            &["app/", "up"],
            &["/b", "up"],
            &["app/b"],
            &["app/b", "off"],
            &["app/b", "weight"],
            &["app/b", "weight", "1001"],
            &["app/b", "weight", "-1"],
        ] {
            assert_eq!(order(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert_eq!(parse_assignment(text).ok(), expected, "{text}");
        };
        check("a.b=c", Some(("a.b", "c")));
        check("a=b=c", Some(("a", "b=c")));
        check("a=", Some(("a", "")));
        check("a", None);
        check("=b", None);
    }
}
