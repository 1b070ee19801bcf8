//! Servers of other projects: nginx and `openssl s_server`, with sessions that end there.

use std::fs;
use std::process::{Child, Command, Stdio};

use spliceway::address::Address;

use crate::Site;
use crate::support::certificates::{Authority, Wanted};
use crate::support::eventually;
use crate::support::http::{Connection, get};
use crate::support::nginx::Nginx;
use crate::support::proxy::{Launch, Proxy};
use crate::support::stream::{Stream, refusing};
use crate::support::tools::have;

/// Longer than any buffer on the way, and far less than a test should take.
const BULK_BYTES: u64 = 256 << 20;

/// What may be copied of what is passed through.
const COPIED_BYTES_MAX: u64 = 64 * 1024;

/// Every server tells who the client is, as far as nginx knows.
const SERVERS: &str = "
    root {at};
    add_header X-Verify $ssl_client_verify;
    add_header X-Resumed $ssl_session_reused;
    add_header X-Version $ssl_protocol;
    add_header X-Name $ssl_server_name;
    add_header X-Client $proxy_protocol_addr;
    ssl_client_certificate {at}/clients.pem;
    ssl_session_cache shared:all:1m;
    server { listen unix:{at}/socket; }
    server { listen unix:{at}/socket-announced proxy_protocol; }
    server {
        listen unix:{at}/socket-12 ssl;
        ssl_protocols TLSv1.2;
        ssl_certificate {at}/ecdsa.pem; ssl_certificate_key {at}/ecdsa.key;
        ssl_verify_client optional;
    }
    server {
        listen unix:{at}/socket-13 ssl;
        ssl_protocols TLSv1.3;
        ssl_certificate {at}/rsa.pem; ssl_certificate_key {at}/rsa.key;
        ssl_verify_client on;
    }
    server {
        listen unix:{at}/socket-through ssl proxy_protocol;
        ssl_certificate {at}/ecdsa.pem; ssl_certificate_key {at}/ecdsa.key;
    }";

/// An nginx that has the certificates of `site`, and believes `clients`; a file called `bulk` is
/// there to be had.
fn nginx(site: &Site, clients: &Authority) -> Option<Nginx> {
    let directory = tempfile::tempdir().unwrap();
    for name in ["ecdsa.pem", "ecdsa.key", "rsa.pem", "rsa.key"] {
        fs::copy(site.path(name), directory.path().join(name)).unwrap();
    }
    fs::write(directory.path().join("clients.pem"), clients.pem()).unwrap();
    // Of zeros, which take no room; whether bytes stay what they are is for other tests.
    fs::File::create(directory.path().join("bulk")).unwrap().set_len(BULK_BYTES).unwrap();
    fs::write(directory.path().join("little"), "hello").unwrap();
    Nginx::start(directory, SERVERS)
}

fn front(to: &Address, tls: &str) -> Proxy {
    Launch::configured(&format!(
        "[listeners.front]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
         [timeouts]\nupstream_idle = \"1ms\"\n\
         [upstreams.app]\nservers = [\"{to}\"]\n{tls}\n"
    ))
    .start()
}

#[test]
fn nginx_is_shown_who_the_proxy_is() {
    let site = Site::new();
    let clients = Authority::root("Clients");
    let Some(nginx) = nginx(&site, &clients) else { return };
    clients.issue(&Wanted::names(&["proxy.example"])).write(site.folder(), "own", "");
    let trust = format!("ca = \"{}\", server_name = \"a.example\"", site.path("ca.pem"));
    let (chain, key) = (site.path("own.pem"), site.path("own.key"));
    let own = format!("{trust}, client_certificate = {{ chain = \"{chain}\", key = \"{key}\" }}");
    for (socket, version) in [("socket-12", "TLSv1.2"), ("socket-13", "TLSv1.3")] {
        for (tls, verdict) in [(&trust, "NONE"), (&own, "SUCCESS")] {
            let proxy = front(&nginx.address(socket), &format!("tls = {{ {tls} }}"));
            for round in 0..2 {
                let case = format!("{version} {verdict} {round}");
                let answer = Connection::open(&proxy.address()).exchange(get("/little"));
                // nginx answers 400 where a certificate must be and is not.
                let is_served = (version, verdict) != ("TLSv1.3", "NONE");
                assert_eq!(answer.status(), if is_served { 200 } else { 400 }, "{case}");
                if !is_served {
                    continue;
                }
                assert_eq!(answer.text(), "hello", "{case}");
                assert_eq!(answer.field("x-verify"), Some(verdict), "{case}");
                assert_eq!(answer.field("x-version"), Some(version), "{case}");
                assert_eq!(answer.field("x-name"), Some("a.example"), "{case}");
                // The connection of the first round was closed after a millisecond.
                let resumed = if round == 0 { "." } else { "r" };
                assert_eq!(answer.field("x-resumed"), Some(resumed), "{case}");
                proxy.await_metric("spliceway_upstream_connections", &[], |open| open == 0.0);
            }
        }
    }
}

#[test]
fn nginx_reads_the_address_that_it_is_told() {
    let site = Site::new();
    let Some(nginx) = nginx(&site, &Authority::root("Clients")) else { return };
    for version in ["v1", "v2"] {
        let told = format!("proxy_protocol = \"{version}\"");
        let proxy = front(&nginx.address("socket-announced"), &told);
        let answer = Connection::open(&proxy.address()).exchange(get("/little"));
        assert_eq!((answer.status(), answer.field("x-client")), (200, Some("127.0.0.1")));
    }
}

/// curl gets the same from the same name: once where the session ends at the proxy, and once where
/// it ends at nginx and is passed through.
#[test]
fn bulk_ends_here_or_passes_through() {
    let site = Site::new();
    if !have("curl", "--version") {
        return;
    }
    let Some(nginx) = nginx(&site, &Authority::root("Clients")) else { return };
    let tls = site.tls("ecdsa", "");
    let proxy = Launch::configured(&format!(
        "[listeners.ends]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"plain\"\n\
         tls = {tls}\n\
         [listeners.passes]\nbind = \"127.0.0.1:0\"\n\
         [[listeners.passes.sni]]\nnames = [\"a.example\"]\nupstream = \"through\"\n\
         [upstreams.plain]\nservers = [\"{}\"]\n\
         [upstreams.through]\nservers = [\"{}\"]\nproxy_protocol = \"v2\"\n",
        nginx.address("socket"),
        nginx.address("socket-through")
    ))
    .start();
    let get_bulk = |listener: &str| {
        let address = proxy.address_of(listener).to_string();
        let port = address.rsplit(':').next().unwrap();
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "50", "--noproxy", "*", "--cacert", &site.path("ca.pem")])
            .args(["--resolve", &format!("a.example:{port}:127.0.0.1"), "-o", "/dev/null"])
            .args(["--write-out", "%{http_code} %{size_download}"])
            .arg(format!("https://a.example:{port}/bulk"))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed, format!("200 {BULK_BYTES}"), "{listener}: {errors}");
    };
    let moved = |path: &str| {
        let labels = [("listener", "passes"), ("path", path)];
        proxy.metrics().sum("spliceway_relay_bytes_total", &labels) as u64
    };
    get_bulk("ends");
    assert_eq!((moved("copy"), moved("splice")), (0, 0));
    get_bulk("passes");
    let labels = [("listener", "passes"), ("reason", "completed")];
    proxy.await_metric("spliceway_connections_closed_total", &labels, |closed| closed == 1.0);
    assert!(moved("splice") > BULK_BYTES, "{}", moved("splice"));
    assert!(moved("copy") < COPIED_BYTES_MAX, "{}", moved("copy"));
}

/// `openssl s_server`, which answers with a page about the session. Killed when dropped.
struct OpensslServer {
    child: Child,
    address: Address,
}

impl OpensslServer {
    fn start(site: &Site, kind: &str, flags: &[&str]) -> OpensslServer {
        let address = refusing();
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-www", "-accept", &address.to_string()])
            .args(["-cert", &site.path(&format!("{kind}.pem"))])
            .args(["-key", &site.path(&format!("{kind}.key"))])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = OpensslServer { child, address };
        eventually("openssl listens", || Stream::connect(&server.address).ok());
        server
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        // Both fail only for a child that has ended: what is wanted.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn openssl_serves_behind_the_proxy() {
    if !have("openssl", "version") {
        return;
    }
    let site = Site::new();
    site.authority.issue(&Wanted::names(&["proxy.example"])).write(site.folder(), "own", "");
    let ca = site.path("ca.pem");
    let verify = ["-Verify", "2", "-verify_return_error", "-CAfile", &ca];
    let tls = format!(
        "tls = {{ ca = \"{ca}\", server_name = \"a.example\", \
         client_certificate = {{ chain = \"{}\", key = \"{}\" }} }}",
        site.path("own.pem"),
        site.path("own.key")
    );
    for version in ["1.2", "1.3"] {
        for kind in ["ecdsa", "rsa"] {
            for asked in [&[][..], &verify] {
                let flag = format!("-tls{}", version.replace('.', "_"));
                let server = OpensslServer::start(&site, kind, &[&[&*flag][..], asked].concat());
                let proxy = front(&server.address, &tls);
                for round in ["New", "Reused"] {
                    let answer = Connection::open(&proxy.address()).exchange(get("/"));
                    let case = format!("{version} {kind} {round} {}", asked.is_empty());
                    assert_eq!(answer.status(), 200, "{case}");
                    let text = answer.text();
                    assert!(text.contains(&format!("{round}, TLSv{version}")), "{case}: {text}");
                }
            }
        }
    }
}
