//! Certificates that are replaced on disk, in every way in which that is done.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::Site;
use crate::client::{ask, connect, shown};
use crate::support::certificates::{Issued, Wanted};
use crate::support::eventually;
use crate::support::http::{HttpOrigin, get};
use crate::support::proxy::{Launch, Proxy};

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

/// Far less than the minute after which files are read without being told, and far more than what
/// a loaded machine needs.
const SOON: Duration = Duration::from_secs(10);

fn start(site: &Site, chain: &Path, key: &Path, origin: &HttpOrigin) -> Proxy {
    let (chain, key) = (chain.display(), key.display());
    let proxy = Launch::configured(&format!(
        "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
         tls = {{ certificates = [{{ chain = \"{chain}\", key = \"{key}\" }}] }}\n\
         [upstreams.app]\nservers = [\"{}\"]\n",
        origin.address()
    ))
    .start();
    ask(&mut connect(site, &proxy.address()), GET).unwrap();
    proxy
}

fn issue(site: &Site, serial: u64) -> Issued {
    site.authority.issue(&Wanted { serial, ..Wanted::names(&["a.example"]) })
}

fn shown_now(site: &Site, proxy: &Proxy) -> Vec<u8> {
    let mut stream = connect(site, &proxy.address());
    ask(&mut stream, GET).unwrap();
    shown(&stream)
}

/// The proxy shows a new certificate soon, and a client that was there before stays.
fn check_replaced(site: &Site, proxy: &Proxy, new: &Issued, replace: impl FnOnce()) {
    let expected = CertificateDer::from_pem_slice(new.certificate.as_bytes()).unwrap();
    assert_ne!(shown_now(site, proxy), expected.as_ref());
    let mut before = connect(site, &proxy.address());
    let mut exchange = |target: &str| {
        before.write_all(get(target).as_bytes()).unwrap();
        let mut answer = Vec::new();
        let end = format!("GET {target} ");
        while !answer.ends_with(end.as_bytes()) {
            let mut byte = [0];
            before.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
    };
    exchange("/before");
    replace();
    let replaced = Instant::now();
    eventually("the new certificate is shown", || {
        (shown_now(site, proxy) == expected.as_ref()).then_some(())
    });
    assert!(replaced.elapsed() < SOON, "{:?}", replaced.elapsed());
    exchange("/after");
}

#[test]
fn written_over_or_renamed() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let (chain, key) = issue(&site, 1).write(site.folder(), "live", "");
    let proxy = start(&site, &chain, &key, &origin);

    let second = issue(&site, 2);
    check_replaced(&site, &proxy, &second, || drop(second.write(site.folder(), "live", "")));

    let third = issue(&site, 3);
    check_replaced(&site, &proxy, &third, || {
        let (new_chain, new_key) = third.write(site.folder(), "new", "");
        fs::rename(new_key, &key).unwrap();
        fs::rename(new_chain, &chain).unwrap();
    });
}

/// As Kubernetes has it: both files are links through a link to a folder, and that one changes.
#[test]
fn a_folder_behind_a_link() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let at = site.folder().join("mount");
    let folder = |version: u64| {
        let folder = at.join(format!("version-{version}"));
        fs::create_dir_all(&folder).unwrap();
        let issued = issue(&site, version);
        issued.write(&folder, "live", "");
        (folder, issued)
    };
    let (first, _) = folder(1);
    symlink(first, at.join("data")).unwrap();
    for name in ["live.pem", "live.key"] {
        symlink(Path::new("data").join(name), at.join(name)).unwrap();
    }
    let proxy = start(&site, &at.join("live.pem"), &at.join("live.key"), &origin);
    let (second, issued) = folder(2);
    check_replaced(&site, &proxy, &issued, || {
        symlink(second, at.join("new")).unwrap();
        fs::rename(at.join("new"), at.join("data")).unwrap();
    });
}

/// As certbot has it: both files are links into a folder elsewhere, and the links change.
#[test]
fn links_into_another_folder() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let (archive, live) = (site.folder().join("archive"), site.folder().join("live"));
    fs::create_dir_all(&archive).unwrap();
    fs::create_dir_all(&live).unwrap();
    let link = |target: &Path, name: &str| {
        symlink(target, live.join("new")).unwrap();
        fs::rename(live.join("new"), live.join(name)).unwrap();
    };
    let issued = issue(&site, 1);
    let (chain, key) = issued.write(&archive, "1", "");
    link(&chain, "live.pem");
    link(&key, "live.key");
    let proxy = start(&site, &live.join("live.pem"), &live.join("live.key"), &origin);
    let second = issue(&site, 2);
    let (chain, key) = second.write(&archive, "2", "");
    check_replaced(&site, &proxy, &second, || {
        link(&chain, "live.pem");
        link(&key, "live.key");
    });
}

#[test]
fn a_pair_that_does_not_fit_changes_nothing() {
    let site = Site::new();
    let origin = HttpOrigin::echo();
    let (chain, key) = issue(&site, 1).write(site.folder(), "live", "");
    let proxy = start(&site, &chain, &key, &origin);
    let before = shown_now(&site, &proxy);
    let second = issue(&site, 2);
    fs::write(&chain, &second.certificate).unwrap();
    let failed = [("result", "failure")];
    proxy.await_metric("spliceway_certificate_reloads_total", &failed, |count| count >= 1.0);
    assert_eq!(shown_now(&site, &proxy), before);
    let lines = proxy.stderr_lines().concat();
    assert!(lines.contains("what was there before is used still"), "{lines}");
    assert!(!lines.contains("PRIVATE KEY"), "no key is in a log");
    check_replaced(&site, &proxy, &second, || fs::write(&key, &second.key).unwrap());
}
