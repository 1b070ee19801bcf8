//! Hosts: of `Host`, of an absolute request-target, and of the configuration.

use std::fmt::Write;
use std::net::Ipv6Addr;

/// `host[:port]` as a client or a configuration gives it (RFC 3986, section 3.2).
///
/// A host is a name whose labels are of letters, digits and `-_~`, or an IP address, in brackets
/// for IPv6. The
/// grammar of URLs allows more (percent-encoding, `!$&'()*+,;=`); no host on the net has it, and
/// recipients disagree about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host, with its brackets for IPv6.
    pub host: &'a str,
    /// The port, where one is given.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// `None` where it is none. A colon with no port behind it is allowed by the grammar, and
    /// means that none is given.
    pub fn parse(text: &'a [u8]) -> Option<Authority<'a>> {
        let text = std::str::from_utf8(text).ok()?;
        let host_length = match text.starts_with('[') {
            true => text.find(']')? + 1,
            false => text.find(':').unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at(host_length);
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return None,
            Some("") => None,
            // `parse` alone would take a sign.
            Some(digits) if digits.bytes().all(|it| it.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        is_host(host).then_some(Authority { host, port })
    }

    /// Whether both mean the same place, where a missing port means `default_port`.
    pub fn agrees_with(&self, other: &Authority<'_>, default_port: u16) -> bool {
        let port = |authority: &Authority<'_>| authority.port.unwrap_or(default_port);
        let is_same_host = match (ipv6(self.host), ipv6(other.host)) {
            (None, None) => {
                without_final_dot(self.host).eq_ignore_ascii_case(without_final_dot(other.host))
            }
            (own, others) => own == others,
        };
        is_same_host && port(self) == port(other)
    }

    /// Appends the host in the one form that hosts are compared in: lower case, without a final
    /// dot, and IPv6 addresses as RFC 5952 has them.
    pub fn write_host(&self, out: &mut String) {
        if let Some(address) = ipv6(self.host) {
            let written = write!(out, "[{address}]");
            debug_assert!(written.is_ok(), "writing to memory does not fail");
        } else {
            let name = without_final_dot(self.host);
            out.extend(name.chars().map(|c| c.to_ascii_lowercase()));
        }
    }
}

fn is_host(host: &str) -> bool {
    let is_name_byte = |it: u8| it.is_ascii_alphanumeric() || b"-_~".contains(&it);
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_name_byte);
    ipv6(host).is_some() || without_final_dot(host).split('.').all(is_label)
}

/// The address between brackets.
fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// `example.com.` and `example.com` are one name (RFC 1034, section 3.1).
fn without_final_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// What `Host` the server sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostPolicy {
    /// What the client sent.
    #[default]
    Preserve,
    /// The server's address.
    Upstream,
    /// This host, with or without a port.
    Name(HostName),
}

/// A host of the configuration, with or without a port, that can be written as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(Box<str>);

impl HostName {
    /// A host, with or without a port.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<HostName, String> {
        match Authority::parse(text.as_bytes()) {
            Some(_) => Ok(HostName(text.into())),
            None => Err("not a host; expected a name or an IP address, and a port if need be, \
                         such as \"example.com\", \"[::1]:8080\""
                .to_owned()),
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_hosts_with_ports() {
        let check = |text: &str, host: &str, port: Option<u16>| {
            assert_eq!(Authority::parse(text.as_bytes()), Some(Authority { host, port }), "{text}");
        };
        check("example.com", "example.com", None);
        check("Example.com.:080", "Example.com.", Some(80));
        check("a_b~c-d:", "a_b~c-d", None);
        check("192.0.2.1:65535", "192.0.2.1", Some(65_535));
        check("[2001:db8::1]:8080", "[2001:db8::1]", Some(8080));
        check("[::]", "[::]", None);
    }

    #[test]
    fn what_is_no_authority() {
        let bad = [
            "",
            ":80",
            ".",
            ".:80",
            "a..",
            ".a",
            "a..b",
            "..",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "user:pw@a",
            "a:b",
            "a:+1",
            "a:65536",
            "a:80:80",
            "::1",
            "[::1",
            "[::1]80",
            "[::1]x",
            "[fe80::1%25eth0]",
            "[a]",
            "[]",
            "a,b",
            "a%2eb",
            "\u{e4}",
            "a\0b",
            "a\tb",
            "http://a",
            "a]",
            "a[b]",
        ];
        for text in bad {
            assert_eq!(Authority::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Authority::parse(b"\xff"), None);
    }

    #[test]
    fn agreement_knows_case_dots_and_default_ports() {
        let check = |one: &str, other: &str, expected: bool| {
            let [one, other] = [one, other].map(|it| Authority::parse(it.as_bytes()).unwrap());
            assert_eq!(one.agrees_with(&other, 80), expected, "{one:?} {other:?}");
            assert_eq!(other.agrees_with(&one, 80), expected, "{one:?} {other:?}");
        };
        check("a.example", "A.Example.", true);
        check("a.example:80", "a.example", true);
        check("a.example:", "a.example", true);
        check("a.example:81", "a.example", false);
        check("a.example", "b.example", false);
        check("[::1]", "[0:0::01]:80", true);
        check("[::A]", "[::a]", true);
        check("[::1]", "[::2]", false);
    }

    #[test]
    fn a_host_has_one_form() {
        let check = |text: &str, expected: &str| {
            let mut host = String::new();
            Authority::parse(text.as_bytes()).unwrap().write_host(&mut host);
            assert_eq!(host, expected, "{text}");
        };
        check("A.Example.:80", "a.example");
        check("192.0.2.1", "192.0.2.1");
        check("[2001:DB8:0::0001]:80", "[2001:db8::1]");
        check("[::FFFF:c000:201]", "[::ffff:192.0.2.1]");
    }

    #[test]
    fn a_configured_host_is_checked() {
        assert_eq!(HostName::parse("app.internal:80").unwrap().as_str(), "app.internal:80");
        assert!(HostName::parse("http://a").unwrap_err().contains("not a host"));
    }
}
