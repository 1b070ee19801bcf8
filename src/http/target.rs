//! Request-targets and what they say of the host (RFC 9112, section 3.2).

use super::context::Scheme;
use super::head::Span;
use super::host::Authority;
use super::method::Method;
use super::reject::RejectReason;

/// Where the parts of a request-target are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Target {
    /// Host and port; for the absolute form only.
    pub(super) authority: Option<Span>,
    /// The path as it was sent; empty where an absolute form has none.
    pub(super) path: Span,
    /// The query with its question mark; empty where there is none.
    pub(super) query: Span,
    /// The scheme, which also says what port a missing one means; `http` where it is not absolute.
    pub(super) scheme: Scheme,
}

/// Takes a request-target apart; `span` is where it is.
///
/// # Errors
/// [`RejectReason::Target`] where it has none of the forms that `method` may have, or holds a
/// fragment, or a byte beyond ASCII.
pub(super) fn parse(target: &[u8], span: Span, method: Method) -> Result<Target, RejectReason> {
    if target.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b'#') {
        return Err(RejectReason::Target);
    }
    if target.starts_with(b"/") {
        let (path, query) = split_query(target, span);
        return Ok(Target { authority: None, path, query, scheme: Scheme::Http });
    }
    if target == b"*" && method == Method::Options {
        return Ok(Target { path: span, scheme: Scheme::Http, ..Target::default() });
    }
    let (scheme_length, scheme) = scheme(target).ok_or(RejectReason::Target)?;
    let rest = &target[scheme_length..];
    let authority_length =
        rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    Authority::parse(&rest[..authority_length]).ok_or(RejectReason::Target)?;
    let path_start = scheme_length + authority_length;
    let path_span = span.part(path_start, target.len() - path_start);
    let (path, query) = split_query(&target[path_start..], path_span);
    let authority = Some(span.part(scheme_length, authority_length));
    Ok(Target { authority, path, query, scheme })
}

fn split_query(target: &[u8], span: Span) -> (Span, Span) {
    let path_length = memchr::memchr(b'?', target).unwrap_or(target.len());
    (span.part(0, path_length), span.part(path_length, target.len() - path_length))
}

/// A scheme, and its length with `://`.
fn scheme(target: &[u8]) -> Option<(usize, Scheme)> {
    let schemes: [(&[u8], Scheme); 2] = [(b"http://", Scheme::Http), (b"https://", Scheme::Https)];
    schemes.into_iter().find_map(|(text, scheme)| {
        let beginning = target.get(..text.len())?;
        beginning.eq_ignore_ascii_case(text).then_some((text.len(), scheme))
    })
}
