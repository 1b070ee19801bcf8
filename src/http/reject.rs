//! Why a message is refused, said once: the status that the client sees, the label of the metrics
//! and the word in the access log.

use std::fmt;

/// What a client sees of a refused response (RFC 9110, section 15.6.3); no request is refused
/// with it.
const BAD_GATEWAY: u16 = 502;

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectReason {
    /// The first line is no request line or status line (RFC 9112, sections 3 and 4).
    StartLine,
    /// A version other than 1.0 and 1.1.
    Version,
    /// `CONNECT`: this is no tunnel.
    Connect,
    /// A line feed without its carriage return (RFC 9112, section 2.2, lets a recipient choose).
    BareLineFeed,
    /// A field line with a bad byte, white space before its colon, or folded onto a second line; a
    /// `Connection` or `Max-Forwards` that is none.
    Field,
    /// A framing field or `Host` with `_` in the place of `-`.
    DisguisedField,
    /// More bytes of head than allowed.
    HeadSize,
    /// More fields than allowed.
    FieldCount,
    /// A longer request-target than allowed.
    TargetSize,
    /// A request-target in none of its four forms, or with bytes that it cannot hold.
    Target,
    /// A path that climbs above its root.
    PathAboveRoot,
    /// A path that servers are known to resolve in different ways, or to read as that of another
    /// route.
    PathAmbiguous,
    /// No `Host` in HTTP/1.1 (RFC 9112, section 3.2).
    HostMissing,
    /// More than one `Host`.
    HostDuplicate,
    /// A `Host` that is none.
    HostInvalid,
    /// An absolute request-target with another host than `Host`.
    HostMismatch,
    /// A `Content-Length` that is no number.
    ContentLength,
    /// Two lengths that differ.
    ContentLengthDiffering,
    /// Both `Content-Length` and `Transfer-Encoding`.
    BothFramings,
    /// A `Transfer-Encoding` that does not end in one `chunked`, or is malformed.
    TransferEncoding,
    /// A transfer coding other than `chunked`.
    TransferCoding,
    /// `Transfer-Encoding` in HTTP/1.0, which does not have it.
    TransferEncodingVersion,
    /// A larger body than allowed.
    BodySize,
    /// A chunk size that is none.
    ChunkSize,
    /// No line end where a chunk must have one.
    ChunkEnd,
    /// A chunk extension with a byte that it cannot hold.
    ChunkExtension,
    /// More bytes of chunk extensions than allowed.
    ChunkExtensionSize,
    /// A trailer field line that is malformed.
    Trailer,
    /// More bytes or fields in the trailer section than allowed.
    TrailerSize,
    /// A response with status 101 to a request that did not ask for that protocol.
    Upgrade,
}

impl RejectReason {
    /// All of them, in the order in which arrays indexed by reason hold them.
    pub const ALL: [RejectReason; 30] = [
        RejectReason::StartLine,
        RejectReason::Version,
        RejectReason::Connect,
        RejectReason::BareLineFeed,
        RejectReason::Field,
        RejectReason::DisguisedField,
        RejectReason::HeadSize,
        RejectReason::FieldCount,
        RejectReason::TargetSize,
        RejectReason::Target,
        RejectReason::PathAboveRoot,
        RejectReason::PathAmbiguous,
        RejectReason::HostMissing,
        RejectReason::HostDuplicate,
        RejectReason::HostInvalid,
        RejectReason::HostMismatch,
        RejectReason::ContentLength,
        RejectReason::ContentLengthDiffering,
        RejectReason::BothFramings,
        RejectReason::TransferEncoding,
        RejectReason::TransferCoding,
        RejectReason::TransferEncodingVersion,
        RejectReason::BodySize,
        RejectReason::ChunkSize,
        RejectReason::ChunkEnd,
        RejectReason::ChunkExtension,
        RejectReason::ChunkExtensionSize,
        RejectReason::Trailer,
        RejectReason::TrailerSize,
        RejectReason::Upgrade,
    ];

    /// Where arrays indexed by reason keep this one.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The label of the metrics and the word in the access log.
    pub fn label(self) -> &'static str {
        match self {
            RejectReason::StartLine => "start_line",
            RejectReason::Version => "version",
            RejectReason::Connect => "connect",
            RejectReason::BareLineFeed => "bare_line_feed",
            RejectReason::Field => "field",
            RejectReason::DisguisedField => "disguised_field",
            RejectReason::HeadSize => "head_size",
            RejectReason::FieldCount => "field_count",
            RejectReason::TargetSize => "target_size",
            RejectReason::Target => "target",
            RejectReason::PathAboveRoot => "path_above_root",
            RejectReason::PathAmbiguous => "path_ambiguous",
            RejectReason::HostMissing => "host_missing",
            RejectReason::HostDuplicate => "host_duplicate",
            RejectReason::HostInvalid => "host_invalid",
            RejectReason::HostMismatch => "host_mismatch",
            RejectReason::ContentLength => "content_length",
            RejectReason::ContentLengthDiffering => "content_length_differing",
            RejectReason::BothFramings => "both_framings",
            RejectReason::TransferEncoding => "transfer_encoding",
            RejectReason::TransferCoding => "transfer_coding",
            RejectReason::TransferEncodingVersion => "transfer_encoding_version",
            RejectReason::BodySize => "body_size",
            RejectReason::ChunkSize => "chunk_size",
            RejectReason::ChunkEnd => "chunk_end",
            RejectReason::ChunkExtension => "chunk_extension",
            RejectReason::ChunkExtensionSize => "chunk_extension_size",
            RejectReason::Trailer => "trailer",
            RejectReason::TrailerSize => "trailer_size",
            RejectReason::Upgrade => "upgrade",
        }
    }

    /// What the client of a request that is refused for this is told (RFC 9110, section 15).
    pub fn request_status(self) -> u16 {
        match self {
            RejectReason::Version => 505,
            RejectReason::Connect | RejectReason::TransferCoding => 501,
            RejectReason::HeadSize | RejectReason::FieldCount | RejectReason::TrailerSize => 431,
            RejectReason::TargetSize => 414,
            RejectReason::BodySize => 413,
            _ => 400,
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A message that is refused, and with it the connection that it came on: where it ends is not
/// known for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// The status of the answer to the client.
    pub status: u16,
    /// Why.
    pub reason: RejectReason,
}

impl Rejection {
    /// A request is refused: the client has made the mistake.
    pub fn of_request(reason: RejectReason) -> Rejection {
        Rejection { status: reason.request_status(), reason }
    }

    /// A response is refused: to the client, that is a bad gateway.
    pub fn of_response(reason: RejectReason) -> Rejection {
        Rejection { status: BAD_GATEWAY, reason }
    }

    /// Whether it was a response that was refused.
    pub fn is_of_response(self) -> bool {
        self.status == BAD_GATEWAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_label_and_a_place_of_its_own() {
        for (index, reason) in RejectReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert!(Rejection::of_response(reason).is_of_response());
            assert!(!Rejection::of_request(reason).is_of_response(), "{reason}");
            let others = RejectReason::ALL.iter().filter(|it| it.label() == reason.label());
            assert_eq!(others.count(), 1, "{reason}");
        }
    }
}
