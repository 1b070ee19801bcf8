//! Which route a request takes.
//!
//! ```text
//! request ─ host ─▶ exact ─▶ *.b.c ─▶ *.c ─▶ any
//!                     └──────┴─────────┴──────┴──▶ candidates, best first ─▶ the first that matches
//! ```
//!
//! Of all routes that match a request, the one with the most specific host wins: a whole name
//! before a wildcard, a longer wildcard before a shorter one, any host last. Then the one with the
//! longest path, then one that asks for a method, then the one that asks for more headers, then
//! the one that was written first. The order is settled once, in [`Router::new`]; a lookup
//! allocates nothing.

pub mod sni;

use std::cmp::Reverse;
use std::fmt;
use std::net::Ipv6Addr;

use crate::http::field::FieldName;
use crate::http::prefix::PathPrefix;
use crate::http::request::RequestHead;
use crate::id::RouteId;

/// Which requests a route is for: those that meet every condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pattern {
    /// The host.
    pub host: HostPattern,
    /// What the path begins with. Without it, the request for no path (`*`) is meant as well.
    pub path: Option<PathPrefix>,
    /// One of these methods; any if there is none.
    pub methods: Vec<Box<str>>,
    /// All of these headers.
    pub headers: Vec<HeaderPattern>,
}

impl Pattern {
    /// Whether every request meets it.
    pub fn is_any(&self) -> bool {
        *self == Pattern::default()
    }

    /// Whether a request for `path` meets it; the host apart, which the [`Router`] has looked up.
    fn matches(&self, request: &RequestHead, path: &str) -> bool {
        let is_below = |prefix: &PathPrefix| prefix.rest(path).is_some();
        let method = request.method_text();
        self.path.as_ref().is_none_or(is_below)
            && (self.methods.is_empty() || self.methods.iter().any(|it| **it == *method))
            && self.headers.iter().all(|header| header.matches(request))
    }
}

/// As the first line of a request: `GET,HEAD www.example.com/api X-Env=prod`.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            return f.write_str("every request");
        }
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join(","))?;
        }
        let path = self.path.as_ref().map_or("/", PathPrefix::as_str);
        write!(f, "{}{path}", self.host)?;
        for HeaderPattern { name, value } in &self.headers {
            write!(f, " {}={}", name.as_str(), value.as_deref().unwrap_or("*"))?;
        }
        Ok(())
    }
}

/// Which hosts a route is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostPattern {
    /// All of them.
    #[default]
    Any,
    /// This one, in small letters.
    Exact(Box<str>),
    /// Those that end in this, which begins with a dot and is in small letters. `*.example.com`
    /// is for `a.example.com` and `a.b.example.com`, not for `example.com`.
    Wildcard(Box<str>),
}

impl HostPattern {
    /// Reads `www.example.com`, `*.example.com`, `127.0.0.1`, `::1` or `[::1]`.
    ///
    /// # Errors
    /// What is wrong, in a few words.
    pub fn parse(text: &str) -> Result<HostPattern, String> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        // As requests have it, so that it is found.
        match (bracketed.unwrap_or(text).parse::<Ipv6Addr>(), bracketed) {
            (Ok(address), _) => return Ok(HostPattern::Exact(format!("[{address}]").into())),
            (Err(_), Some(other)) => return Err(format!("{other:?} is no IPv6 address")),
            (Err(_), None) => {}
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        check_host_name(name)?;
        let name = name.to_ascii_lowercase();
        Ok(match text.starts_with("*.") {
            true => HostPattern::Wildcard(format!(".{name}").into()),
            false => HostPattern::Exact(name.into()),
        })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Any => f.write_str("*"),
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Wildcard(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// Whether this is the name of a host, which may be an IPv4 address.
pub fn is_host_name(name: &str) -> bool {
    check_host_name(name).is_ok()
}

fn check_host_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let odd = name.chars().find(|c| !is_plain(*c) && *c != '.');
    match odd {
        Some(':') => Err("a port has no place in it".to_owned()),
        Some('*') => Err("a wildcard is \"*.\" and the rest of the name".to_owned()),
        Some(c) if !c.is_ascii() => {
            Err(format!("{c:?} must be written in its ASCII form, \"xn--...\""))
        }
        Some(c) => Err(format!("{c:?} cannot be in a host name")),
        None if name.split('.').any(str::is_empty) => Err("a part of the name is empty".to_owned()),
        None if name.len() > HOST_BYTES_MAX => Err("it is too long".to_owned()),
        None => Ok(()),
    }
}

/// The longest name of a host, in bytes (RFC 1035, section 2.3.4, less what the wire needs).
pub const HOST_BYTES_MAX: usize = 253;

/// A header that a route asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderPattern {
    /// Its name.
    pub name: FieldName,
    /// Its value, to the letter; `None` for any.
    pub value: Option<Box<str>>,
}

impl HeaderPattern {
    fn matches(&self, request: &RequestHead) -> bool {
        let is_value = |value: &[u8]| self.value.as_ref().is_none_or(|it| it.as_bytes() == value);
        request.fields().any(|field| self.name.matches(field.name) && is_value(field.value))
    }
}

/// Why no route is for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// None is for its host: the request was misdirected (421; RFC 9110, section 15.5.20).
    Host,
    /// None is for its path, its method and its headers (404).
    Path,
    /// Servers are known to read its path as that of another route (400).
    Ambiguous,
}

/// All routes of a listener, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Router {
    patterns: Vec<Pattern>,
    /// Sorted by name.
    exact: Vec<Host>,
    /// Sorted by suffix.
    wildcards: Vec<Host>,
    any: Vec<RouteId>,
}

/// The routes for one host, the best first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    name: Box<str>,
    candidates: Vec<RouteId>,
}

impl Router {
    /// The router for routes with these patterns, in the order in which they were written.
    pub fn new(patterns: Vec<Pattern>) -> Router {
        let mut router = Router { patterns, ..Router::default() };
        let mut order: Vec<usize> = (0..router.patterns.len()).collect();
        order.sort_by_key(|index| {
            let Pattern { path, methods, headers, .. } = &router.patterns[*index];
            let path = path.as_ref().map(|prefix| prefix.as_str().len());
            (Reverse(path), methods.is_empty(), Reverse(headers.len()), *index)
        });
        for index in order {
            let id = RouteId(u32::try_from(index).unwrap_or(u32::MAX));
            match &router.patterns[index].host {
                HostPattern::Any => router.any.push(id),
                HostPattern::Exact(name) => add(&mut router.exact, name, id),
                HostPattern::Wildcard(suffix) => add(&mut router.wildcards, suffix, id),
            }
        }
        router
    }

    /// The patterns, in the order in which they were written.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The route for a request.
    ///
    /// # Errors
    /// There is none, or one could walk around another: some servers read the path of the request
    /// as one of another route ([`RequestHead::other_path`]).
    pub fn find(&self, request: &RequestHead) -> Result<RouteId, Miss> {
        let found = self.find_for(request, request.path());
        let Some(other_path) = request.other_path() else { return found };
        let path = |id: RouteId| self.patterns[id.index()].path.as_ref();
        let is_meant = |id: RouteId| path(id).is_some_and(PathPrefix::has_other_reading);
        match self.find_for(request, other_path) {
            other if other != found && !found.is_ok_and(is_meant) => Err(Miss::Ambiguous),
            _ => found,
        }
    }

    fn find_for(&self, request: &RequestHead, path: &str) -> Result<RouteId, Miss> {
        let host = request.host();
        // No pattern is for a name so long, and to look at each of its dots would be work.
        let name = if host.len() <= HOST_BYTES_MAX { host } else { "" };
        let suffixes = name.match_indices('.').map(|(at, _)| &name[at..]);
        let wildcards = suffixes.filter_map(|suffix| candidates(&self.wildcards, suffix));
        let mut is_known = !self.any.is_empty();
        for candidates in candidates(&self.exact, name)
            .into_iter()
            .chain(wildcards)
            .chain(std::iter::once(self.any.as_slice()))
        {
            is_known |= !candidates.is_empty();
            let found =
                candidates.iter().find(|id| self.patterns[id.index()].matches(request, path));
            if let Some(id) = found {
                return Ok(*id);
            }
        }
        Err(if is_known { Miss::Path } else { Miss::Host })
    }
}

fn add(hosts: &mut Vec<Host>, name: &str, id: RouteId) {
    match hosts.binary_search_by(|host| (*host.name).cmp(name)) {
        Ok(place) => hosts[place].candidates.push(id),
        Err(place) => hosts.insert(place, Host { name: name.into(), candidates: vec![id] }),
    }
}

fn candidates<'h>(hosts: &'h [Host], name: &str) -> Option<&'h [RouteId]> {
    let place = hosts.binary_search_by(|host| (*host.name).cmp(name)).ok()?;
    Some(&hosts[place].candidates)
}

#[cfg(test)]
mod tests;
