//! One of `upstreams.NAME.servers` as written -> [`ServerSettings`].

use std::num::NonZeroU32;

use super::kinds::{Count, Kind, Mismatch, ServerAddress, Switch, text};
use super::raw::{Node, Value};
use super::reader::{Report, Section, Setting, read_node};
use super::valid::narrow;
use super::{ServerSettings, limits};
use crate::address::Address;

const EXPECTED: &str = "a list of addresses, such as [\"127.0.0.1:9001\"]";

/// Reads the servers of an upstream, at least one: a string, a list of strings, or of tables. The
/// key of each is that of its address.
pub(super) fn read(section: &mut Section<'_>, report: &mut Report) -> Vec<Setting<ServerSettings>> {
    section.demand(report, "servers", EXPECTED);
    let servers = section.list(report, "servers", EXPECTED, server, show);
    report_namesakes(report, &servers);
    servers
}

/// The addresses of servers, each with where it was written.
pub(super) fn addresses(servers: &[Setting<ServerSettings>]) -> Vec<Setting<Address>> {
    let address = |server: &Setting<ServerSettings>| Setting {
        value: server.value.address.clone(),
        key: server.key.clone(),
        origin: server.origin.clone(),
    };
    servers.iter().map(address).collect()
}

fn server(report: &mut Report, key: String, node: &Node) -> Option<Setting<ServerSettings>> {
    let Value::Table(_) = &node.value else {
        let address = read_node(report, key, node, &ServerAddress)?;
        return Some(with_address(address, ServerSettings::new));
    };
    let mut section = Section::new(report, key, node);
    let address = section.require(report, "address", &ServerAddress, ServerAddress::EXPECTED);
    let name = section.optional(report, "name", &ServerName);
    let weight = section.optional(report, "weight", &Count(limits::SERVER_WEIGHT));
    let backup = section.optional(report, "backup", &Switch);
    let connections = Count(limits::SERVER_CONNECTIONS);
    let connections = section.optional(report, "connections_max", &connections);
    section.finish(report);
    Some(with_address(address?, |address| {
        let mut settings = ServerSettings::new(address);
        if let Some(name) = name {
            settings.name = name.value;
        }
        if let Some(weight) = weight {
            settings.weight = narrow(weight.value);
        }
        settings.is_backup = backup.is_some_and(|backup| backup.value);
        settings.connections_max = connections.and_then(|max| NonZeroU32::new(narrow(max.value)));
        settings
    }))
}

fn with_address(
    address: Setting<Address>,
    settings: impl FnOnce(Address) -> ServerSettings,
) -> Setting<ServerSettings> {
    let Setting { value, key, origin } = address;
    Setting { value: settings(value), key, origin }
}

/// Two servers of one name could not be told apart in metrics, nor after a reload.
fn report_namesakes(report: &mut Report, servers: &[Setting<ServerSettings>]) {
    for (index, second) in servers.iter().enumerate() {
        let name = &second.value.name;
        if let Some(first) = servers[..index].iter().find(|first| first.value.name == *name) {
            let problem = format!("there is a server {name:?} already ({})", first.key);
            let expected = "each server once, with a weight where it is to get more; or a name for \
                            each of them";
            report.error(&second.key, &second.origin, problem, expected);
        }
    }
}

/// As `explain` shows it: the address, and what is not the default.
fn show(settings: &ServerSettings) -> String {
    let plain = ServerSettings::new(settings.address.clone());
    let mut differences = Vec::new();
    if settings.name != plain.name {
        differences.push(format!("name {}", settings.name));
    }
    if settings.weight != plain.weight {
        differences.push(format!("weight {}", settings.weight));
    }
    if settings.is_backup {
        differences.push("backup".to_owned());
    }
    if let Some(max) = settings.connections_max {
        differences.push(format!("connections_max {max}"));
    }
    match differences.is_empty() {
        true => settings.address.to_string(),
        false => format!("{} ({})", settings.address, differences.join(", ")),
    }
}

/// `name` of a server: a label of metrics, and a word of the command line.
struct ServerName;

impl Kind for ServerName {
    type Value = String;

    fn read(&self, node: &Node) -> Result<String, Mismatch> {
        let bytes = limits::NAME_BYTES;
        let expected = format!(
            "{} to {} letters, digits, \"-\", \"_\", \".\" and \":\"",
            bytes.start(),
            bytes.end()
        );
        let name = text(node, &expected)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        match bytes.contains(&name.len()) && name.chars().all(fits) {
            true => Ok(name.to_owned()),
            false => Err(Mismatch::found(&node.value, "", expected)),
        }
    }

    fn show(&self, name: &String) -> String {
        name.clone()
    }
}
