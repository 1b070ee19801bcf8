//! What a single value of HTTP may be.

use super::error::nearest;
use super::kinds::{Count, Kind, Mismatch, text};
use super::limits;
use super::raw::{Node, Value};
use super::units::show_size;
use crate::http::field::FieldName;
use crate::http::forwarded::TrustedPeers;
use crate::http::host::{HostName, HostPolicy};
use crate::http::prefix::PathPrefix;
use crate::http::status;
use crate::http::template::Template;
use crate::route::HostPattern;

/// `host` of a route.
pub(super) struct HostCondition;

impl Kind for HostCondition {
    type Value = HostPattern;

    fn read(&self, node: &Node) -> Result<HostPattern, Mismatch> {
        let expected = "a host such as \"www.example.com\", or \"*.example.com\" for all below it";
        HostPattern::parse(text(node, expected)?)
            .map_err(|reason| Mismatch::found(&node.value, &reason, expected))
    }

    fn show(&self, host: &HostPattern) -> String {
        host.to_string()
    }
}

/// `path` and `replace_prefix` of a route.
pub(super) struct Prefix;

impl Kind for Prefix {
    type Value = PathPrefix;

    fn read(&self, node: &Node) -> Result<PathPrefix, Mismatch> {
        let expected = "the beginning of a path, such as \"/api\"";
        PathPrefix::parse(text(node, expected)?)
            .map_err(|reason| Mismatch::found(&node.value, &reason, expected))
    }

    fn show(&self, prefix: &PathPrefix) -> String {
        prefix.as_str().to_owned()
    }
}

/// The methods with a meaning of their own (RFC 9110, section 9; RFC 5789), but for `CONNECT`.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"];

/// One of `methods` of a route: a token (RFC 9110, section 5.6.2) of capital letters. Small ones
/// are not against the rules, but where one is written, a capital one is meant.
pub(super) struct MethodName;

impl Kind for MethodName {
    type Value = Box<str>;

    fn read(&self, node: &Node) -> Result<Box<str>, Mismatch> {
        let expected = "a method in capital letters, such as \"GET\"";
        let method = text(node, expected)?;
        let is_capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "-_".contains(c);
        if method == "CONNECT" {
            let reason = "it is refused before any route";
            return Err(Mismatch::found(&node.value, reason, "another method"));
        }
        if !method.is_empty() && method.chars().all(is_capital) {
            return Ok(method.into());
        }
        Err(Mismatch {
            nearest: nearest(method, METHODS),
            ..Mismatch::found(&node.value, "", expected)
        })
    }

    fn show(&self, method: &Box<str>) -> String {
        method.to_string()
    }
}

/// One of `headers` of a route: a value, or `true`, which is `None`, for any.
pub(super) struct HeaderCondition;

impl Kind for HeaderCondition {
    type Value = Option<Box<str>>;

    fn read(&self, node: &Node) -> Result<Option<Box<str>>, Mismatch> {
        let expected = "the value that the header must have, or true for any";
        if node.value == Value::Boolean(true) {
            return Ok(None);
        }
        let value = text(node, expected)?;
        let is_allowed = |c: char| matches!(c, ' ' | '\t' | '!'..='~');
        if !value.chars().all(is_allowed) || value.trim() != value {
            let reason = "no header has such a value";
            let expected = "visible ASCII without white space around it";
            return Err(Mismatch::found(&node.value, reason, expected));
        }
        Ok(Some(value.into()))
    }

    fn show(&self, value: &Option<Box<str>>) -> String {
        value.as_ref().map_or_else(|| "true".to_owned(), ToString::to_string)
    }
}

/// One of `remove` of `request_headers` and `response_headers`.
pub(super) struct EditableName;

impl Kind for EditableName {
    type Value = FieldName;

    fn read(&self, node: &Node) -> Result<FieldName, Mismatch> {
        FieldName::editable(text(node, "the name of a header, such as \"X-Debug\"")?)
            .map_err(|reason| Mismatch::found(&node.value, &reason, ""))
    }

    fn show(&self, name: &FieldName) -> String {
        name.as_str().to_owned()
    }
}

/// What was written and what it is for the program, for values that cannot be shown otherwise.
#[derive(Debug, Clone, Default)]
pub(super) struct Written<T> {
    text: Box<str>,
    pub(super) value: T,
}

/// The value of a header that an edit or an answer has.
pub(super) struct HeaderText;

impl Kind for HeaderText {
    type Value = Written<Template>;

    fn read(&self, node: &Node) -> Result<Written<Template>, Mismatch> {
        let text = text(node, "the value of a header, such as \"max-age=60\" or \"{client_ip}\"")?;
        let value =
            Template::parse(text).map_err(|reason| Mismatch::found(&node.value, &reason, ""))?;
        Ok(Written { text: text.into(), value })
    }

    fn show(&self, value: &Written<Template>) -> String {
        value.text.to_string()
    }
}

/// `redirect.to`
pub(super) struct Location;

impl Kind for Location {
    type Value = Written<Template>;

    fn read(&self, node: &Node) -> Result<Written<Template>, Mismatch> {
        let text = text(node, "a URL, such as \"https://{host}{path}{query}\"")?;
        let value = Template::parse_location(text)
            .map_err(|reason| Mismatch::found(&node.value, &reason, ""))?;
        Ok(Written { text: text.into(), value })
    }

    fn show(&self, value: &Written<Template>) -> String {
        value.text.to_string()
    }
}

/// `redirect.status`: those that say where to go (RFC 9110, section 15.4).
pub(super) struct RedirectStatus;

impl Kind for RedirectStatus {
    type Value = u16;

    fn read(&self, node: &Node) -> Result<u16, Mismatch> {
        let number = Count::number(node).and_then(|number| u16::try_from(number).ok());
        number
            .filter(|status| status::REDIRECT.contains(status))
            .ok_or_else(|| Mismatch::found(&node.value, "", "301, 302, 303, 307 or 308"))
    }

    fn show(&self, status: &u16) -> String {
        status.to_string()
    }
}

/// `respond.body`
pub(super) struct Body;

impl Kind for Body {
    type Value = Box<str>;

    fn read(&self, node: &Node) -> Result<Box<str>, Mismatch> {
        let body = text(node, "the text of the answer")?;
        if body.len() > limits::RESPOND_BODY {
            return Err(Mismatch {
                problem: format!("found a text of {} bytes", body.len()),
                expected: format!("at most {}", show_size(limits::RESPOND_BODY as u64)),
                nearest: None,
            });
        }
        Ok(body.into())
    }

    /// A page need not be read in a table.
    fn show(&self, body: &Box<str>) -> String {
        let is_short = body.len() <= 40 && !body.chars().any(char::is_control);
        if is_short { body.to_string() } else { format!("{} bytes", body.len()) }
    }
}

/// `host_header`: `"preserve"`, `"upstream"` or a host.
pub(super) struct HostHeader;

impl Kind for HostHeader {
    type Value = HostPolicy;

    fn read(&self, node: &Node) -> Result<HostPolicy, Mismatch> {
        let expected = "\"preserve\", \"upstream\", or a host, such as \"app.example.com\"";
        let word = match text(node, expected)? {
            "preserve" => return Ok(HostPolicy::Preserve),
            "upstream" => return Ok(HostPolicy::Upstream),
            word => word,
        };
        let mismatch = |reason: &str, nearest| Mismatch {
            nearest,
            ..Mismatch::found(&node.value, reason, expected)
        };
        // A host that is one word and much like a keyword is a keyword misspelt.
        let nearest = nearest(word, ["preserve", "upstream"]);
        if nearest.is_some() && !word.contains(['.', ':']) {
            return Err(mismatch("", nearest));
        }
        HostName::parse(word).map(HostPolicy::Name).map_err(|_| mismatch("", None))
    }

    fn show(&self, policy: &HostPolicy) -> String {
        match policy {
            HostPolicy::Preserve => "preserve".to_owned(),
            HostPolicy::Upstream => "upstream".to_owned(),
            HostPolicy::Name(name) => name.as_str().to_owned(),
        }
    }
}

/// `forwarded.trust`: networks, addresses and `"unix"`.
pub(super) struct TrustList;

impl TrustList {
    const EXPECTED: &str = "a list of networks, such as [\"10.0.0.0/8\", \"unix\"]";
}

impl Kind for TrustList {
    type Value = Written<TrustedPeers>;

    fn read(&self, node: &Node) -> Result<Written<TrustedPeers>, Mismatch> {
        let peers: Vec<&str> = match &node.value {
            Value::Text(text) if node.origin.is_untyped() => {
                text.split(',').map(str::trim).filter(|peer| !peer.is_empty()).collect()
            }
            Value::Text(peer) => vec![peer],
            Value::List(nodes) => {
                let peers = nodes.iter().map(|node| text(node, "a network, or \"unix\""));
                peers.collect::<Result<_, _>>()?
            }
            other => return Err(Mismatch::found(other, "", TrustList::EXPECTED)),
        };
        let value = TrustedPeers::parse(&peers).map_err(|(index, reason)| {
            Mismatch::found(&Value::Text(peers[index].to_owned()), &reason, "")
        })?;
        Ok(Written { text: peers.join(", ").into(), value })
    }

    fn show(&self, trust: &Written<TrustedPeers>) -> String {
        if trust.text.is_empty() { "[]".to_owned() } else { trust.text.to_string() }
    }
}
