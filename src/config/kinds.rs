//! What a single value may be: how it is read, what is expected otherwise, how it is shown.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::LogTarget;
use super::error::{alternatives, nearest};
use super::raw::{Node, Value};
use super::units::{parse_duration, parse_size, show_duration, show_size};
use crate::address::Address;

/// Why a value is not of the kind that its key takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) problem: String,
    pub(super) expected: String,
    pub(super) nearest: Option<String>,
}

impl Mismatch {
    pub(super) fn found(value: &Value, reason: &str, expected: impl Into<String>) -> Mismatch {
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        Mismatch {
            problem: format!("found {value}{reason}"),
            expected: expected.into(),
            nearest: None,
        }
    }
}

/// A kind of value.
pub(super) trait Kind {
    /// What it is for the program.
    type Value: Clone;

    /// Reads it.
    fn read(&self, node: &Node) -> Result<Self::Value, Mismatch>;

    /// Shows it as an operator would write it.
    fn show(&self, value: &Self::Value) -> String;
}

/// The string that was written, unless something else was.
pub(super) fn text<'n>(node: &'n Node, expected: &str) -> Result<&'n str, Mismatch> {
    match &node.value {
        Value::Text(text) => Ok(text),
        other => Err(Mismatch::found(other, "", expected)),
    }
}

/// Bytes, written with a unit.
pub(super) struct Size(pub(super) RangeInclusive<u64>);

impl Size {
    fn expected(&self) -> String {
        let (min, max) = (show_size(*self.0.start()), show_size(*self.0.end()));
        let examples = [256 << 20, 256 << 10, 16 << 10];
        let example = examples.into_iter().find(|size| self.0.contains(size)).unwrap_or_default();
        let example = show_size(example);
        format!("a size from {min} to {max} with its unit, such as \"{example}\"")
    }
}

impl Kind for Size {
    type Value = u64;

    fn read(&self, node: &Node) -> Result<u64, Mismatch> {
        let mismatch = |reason: &str| Mismatch::found(&node.value, reason, self.expected());
        match &node.value {
            Value::Integer(_) | Value::Float(_) => Err(mismatch("the unit is missing")),
            Value::Text(text) => match parse_size(text) {
                Ok(bytes) if self.0.contains(&bytes) => Ok(bytes),
                Ok(bytes) if bytes < *self.0.start() => Err(mismatch("it is too small")),
                Ok(_) => Err(mismatch("it is too large")),
                Err(reason) => Err(mismatch(&reason)),
            },
            _ => Err(mismatch("")),
        }
    }

    fn show(&self, bytes: &u64) -> String {
        show_size(*bytes)
    }
}

/// A size, or `"off"`, which is `None`.
pub(super) struct SizeOrOff(pub(super) RangeInclusive<u64>);

impl Kind for SizeOrOff {
    type Value = Option<u64>;

    fn read(&self, node: &Node) -> Result<Option<u64>, Mismatch> {
        if matches!(&node.value, Value::Text(text) if text == "off") {
            return Ok(None);
        }
        Size(self.0.clone()).read(node).map(Some).map_err(|mut mismatch| {
            mismatch.expected = format!("\"off\" or {}", mismatch.expected);
            mismatch
        })
    }

    fn show(&self, bytes: &Option<u64>) -> String {
        bytes.map_or_else(|| "off".to_owned(), show_size)
    }
}

/// The capacity of a pipe: a size that `F_SETPIPE_SZ` takes as it is, a power of two (the
/// kernel's `round_pipe_size`, fs/pipe.c). Others are rounded up, as the kernel would.
pub(super) struct PipeCapacity(pub(super) RangeInclusive<u64>);

/// What was asked for and what it was rounded to, both in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rounded {
    pub(super) asked: u64,
    pub(super) size: u32,
}

impl Rounded {
    /// A size that needs no rounding.
    pub(super) const fn exactly(size: u32) -> Rounded {
        Rounded { asked: size as u64, size }
    }
}

impl Kind for PipeCapacity {
    type Value = Rounded;

    fn read(&self, node: &Node) -> Result<Rounded, Mismatch> {
        let kind = Size(self.0.clone());
        let asked = kind.read(node)?;
        match u32::try_from(asked.next_power_of_two()) {
            Ok(size) => Ok(Rounded { asked, size }),
            Err(_) => Err(Mismatch::found(&node.value, "it is too large", kind.expected())),
        }
    }

    fn show(&self, value: &Rounded) -> String {
        let size = show_size(u64::from(value.size));
        if u64::from(value.size) == value.asked {
            return size;
        }
        format!("{size} (rounded up from {}: pipes are powers of two)", show_size(value.asked))
    }
}

/// A duration, written with a unit.
pub(super) struct Span(pub(super) RangeInclusive<Duration>);

impl Kind for Span {
    type Value = Duration;

    fn read(&self, node: &Node) -> Result<Duration, Mismatch> {
        let (min, max) = (show_duration(*self.0.start()), show_duration(*self.0.end()));
        let expected = format!("a duration from {min} to {max} with its unit, such as \"5s\"");
        let mismatch = |reason: &str| Mismatch::found(&node.value, reason, expected.clone());
        match &node.value {
            Value::Integer(_) | Value::Float(_) => Err(mismatch("the unit is missing")),
            Value::Text(text) => match parse_duration(text) {
                Ok(duration) if self.0.contains(&duration) => Ok(duration),
                Ok(duration) if duration < *self.0.start() => Err(mismatch("it is too short")),
                Ok(_) => Err(mismatch("it is too long")),
                Err(reason) => Err(mismatch(&reason)),
            },
            _ => Err(mismatch("")),
        }
    }

    fn show(&self, duration: &Duration) -> String {
        show_duration(*duration)
    }
}

/// A duration, or `"off"`, which is `None`.
pub(super) struct SpanOrOff(pub(super) RangeInclusive<Duration>);

impl Kind for SpanOrOff {
    type Value = Option<Duration>;

    fn read(&self, node: &Node) -> Result<Option<Duration>, Mismatch> {
        if matches!(&node.value, Value::Text(text) if text == "off") {
            return Ok(None);
        }
        Span(self.0.clone()).read(node).map(Some).map_err(|mut mismatch| {
            mismatch.expected = format!("\"off\" or {}", mismatch.expected);
            mismatch
        })
    }

    fn show(&self, duration: &Option<Duration>) -> String {
        duration.map_or_else(|| "off".to_owned(), show_duration)
    }
}

/// A duration that the kernel takes in whole seconds.
pub(super) struct WholeSeconds(pub(super) RangeInclusive<Duration>);

impl Kind for WholeSeconds {
    type Value = Duration;

    fn read(&self, node: &Node) -> Result<Duration, Mismatch> {
        let duration = Span(self.0.clone()).read(node)?;
        if duration.subsec_nanos() != 0 {
            let expected = "a duration of whole seconds, such as \"60s\"";
            return Err(Mismatch::found(&node.value, "", expected));
        }
        Ok(duration)
    }

    fn show(&self, duration: &Duration) -> String {
        show_duration(*duration)
    }
}

/// A whole number.
pub(super) struct Count(pub(super) RangeInclusive<u64>);

impl Count {
    fn expected(&self) -> String {
        format!("a whole number from {} to {}", self.0.start(), self.0.end())
    }

    pub(super) fn number(node: &Node) -> Option<i128> {
        match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if node.origin.is_untyped() => text.trim().parse().ok(),
            _ => None,
        }
    }
}

impl Kind for Count {
    type Value = u64;

    fn read(&self, node: &Node) -> Result<u64, Mismatch> {
        Count::number(node)
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| self.0.contains(number))
            .ok_or_else(|| Mismatch::found(&node.value, "", self.expected()))
    }

    fn show(&self, number: &u64) -> String {
        number.to_string()
    }
}

/// `"auto"`, which is `None`, or a whole number.
pub(super) struct AutoOrCount(pub(super) RangeInclusive<u64>);

impl Kind for AutoOrCount {
    type Value = Option<u64>;

    fn read(&self, node: &Node) -> Result<Option<u64>, Mismatch> {
        if matches!(&node.value, Value::Text(text) if text == "auto") {
            return Ok(None);
        }
        let count = Count(self.0.clone());
        count.read(node).map(Some).map_err(|mut mismatch| {
            mismatch.expected = format!("\"auto\" or {}", count.expected());
            if let Value::Text(text) = &node.value {
                mismatch.nearest = nearest(text, ["auto"]);
            }
            mismatch
        })
    }

    fn show(&self, number: &Option<u64>) -> String {
        number.map_or_else(|| "auto".to_owned(), |number| number.to_string())
    }
}

/// `true` or `false`.
pub(super) struct Switch;

impl Kind for Switch {
    type Value = bool;

    fn read(&self, node: &Node) -> Result<bool, Mismatch> {
        match &node.value {
            Value::Boolean(value) => Ok(*value),
            Value::Text(text) if node.origin.is_untyped() && text == "true" => Ok(true),
            Value::Text(text) if node.origin.is_untyped() && text == "false" => Ok(false),
            other => Err(Mismatch::found(other, "", "true or false")),
        }
    }

    fn show(&self, value: &bool) -> String {
        value.to_string()
    }
}

/// One of several words.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value = T;

    fn read(&self, node: &Node) -> Result<T, Mismatch> {
        let words = || self.0.iter().map(|(word, _)| *word);
        let expected = alternatives(words());
        let word = text(node, &expected)?;
        self.0.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).ok_or_else(|| {
            Mismatch {
                nearest: nearest(word, words()),
                ..Mismatch::found(&node.value, "", expected)
            }
        })
    }

    fn show(&self, value: &T) -> String {
        let word = self.0.iter().find(|(_, candidate)| candidate == value);
        word.map_or_else(String::new, |(word, _)| (*word).to_owned())
    }
}

/// Where to listen or to connect.
pub(super) struct ServerAddress;

impl ServerAddress {
    pub(super) const EXPECTED: &str = "an address";
}

impl Kind for ServerAddress {
    type Value = Address;

    fn read(&self, node: &Node) -> Result<Address, Mismatch> {
        let address = text(node, ServerAddress::EXPECTED)?;
        address.parse().map_err(|reason: String| Mismatch::found(&node.value, &reason, ""))
    }

    fn show(&self, address: &Address) -> String {
        address.to_string()
    }
}

/// `source` of an upstream: an IP address, or `"auto"`, which is `None`.
pub(super) struct SourceAddress;

impl Kind for SourceAddress {
    type Value = Option<IpAddr>;

    fn read(&self, node: &Node) -> Result<Option<IpAddr>, Mismatch> {
        let expected = "an IP address of this machine without a port, or \"auto\"";
        match text(node, expected)? {
            "auto" => Ok(None),
            address => match address.parse() {
                Ok(address) => Ok(Some(address)),
                Err(_) => Err(Mismatch::found(&node.value, "", expected)),
            },
        }
    }

    fn show(&self, address: &Option<IpAddr>) -> String {
        address.map_or_else(|| "auto".to_owned(), |address| address.to_string())
    }
}

/// `admin.bind`: an IP address with a port, or `"off"`, which is `None`.
pub(super) struct AdminBind;

impl Kind for AdminBind {
    type Value = Option<SocketAddr>;

    fn read(&self, node: &Node) -> Result<Option<SocketAddr>, Mismatch> {
        let expected = "an IP address with a port, such as \"127.0.0.1:9900\", or \"off\"";
        match text(node, expected)? {
            "off" => Ok(None),
            address => match address.parse() {
                Ok(address) => Ok(Some(address)),
                Err(_) => Err(Mismatch::found(&node.value, "", expected)),
            },
        }
    }

    fn show(&self, address: &Option<SocketAddr>) -> String {
        address.map_or_else(|| "off".to_owned(), |address| address.to_string())
    }
}

/// `access_log.path`. A file needs a slash in its path, so that a misspelt `"stdout"` does not
/// become a file of that name.
pub(super) struct LogPath;

impl Kind for LogPath {
    type Value = LogTarget;

    fn read(&self, node: &Node) -> Result<LogTarget, Mismatch> {
        let expected =
            "\"stdout\", \"stderr\", \"off\" or the path of a file, with at least one \"/\"";
        match text(node, expected)? {
            "off" => Ok(LogTarget::Off),
            "stdout" => Ok(LogTarget::Stdout),
            "stderr" => Ok(LogTarget::Stderr),
            path if path.contains('/') && !path.ends_with('/') && !path.contains('\0') => {
                Ok(LogTarget::File(PathBuf::from(path)))
            }
            word => Err(Mismatch {
                nearest: nearest(word, ["stdout", "stderr", "off"]),
                ..Mismatch::found(&node.value, "", expected)
            }),
        }
    }

    fn show(&self, target: &LogTarget) -> String {
        match target {
            LogTarget::Off => "off".to_owned(),
            LogTarget::Stdout => "stdout".to_owned(),
            LogTarget::Stderr => "stderr".to_owned(),
            LogTarget::File(path) => path.display().to_string(),
        }
    }
}

/// The name of an upstream; whether there is one of that name is checked by who knows them.
pub(super) struct UpstreamName;

impl Kind for UpstreamName {
    type Value = String;

    fn read(&self, node: &Node) -> Result<String, Mismatch> {
        text(node, "the name of an upstream").map(str::to_owned)
    }

    fn show(&self, name: &String) -> String {
        name.clone()
    }
}
