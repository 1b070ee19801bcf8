//! What is in a directory, as a page.

use crate::http::date::HttpDate;

/// Entries of a directory that are shown. Larger ones are cut off, and say so.
pub const ENTRIES_MAX: usize = 2000;

/// Entries of a directory that are looked at, be they shown or hidden.
pub const ENTRIES_READ_MAX: usize = 100_000;

/// Bytes of a page, past which no further entry is shown: what a reader who takes nothing of it
/// costs. Two thousand names of usual length take 300 KB.
pub const PAGE_BYTES_MAX: usize = 512 * 1024;

/// What is in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// [`ENTRIES_MAX`] at most, in any order.
    pub entries: Vec<Entry>,
    /// There are more.
    pub is_cut: bool,
    /// There is a directory above it that is served as well.
    pub has_parent: bool,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Directories stand before files.
    pub is_file: bool,
    /// The name.
    pub name: Vec<u8>,
    /// Bytes, of a file.
    pub size: u64,
    /// When it was modified, in seconds since the beginning of 1970.
    pub modified: u64,
}

impl Listing {
    /// The page, for the directory at this path below the root. A thread makes it that may take its
    /// time.
    pub fn page(mut self, path: &[u8]) -> Vec<u8> {
        self.entries.sort();
        let title = match path {
            [] => "/".to_owned(),
            path => format!("/{}/", escaped(path)),
        };
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>body{{font-family:sans-serif;margin:2em}}td{{padding:.1em 2em .1em 0}}\
             td+td{{text-align:right}}</style>\n<h1>{title}</h1>\n<table>\n"
        );
        if self.has_parent {
            page.push_str("<tr><td><a href=\"../\">../</a><td><td>\n");
        }
        let mut shown = 0;
        for entry in &self.entries {
            if page.len() > PAGE_BYTES_MAX {
                self.is_cut = true;
                break;
            }
            shown += 1;
            let (slash, size) = match entry.is_file {
                true => ("", entry.size.to_string()),
                false => ("/", String::new()),
            };
            let (link, name) = (encoded(&entry.name), escaped(&entry.name));
            let date = HttpDate::from_unix(entry.modified);
            let date = date.as_str();
            page.push_str(&format!(
                "<tr><td><a href=\"./{link}{slash}\">{name}{slash}</a><td>{size}<td>{date}\n"
            ));
        }
        page.push_str("</table>\n");
        if self.is_cut {
            page.push_str(&format!("<p>Only {shown} entries are shown.</p>\n"));
        }
        page.push_str("</html>\n");
        page.into_bytes()
    }
}

/// A name as text of HTML, between tags and in attributes.
fn escaped(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            control if control.is_control() => text.push('\u{fffd}'),
            other => text.push(other),
        }
    }
    text
}

/// A name as a segment of a URL: all but unreserved characters are encoded (RFC 3986, section
/// 2.3), so nothing of it can mean anything to HTML either.
fn encoded(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte));
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8], is_file: bool) -> Entry {
        Entry { is_file, name: name.to_vec(), size: 7, modified: 784_111_777 }
    }

    #[test]
    fn directories_come_first_and_names_are_harmless() {
        let entries = vec![
            entry(b"b.txt", true),
            entry(b"<script>\"'&", true),
            entry(b"javascript:x", true),
            entry(b"\xff\n", true),
            entry(b"z", false),
        ];
        let listing = Listing { entries, is_cut: true, has_parent: true };
        let page = String::from_utf8(listing.clone().page(b"x/a<b")).unwrap();
        let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
        assert!(
            place("<a href=\"./z/\">z/</a>") < place("<a href=\"./b.txt\">b.txt</a><td>7<td>Sun")
        );
        place("<a href=\"./%3Cscript%3E%22%27%26\">&lt;script&gt;&quot;&#39;&amp;</a>");
        place("<a href=\"./javascript%3Ax\">");
        place("%FF%0A");
        place("<h1>/x/a&lt;b/</h1>");
        place("<a href=\"../\">");
        place("Only 5 entries");
        assert!(!page.contains("<script>"), "{page}");
        // The top of what is served, wherever a prefix puts it.
        let top = Listing { has_parent: false, ..listing };
        let top = String::from_utf8(top.page(b"")).unwrap();
        assert!(top.contains("<h1>/</h1>"), "{top}");
        assert!(top.contains(">z/</a>") && !top.contains("../"), "{top}");
    }

    #[test]
    fn a_page_has_a_bound() {
        let name = [b'"'; 255];
        let entries = vec![entry(&name, true); ENTRIES_MAX];
        let page = Listing { entries, ..Listing::default() }.page(b"");
        assert!(page.len() < PAGE_BYTES_MAX + 8192, "{}", page.len());
        let page = String::from_utf8(page).unwrap();
        let shown = page.matches("<a ").count();
        assert!(page.contains(&format!("Only {shown} entries")) && shown < ENTRIES_MAX);
    }
}
