//! Who may come at all: lists of networks, `allow` and `deny`.
//!
//! Of all networks that an address is in, the longest prefix decides, whichever list it stands
//! in and in whichever order. So what people write for nginx (`allow` a few, `deny` all) and what
//! they write for a firewall (`deny` a few) both mean what they look like, and an exception of an
//! exception can be said. An address that is in none is denied if there is an `allow`, and
//! allowed otherwise.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks that are allowed and denied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessList {
    /// The longest prefixes first; whether it is allowed.
    rules: Box<[(IpNet, bool)]>,
    /// Those who are in none.
    denies_others: bool,
}

impl AccessList {
    /// From both lists.
    ///
    /// # Errors
    /// A network that stands in both.
    pub fn new(allow: &[IpNet], deny: &[IpNet]) -> Result<AccessList, IpNet> {
        if let Some(both) = deny.iter().find(|network| allow.contains(network)) {
            return Err(*both);
        }
        let allowed = allow.iter().map(|network| (*network, true));
        let mut rules: Box<[(IpNet, bool)]> =
            allowed.chain(deny.iter().map(|network| (*network, false))).collect();
        rules.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        Ok(AccessList { rules, denies_others: !allow.is_empty() })
    }

    /// Whether an address may come. `client` is `None` for one without: on a unix socket, the
    /// permissions of a file say who may.
    pub fn allows(&self, client: Option<IpAddr>) -> bool {
        let Some(ip) = client.map(|ip| ip.to_canonical()) else { return true };
        let found = self.rules.iter().find(|(network, _)| network.contains(&ip));
        found.map_or(!self.denies_others, |(_, is_allowed)| *is_allowed)
    }

    /// Whether everybody may come.
    pub fn is_open(&self) -> bool {
        self.rules.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|network| network.parse().unwrap()).collect()
    }

    fn check(allow: &[&str], deny: &[&str], expected: &[(&str, bool)]) {
        let access = AccessList::new(&networks(allow), &networks(deny)).unwrap();
        for (ip, is_allowed) in expected {
            let found = access.allows(Some(ip.parse().unwrap()));
            assert_eq!(found, *is_allowed, "{ip} with allow {allow:?}, deny {deny:?}");
        }
        assert!(access.allows(None));
    }

    #[test]
    fn the_longest_prefix_decides() {
        check(&[], &[], &[("192.0.2.1", true), ("2001:db8::1", true)]);
        check(&[], &["10.0.0.0/8"], &[("10.1.1.1", false), ("11.1.1.1", true), ("::1", true)]);
        check(&["10.0.0.0/8"], &[], &[("10.1.1.1", true), ("11.1.1.1", false), ("::1", false)]);
        // As one writes it for nginx.
        let all = ["0.0.0.0/0", "::/0"];
        check(&["10.0.0.0/8"], &all, &[("10.1.1.1", true), ("11.1.1.1", false), ("::1", false)]);
        // An exception, and one of that.
        let (allow, deny) = (["10.0.0.0/8", "10.1.2.0/24"], ["10.1.0.0/16"]);
        let expected = [("10.2.0.1", true), ("10.1.0.1", false), ("10.1.2.1", true)];
        check(&allow, &deny, &expected);
        check(&[], &["192.0.2.0/24"], &[("::ffff:192.0.2.7", false)]);
    }

    #[test]
    fn a_network_cannot_be_both() {
        let (one, two) = (networks(&["10.0.0.0/8", "::/0"]), networks(&["10.0.0.0/9", "::/0"]));
        assert_eq!(AccessList::new(&one, &two), Err("::/0".parse().unwrap()));
    }
}
