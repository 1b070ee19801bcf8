//! What the configuration says of files: roots that cannot be served, pages for errors, the
//! direction that bytes take.

use std::fs;

use crate::support::eventually;
use crate::support::http::Connection;
use crate::support::proxy::{Launch, logged};
use crate::support::stream::refusing;
use crate::{Root, get};

/// What `check` says of a configuration.
fn check(toml: &str) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    fs::write(&path, toml).unwrap();
    Launch::with_arguments(&["check", "--config", path.to_str().unwrap()]).run_to_end()
}

fn listener(more: &str) -> String {
    format!("[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n{more}\n")
}

#[test]
fn roots_that_cannot_be_served_are_errors() {
    let root = Root::new();
    root.write("file", "file");
    let says = |keys: &str, expected: &str| {
        let toml = listener(&format!("[[listeners.web.routes]]\nfiles = {{ {keys} }}"));
        let (code, printed) = check(&toml);
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains(expected), "{expected} in {printed}");
    };
    let at = root.folder().display();
    says("root = \"/does/not/exist\"", "files.root: /does/not/exist: cannot be served");
    says(&format!("root = \"{at}/file\""), "expected a directory");
    says("index = \"a\"", "listeners.web.routes[0].files.root: missing");
    says(&format!("root = \"{at}\", index = \"../a\""), "the name of a file");
    says(&format!("root = \"{at}\", fallback = \"a/../b\""), "a file below the root");
    says(&format!("root = \"{at}\", transfer = \"sendfiel\""), "did you mean \"sendfile\"");
    says(&format!("root = \"{at}\", precompressed = [\"br\", \"br\"]"), "twice");
    says(&format!("root = \"{at}\", listings = true"), "did you mean \"listing\"");
    let toml = listener(&format!(
        "[[listeners.web.routes]]\nfiles = {{ root = \"{at}\" }}\nrelay = {{ mode = \"copy\" }}"
    ));
    assert!(check(&toml).1.contains("a route with files sends nothing on"));
    let good = listener(&format!("[[listeners.web.routes]]\nfiles = {{ root = \"{at}\" }}"));
    assert_eq!(check(&good).0, Some(0), "{}", check(&good).1);
}

/// Clients that ask for what is not there and take nothing cost no more than the memory that there
/// is for such: then others get a short explanation in place of the page.
#[test]
fn pages_for_errors_are_bounded_for_slow_readers() {
    let root = Root::new();
    root.write("404.html", "lost ".repeat(40_000)).write("www/file", "x");
    let at = root.folder().display();
    let proxy = Launch::configured(&format!(
        "process.workers = 1\nrelay.buffer_memory = \"1MiB\"\n{}\
         [[listeners.web.routes]]\nfiles = {{ root = \"{at}/www\" }}\n",
        listener(&format!("error_pages = {{ \"404\" = \"{at}/404.html\" }}"))
    ))
    .start();
    assert!(get(&proxy, "/none", &[]).text().starts_with("lost "));
    let many = "GET /none HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    let mut slow = Vec::new();
    eventually("the page is left out", || {
        let mut connection = Connection::open(&proxy.address());
        connection.send(&many);
        slow.push(connection);
        get(&proxy, "/none", &[]).text().starts_with("404 Not Found").then_some(())
    });
    drop(slow);
    eventually("the page is back", || {
        get(&proxy, "/none", &[]).text().starts_with("lost ").then_some(())
    });
}

#[test]
fn errors_have_pages() {
    let root = Root::new();
    root.write("404.html", "<p>lost").write("50x.json", "{}").write("www/file", "x");
    let (at, nobody) = (root.folder().display(), refusing());
    let pages = format!("{{ \"404\" = \"{at}/404.html\", \"5xx\" = \"{at}/50x.json\" }}");
    let proxy = Launch::configured(&format!(
        "{}[[listeners.web.routes]]\npath = \"/www\"\nstrip_prefix = true\n\
         files = {{ root = \"{at}/www\" }}\n\
         [[listeners.web.routes]]\npath = \"/app\"\nupstream = \"app\"\n\
         [upstreams.app]\nservers = [\"{nobody}\"]\n",
        listener(&format!("error_pages = {pages}"))
    ))
    .start();
    let lost = get(&proxy, "/www/none", &[]);
    assert_eq!((lost.status(), lost.text().as_str()), (404, "<p>lost"));
    assert_eq!(lost.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(lost.field("x-request-id").is_some());
    assert_eq!(get(&proxy, "/elsewhere", &[]).text(), "<p>lost");
    let failed = get(&proxy, "/app", &[]);
    assert_eq!((failed.status(), failed.text().as_str()), (503, "{}"));
    assert_eq!(failed.field("content-type"), Some("application/json"));
    let explained = get(&proxy, "/www/none", &["Accept: application/json"]);
    assert!(explained.text().starts_with("{\"status\":404"), "{}", explained.text());
    let mut connection = Connection::open(&proxy.address());
    let refused = connection.exchange("GET / HTTP/1.1\r\nHost: a\r\nBad Field: x\r\n\r\n");
    assert!(refused.text().starts_with("400 Bad Request"), "{}", refused.text());

    let missing = listener("error_pages = { \"404\" = \"/does/not/exist\" }\nupstream = \"app\"");
    let upstream = "[upstreams.app]\nservers = [\"127.0.0.1:9\"]\n";
    let (code, printed) = check(&format!("{missing}{upstream}"));
    assert!(code == Some(1) && printed.contains("error_pages.404: /does/not/exist"), "{printed}");
    // All of them are told of, and none is waited for.
    nix::unistd::mkfifo(&root.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let pages = format!("{{ \"404\" = \"{at}/fifo\", \"500\" = \"/none\", \"5xx\" = \"{at}\" }}");
    let several = listener(&format!("error_pages = {pages}\nupstream = \"app\""));
    let (code, printed) = check(&format!("{several}{upstream}"));
    assert_eq!(code, Some(1), "{printed}");
    for expected in ["error_pages.404: ", "error_pages.500: /none", "error_pages.5xx: "] {
        assert!(printed.contains(expected), "{expected} in {printed}");
    }
    assert_eq!(printed.matches("it is not a regular file").count(), 2, "{printed}");
    let bad = listener("error_pages = { \"200\" = \"x\" }\nupstream = \"app\"");
    assert!(check(&format!("{bad}{upstream}")).1.contains("400 to 599"));
}

/// Whatever a route with files answers has the fields of its configuration; what these say of a
/// file, and for how long to keep it, an error does not say of itself.
#[test]
fn answers_that_are_no_file_have_the_fields_of_the_route() {
    let root = Root::new();
    root.write("file", "0123456789").write("list/file", "x").write("shut/file", "x");
    std::os::unix::fs::symlink("/", root.path("out")).unwrap();
    let proxy = root.serve_as(
        ", listing = true",
        "response_headers = { set = { \"X-Frame-Options\" = \"DENY\", \"Content-Type\" = \"a/b\", \
         \"Cache-Control\" = \"max-age=9\" } }",
        "",
    );
    let check = |method: &str, path: &str, field: &str, status: u16, media_type: Option<&str>| {
        let answer = crate::ask(&proxy, method, path, &[field]);
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.field("x-frame-options"), Some("DENY"), "{status} {path}");
        assert_eq!(answer.field("content-type"), media_type, "{status} {path}");
        let kept = (status < 400).then_some("max-age=9");
        assert_eq!(answer.field("cache-control"), kept, "{status} {path}");
    };
    let text = Some("text/plain; charset=utf-8");
    check("GET", "/file", "A: a", 200, Some("a/b"));
    check("GET", "/list/", "A: a", 200, Some("text/html; charset=utf-8"));
    check("GET", "/file", "Range: bytes=1-2", 206, Some("a/b"));
    check("GET", "/list", "A: a", 301, text);
    check("GET", "/file", "If-None-Match: *", 304, None);
    check("GET", "/out/etc", "A: a", 403, text);
    check("GET", "/none", "A: a", 404, text);
    check("POST", "/file", "Content-Length: 0", 405, text);
    check("GET", "/file", "If-Match: \"x\"", 412, text);
    check("GET", "/file", "Range: bytes=99-", 416, text);
    let parts = get(&proxy, "/file", &["Range: bytes=0-0,5-5"]);
    let media_type = parts.field("content-type").unwrap();
    assert!(media_type.starts_with("multipart/byteranges; boundary="), "{media_type}");
    assert_eq!(parts.text().matches("\r\nContent-Type: a/b\r\n").count(), 2);
}

#[test]
fn pages_stand_for_every_status_that_is_explained() {
    let root = Root::new();
    root.write("4xx.html", "<p>no").write("www/file", "0123456789");
    let at = root.folder().display();
    let proxy = Launch::configured(&format!(
        "{}[[listeners.web.routes]]\nfiles = {{ root = \"{at}/www\" }}\n",
        listener(&format!("error_pages = {{ \"4xx\" = \"{at}/4xx.html\" }}"))
    ))
    .start();
    let check = |method: &str, field: &str, status: u16, name: &str, value: &str| {
        let answer = crate::ask(&proxy, method, "/file", &[field]);
        assert_eq!((answer.status(), answer.text().as_str()), (status, "<p>no"));
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"), "{status}");
        assert_eq!(answer.field(name), Some(value), "{status}");
    };
    check("POST", "Content-Length: 0", 405, "allow", "GET, HEAD");
    check("GET", "If-Match: \"x\"", 412, "content-length", "5");
    check("GET", "Range: bytes=99-", 416, "content-range", "bytes */10");
    let head = crate::ask(&proxy, "HEAD", "/none", &[]);
    assert_eq!(
        (head.status(), head.field("content-length"), head.text().as_str()),
        (404, Some("5"), "")
    );
    let json =
        crate::ask(&proxy, "POST", "/file", &["Accept: application/json", "Content-Length: 0"]);
    assert!(json.text().starts_with("{\"status\":405") && json.field("allow").is_some());
}

#[test]
fn the_way_of_the_bytes_is_explained() {
    let root = Root::new();
    let at = root.folder().display();
    let explain = |keys: &str| {
        let path = root.path("c.toml");
        let route = format!("[[listeners.web.routes]]\nfiles = {{ root = \"{at}\"{keys} }}");
        fs::write(&path, listener(&route)).unwrap();
        let (code, printed) =
            Launch::with_arguments(&["explain", "--config", path.to_str().unwrap()]).run_to_end();
        assert_eq!(code, Some(0), "{printed}");
        printed
    };
    let printed = explain("");
    assert!(printed.contains(&format!("every request -> files below {at}")), "{printed}");
    assert!(printed.contains("sendfile: "), "{printed}");
    for transfer in ["splice", "mmap", "copy"] {
        let printed = explain(&format!(", transfer = \"{transfer}\""));
        assert!(printed.contains(&format!("{transfer}: ")), "{printed}");
    }
    // What there are no pipes for is copied, whatever the relay's own mode.
    let path = root.path("c.toml");
    let route = format!(
        "[[listeners.web.routes]]\nfiles = {{ root = \"{at}\", transfer = \"splice\" }}\n\
         [relay]\nmode = \"copy\"\npipe_memory = \"1MiB\"\n[process]\nworkers = 4\n"
    );
    fs::write(&path, listener(&route)).unwrap();
    let (_, printed) =
        Launch::with_arguments(&["explain", "--config", path.to_str().unwrap()]).run_to_end();
    assert!(printed.contains("copy: copied, for no pipe is to be had"), "{printed}");
}

/// Without its root nobody can say what is there: that is no 404, which caches would keep.
#[test]
fn a_root_that_has_gone_is_an_error_of_ours() {
    let root = Root::new();
    root.write("www/file", "x");
    let www = root.path("www");
    let proxy = Launch::configured(&format!(
        "[access_log]\npath = \"stdout\"\n{}",
        listener(&format!("[[listeners.web.routes]]\nfiles = {{ root = \"{}\" }}", www.display()))
    ))
    .start();
    assert_eq!(get(&proxy, "/none", &[]).status(), 404);
    fs::rename(&www, root.path("old")).unwrap();
    // What is open already is served for a moment.
    eventually("the root is missed", || (get(&proxy, "/file", &[]).status() == 500).then_some(()));
    assert_eq!(get(&proxy, "/gone", &[]).status(), 500);
    assert_eq!(logged(&proxy, "path", "/gone")["reason"], "file_failed");
    fs::rename(root.path("old"), &www).unwrap();
    eventually("it is back", || (get(&proxy, "/file", &[]).status() == 200).then_some(()));
}
