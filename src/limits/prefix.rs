//! What counts as one client: an address, or the network that it is in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many bits of an address name a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientPrefix {
    /// Of IPv4: 32 is each address by itself.
    pub v4: u8,
    /// Of IPv6: one subscriber has a /64 at least, and as many addresses as he likes in it
    /// (RFC 6177; RFC 4291, section 2.5.4).
    pub v6: u8,
}

impl Default for ClientPrefix {
    fn default() -> ClientPrefix {
        ClientPrefix { v4: 32, v6: 64 }
    }
}

impl ClientPrefix {
    /// The network of an address, as its first address. IPv4 within IPv6 is IPv4.
    pub fn of(self, ip: IpAddr) -> IpAddr {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let cut = 32u32.saturating_sub(self.v4.into());
                let mask = u32::MAX.checked_shl(cut).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
            }
            IpAddr::V6(ip) => {
                let cut = 128u32.saturating_sub(self.v6.into());
                let mask = u128::MAX.checked_shl(cut).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_its_network() {
        let check = |v4, v6, ip: &str, expected: &str| {
            let network = ClientPrefix { v4, v6 }.of(ip.parse().unwrap());
            assert_eq!(network, expected.parse::<IpAddr>().unwrap(), "{ip}");
        };
        check(32, 64, "192.0.2.77", "192.0.2.77");
        check(24, 64, "192.0.2.77", "192.0.2.0");
        check(0, 0, "192.0.2.77", "0.0.0.0");
        check(32, 64, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
        check(32, 48, "2001:db8:1:2:3:4:5:6", "2001:db8:1::");
        check(32, 128, "2001:db8::6", "2001:db8::6");
        check(32, 0, "2001:db8::6", "::");
        check(24, 64, "::ffff:192.0.2.77", "192.0.2.0");
    }
}
