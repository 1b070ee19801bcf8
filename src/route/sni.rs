//! (listener, ClientHello) -> route: for clients whose TLS need not end here.

use std::fmt;

use super::{HOST_BYTES_MAX, Host, HostPattern, add, candidates};
use crate::id::RouteId;

/// Which clients a route is for, by what they ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SniPattern {
    /// One of these names; empty for any, and for none.
    pub names: Vec<HostPattern>,
    /// One of these protocols (RFC 7301); empty for any, and for none.
    pub alpn: Vec<Box<str>>,
}

impl SniPattern {
    /// Whether every client will do.
    pub fn is_any(&self) -> bool {
        self.names.is_empty() && self.alpn.is_empty()
    }

    fn speaks(&self, alpn: &[Box<[u8]>]) -> bool {
        let is_offered = |name: &str| alpn.iter().any(|it| **it == *name.as_bytes());
        self.alpn.is_empty() || self.alpn.iter().any(|name| is_offered(name))
    }
}

/// As `explain` shows it: `a.example, *.b.example (h2)`, or `*`.
impl fmt::Display for SniPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names.as_slice() {
            [] => f.write_str("*")?,
            [first, others @ ..] => {
                first.fmt(f)?;
                others.iter().try_for_each(|name| write!(f, ", {name}"))?;
            }
        }
        match self.alpn.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", self.alpn.join(", ")),
        }
    }
}

/// All `sni` routes of a listener, in the order in which they are tried: the name as it is, then
/// wildcards, the longest first, then routes for any name. Among those of one name the ones that
/// ask for a protocol come first, then the one that was written first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SniRouter {
    patterns: Vec<SniPattern>,
    /// Sorted by name.
    exact: Vec<Host>,
    /// Sorted by suffix.
    wildcards: Vec<Host>,
    any: Vec<RouteId>,
}

impl SniRouter {
    /// The router for routes with these patterns, in the order in which they were written.
    pub fn new(patterns: Vec<SniPattern>) -> SniRouter {
        let mut router = SniRouter { patterns, ..SniRouter::default() };
        let mut order: Vec<usize> = (0..router.patterns.len()).collect();
        order.sort_by_key(|index| (router.patterns[*index].alpn.is_empty(), *index));
        for index in order {
            let id = RouteId(u32::try_from(index).unwrap_or(u32::MAX));
            let names = &router.patterns[index].names;
            if names.is_empty() {
                router.any.push(id);
            }
            for name in names {
                match name {
                    HostPattern::Any => router.any.push(id),
                    HostPattern::Exact(name) => add(&mut router.exact, name, id),
                    HostPattern::Wildcard(suffix) => add(&mut router.wildcards, suffix, id),
                }
            }
        }
        router
    }

    /// The patterns, in the order in which they were written.
    pub fn patterns(&self) -> &[SniPattern] {
        &self.patterns
    }

    /// The route for a client that asks for `server_name`, in small letters, and speaks `alpn`,
    /// if there is one.
    pub fn find(&self, server_name: Option<&str>, alpn: &[Box<[u8]>]) -> Option<RouteId> {
        let name = server_name.unwrap_or_default();
        let name = if name.len() <= HOST_BYTES_MAX { name } else { "" };
        let suffixes = name.match_indices('.').map(|(at, _)| &name[at..]);
        candidates(&self.exact, name)
            .into_iter()
            .chain(suffixes.filter_map(|suffix| candidates(&self.wildcards, suffix)))
            .chain(std::iter::once(self.any.as_slice()))
            .flatten()
            .find(|id| self.patterns[id.index()].speaks(alpn))
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(names: &[&str], alpn: &[&str]) -> SniPattern {
        SniPattern {
            names: names.iter().map(|name| HostPattern::parse(name).unwrap()).collect(),
            alpn: alpn.iter().map(|it| (*it).into()).collect(),
        }
    }

    #[test]
    fn the_nearest_name_wins_and_then_the_protocol() {
        let router = SniRouter::new(vec![
            pattern(&[], &[]),
            pattern(&["*.example"], &[]),
            pattern(&["*.b.example", "c.test"], &[]),
            pattern(&["a.b.example"], &["h2"]),
            pattern(&["a.b.example"], &["acme-tls/1"]),
            pattern(&[], &["h2"]),
            pattern(&["c.test"], &[]),
        ]);
        let check = |name: &str, alpn: &[&str], expected: u32| {
            let offered: Vec<Box<[u8]>> = alpn.iter().map(|it| it.as_bytes().into()).collect();
            let name = Some(name).filter(|name| !name.is_empty());
            assert_eq!(router.find(name, &offered), Some(RouteId(expected)), "{name:?} {alpn:?}");
        };
        check("a.b.example", &["h2", "acme-tls/1"], 3);
        check("a.b.example", &["acme-tls/1"], 4);
        check("a.b.example", &["http/1.1"], 2);
        check("x.b.example", &["h2"], 2);
        check("b.example", &[], 1);
        check("example", &[], 0);
        check("example", &["h2"], 5);
        check("", &[], 0);
        check("c.test", &[], 2);
        check("c.test.", &[], 0);
        let nobody = SniRouter::new(vec![pattern(&["a.example"], &[])]);
        assert_eq!(nobody.find(None, &[]), None);
    }

    #[test]
    fn patterns_are_shown_as_they_are_meant() {
        let check = |names: &[&str], alpn: &[&str], expected: &str| {
            assert_eq!(pattern(names, alpn).to_string(), expected);
        };
        check(&[], &[], "*");
        check(&["a.example", "*.b.example"], &[], "a.example, *.b.example");
        check(&["a.example"], &["h2", "http/1.1"], "a.example (h2, http/1.1)");
        check(&[], &["h2"], "* (h2)");
    }
}
