//! Addresses that cannot go together: two sockets on one address, and a proxy that is its own
//! upstream.

use std::net::{IpAddr, SocketAddr};

use super::reader::{Report, Setting};
use crate::address::Address;

/// Reports each pair of addresses of which the second cannot be bound because of the first.
pub(super) fn report_overlaps(report: &mut Report, binds: &[&Setting<Address>]) {
    for (index, second) in binds.iter().enumerate() {
        for first in &binds[..index] {
            if overlap(&first.value, &second.value) {
                let problem = format!(
                    "{} overlaps {} of {} ({})",
                    second.value, first.value, first.key, first.origin
                );
                let expected = "an address that nothing else listens on";
                report.error(&second.key, &second.origin, problem, expected);
            }
        }
    }
}

/// Reports each of `servers` that is an address that the listener itself binds.
pub(super) fn report_loops(
    report: &mut Report,
    listener: &str,
    binds: &[Setting<Address>],
    servers: &[Setting<Address>],
) {
    for server in servers {
        if let Some(bind) = binds.iter().find(|bind| leads_to(&server.value, &bind.value)) {
            let problem = format!(
                "{} is where {listener} itself listens ({}): its connections would go in circles",
                server.value, bind.origin
            );
            report.error(&server.key, &server.origin, problem, "the address of another service");
        }
    }
}

/// Whether two sockets cannot listen on both addresses at once. Sockets of IPv6 are bound with
/// `IPV6_V6ONLY` (ipv6(7)), so the families never meet; port 0 is a free one each time.
fn overlap(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::Ip(one), Address::Ip(other)) => {
            one.is_ipv4() == other.is_ipv4()
                && one.port() == other.port()
                && one.port() != 0
                && (one.ip().is_unspecified()
                    || other.ip().is_unspecified()
                    || same_interface(one, other))
        }
        (one, other) => one == other,
    }
}

/// Whether a connection to `server` would arrive at a socket bound to `bind`, as far as the
/// addresses alone tell. A connection to the unspecified address goes to the loopback one.
fn leads_to(server: &Address, bind: &Address) -> bool {
    match (server, bind) {
        (Address::Ip(server), Address::Ip(bind)) => {
            server.is_ipv4() == bind.is_ipv4()
                && server.port() == bind.port()
                && server.port() != 0
                && (same_interface(server, bind)
                    || (bind.ip().is_unspecified() && server.ip().is_loopback())
                    || (server.ip().is_unspecified() && is_local_host(bind.ip())))
        }
        (server, bind) => server == bind,
    }
}

/// The same IP address, and for link-local ones of IPv6 the same link.
fn same_interface(one: &SocketAddr, other: &SocketAddr) -> bool {
    match (one, other) {
        (SocketAddr::V6(one), SocketAddr::V6(other)) => {
            one.ip() == other.ip() && one.scope_id() == other.scope_id()
        }
        (one, other) => one.ip() == other.ip(),
    }
}

fn is_local_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address == std::net::Ipv4Addr::LOCALHOST,
        IpAddr::V6(address) => address == std::net::Ipv6Addr::LOCALHOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_addresses_overlap() {
        let check = |one: &str, other: &str, expected: bool| {
            let (one, other): (Address, Address) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(overlap(&one, &other), expected, "{one} {other}");
            assert_eq!(overlap(&other, &one), expected, "{other} {one}");
        };
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("0.0.0.0:80", "127.0.0.1:80", true);
        check("0.0.0.0:80", "0.0.0.0:80", true);
        check("127.0.0.1:80", "127.0.0.2:80", false);
        check("127.0.0.1:80", "127.0.0.1:81", false);
        check("127.0.0.1:0", "127.0.0.1:0", false);
        check("[::]:80", "[::1]:80", true);
        check("[::]:80", "0.0.0.0:80", false);
        check("[fe80::1%1]:80", "[fe80::1%2]:80", false);
        check("unix:/a", "unix:/a", true);
        check("unix:/a", "unix:/b", false);
        check("unix:/a", "unix:@/a", false);
        check("unix:@a", "unix:@a", true);
        check("unix:/a", "127.0.0.1:80", false);
    }

    #[test]
    fn which_servers_are_the_listener_itself() {
        let check = |server: &str, bind: &str, expected: bool| {
            let (server, bind): (Address, Address) =
                (server.parse().unwrap(), bind.parse().unwrap());
            assert_eq!(leads_to(&server, &bind), expected, "{server} {bind}");
        };
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("127.0.0.1:80", "0.0.0.0:80", true);
        check("127.9.9.9:80", "0.0.0.0:80", true);
        check("10.0.0.1:80", "0.0.0.0:80", false);
        check("0.0.0.0:80", "127.0.0.1:80", true);
        check("0.0.0.0:80", "127.0.0.2:80", false);
        check("0.0.0.0:80", "0.0.0.0:80", true);
        check("127.0.0.1:80", "127.0.0.2:80", false);
        check("127.0.0.1:80", "127.0.0.1:81", false);
        check("[::1]:80", "[::]:80", true);
        check("[::1]:80", "0.0.0.0:80", false);
        check("unix:/a", "unix:/a", true);
        check("unix:/a", "unix:/b", false);
    }
}
