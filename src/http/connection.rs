//! `Connection`: what a message says about the connection that it came on (RFC 9110, section
//! 7.6.1; RFC 9112, section 9).

use super::field::{is_token, members};
use super::head::{Span, Version};
use super::reject::RejectReason;

/// How many other fields a `Connection` may name. Each is compared with all fields of the head;
/// real ones name two or three.
pub(super) const CONNECTION_OPTIONS_MAX: usize = 16;

/// The options of all `Connection` fields of a head.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionOptions {
    pub(super) has_close: bool,
    pub(super) has_keep_alive: bool,
    pub(super) has_upgrade: bool,
    /// Names of fields that are for this hop only.
    named: Vec<Span>,
}

impl ConnectionOptions {
    pub(super) fn clear(&mut self) {
        self.named.clear();
        *self = ConnectionOptions { named: std::mem::take(&mut self.named), ..Self::default() };
    }

    /// Reads the value of one `Connection`.
    ///
    /// # Errors
    /// [`RejectReason::Field`] for an option that is no token, or too many of them.
    pub(super) fn add(
        &mut self,
        value: &[u8],
        span: impl Fn(&[u8]) -> Span,
    ) -> Result<(), RejectReason> {
        for option in members(value) {
            let is = |text: &[u8]| option.eq_ignore_ascii_case(text);
            if is(b"close") {
                self.has_close = true;
            } else if is(b"keep-alive") {
                self.has_keep_alive = true;
            } else if is(b"upgrade") {
                self.has_upgrade = true;
            } else if self.named.len() == CONNECTION_OPTIONS_MAX || !is_token(option) {
                return Err(RejectReason::Field);
            } else {
                self.named.push(span(option));
            }
        }
        Ok(())
    }

    /// Whether the sender would keep the connection (RFC 9112, section 9.3).
    pub(super) fn keeps_alive(&self, version: Version) -> bool {
        match version {
            Version::Http10 => self.has_keep_alive && !self.has_close,
            Version::Http11 => !self.has_close,
        }
    }

    /// Whether a field of this name is for this hop only; `bytes` are those of the head.
    pub(super) fn names(&self, name: &[u8], bytes: &[u8]) -> bool {
        self.named.iter().any(|named| named.of(bytes).eq_ignore_ascii_case(name))
    }
}
