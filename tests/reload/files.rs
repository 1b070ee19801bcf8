//! Directories and pages of another configuration, and of the same one when they have changed.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::eventually;
use crate::support::http::{Connection, get};
use crate::support::pattern::{digest, read_digest, write_pattern};
use crate::{Case, RELOADS};

/// More than the buffers of a socket hold.
const BIG_BYTES: u64 = 24 << 20;

fn config(root: &Path, page: &Path) -> String {
    format!(
        "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
         error_pages = {{ \"404\" = \"{}\" }}\n\
         [[listeners.web.routes]]\nfiles = {{ root = \"{}\" }}\n",
        page.display(),
        root.display()
    )
}

/// Two directories with a file each, and a page.
fn site(folder: &Path) -> [std::path::PathBuf; 3] {
    for name in ["one", "two"] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("name"), name).unwrap();
    }
    fs::write(folder.join("404.html"), "first page").unwrap();
    ["one", "two", "404.html"].map(|name| folder.join(name))
}

#[test]
fn another_root_is_served_and_downloads_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, page] = site(folder.path());
    write_pattern(&mut fs::File::create(one.join("big")).unwrap(), 9, BIG_BYTES).unwrap();
    let case = Case::start(&config(&one, &page));
    let mut kept = Connection::open(&case.proxy.address());
    assert_eq!(kept.exchange(get("/name")).text(), "one");
    let mut download = Connection::open(&case.proxy.address());
    download.send(get("/big"));
    assert_eq!(download.read_head().unwrap().unwrap().status(), 200);
    case.reload(&config(&two, &page));
    assert_eq!(kept.exchange(get("/name")).text(), "two");
    assert_eq!(kept.exchange(get("/big")).status(), 404);
    let body = download.read_bytes(BIG_BYTES).unwrap();
    assert_eq!(read_digest(&mut &body[..]).0, digest(9, BIG_BYTES));
}

#[test]
fn what_cannot_be_served_is_refused_whole() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, page] = site(folder.path());
    let case = Case::start(&config(&one, &page));
    let mut kept = Connection::open(&case.proxy.address());
    fs::remove_dir_all(&two).unwrap();
    let no_page = folder.path().join("none.html");
    for (toml, expected) in [
        (config(&two, &page), "listeners.web.routes[0].files.root"),
        (config(&one, &no_page), "listeners.web.error_pages.404"),
    ] {
        case.reload_in_vain(&toml);
        let status = case.status();
        let message = status["config"]["last_reload"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
        assert_eq!(status["config"]["generation"], 0);
        assert_eq!(kept.exchange(get("/name")).text(), "one");
        assert_eq!(kept.exchange(get("/none")).text(), "first page");
    }
}

#[test]
fn pages_are_read_again_with_the_same_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let [one, _, page] = site(folder.path());
    let case = Case::start(&config(&one, &page));
    let mut kept = Connection::open(&case.proxy.address());
    assert_eq!(kept.exchange(get("/none")).text(), "first page");
    fs::write(&page, "second page").unwrap();
    case.reload(&config(&one, &page));
    eventually("the new page is shown", || {
        (kept.exchange(get("/none")).text() == "second page").then_some(())
    });
    let message = case.status()["config"]["last_reload"]["message"].clone();
    assert_eq!(message, "changed error pages");
}

/// What is retired needs its directories no more: a site may be taken down before its listener is
/// forgotten.
#[test]
fn a_listener_that_is_gone_needs_its_root_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, page] = site(folder.path());
    let second = format!(
        "[listeners.second]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
         [[listeners.second.routes]]\nfiles = {{ root = \"{}\" }}\n",
        two.display()
    );
    let case = Case::start(&format!("{}{second}", config(&one, &page)));
    case.reload(&config(&one, &page));
    fs::remove_dir_all(&two).unwrap();
    let before = case.proxy.metrics().sum(RELOADS, &[("result", "success")]);
    case.proxy.signal(Signal::SIGHUP);
    case.proxy.await_metric(RELOADS, &[("result", "success")], |count| count > before);
}

/// Threads are started once.
#[test]
fn the_number_of_threads_holds_from_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let [one, _, page] = site(folder.path());
    let case = Case::start(&config(&one, &page));
    let before = case.proxy.metrics().sum(RELOADS, &[("result", "success")]);
    case.write(&format!("process.file_threads = 9\n{}", config(&one, &page)));
    case.proxy.signal(Signal::SIGHUP);
    case.proxy.await_metric(RELOADS, &[("result", "success")], |count| count > before);
    let message = case.status()["config"]["last_reload"]["message"].clone();
    let expected = "the new value of process.file_threads holds from the next start";
    assert!(message.as_str().unwrap().contains(expected), "{message}");
}
