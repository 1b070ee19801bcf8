//! One of `upstreams.NAME.servers` as written -> [`ServerSettings`].

use std::num::NonZeroU32;

use super::kinds::{Count, Kind, Mismatch, ServerAddress, Switch, text};
use super::names::{NameQuery, NamedServers};
use super::raw::{Node, Value};
use super::reader::{Report, Section, Setting, read_node};
use super::valid::narrow;
use super::{ServerSettings, limits};
use crate::address::Address;

const EXPECTED: &str = "a list of addresses, such as [\"127.0.0.1:9001\"]";

/// What one of `servers` is.
#[derive(Debug, Clone)]
enum Entry {
    Server(ServerSettings),
    Names(NamedServers),
}

/// What stands in `servers`.
pub(super) struct Servers {
    /// The key of each is that of its address.
    pub(super) addresses: Vec<Setting<ServerSettings>>,
    pub(super) names: Vec<Setting<NamedServers>>,
}

/// Reads the servers of an upstream, at least one: a string, a list of strings, or of tables.
pub(super) fn read(section: &mut Section<'_>, report: &mut Report) -> Servers {
    section.demand(report, "servers", EXPECTED);
    let entries = section.list(report, "servers", EXPECTED, entry, show);
    let (mut addresses, mut names) = (Vec::new(), Vec::new());
    for Setting { value, key, origin } in entries {
        match value {
            Entry::Server(value) => addresses.push(Setting { value, key, origin }),
            Entry::Names(value) => names.push(Setting { value, key, origin }),
        }
    }
    report_namesakes(report, &addresses);
    Servers { addresses, names }
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

fn entry(report: &mut Report, key: String, node: &Node) -> Option<Setting<Entry>> {
    let Value::Table(_) = &node.value else {
        return read_node(report, key, node, &Target);
    };
    let mut section = Section::new(report, key, node);
    let entry = section.require(report, "address", &Target, ServerAddress::EXPECTED);
    let name = section.optional(report, "name", &ServerName);
    let weight = section.optional(report, "weight", &Count(limits::SERVER_WEIGHT));
    let backup = section.optional(report, "backup", &Switch);
    let connections = Count(limits::SERVER_CONNECTIONS);
    let connections = section.optional(report, "connections_max", &connections);
    section.finish(report);
    let mut entry = entry?;
    let weight = weight.map(|weight| narrow(weight.value));
    let is_backup = backup.is_some_and(|backup| backup.value);
    let connections_max = connections.and_then(|max| NonZeroU32::new(narrow(max.value)));
    match &mut entry.value {
        Entry::Server(settings) => {
            settings.weight = weight.unwrap_or(settings.weight);
            settings.name = name.map_or_else(|| settings.name.clone(), |name| name.value);
            (settings.is_backup, settings.connections_max) = (is_backup, connections_max);
        }
        Entry::Names(settings) => {
            settings.weight = weight.unwrap_or(settings.weight);
            (settings.is_backup, settings.connections_max) = (is_backup, connections_max);
            if let Some(name) = name {
                let problem = "it could not tell the servers apart for which the address stands";
                report.error(&name.key, &name.origin, problem, "nothing");
            }
        }
    }
    Some(entry)
}

/// An address, or a name that stands for some.
struct Target;

impl Kind for Target {
    type Value = Entry;

    fn read(&self, node: &Node) -> Result<Entry, Mismatch> {
        let written = text(node, ServerAddress::EXPECTED)?;
        match NameQuery::parse(written) {
            None => Ok(Entry::Server(ServerSettings::new(ServerAddress.read(node)?))),
            Some(Err(reason)) => Err(Mismatch::found(&node.value, &reason, "")),
            Some(Ok(query)) => Ok(Entry::Names(NamedServers {
                query,
                weight: 1,
                is_backup: false,
                connections_max: None,
            })),
        }
    }

    fn show(&self, entry: &Entry) -> String {
        show(entry)
    }
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
fn show(entry: &Entry) -> String {
    let (address, weight, is_backup, connections_max) = match entry {
        Entry::Server(it) => (it.address.to_string(), it.weight, it.is_backup, it.connections_max),
        Entry::Names(it) => (it.query.to_string(), it.weight, it.is_backup, it.connections_max),
    };
    let mut differences = Vec::new();
    if let Entry::Server(settings) = entry
        && settings.name != address
    {
        differences.push(format!("name {}", settings.name));
    }
    if weight != 1 {
        differences.push(format!("weight {weight}"));
    }
    if is_backup {
        differences.push("backup".to_owned());
    }
    if let Some(max) = connections_max {
        differences.push(format!("connections_max {max}"));
    }
    match differences.is_empty() {
        true => address,
        false => format!("{address} ({})", differences.join(", ")),
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
