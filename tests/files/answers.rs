//! What is answered: types, versions, parts, directories, siblings in other codings.

use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use crate::support::http::Connection;
use crate::{Root, ask, get};

fn site() -> Root {
    let root = Root::new();
    root.write("index.html", "<p>home")
        .write("style.css", "p{}")
        .write("docs/index.html", "<p>docs")
        .write("docs/a b.txt", "0123456789")
        .write("app.js", "plain")
        .write("app.js.br", "brotli")
        .write("app.js.gz", "gzip")
        .write("empty", "")
        .write(".secret", "hidden")
        .write("list/x<y.txt", "x");
    root
}

#[test]
fn files_are_described() {
    let root = site();
    let proxy = root.serve("");
    let home = get(&proxy, "/", &[]);
    assert_eq!((home.status(), home.text().as_str()), (200, "<p>home"));
    assert_eq!(home.field("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(home.field("accept-ranges"), Some("bytes"));
    assert!(home.field("etag").is_some() && home.field("last-modified").is_some());
    assert!(home.field("vary").is_none() && home.field("x-request-id").is_some());
    let check = |path: &str, status: u16, body: &str| {
        let answer = get(&proxy, path, &[]);
        assert_eq!(answer.status(), status, "{path}");
        assert!(answer.text().starts_with(body), "{path}: {}", answer.text());
    };
    check("/style.css", 200, "p{}");
    check("/docs/", 200, "<p>docs");
    check("/docs/a%20b.txt?query", 200, "0123456789");
    check("/docs/./../style.css", 200, "p{}");
    check("/empty", 200, "");
    check("/none", 404, "404 Not Found");
    check("/docs/none/", 404, "404");
    check("/style.css/", 404, "404");
    check("/style.css/x", 404, "404");
    check("/.secret", 404, "404");
    check("/list/", 403, "403 Forbidden");
    let moved = get(&proxy, "/docs?a=b", &[]);
    assert_eq!((moved.status(), moved.field("location")), (301, Some("/docs/?a=b")));
    let head = ask(&proxy, "HEAD", "/docs/a%20b.txt", &[]);
    assert_eq!((head.status(), head.field("content-length")), (200, Some("10")));
    let refused = ask(&proxy, "POST", "/", &["Content-Length: 0"]);
    assert_eq!((refused.status(), refused.field("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn a_version_that_the_client_has_is_not_sent_again() {
    let root = site();
    let proxy = root.serve("");
    let mut connection = Connection::open(&proxy.address());
    let first = connection.exchange("GET /style.css HTTP/1.1\r\nHost: a\r\n\r\n");
    let (tag, modified) = (first.field("etag").unwrap(), first.field("last-modified").unwrap());
    let mut check = |fields: &str, status: u16, body: &str| {
        let request = format!("GET /style.css HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        // All of them over one connection: what has no body ends where it should.
        let answer = connection.exchange(request);
        assert_eq!((answer.status(), answer.text().as_str()), (status, body), "{fields}");
        assert!(status != 304 || answer.field("etag") == Some(tag), "{fields}");
    };
    check(&format!("If-None-Match: {tag}"), 304, "");
    check(&format!("If-Modified-Since: {modified}"), 304, "");
    check("If-None-Match: \"other\"", 200, "p{}");
    check("If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT", 200, "p{}");
    check(&format!("If-Match: {tag}\r\nRange: bytes=1-1"), 206, "{");
    check(&format!("If-Range: {tag}\r\nRange: bytes=1-"), 206, "{}");
    check(&format!("If-Range: {modified}\r\nRange: bytes=-1"), 206, "}");
    check("If-Range: \"other\"\r\nRange: bytes=1-", 200, "p{}");
    let failed =
        connection.exchange("GET /style.css HTTP/1.1\r\nHost: a\r\nIf-Match: \"x\"\r\n\r\n");
    assert_eq!(failed.status(), 412);
    let gone = connection.exchange("GET /style.css HTTP/1.1\r\nHost: a\r\nRange: bytes=9-\r\n\r\n");
    assert_eq!((gone.status(), gone.field("content-range")), (416, Some("bytes */3")));
    assert!(gone.text().starts_with("416 "), "{}", gone.text());
}

/// What its time does not tell from another version, be it for now or because that time is yet to
/// come, is not named by its time, and no part of it is sent for a part of what a client has.
#[test]
fn what_was_modified_just_now_or_later_is_not_known_by_its_time() {
    let root = Root::new();
    let ahead = SystemTime::now() + Duration::from_secs(100_000);
    root.write_at("future", "0123456789", ahead);
    let proxy = root.serve("");
    let answer = get(&proxy, "/future", &[]);
    let tag = answer.field("etag").unwrap();
    assert!(tag.starts_with("W/\"") && answer.field("last-modified").is_none(), "{tag}");
    let check = |fields: &[&str], status: u16| {
        assert_eq!(get(&proxy, "/future", fields).status(), status, "{fields:?}");
    };
    let date = answer.field("date").unwrap();
    check(&["Range: bytes=0-1"], 206);
    check(&["Range: bytes=0-1", &format!("If-Range: {tag}")], 200);
    check(&["Range: bytes=0-1", &format!("If-Range: {}", &tag[2..])], 200);
    check(&["Range: bytes=0-1", &format!("If-Range: {date}")], 200);
    check(&[&format!("If-None-Match: {tag}")], 304);
    check(&[&format!("If-Match: {}", &tag[2..])], 412);
    check(&[&format!("If-Modified-Since: {date}")], 200);
    let past = "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT";
    check(&[past], 412);
}

#[test]
fn a_version_changes_with_its_file() {
    let root = site();
    let proxy = root.serve("");
    let tag = || get(&proxy, "/style.css", &[]).field("etag").unwrap().to_owned();
    let first = tag();
    assert_eq!(tag(), first);
    // Of the same length, in another inode.
    root.write("next.css", "q{}");
    std::fs::rename(root.path("next.css"), root.path("style.css")).unwrap();
    assert_ne!(tag(), first);
}

#[test]
fn several_parts_come_as_one_body() {
    let root = site();
    let proxy = root.serve("");
    let answer = get(&proxy, "/docs/a%20b.txt", &["Range: bytes=0-1,-2,4-4"]);
    assert_eq!(answer.status(), 206);
    let kind = answer.field("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, bytes: &str| {
        format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Range: bytes {range}/10\r\n\r\n{bytes}"
        )
    };
    let parts = [part("0-1", "01"), part("8-9", "89"), part("4-4", "4")].concat();
    assert_eq!(answer.text(), format!("{parts}\r\n--{boundary}--\r\n"));
    let whole = get(&proxy, "/docs/a%20b.txt", &["Range: bytes=0-4,2-6"]);
    assert_eq!((whole.status(), whole.text().as_str()), (200, "0123456789"));
    let head = ask(&proxy, "HEAD", "/docs/a%20b.txt", &["Range: bytes=0-1"]);
    assert_eq!((head.status(), head.field("content-length")), (200, Some("10")));
}

#[test]
fn siblings_are_sent_to_those_who_take_them() {
    let root = site();
    let proxy = root.serve(", precompressed = [\"br\", \"gzip\"]");
    let check = |accept: &str, body: &str, coding: Option<&str>| {
        let answer = get(&proxy, "/app.js", &[&format!("Accept-Encoding: {accept}")]);
        assert_eq!((answer.text().as_str(), answer.field("content-encoding")), (body, coding));
        assert_eq!(answer.field("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
    };
    check("gzip, deflate, br, zstd", "brotli", Some("br"));
    check("gzip", "gzip", Some("gzip"));
    check("br;q=0.5, gzip", "gzip", Some("gzip"));
    check("identity", "plain", None);
    check("", "plain", None);
    let plain = get(&proxy, "/style.css", &["Accept-Encoding: br"]);
    assert_eq!((plain.text().as_str(), plain.field("content-encoding")), ("p{}", None));
}

#[test]
fn what_is_missing_may_be_the_application() {
    let root = site();
    let proxy = root.serve(", fallback = \"/index.html\"");
    for path in ["/some/view", "/none", "/list/", "/.secret", "/a%2Fb", "/.x/"] {
        let answer = get(&proxy, path, &[]);
        assert_eq!((answer.status(), answer.text().as_str()), (200, "<p>home"), "{path}");
    }
    assert_eq!(get(&proxy, "/style.css", &[]).text(), "p{}");
}

#[test]
fn directories_may_be_listed() {
    let root = site();
    symlink("/etc", root.path("list/link")).unwrap();
    let proxy = root.serve(", listing = true");
    let page = get(&proxy, "/list/", &[]);
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("<a href=\"./x%3Cy.txt\">x&lt;y.txt</a>"), "{}", page.text());
    assert!(!page.text().contains("link"), "{}", page.text());
    assert_eq!(get(&proxy, "/list/x%3Cy.txt", &[]).text(), "x");
    assert_eq!(get(&proxy, "/docs/", &[]).text(), "<p>docs");
    assert_eq!(ask(&proxy, "HEAD", "/list/", &[]).text(), "");
    assert!(page.text().contains("href=\"../\""), "{}", page.text());
    let below = root.serve_as(
        ", listing = true, index = \"none\"",
        "path = \"/a/b\"\nstrip_prefix = true",
        "",
    );
    let top = get(&below, "/a/b/", &[]).text();
    assert!(top.contains("./docs/") && !top.contains("../") && !top.contains("secret"), "{top}");
    assert!(get(&below, "/a/b/docs/", &[]).text().contains("href=\"../\""));
}

#[test]
fn a_prefix_may_be_stripped_and_headers_set() {
    let root = site();
    let proxy = root.serve_as(
        "",
        "path = \"/static\"\nstrip_prefix = true\n\
         response_headers = { set = { \"Cache-Control\" = \"max-age=60\" }, remove = [\"ETag\"] }",
        "",
    );
    let answer = get(&proxy, "/static/style.css", &[]);
    assert_eq!(answer.text(), "p{}");
    assert_eq!(answer.field("cache-control"), Some("max-age=60"));
    assert_eq!(answer.field("etag"), None);
    let bare = get(&proxy, "/static", &[]);
    assert_eq!((bare.status(), bare.field("location")), (301, Some("/static/")));
    assert_eq!(get(&proxy, "/style.css", &[]).status(), 404);
}

#[test]
fn a_deployment_by_a_link_is_seen() {
    let root = Root::new();
    root.write("one/file", "one").write("two/file", "two");
    symlink(root.path("one"), root.path("current")).unwrap();
    let at_link = root.path("current").display().to_string();
    let proxy = crate::Launch::configured(&format!(
        "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
         [[listeners.web.routes]]\nfiles = {{ root = \"{at_link}\" }}\n"
    ))
    .start();
    assert_eq!(get(&proxy, "/file", &[]).text(), "one");
    symlink(root.path("two"), root.path("next")).unwrap();
    std::fs::rename(root.path("next"), root.path("current")).unwrap();
    crate::support::eventually("the other directory is served", || {
        (get(&proxy, "/file", &[]).text() == "two").then_some(())
    });
}
