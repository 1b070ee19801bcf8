//! Names and files that mean harm.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use nix::sys::stat::{Mode, SFlag};

use crate::{Root, get};

#[test]
fn nothing_outside_of_the_root_is_found() {
    let root = Root::new();
    root.write("secret", "secret").write("www/in", "in").write("www/sub/x", "x");
    let www = root.path("www");
    symlink("../secret", www.join("relative")).unwrap();
    symlink(root.path("secret"), www.join("absolute")).unwrap();
    symlink("..", www.join("up")).unwrap();
    symlink("/proc/self/cwd", www.join("magic")).unwrap();
    symlink("sub/../in", www.join("inside")).unwrap();
    let inner = Root { folder: tempfile::tempdir_in(root.folder()).unwrap() };
    let at = www.display();
    let proxy = crate::Launch::configured(&format!(
        "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
         [[listeners.web.routes]]\nfiles = {{ root = \"{at}\", hidden = true, listing = true }}\n"
    ))
    .start();
    drop(inner);
    for path in ["/relative", "/absolute", "/up/secret", "/up/", "/magic/secret"] {
        assert_eq!(get(&proxy, path, &[]).status(), 403, "{path}");
    }
    for path in [
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/sub/..%2f..%2fsecret",
        "/..%5csecret",
        "/%2e%2e%2fsecret",
        "/sub/%2e%2e/%2e%2e/secret",
        "//../secret",
        "/..;/secret",
        "/in%00",
        "/sub%2fx",
        "/%252e%252e/secret",
        "/%c0%ae%c0%ae/secret",
    ] {
        let answer = get(&proxy, path, &[]);
        assert!(matches!(answer.status(), 400 | 403 | 404), "{path}: {}", answer.start);
        assert!(!answer.text().contains("secret"), "{path}");
    }
    assert_eq!(get(&proxy, "/inside", &[]).text(), "in");
}

/// None of them makes the proxy wait, be it for a writer or for a reader.
#[test]
fn what_is_no_file_is_not_served() {
    let root = Root::new();
    root.write("file", "file");
    nix::unistd::mkfifo(&root.path("fifo"), Mode::S_IRWXU).unwrap();
    let _listener = UnixListener::bind(root.path("socket")).unwrap();
    symlink("loop", root.path("loop")).unwrap();
    symlink("/dev/zero", root.path("device")).unwrap();
    fs::create_dir(root.path("index-is-a-directory")).unwrap();
    fs::create_dir(root.path("index-is-a-directory/index.html")).unwrap();
    let proxy = root.serve("");
    for path in ["/fifo", "/socket", "/loop", "/device", "/index-is-a-directory/"] {
        assert_eq!(get(&proxy, path, &[]).status(), 403, "{path}");
    }
    // A device within the root, which only root may make: what /dev/zero is.
    let device = nix::sys::stat::makedev(1, 5);
    let made = nix::sys::stat::mknod(&root.path("zero"), SFlag::S_IFCHR, Mode::S_IRUSR, device);
    if made.is_ok() {
        assert_eq!(get(&proxy, "/zero", &[]).status(), 403);
    }
    assert_eq!(get(&proxy, &format!("/{}", "x".repeat(300)), &[]).status(), 404);
    assert_eq!(get(&proxy, "/file", &[]).text(), "file");
}

#[test]
fn thousands_of_ranges_cost_no_more_than_the_file() {
    let root = Root::new();
    root.write("file", "0123456789");
    let proxy = root.serve("");
    let many: String = (0..1500).map(|index| format!("{0}-{0},", index % 10)).collect();
    for ranges in [many.as_str(), "0-,0-,0-,0-", "5-1", "a-b", "0-18446744073709551616,1-"] {
        let answer = get(&proxy, "/file", &[&format!("Range: bytes={ranges}")]);
        assert_eq!((answer.status(), answer.text().as_str()), (200, "0123456789"), "{ranges:.20}");
    }
    let last = get(&proxy, "/file", &["Range: bytes=9-18446744073709551616"]);
    assert_eq!((last.status(), last.text().as_str()), (206, "9"));
}

#[test]
fn a_request_with_a_body_is_read_past_it() {
    let root = Root::new();
    root.write("file", "file");
    let proxy = root.serve("");
    let mut connection = crate::support::http::Connection::open(&proxy.address());
    let request = "GET /file HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET ";
    for _ in 0..3 {
        assert_eq!(connection.exchange(request).text(), "file");
    }
}
