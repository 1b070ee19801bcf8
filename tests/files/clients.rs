//! curl, and Python's own HTTP and MIME.

use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::Root;
use crate::support::certificates::{Authority, Wanted};
use crate::support::pattern::{Pattern, digest};
use crate::support::proxy::Proxy;
use crate::support::python::python_with;
use crate::support::tools::have;

const BYTES: usize = 3_000_000;

fn pattern() -> Vec<u8> {
    let mut bytes = vec![0; BYTES];
    Pattern::new(9).fill(&mut bytes);
    bytes
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What curl writes; it must succeed.
fn curl(proxy: &Proxy, arguments: &[&str]) -> Vec<u8> {
    let url = format!("http://{}/file", proxy.address());
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "50", "--noproxy", "*"]);
    let output = command.args(arguments).arg(url).stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    output.stdout
}

#[test]
fn curl_gets_parts_and_resumes() {
    if !have("curl", "--version") {
        return;
    }
    let root = Root::new();
    root.write("file", pattern());
    let proxy = root.serve("");
    let bytes = pattern();
    assert_eq!(hash(&curl(&proxy, &[])), digest(9, BYTES as u64).sha256);
    assert_eq!(curl(&proxy, &["--range", "1000-1999"]), &bytes[1000..2000]);
    assert_eq!(curl(&proxy, &["--range", "-7"]), &bytes[BYTES - 7..]);
    let parts = curl(&proxy, &["--range", "0-9,100-199"]);
    let holds = |part: &[u8]| parts.windows(part.len()).any(|window| window == part);
    assert!(holds(&bytes[..10]) && holds(&bytes[100..200]));
    // A download that was broken off, and goes on where it was.
    let half = root.path("half");
    std::fs::write(&half, &bytes[..BYTES / 2]).unwrap();
    curl(&proxy, &["--continue-at", "-", "--output", half.to_str().unwrap()]);
    assert!(std::fs::read(&half).unwrap() == bytes);
    // The version that it has.
    let saved = root.path("saved");
    let saved = saved.to_str().unwrap();
    let etag = root.path("etag");
    let etag = etag.to_str().unwrap();
    let code = ["--output", saved, "--write-out", "%{http_code}"];
    let first = [&code[..], &["--etag-save", etag]].concat();
    assert_eq!(curl(&proxy, &first), b"200");
    let second = [&code[..], &["--etag-compare", etag]].concat();
    assert_eq!(curl(&proxy, &second), b"304");
    let third = [&code[..], &["--time-cond", saved]].concat();
    assert_eq!(curl(&proxy, &third), b"304");
}

/// Reads parts with the parsers of Python's library, which know nothing of the proxy's.
const PROGRAM: &str = r#"
import email, hashlib, http.client, sys
address, path = sys.argv[1], sys.argv[2]
content = open(path, "rb").read()
connection = http.client.HTTPConnection(address, timeout=50)
def ask(method="GET", **fields):
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    connection.request(method, "/file", headers=headers)
    response = connection.getresponse()
    return response, response.read()
response, body = ask()
assert response.status == 200 and body == content
tag, modified = response.headers["ETag"], response.headers["Last-Modified"]
for first, last in [(0, 0), (5, 99), (len(content) - 1, len(content) + 5)]:
    response, body = ask(Range=f"bytes={first}-{last}")
    assert response.status == 206 and body == content[first:last + 1]
    last = min(last, len(content) - 1)
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/{len(content)}"
wanted = [(0, 99), (1000, 1999), (len(content) - 50, len(content) - 1)]
response, body = ask(Range="bytes=" + ", ".join(f"{first}-{last}" for first, last in wanted))
assert response.status == 206
head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
message = email.message_from_bytes(head + body)
assert message.is_multipart() and not message.defects, message.defects
parts = message.get_payload()
assert len(parts) == len(wanted)
for (first, last), part in zip(wanted, parts):
    assert part["Content-Range"] == f"bytes {first}-{last}/{len(content)}"
    assert part.get_payload(decode=True) == content[first:last + 1], (first, last)
for fields, status in [
    (dict(If_None_Match=tag), 304), (dict(If_Modified_Since=modified), 304),
    (dict(If_Match='"x"'), 412), (dict(Range=f"bytes={len(content)}-"), 416),
    (dict(If_Range='"x"', Range="bytes=0-0"), 200), (dict(If_Range=tag, Range="bytes=0-0"), 206),
]:
    response, body = ask(**fields)
    assert response.status == status, (fields, response.status)
response, body = ask("HEAD")
assert response.status == 200 and not body and int(response.headers["Content-Length"]) == len(content)
print("fine")
"#;

#[test]
fn python_agrees_about_parts() {
    let Some(python) = python_with("email") else { return };
    let root = Root::new();
    // Text, as the parser of messages makes lines of the same length of others.
    let text: String = (0..5000).map(|index| format!("{index:07}\r\n")).collect();
    root.write("file", text);
    for transfer in crate::TRANSFERS {
        let proxy = root.serve(&format!(", transfer = \"{transfer}\""));
        let mut command = Command::new(python);
        command.args(["-c", PROGRAM, &proxy.address().to_string()]).arg(root.path("file"));
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && output.stdout == b"fine\n", "{transfer}: {errors}");
    }
}

/// What is encrypted must be read: bytes are copied whatever the transfer, and it is said why.
#[test]
fn files_go_over_tls_by_copying() {
    if !have("curl", "--version") {
        return;
    }
    let root = Root::new();
    root.write("file", pattern());
    let certificates = tempfile::tempdir().unwrap();
    let authority = Authority::root("Files");
    authority.issue(&Wanted::names(&["localhost"])).write(certificates.path(), "web", "");
    let at = certificates.path().display();
    let tls = format!(
        "tls = {{ certificates = [{{ chain = \"{at}/web.pem\", key = \"{at}/web.key\" }}] }}"
    );
    for transfer in crate::TRANSFERS {
        let proxy = root.serve_as(&format!(", transfer = \"{transfer}\""), "", &tls);
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--insecure", "--max-time", "50"]);
        let output = command.arg(format!("https://{}/file", proxy.address())).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{transfer}: {errors}");
        assert_eq!(hash(&output.stdout), digest(9, BYTES as u64).sha256);
        let name = "spliceway_relay_bytes_total";
        proxy.await_metric(name, &[("path", "copy")], |bytes| bytes >= BYTES as f64);
        assert_eq!(proxy.metrics().sum(name, &[("path", "sendfile")]), 0.0);
        let reasons = proxy.metrics().sum("spliceway_relay_fallbacks_total", &[("reason", "tls")]);
        assert_eq!(reasons, if transfer == "copy" { 0.0 } else { 1.0 }, "{transfer}");
    }
}
