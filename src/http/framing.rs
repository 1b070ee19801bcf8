//! Where a body ends (RFC 9112, sections 6 and 11.2). Whatever two recipients could understand in
//! different ways is refused: that is how requests are smuggled.

use super::field::{is_token, trim};
use super::head::Version;
use super::reject::RejectReason;

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BodyLength {
    /// There is none: the message ends with its head.
    #[default]
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks, the last of which is empty.
    Chunked,
    /// All that comes until the connection ends; responses only.
    UntilEnd,
}

impl BodyLength {
    /// Whether not a byte follows the head.
    pub fn is_empty(self) -> bool {
        matches!(self, BodyLength::None | BodyLength::Length(0))
    }
}

/// What the framing fields of a head say, all of them together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FramingFields {
    content_length: Option<u64>,
    codings: Codings,
}

/// The transfer codings so far, in the order in which they were applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Codings {
    #[default]
    Absent,
    /// Some, and `chunked` is not among them.
    Unframed,
    /// Nothing but `chunked`.
    Chunked,
    /// Others, and then `chunked`.
    CodedChunked,
}

impl FramingFields {
    /// Reads the value of one `Content-Length`. A list of equal numbers counts as one of them
    /// (RFC 9110, section 8.6).
    pub(super) fn add_content_length(&mut self, value: &[u8]) -> Result<(), RejectReason> {
        for member in value.split(|byte| *byte == b',') {
            let length = decimal(trim(member)).ok_or(RejectReason::ContentLength)?;
            if self.content_length.is_some_and(|other| other != length) {
                return Err(RejectReason::ContentLengthDiffering);
            }
            self.content_length = Some(length);
        }
        Ok(())
    }

    /// Reads the value of one `Transfer-Encoding`. Its lists have no empty members here, and its
    /// codings no parameters: no sender needs them, and recipients disagree about both.
    pub(super) fn add_transfer_encoding(&mut self, value: &[u8]) -> Result<(), RejectReason> {
        for coding in value.split(|byte| *byte == b',').map(trim) {
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.codings = match self.codings {
                Codings::Absent if is_chunked => Codings::Chunked,
                Codings::Unframed if is_chunked => Codings::CodedChunked,
                Codings::Absent | Codings::Unframed if is_token(coding) => Codings::Unframed,
                _ => return Err(RejectReason::TransferEncoding),
            };
        }
        Ok(())
    }

    /// The one framing that is left, if it is one.
    fn resolve(self, version: Version) -> Result<Option<BodyLength>, RejectReason> {
        let is_coded = self.codings != Codings::Absent;
        if is_coded && self.content_length.is_some() {
            return Err(RejectReason::BothFramings);
        }
        if is_coded && version == Version::Http10 {
            return Err(RejectReason::TransferEncodingVersion);
        }
        match self.codings {
            Codings::Absent => Ok(self.content_length.map(BodyLength::Length)),
            Codings::Unframed => Err(RejectReason::TransferEncoding),
            Codings::Chunked => Ok(Some(BodyLength::Chunked)),
            Codings::CodedChunked => Err(RejectReason::TransferCoding),
        }
    }

    /// The body of a request.
    pub(super) fn of_request(self, version: Version) -> Result<BodyLength, RejectReason> {
        Ok(self.resolve(version)?.unwrap_or(BodyLength::None))
    }

    /// The body that the fields of a response promise. Whether it has one at all depends on its
    /// status and on the request (RFC 9112, section 6.3).
    pub(super) fn of_response(self, version: Version) -> Result<BodyLength, RejectReason> {
        Ok(self.resolve(version)?.unwrap_or(BodyLength::UntilEnd))
    }
}

/// A number of digits alone, up to the largest file offset.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })?;
    (number <= i64::MAX as u64).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(lengths: &[&str], codings: &[&str]) -> Result<FramingFields, RejectReason> {
        let mut fields = FramingFields::default();
        lengths.iter().try_for_each(|it| fields.add_content_length(it.as_bytes()))?;
        codings.iter().try_for_each(|it| fields.add_transfer_encoding(it.as_bytes()))?;
        Ok(fields)
    }

    #[test]
    fn lengths_are_numbers_that_agree() {
        let check = |lengths: &[&str], expected: Result<BodyLength, RejectReason>| {
            let found = framing(lengths, &[]).and_then(|it| it.of_request(Version::Http11));
            assert_eq!(found, expected, "{lengths:?}");
        };
        check(&[], Ok(BodyLength::None));
        check(&["0"], Ok(BodyLength::Length(0)));
        check(&["0042"], Ok(BodyLength::Length(42)));
        check(&["9223372036854775807"], Ok(BodyLength::Length(i64::MAX as u64)));
        check(&["5", "5"], Ok(BodyLength::Length(5)));
        check(&["5, 5,\t05"], Ok(BodyLength::Length(5)));
        for differing in [&["5", "6"][..], &["5, 6"], &["5", "5, 6"], &["0", "5"]] {
            check(differing, Err(RejectReason::ContentLengthDiffering));
        }
        let bad = [
            "",
            " ",
            "+5",
            "-5",
            "-0",
            "5 5",
            "0x5",
            "5a",
            "a",
            "5.0",
            "5,",
            ",5",
            "5,,5",
            "\u{665}",
            "9223372036854775808",
            "18446744073709551616",
            "99999999999999999999999",
            "1_0",
            "5;",
            "\"5\"",
        ];
        for text in bad {
            check(&[text], Err(RejectReason::ContentLength));
        }
    }

    #[test]
    fn chunked_is_last_and_alone() {
        let check = |codings: &[&str], expected: Result<BodyLength, RejectReason>| {
            let found = framing(&[], codings).and_then(|it| it.of_request(Version::Http11));
            assert_eq!(found, expected, "{codings:?}");
        };
        check(&["chunked"], Ok(BodyLength::Chunked));
        check(&["CHUNKED"], Ok(BodyLength::Chunked));
        for coded in [&["gzip, chunked"][..], &["gzip", "chunked"], &["a,\tb , chunked"]] {
            check(coded, Err(RejectReason::TransferCoding));
        }
        let bad = [
            &["chunked, chunked"][..],
            &["chunked", "chunked"],
            &["chunked, identity"],
            &["chunked", "gzip"],
            &["identity"],
            &["gzip"],
            &["xchunked"],
            &["chunkedx"],
            &["chunked;q=1"],
            &["chunked;"],
            &[",chunked"],
            &["chunked,"],
            &[""],
            &["\"chunked\""],
            &["gzip;q=1, chunked"],
            &["chunked\u{b}"],
            &["\u{b}chunked"],
            &["chunked chunked"],
            &["chun ked"],
            &["gzip chunked"],
            &["'chunked'"],
            &["chunked", ""],
        ];
        for codings in bad {
            check(codings, Err(RejectReason::TransferEncoding));
        }
    }

    #[test]
    fn there_is_one_framing() {
        let both = framing(&["5"], &["chunked"]).unwrap();
        assert_eq!(both.of_request(Version::Http11), Err(RejectReason::BothFramings));
        assert_eq!(both.of_response(Version::Http11), Err(RejectReason::BothFramings));
        let chunked = framing(&[], &["chunked"]).unwrap();
        let old = Err(RejectReason::TransferEncodingVersion);
        assert_eq!(chunked.of_request(Version::Http10), old);
        assert_eq!(chunked.of_response(Version::Http10), old);
        let none = framing(&[], &[]).unwrap();
        assert_eq!(none.of_request(Version::Http11), Ok(BodyLength::None));
        assert_eq!(none.of_response(Version::Http11), Ok(BodyLength::UntilEnd));
    }
}
