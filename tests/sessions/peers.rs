//! Peers of other projects: curl and openssl in front.

use std::process::{Command, Stdio};

use crate::Site;
use crate::support::http::HttpOrigin;
use crate::support::proxy::Launch;
use crate::support::tools::{have, skip};

#[test]
fn curl_and_openssl_get_what_they_ask_for() {
    if !have("curl", "--version") || !have("openssl", "version") {
        skip("curl and openssl are not both installed");
        return;
    }
    let site = Site::new();
    let body = "x".repeat(3_000_000);
    let origin = HttpOrigin::answering(crate::support::http::ok(&body));
    let tls = site.tls("ecdsa", "");
    let proxy = Launch::configured(&format!(
        "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
         tls = {tls}\n[upstreams.app]\nservers = [\"{}\"]\n",
        origin.address()
    ))
    .start();
    let address = proxy.address().to_string();
    let port = address.rsplit(':').next().unwrap();
    for version in ["1.2", "1.3"] {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "30", "--cacert", &site.path("ca.pem")])
            .args([&format!("--tlsv{version}"), "--tls-max", version])
            .args(["--resolve", &format!("a.example:{port}:127.0.0.1")])
            .arg(format!("https://a.example:{port}/1"))
            .arg(format!("https://a.example:{port}/2"))
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.stdout.len() == 2 * body.len(), "{version}: {error}");
        let flag = format!("-tls{}", version.replace('.', "_"));
        let mut openssl = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-servername", "a.example"])
            .args(["-CAfile", &site.path("ca.pem"), "-connect", &address, &flag])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let request = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
        let mut stdin = openssl.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, request.as_bytes()).unwrap();
        let output = openssl.wait_with_output().unwrap();
        drop(stdin);
        assert!(output.stdout.len() > body.len(), "{version}: {}", output.stdout.len());
    }
}
