//! What a single value of balancing and of health checks may be.

use super::balancing::HashKey;
use super::error::nearest;
use super::kinds::{Count, Kind, Mismatch, text};
use super::raw::{Node, Value};
use crate::balance::consistent_hash::BalanceFactor;
use crate::http::field::is_token;

/// A share from 0 to 1, kept in thousandths.
pub(super) struct Share;

impl Kind for Share {
    type Value = u32;

    fn read(&self, node: &Node) -> Result<u32, Mismatch> {
        let expected = "a share from 0 to 1, such as 0.2";
        thousandths(node)
            .filter(|share| *share <= 1000)
            .ok_or_else(|| Mismatch::found(&node.value, "", expected))
    }

    fn show(&self, share: &u32) -> String {
        show_thousandths(*share)
    }
}

/// A share, or `"off"`, which is 0.
pub(super) struct ShareOrOff;

impl Kind for ShareOrOff {
    type Value = u32;

    fn read(&self, node: &Node) -> Result<u32, Mismatch> {
        if is_off(node) {
            return Ok(0);
        }
        let share = Share.read(node).ok().filter(|share| *share > 0);
        let expected = "\"off\" or a share up to 1, such as 0.5";
        share.ok_or_else(|| Mismatch::found(&node.value, "", expected))
    }

    fn show(&self, share: &u32) -> String {
        if *share == 0 { "off".to_owned() } else { show_thousandths(*share) }
    }
}

/// A whole number, or `"off"`, which is 0.
pub(super) struct CountOrOff(pub(super) std::ops::RangeInclusive<u64>);

impl Kind for CountOrOff {
    type Value = u64;

    fn read(&self, node: &Node) -> Result<u64, Mismatch> {
        if is_off(node) {
            return Ok(0);
        }
        Count(self.0.clone()).read(node).map_err(|mismatch| Mismatch {
            expected: format!("\"off\" or {}", mismatch.expected),
            ..mismatch
        })
    }

    fn show(&self, number: &u64) -> String {
        if *number == 0 { "off".to_owned() } else { number.to_string() }
    }
}

/// `hash_balance_factor`: a factor from 1, or `"off"`, which is `None`.
pub(super) struct Factor;

impl Kind for Factor {
    type Value = Option<BalanceFactor>;

    fn read(&self, node: &Node) -> Result<Option<BalanceFactor>, Mismatch> {
        if is_off(node) {
            return Ok(None);
        }
        let factor = thousandths(node).filter(|factor| (1000..=100_000).contains(factor));
        let expected = "\"off\" or a factor from 1 to 100, such as 1.25";
        let factor = factor.ok_or_else(|| Mismatch::found(&node.value, "", expected))?;
        Ok(Some(BalanceFactor(factor)))
    }

    fn show(&self, factor: &Option<BalanceFactor>) -> String {
        factor.map_or_else(|| "off".to_owned(), |factor| show_thousandths(factor.0))
    }
}

fn is_off(node: &Node) -> bool {
    matches!(&node.value, Value::Text(text) if text == "off")
}

/// A number that is not negative, rounded to thousandths.
fn thousandths(node: &Node) -> Option<u32> {
    let number = match &node.value {
        Value::Float(number) => *number,
        Value::Integer(number) => u32::try_from(*number).ok()?.into(),
        Value::Text(text) if node.origin.is_untyped() => text.trim().parse().ok()?,
        _ => return None,
    };
    let is_small = number.is_finite() && (0.0..=1_000_000.0).contains(&number);
    is_small.then(|| (number * 1000.0).round() as u32)
}

fn show_thousandths(number: u32) -> String {
    (f64::from(number) / 1000.0).to_string()
}

/// `hash_key`
pub(super) struct HashKeyName;

impl Kind for HashKeyName {
    type Value = HashKey;

    fn read(&self, node: &Node) -> Result<HashKey, Mismatch> {
        let expected = "\"client\", \"host\", \"path\", \"header:NAME\" or \"cookie:NAME\"";
        let word = text(node, expected)?;
        let named = |name: &str| is_token(name.as_bytes()).then(|| name.into());
        let key = match word.split_once(':') {
            Some(("header", name)) => named(&name.to_ascii_lowercase()).map(HashKey::Header),
            Some(("cookie", name)) => named(name).map(HashKey::Cookie),
            Some(_) => None,
            None => match word {
                "client" => Some(HashKey::Client),
                "host" => Some(HashKey::Host),
                "path" => Some(HashKey::Path),
                _ => None,
            },
        };
        key.ok_or_else(|| Mismatch {
            nearest: nearest(word, ["client", "host", "path"]),
            ..Mismatch::found(&node.value, "", expected)
        })
    }

    fn show(&self, key: &HashKey) -> String {
        match key {
            HashKey::Client => "client".to_owned(),
            HashKey::Host => "host".to_owned(),
            HashKey::Path => "path".to_owned(),
            HashKey::Header(name) => format!("header:{name}"),
            HashKey::Cookie(name) => format!("cookie:{name}"),
        }
    }
}

/// The name of a cookie (RFC 6265, section 4.1.1).
pub(super) struct CookieName;

impl Kind for CookieName {
    type Value = Box<str>;

    fn read(&self, node: &Node) -> Result<Box<str>, Mismatch> {
        let expected = "the name of a cookie, such as \"SRV\"";
        let name = text(node, expected)?;
        let fits = is_token(name.as_bytes()) && name.len() <= 64;
        if fits { Ok(name.into()) } else { Err(Mismatch::found(&node.value, "", expected)) }
    }

    fn show(&self, name: &Box<str>) -> String {
        name.to_string()
    }
}

/// One of `status`: a status, or the first and the last of several.
pub(super) struct StatusRange;

impl StatusRange {
    pub(super) const EXPECTED: &str =
        "a status such as 204, or a range such as \"200-299\", from 100 to 599";
}

impl Kind for StatusRange {
    type Value = (u16, u16);

    fn read(&self, node: &Node) -> Result<(u16, u16), Mismatch> {
        let mismatch = || Mismatch::found(&node.value, "", StatusRange::EXPECTED);
        let range = match (&node.value, Count::number(node)) {
            (_, Some(status)) => u16::try_from(status).ok().map(|status| (status, status)),
            (Value::Text(text), None) => {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                first.trim().parse().ok().zip(last.trim().parse().ok())
            }
            _ => None,
        };
        let fits = |(first, last): &(u16, u16)| 100 <= *first && first <= last && *last <= 599;
        range.filter(fits).ok_or_else(mismatch)
    }

    fn show(&self, (first, last): &(u16, u16)) -> String {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    }
}

/// `http` of a health check: a path, with a query if need be (RFC 9112, section 3.2.1).
pub(super) struct ProbePath;

impl Kind for ProbePath {
    type Value = Box<str>;

    fn read(&self, node: &Node) -> Result<Box<str>, Mismatch> {
        let expected = "a path such as \"/healthz\", of visible ASCII and at most 1024 bytes";
        let path = text(node, expected)?;
        let fits = path.starts_with('/')
            && path.len() <= 1024
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if fits { Ok(path.into()) } else { Err(Mismatch::found(&node.value, "", expected)) }
    }

    fn show(&self, path: &Box<str>) -> String {
        path.to_string()
    }
}

/// `host` of a health check, as the header `Host` has it.
pub(super) struct ProbeHost;

impl Kind for ProbeHost {
    type Value = Box<str>;

    fn read(&self, node: &Node) -> Result<Box<str>, Mismatch> {
        let expected = "a host such as \"app.example.com\", with a port if need be";
        let host = text(node, expected)?;
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let fits = (1..=255).contains(&host.len()) && host.bytes().all(is_host);
        if fits { Ok(host.into()) } else { Err(Mismatch::found(&node.value, "", expected)) }
    }

    fn show(&self, host: &Box<str>) -> String {
        host.to_string()
    }
}

/// `body` of a health check: what the body must contain.
pub(super) struct ProbeBody;

impl Kind for ProbeBody {
    type Value = Box<str>;

    fn read(&self, node: &Node) -> Result<Box<str>, Mismatch> {
        let expected = "what the body of a server that is well contains, of 1 to 256 bytes";
        let body = text(node, expected)?;
        let fits = (1..=256).contains(&body.len());
        if fits { Ok(body.into()) } else { Err(Mismatch::found(&node.value, "", expected)) }
    }

    fn show(&self, body: &Box<str>) -> String {
        body.to_string()
    }
}
