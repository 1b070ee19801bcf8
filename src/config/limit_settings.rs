//! `[listeners.NAME.limits]` as written -> [`ListenerLimits`].

use ipnet::IpNet;

use super::kinds::Count;
use super::limit_kinds::{BandwidthOf, Network, OrOff, RateOf};
use super::limits;
use super::reader::{Fallback, Report, Section, Setting};
use super::valid::narrow;
use crate::limits::access::AccessList;
use crate::limits::prefix::ClientPrefix;
use crate::limits::{ListenerLimits, Quota};

/// The keys of one quota.
struct QuotaKeys {
    connections: &'static str,
    connection_rate: &'static str,
    request_rate: &'static str,
    bandwidth: &'static str,
    /// By [`crate::error::Direction::index`].
    bandwidth_each: [&'static str; 2],
}

/// For all clients together.
const ALL: QuotaKeys = QuotaKeys {
    connections: "connections",
    connection_rate: "connection_rate",
    request_rate: "request_rate",
    bandwidth: "bandwidth",
    bandwidth_each: ["bandwidth_upstream", "bandwidth_downstream"],
};

/// For each client.
const CLIENT: QuotaKeys = QuotaKeys {
    connections: "client_connections",
    connection_rate: "client_connection_rate",
    request_rate: "client_request_rate",
    bandwidth: "client_bandwidth",
    bandwidth_each: ["client_bandwidth_upstream", "client_bandwidth_downstream"],
};

/// Reads the table of a listener. Where there is none, nothing is limited, and nothing shown.
pub(super) fn read(
    listener: &mut Section<'_>,
    report: &mut Report,
    is_http: bool,
) -> ListenerLimits {
    let is_written = listener.has("limits");
    let mut section = listener.section(report, "limits");
    if !is_written {
        return ListenerLimits::default();
    }
    let all = read_quota(&mut section, report, &ALL, is_http);
    let client = read_quota(&mut section, report, &CLIENT, is_http);
    let prefix = read_prefix(&mut section, report);
    let access = read_access(&mut section, report);
    section.finish(report);
    ListenerLimits { all, client, prefix, access }
}

fn read_quota(
    section: &mut Section<'_>,
    report: &mut Report,
    keys: &QuotaKeys,
    is_http: bool,
) -> Quota {
    let count = OrOff(Count(limits::CONNECTIONS));
    let connections = section.read(report, keys.connections, &count, Fallback::Default(None));
    let rate = OrOff(RateOf(limits::RATE));
    let connection_rate =
        section.read(report, keys.connection_rate, &rate, Fallback::Default(None)).value;
    let request_rate = match is_http {
        true => section.read(report, keys.request_rate, &rate, Fallback::Default(None)).value,
        false => {
            let problem = "a key of HTTP, and this listener speaks TCP";
            section.refuse(report, keys.request_rate, problem, keys.connection_rate);
            None
        }
    };
    let kind = OrOff(BandwidthOf(limits::BANDWIDTH));
    let both = section.read(report, keys.bandwidth, &kind, Fallback::Default(None));
    let bandwidth = keys
        .bandwidth_each
        .map(|key| section.read(report, key, &kind, Fallback::Inherit(&both)).value);
    Quota { connections: connections.value.map(narrow), connection_rate, request_rate, bandwidth }
}

fn read_prefix(section: &mut Section<'_>, report: &mut Report) -> ClientPrefix {
    let default = ClientPrefix::default();
    let mut read = |name, range, default: u8| {
        let default = Fallback::Default(u64::from(default));
        let bits = section.read(report, name, &Count(range), default).value;
        u8::try_from(bits).unwrap_or(u8::MAX)
    };
    ClientPrefix {
        v4: read("client_prefix_v4", limits::PREFIX_V4, default.v4),
        v6: read("client_prefix_v6", limits::PREFIX_V6, default.v6),
    }
}

fn read_access(section: &mut Section<'_>, report: &mut Report) -> AccessList {
    let mut read = |name| {
        let networks = section.values(report, name, &Network, Network::EXPECTED);
        if let Some(first_too_many) = networks.get(limits::NETWORKS) {
            let problem = format!("found a list of {}", networks.len());
            let expected = format!("at most {}", limits::NETWORKS);
            report.error(&first_too_many.key, &first_too_many.origin, problem, expected);
        }
        networks
    };
    let [allow, deny] = ["allow", "deny"].map(&mut read);
    let values = |networks: &[Setting<IpNet>]| -> Vec<IpNet> {
        networks.iter().map(|network| network.value).collect()
    };
    AccessList::new(&values(&allow), &values(&deny)).unwrap_or_else(|both| {
        if let Some(denied) = deny.iter().find(|network| network.value == both) {
            let problem = format!("{both} is in allow as well");
            report.error(&denied.key, &denied.origin, problem, "each network in one of both");
        }
        AccessList::default()
    })
}
