//! The head of an answer that a file is the body of.

use super::answer::{write_connection, write_status_line};
use super::content_coding::ContentCoding;
use super::content_range::{Part, write_content_range};
use super::context::Context;
use super::date::HttpDate;
use super::edits::{FieldTemplate, HeaderEdits};
use super::entity_tag::EntityTag;
use super::framing::BodyLength;
use super::request::RequestHead;
use super::rewrite::{write_framing, write_line};

/// An answer with a file, or with parts of it, or about it.
#[derive(Debug, Clone, Copy)]
pub struct FileAnswer<'a> {
    /// 200, 206 or 304.
    pub status: u16,
    /// What the route sets, adds and removes.
    pub edits: &'a HeaderEdits,
    /// What the file is, as `Content-Type` has it.
    pub media_type: &'a str,
    /// What separates several parts, where there are several.
    pub boundary: Option<&'a str>,
    /// Bytes of the body.
    pub length: u64,
    /// The version of the file.
    pub tag: &'a EntityTag,
    /// When it was modified, where that tells it from other versions.
    pub modified: Option<HttpDate>,
    /// The coding that the file is in.
    pub coding: Option<ContentCoding>,
    /// Other clients may get it in another coding.
    pub varies: bool,
    /// Which part of the file this is.
    pub part: Part,
    /// Whether the client's connection goes on.
    pub keeps_alive: bool,
    /// The time now.
    pub date: &'a str,
}

impl FileAnswer<'_> {
    /// Appends the head.
    pub fn write(&self, request: &RequestHead, context: &Context<'_>, out: &mut Vec<u8>) {
        write_status_line(self.status, out);
        let line = |name: &str, value: &[u8], out: &mut Vec<u8>| {
            let is_given = || self.edits.lines().any(|it| it.name.matches(name.as_bytes()));
            if !self.edits.replaces(name.as_bytes()) && !is_given() {
                write_line(name, value, out);
            }
        };
        line("Date", self.date.as_bytes(), out);
        if let Some(modified) = &self.modified {
            line("Last-Modified", modified.as_str().as_bytes(), out);
        }
        line("ETag", self.tag.as_bytes(), out);
        // What is said of the file's type is said where there is a file, and of several parts it is
        // each of them that has it.
        let is_typed = self.is_of_file() && self.boundary.is_none();
        for field in self.edits.lines().filter(|it| is_typed || !is_content_type(it)) {
            field.write(request, context, out);
        }
        line("X-Request-Id", context.request_id.as_str().as_bytes(), out);
        if self.varies && !self.edits.replaces(b"Vary") {
            write_line("Vary", b"Accept-Encoding", out);
        }
        write_connection(self.keeps_alive, request.version(), out);
        // RFC 9110, section 15.4.5: nothing about a content that is not there.
        if self.status != 304 {
            line("Accept-Ranges", b"bytes", out);
            if let Some(coding) = self.coding.filter(|_| self.is_of_file()) {
                line("Content-Encoding", coding.label().as_bytes(), out);
            }
            match self.boundary {
                // Whatever the edits say: without the boundary nobody could read the body.
                Some(boundary) => {
                    out.extend_from_slice(b"Content-Type: multipart/byteranges; boundary=");
                    out.extend_from_slice(boundary.as_bytes());
                    out.extend_from_slice(b"\r\n");
                }
                None if is_typed => line("Content-Type", self.media_type.as_bytes(), out),
                None => {}
            }
            write_content_range(self.part, out);
            write_framing(BodyLength::Length(self.length), out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Whether the body is a file's, or parts of one.
    fn is_of_file(&self) -> bool {
        matches!(self.status, 200 | 206)
    }
}

/// The `Content-Type` of each of several parts: what the edits make of it; empty where they remove
/// it.
pub fn part_type(
    edits: &HeaderEdits,
    media_type: &str,
    request: &RequestHead,
    context: &Context<'_>,
) -> Box<[u8]> {
    let mut value = Vec::new();
    match edits.lines().find(|it| is_content_type(it)) {
        Some(field) => field.value.render(request, context, &mut value),
        None if edits.replaces(b"Content-Type") => {}
        None => value.extend_from_slice(media_type.as_bytes()),
    }
    value.into()
}

fn is_content_type(field: &FieldTemplate) -> bool {
    field.name.matches(b"content-type")
}

#[cfg(test)]
mod tests {
    use super::super::field::FieldName;
    use super::super::range::ByteRange;
    use super::super::request_id::RequestId;
    use super::super::samples::{context, request, written};
    use super::super::template::Template;
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn written_with(change: impl FnOnce(&mut FileAnswer<'_>), edits: &HeaderEdits) -> String {
        let tag = EntityTag::of_file(1, 0, 2, 3);
        let mut answer = FileAnswer {
            status: 200,
            edits,
            media_type: "text/css",
            boundary: None,
            length: 5,
            tag: &tag,
            modified: Some(HttpDate::from_unix(0)),
            coding: None,
            varies: false,
            part: Part::All,
            keeps_alive: true,
            date: DATE,
        };
        change(&mut answer);
        let (request_id, head) = (RequestId::new(1), request(&["GET / HTTP/1.1", "Host: a"]));
        let text = written(|out| answer.write(&head, &context(&request_id), out));
        text.replace(request_id.as_str(), "ID")
    }

    #[test]
    fn a_whole_file_is_described() {
        let text = written_with(|_| {}, &HeaderEdits::default());
        let expected = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nETag: \"1.0-2-3\"\r\n\
             X-Request-Id: ID\r\nAccept-Ranges: bytes\r\nContent-Type: text/css\r\n\
             Content-Length: 5\r\n\r\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn parts_say_which_they_are() {
        let none = HeaderEdits::default();
        let one = written_with(
            |it| (it.status, it.part) = (206, Part::Of(ByteRange { start: 3, end: 8 }, 10)),
            &none,
        );
        assert!(one.contains("\r\nContent-Range: bytes 3-7/10\r\n"), "{one}");
        let many = written_with(|it| (it.status, it.boundary) = (206, Some("B")), &none);
        assert!(many.contains("Content-Type: multipart/byteranges; boundary=B\r\n"), "{many}");
        assert!(!many.contains("text/css") && !many.contains("Content-Range"), "{many}");
    }

    #[test]
    fn what_was_not_modified_has_no_content() {
        let change = |it: &mut FileAnswer<'_>| {
            (it.status, it.coding, it.varies) = (304, Some(ContentCoding::Gzip), true);
        };
        let text = written_with(change, &HeaderEdits::default());
        assert!(!text.contains("Content-") && text.contains("ETag") && text.contains("Vary"));
        let text = written_with(
            |it| (it.coding, it.varies) = (Some(ContentCoding::Gzip), true),
            &HeaderEdits::default(),
        );
        assert!(text.contains("Content-Encoding: gzip\r\n") && text.contains("Vary: Accept-E"));
    }

    fn name(text: &str) -> FieldName {
        FieldName::editable(text).unwrap()
    }

    fn field(text: &str, value: &str) -> FieldTemplate {
        FieldTemplate { name: name(text), value: Template::parse(value).unwrap() }
    }

    /// There is one type at most, and where there is a boundary it is that one.
    #[test]
    fn edits_of_the_type_are_about_the_file() {
        let set = HeaderEdits::new(vec![field("Content-Type", "a/b")], vec![], vec![]).unwrap();
        let removed = HeaderEdits::new(vec![], vec![], vec![name("Content-Type")]).unwrap();
        let none = HeaderEdits::default();
        let parts = "multipart/byteranges; boundary=B";
        let one = Part::Of(ByteRange { start: 3, end: 8 }, 10);
        for (status, part, boundary, edits, expected) in [
            (200, Part::All, None, &none, Some("text/css")),
            (200, Part::All, None, &set, Some("a/b")),
            (200, Part::All, None, &removed, None),
            (206, one, None, &none, Some("text/css")),
            (206, one, None, &set, Some("a/b")),
            (206, one, None, &removed, None),
            (206, Part::All, Some("B"), &none, Some(parts)),
            (206, Part::All, Some("B"), &set, Some(parts)),
            (206, Part::All, Some("B"), &removed, Some(parts)),
            (304, Part::All, None, &none, None),
            (304, Part::All, None, &set, None),
            (304, Part::All, None, &removed, None),
        ] {
            let change = |it: &mut FileAnswer<'_>| {
                (it.status, it.part, it.boundary) = (status, part, boundary);
            };
            let text = written_with(change, edits);
            let types: Vec<_> =
                text.lines().filter_map(|line| line.strip_prefix("Content-Type: ")).collect();
            assert_eq!(types, Vec::from_iter(expected), "{status} {boundary:?}: {text}");
        }
        let (id, head) = (RequestId::new(1), request(&["GET / HTTP/1.1", "Host: a"]));
        let of_part = |edits| part_type(edits, "text/css", &head, &context(&id));
        assert_eq!(*of_part(&none), *b"text/css");
        assert_eq!(*of_part(&set), *b"a/b");
        assert_eq!(*of_part(&removed), *b"");
    }

    #[test]
    fn edits_of_vary_and_of_the_coding_win() {
        let change = |it: &mut FileAnswer<'_>| {
            (it.coding, it.varies) = (Some(ContentCoding::Gzip), true);
        };
        let fields = |edits: Result<HeaderEdits, String>, name: &str| -> Vec<String> {
            let text = written_with(change, &edits.unwrap());
            let lines = text.lines().filter(|line| line.starts_with(name));
            lines.map(str::to_owned).collect()
        };
        let removed = HeaderEdits::new(vec![], vec![], vec![name("Vary")]);
        assert!(fields(removed, "Vary").is_empty());
        let added = HeaderEdits::new(vec![], vec![field("Vary", "Origin")], vec![]);
        assert_eq!(fields(added, "Vary"), ["Vary: Origin", "Vary: Accept-Encoding"]);
        let set = HeaderEdits::new(vec![field("Content-Encoding", "br")], vec![], vec![]);
        assert_eq!(fields(set, "Content-Encoding"), ["Content-Encoding: br"]);
    }

    #[test]
    fn edits_win() {
        let edits = HeaderEdits::new(
            vec![field("Content-Type", "text/x"), field("Cache-Control", "max-age=60")],
            vec![],
            vec![name("ETag"), name("Last-Modified")],
        );
        let text = written_with(|_| {}, &edits.unwrap());
        assert!(text.contains("Content-Type: text/x\r\nCache-Control: max-age=60\r\n"), "{text}");
        assert!(!text.contains("text/css") && !text.contains("ETag"), "{text}");
        assert!(!text.contains("Last-Modified"), "{text}");
    }
}
