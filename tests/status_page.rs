//! `/status` as people see it: in a real browser, on a desk and on a phone, by day and by night.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use support::http::{Connection, HttpOrigin, get, ok};
use support::proxy::{Launch, Proxy};
use support::tools::have;
use tempfile::TempDir;

/// What a browser asks for.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// How much time of its own a page gets, in milliseconds: enough for several rounds of numbers.
const PAGE_TIME: &str = "9000";

fn ask(admin: SocketAddr, accept: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    let accept = if accept.is_empty() { String::new() } else { format!("Accept: {accept}\r\n") };
    let request = format!("GET /status HTTP/1.1\r\nHost: a\r\n{accept}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// A proxy with something to show: traffic, an answer of 500, and a server that is not there.
fn busy() -> (HttpOrigin, Proxy) {
    let origin = HttpOrigin::start(|request, connection| {
        let body = "x".repeat(40_000);
        let response = match request.target() {
            "/bad" => "HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n".to_owned(),
            _ => ok(&body),
        };
        connection.try_send(response).is_ok()
    });
    let toml = format!(
        "[listeners.web]\nprotocol = \"http\"\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\n\
         [[listeners.web.routes]]\npath = \"/gone\"\nupstream = \"gone\"\n\
         [upstreams.app]\nservers = [\"{}\"]\n\
         [upstreams.gone]\nservers = [{{ address = \"127.0.0.1:9\", name = \"nine\" }}]\n",
        origin.address()
    );
    let proxy = Launch::configured(&toml).start();
    let mut client = Connection::open(&proxy.address());
    for target in ["/", "/bad", "/", "/gone", "/"] {
        client.exchange(get(target));
    }
    proxy.await_metric("spliceway_http_requests_total", &[], |count| count >= 5.0);
    (origin, proxy)
}

#[test]
fn browsers_get_a_page_and_programs_the_document() {
    let (_origin, proxy) = busy();
    let is_page = |response: &str| {
        let head = response.to_ascii_lowercase();
        assert!(head.contains("\r\nvary: accept\r\n"), "{head}");
        assert_eq!(head.contains("content-type: text/html"), response.contains("<!doctype html>"));
        head.contains("content-type: text/html")
    };
    assert!(is_page(&ask(proxy.admin(), BROWSER)));
    for accept in ["", "*/*", "application/json", "application/json, text/html;q=0.5"] {
        assert!(!is_page(&ask(proxy.admin(), accept)), "{accept}");
    }
    let page = ask(proxy.admin(), BROWSER);
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    for elsewhere in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(elsewhere), "the page needs {elsewhere}");
    }
}

/// Opens the page in a browser; gives back what it has made of it.
fn browse(proxy: &Proxy, profile: &Path, size: &str, more: &[&str]) -> String {
    let output = Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
        .args(["--disable-background-networking", "--no-first-run", "--disable-dev-shm-usage"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={size}"))
        .arg(format!("--virtual-time-budget={PAGE_TIME}"))
        .args(more)
        .arg(format!("http://{}/status", proxy.admin()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_page_shows_what_happens() {
    if !have("chromium", "--version") {
        return;
    }
    let (_origin, proxy) = busy();
    let profile = TempDir::new().unwrap();
    let page = browse(&proxy, profile.path(), "1200,1600", &["--dump-dom"]);
    let version = format!("version {}", env!("CARGO_PKG_VERSION"));
    let process = format!("process {}", proxy.pid());
    let address = proxy.address().to_string();
    for expected in [
        version.as_str(),
        &process,
        &address,
        ">serving<",
        ">web",
        ">nine",
        "round_robin",
        ">refused<",
        ">500<",
        ">worker 0",
    ] {
        assert!(page.contains(expected), "no {expected} in {page}");
    }
    // Rates came: more than one round of numbers was had, and nothing failed on the way.
    let rounds = page.split("data-samples=\"").nth(1).and_then(|rest| rest.split('"').next());
    assert!(rounds.unwrap().parse::<u32>().unwrap() > 1, "{page}");
    assert!(
        page.contains("id=\"lost\" class=\"alarm\" hidden"),
        "the page has lost the process: {page}"
    );
    assert!(!page.contains("NaN") && !page.contains("undefined"), "{page}");
}

/// Width and height of a picture (RFC 2083, section 11.2.1).
fn size_of(png: &[u8]) -> (u32, u32) {
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

/// For eyes: the pictures are left in `target/status-page`.
#[test]
fn the_page_fits_a_desk_and_a_phone_by_day_and_by_night() {
    if !have("chromium", "--version") {
        return;
    }
    let (_origin, proxy) = busy();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("status-page");
    fs::create_dir_all(&folder).unwrap();
    let profile = TempDir::new().unwrap();
    let mut pictures = Vec::new();
    for (light, scheme) in [("day", "1"), ("night", "0")] {
        for (device, width, height) in [("desk", 1200, 1600), ("phone", 390, 2400)] {
            let path = folder.join(format!("{device}-{light}.png"));
            let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
            let shot = format!("--screenshot={}", path.display());
            browse(&proxy, profile.path(), &format!("{width},{height}"), &[&scheme, &shot]);
            let picture = fs::read(path).unwrap();
            assert_eq!(size_of(&picture).0, width, "{device} by {light}");
            pictures.push(picture);
        }
    }
    // A page that knew no night, or that was empty, would give the same twice.
    pictures.dedup();
    assert_eq!(pictures.len(), 4);
    assert!(pictures.iter().all(|picture| picture.len() > 20_000), "a picture of nothing");
}
