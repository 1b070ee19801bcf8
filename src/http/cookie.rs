//! Cookies of requests (RFC 6265), as far as a proxy has to find one.

use super::field::trim;
use super::request::RequestHead;

/// The values of the cookie of this name, the first that was sent first. There may be several
/// where servers have set it for different paths (RFC 6265, section 5.4).
pub fn values<'a>(head: &'a RequestHead, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let fields = head.fields().filter(|field| field.name.eq_ignore_ascii_case(b"cookie"));
    let pairs = fields.flat_map(|field| field.value.split(|byte| *byte == b';').map(trim));
    pairs.filter_map(move |pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::limits::HeadLimits;

    #[test]
    fn a_cookie_is_found_among_others() {
        let check = |fields: &str, expected: &[&str]| {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let mut head = RequestHead::default();
            head.parse(text.as_bytes(), &HeadLimits::default());
            let found: Vec<&[u8]> = values(&head, "SRV").collect();
            let expected: Vec<&[u8]> = expected.iter().map(|it| it.as_bytes()).collect();
            assert_eq!(found, expected, "{fields}");
        };
        check("", &[]);
        check("Cookie: SRV=a\r\n", &["a"]);
        check("Cookie: x=1; SRV=a;SRV=b\r\ncookie: SRV=c==\r\n", &["a", "b", "c=="]);
        check("Cookie: XSRV=a; SRVX=b; SRV; srv=c; =SRV=\r\n", &[]);
        check("Cookie: SRV=\r\n", &[""]);
    }
}
