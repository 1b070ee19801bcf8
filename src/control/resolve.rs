//! What a name stands for now, asked of the name servers.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};

use crate::balance::candidate::WEIGHT_MAX;
use crate::config::ServerSettings;
use crate::config::names::{Dns, NameQuery, NamedServers};

/// Targets of one service that are resolved: more would be more questions than a name is worth.
pub const SERVICE_TARGETS_MAX: usize = 64;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    /// Sorted by their addresses; at least one.
    pub(super) servers: Vec<ServerSettings>,
    /// How many more there are than may be.
    pub(super) left_out: usize,
    /// For how long it holds.
    pub(super) ttl: Duration,
}

/// One who asks as the configuration says.
///
/// # Errors
/// The system's configuration cannot be used.
pub(super) fn resolver(dns: &Dns) -> Result<TokioResolver, NetError> {
    let mut builder = match dns.server {
        None => TokioResolver::builder_tokio()?,
        Some(server) => {
            let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            connections.iter_mut().for_each(|connection| connection.port = server.port());
            let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
            let config = ResolverConfig::from_name_servers(vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.timeout = dns.timeout;
    options.attempts = 1;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // What is asked again is to be answered anew.
    options.cache_size = 0;
    builder.build()
}

/// Asks what `names` stand for.
///
/// # Errors
/// Why there is no answer, or none with an address; for a log.
pub(super) async fn resolve(
    resolver: &TokioResolver,
    names: &NamedServers,
    addresses_max: usize,
) -> Result<Resolved, String> {
    let began_at = Instant::now();
    let (mut servers, valid_until) = match &names.query {
        NameQuery::Host { host, port } => {
            let (addresses, valid_until) = addresses(resolver, host).await?;
            let server = |ip| names.server(SocketAddr::new(ip, *port));
            (addresses.into_iter().map(server).collect(), valid_until)
        }
        NameQuery::Service(name) => service(resolver, name, names).await?,
    };
    if servers.is_empty() {
        return Err("the answer has no address".to_owned());
    }
    // The order of answers changes from one to the next, and means nothing.
    servers.sort_by(|one, other| one.address.cmp(&other.address));
    servers.dedup_by(|one, other| one.address == other.address);
    let left_out = servers.len().saturating_sub(addresses_max);
    servers.truncate(addresses_max);
    Ok(Resolved { servers, left_out, ttl: valid_until.saturating_duration_since(began_at) })
}

async fn addresses(resolver: &TokioResolver, host: &str) -> Result<(Vec<IpAddr>, Instant), String> {
    let lookup = resolver.lookup_ip(host).await.map_err(|error| error.to_string())?;
    Ok((lookup.iter().collect(), lookup.valid_until()))
}

/// The hosts of a service with the addresses of each. Those of the first priority are the servers,
/// the others stand in for them (RFC 2782).
async fn service(
    resolver: &TokioResolver,
    name: &str,
    names: &NamedServers,
) -> Result<(Vec<ServerSettings>, Instant), String> {
    let lookup = resolver.lookup(name, RecordType::SRV).await.map_err(|error| error.to_string())?;
    let mut valid_until = lookup.valid_until();
    let mut targets: Vec<_> = lookup
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(target) => Some((target.priority, target)),
            _ => None,
        })
        .collect();
    targets.sort_by_key(|(priority, _)| *priority);
    targets.truncate(SERVICE_TARGETS_MAX);
    let first = targets.first().map_or(0, |(priority, _)| *priority);
    let heaviest = targets.iter().map(|(_, target)| target.weight).max().unwrap_or(0);
    let (mut servers, mut problem) = (Vec::new(), None);
    for (priority, target) in targets {
        match addresses(resolver, &target.target.to_string()).await {
            Ok((addresses, until)) => {
                valid_until = valid_until.min(until);
                let server = |ip| ServerSettings {
                    weight: weight(target.weight, heaviest),
                    is_backup: names.is_backup || priority > first,
                    ..names.server(SocketAddr::new(ip, target.port))
                };
                servers.extend(addresses.into_iter().map(server));
            }
            Err(error) => problem = Some(format!("{}: {error}", target.target)),
        }
    }
    match (servers.is_empty(), problem) {
        (true, Some(problem)) => Err(problem),
        _ => Ok((servers, valid_until)),
    }
}

/// The weight of a record as one of ours. One of 0 has "a very small chance", which is 1 here.
fn weight(weight: u16, heaviest: u16) -> u32 {
    let (weight, heaviest) = (u32::from(weight), u32::from(heaviest));
    match heaviest > WEIGHT_MAX {
        true => (weight * WEIGHT_MAX / heaviest).max(1),
        false => weight.max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_records_keep_their_proportion() {
        assert_eq!([0, 1, 5, 10].map(|it| weight(it, 10)), [1, 1, 5, 10]);
        assert_eq!([0, 100, 32_768, 65_535].map(|it| weight(it, 65_535)), [1, 1, 500, 1000]);
    }
}
