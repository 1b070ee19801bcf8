//! In which coding a file is sent, where it is there in several (RFC 9110, section 12.5.3).

use super::field::{Known, members, trim};
use super::quality::{WEIGHT_MAX, weight};
use super::request::RequestHead;

/// A coding that a file may be stored in, beside itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ContentCoding {
    /// `br` (RFC 7932)
    #[default]
    Brotli,
    /// `zstd` (RFC 8878)
    Zstandard,
    /// `gzip` (RFC 1952)
    Gzip,
}

impl ContentCoding {
    /// All of them.
    pub const ALL: [ContentCoding; 3] =
        [ContentCoding::Brotli, ContentCoding::Zstandard, ContentCoding::Gzip];

    /// As fields and the config name it.
    pub fn label(self) -> &'static str {
        match self {
            ContentCoding::Brotli => "br",
            ContentCoding::Zstandard => "zstd",
            ContentCoding::Gzip => "gzip",
        }
    }

    /// What the name of a file in this coding ends with.
    pub fn extension(self) -> &'static str {
        match self {
            ContentCoding::Brotli => ".br",
            ContentCoding::Zstandard => ".zst",
            ContentCoding::Gzip => ".gz",
        }
    }
}

/// The codings that a client takes, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Codings {
    list: [ContentCoding; ContentCoding::ALL.len()],
    count: usize,
}

impl Codings {
    /// The codings, the best first.
    pub fn as_slice(&self) -> &[ContentCoding] {
        &self.list[..self.count]
    }

    /// These, the best first.
    pub fn of(codings: &[ContentCoding]) -> Codings {
        let mut list = Codings::default();
        for (place, coding) in list.list.iter_mut().zip(codings) {
            *place = *coding;
            list.count += 1;
        }
        list
    }

    /// What of `offered`, each of which stands there once, the client takes. What it likes equally
    /// well stays in the order in which it is offered; what it likes less than the file as it is
    /// is left out.
    pub fn accepted(request: &RequestHead, offered: &[ContentCoding]) -> Codings {
        let mut codings = Codings::default();
        if offered.is_empty() {
            return codings;
        }
        let identity = weight_of(request, "identity").unwrap_or(0);
        let mut weights = [0; ContentCoding::ALL.len()];
        for coding in offered.iter().take(ContentCoding::ALL.len()) {
            let named = weight_of(request, coding.label());
            let weight = named.or_else(|| weight_of(request, "*")).unwrap_or(0);
            if weight == 0 || weight < identity {
                continue;
            }
            let place = weights[..codings.count].iter().position(|other| *other < weight);
            let place = place.unwrap_or(codings.count);
            weights[place..=codings.count].rotate_right(1);
            codings.list[place..=codings.count].rotate_right(1);
            (weights[place], codings.list[place]) = (weight, *coding);
            codings.count += 1;
        }
        codings
    }
}

/// How much the client likes a coding, in thousandths, if it names it.
fn weight_of(request: &RequestHead, coding: &str) -> Option<u32> {
    let is_it = |name: &[u8]| {
        let plain = match name {
            [b'x' | b'X', b'-', plain @ ..] => plain,
            name => name,
        };
        plain.eq_ignore_ascii_case(coding.as_bytes())
    };
    request.values(Known::AcceptEncoding).flat_map(members).find_map(|member| {
        let mut parts = member.split(|byte| *byte == b';').map(trim);
        let name = parts.next().filter(|name| is_it(name));
        name.map(|_| parts.find_map(weight).unwrap_or(WEIGHT_MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::request;
    use super::*;

    #[test]
    fn what_the_client_likes_best_comes_first() {
        let check = |accept: &[&str], expected: &[&str]| {
            let fields: Vec<String> =
                accept.iter().map(|value| format!("Accept-Encoding: {value}")).collect();
            let mut head = vec!["GET / HTTP/1.1", "Host: a"];
            head.extend(fields.iter().map(String::as_str));
            let codings = Codings::accepted(&request(&head), &ContentCoding::ALL);
            let found: Vec<&str> = codings.as_slice().iter().map(|it| it.label()).collect();
            assert_eq!(found, expected, "{accept:?}");
        };
        check(&[], &[]);
        check(&[""], &[]);
        check(&["gzip, deflate, br, zstd"], &["br", "zstd", "gzip"]);
        check(&["gzip", "br"], &["br", "gzip"]);
        check(&["X-Gzip"], &["gzip"]);
        check(&["br;q=0.5, gzip;q=0.9, zstd;q=0.7"], &["gzip", "zstd", "br"]);
        check(&["br;q=0.5, gzip;q=0.5"], &["br", "gzip"]);
        check(&["br;q=0, *"], &["zstd", "gzip"]);
        check(&["*;q=0"], &[]);
        check(&["identity, gzip;q=0.5"], &[]);
        check(&["identity;q=0.5, gzip;q=0.5"], &["gzip"]);
        check(&["identity;q=0, gzip"], &["gzip"]);
        check(&["brr, gz"], &[]);
    }

    #[test]
    fn only_what_is_offered_is_taken() {
        let head = request(&["GET / HTTP/1.1", "Host: a", "Accept-Encoding: gzip, br"]);
        let offered = [ContentCoding::Gzip, ContentCoding::Brotli];
        assert_eq!(Codings::accepted(&head, &offered).as_slice(), offered);
        assert_eq!(Codings::accepted(&head, &offered[..1]).as_slice(), [ContentCoding::Gzip]);
        assert_eq!(Codings::accepted(&head, &[]).as_slice(), []);
    }
}
