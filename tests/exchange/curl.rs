//! curl in front, nginx behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::support::http::HttpOrigin;
use crate::support::in_each_mode;
use crate::support::nginx::Nginx;
use crate::support::pattern::write_pattern;
use crate::support::proxy::{Launch, Proxy};
use crate::support::tools::have;
use crate::{await_none_in_flight, logged};

/// Sizes of the files that are served: `/0`, `/1`, ...
const SIZES: [u64; 6] = [0, 1, 5_000, 70_000, 1_000_000, 50_000_000];

/// Serves files, and takes some under `/upload/`.
const SERVER: &str = "client_max_body_size 0;
    server {
        listen unix:{at}/socket;
        root {at}/files;
        location /upload/ { dav_methods PUT; }
        location /small/ { client_max_body_size 1k; dav_methods PUT; }
    }";

/// An nginx that serves files; `None` where there is none, or no curl to ask it.
fn nginx() -> Option<Nginx> {
    if !have("curl", "--version") {
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::create_dir_all(at.join("files/upload")).unwrap();
    for size in SIZES {
        let mut file = fs::File::create(at.join(format!("files/{size}"))).unwrap();
        write_pattern(&mut file, size, size).unwrap();
    }
    Nginx::start(directory, SERVER)
}

fn files(nginx: &Nginx) -> PathBuf {
    nginx.folder().join("files")
}

fn hash(path: &Path) -> String {
    Sha256::digest(fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What curl prints, `URL` in its arguments replaced by the proxy's. It must succeed.
fn curl(proxy: &Proxy, arguments: &[&str]) -> String {
    let url = format!("http://{}", proxy.address());
    let arguments = arguments.iter().map(|it| it.replace("URL", &url));
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", "50", "--noproxy", "*"])
        .args(arguments);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn files_come_down_whole() {
    let Some(nginx) = nginx() else { return };
    in_each_mode(|mode| {
        let proxy = Launch::http(mode, &[&nginx.address("socket")]).start();
        let target = tempfile::tempdir().unwrap();
        let at = |size: u64| target.path().join(size.to_string()).display().to_string();
        // All of them over one connection of curl.
        let mut arguments =
            vec!["--write-out".to_owned(), "%{http_code} %{num_connects}\n".to_owned()];
        for size in SIZES {
            arguments.extend(["-o".to_owned(), at(size), format!("URL/{size}")]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let printed = curl(&proxy, &arguments);
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines[0], "200 1", "{mode}: {printed}");
        assert!(lines[1..].iter().all(|line| *line == "200 0"), "{mode}: {printed}");
        for size in SIZES {
            let (got, sent) =
                (hash(Path::new(&at(size))), hash(&files(&nginx).join(size.to_string())));
            assert_eq!(got, sent, "{mode}: {size}");
        }
        await_none_in_flight(&proxy);
    });
}

#[test]
fn parts_heads_and_conditions_work() {
    let Some(nginx) = nginx() else { return };
    let proxy = Launch::http("splice", &[&nginx.address("socket")]).start();
    let code = ["-o", "/dev/null", "--write-out", "%{http_code} %{size_download}"];
    let check = |arguments: &[&str], expected: &str| {
        assert_eq!(curl(&proxy, &[&code[..], arguments].concat()), expected, "{arguments:?}");
    };
    check(&["--range", "1000-1999", "URL/70000"], "206 1000");
    check(&["--range", "100-", "URL/50000000"], "206 49999900");
    check(&["--head", "URL/50000000"], "200 0");
    check(&["URL/nothing"], &format!("404 {}", curl(&proxy, &["URL/nothing"]).len()));
    check(&["--http1.0", "URL/1000000"], "200 1000000");
    check(&["--compressed", "--header", "Connection: close", "URL/5000"], "200 5000");
    let head = curl(&proxy, &["--head", "URL/5000"]);
    let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
    check(&["--header", &format!("If-None-Match: {tag}"), "URL/5000"], "304 0");
}

#[test]
fn files_go_up_whole() {
    let Some(nginx) = nginx() else { return };
    in_each_mode(|mode| {
        let proxy = Launch::http(mode, &[&nginx.address("socket")]).start();
        for size in SIZES {
            for (kind, extra) in [
                ("length", &[][..]),
                ("chunked", &["--header", "Transfer-Encoding: chunked"]),
                ("expect", &["--header", "Expect: 100-continue"]),
            ] {
                // curl 7.88 forgets the last chunk of a body that is empty.
                if (kind, size) == ("chunked", 0) {
                    continue;
                }
                let source = files(&nginx).join(size.to_string()).display().to_string();
                let url = format!("URL/upload/{mode}-{kind}-{size}");
                let fixed = ["--write-out", "%{http_code}", "--upload-file", &source, &url];
                assert_eq!(
                    curl(&proxy, &[&fixed[..], extra].concat()),
                    "201",
                    "{mode} {kind} {size}"
                );
                let stored = files(&nginx).join(format!("upload/{mode}-{kind}-{size}"));
                assert_eq!(hash(&stored), hash(Path::new(&source)), "{mode} {kind} {size}");
                fs::remove_file(stored).unwrap();
            }
        }
        await_none_in_flight(&proxy);
    });
}

/// nginx answers 413 before it has read the body, and curl is told.
#[test]
fn an_early_answer_of_nginx_reaches_curl() {
    let Some(nginx) = nginx() else { return };
    let proxy = Launch::http("splice", &[&nginx.address("socket")]).start();
    let source = files(&nginx).join("50000000").display().to_string();
    for extra in [&[][..], &["--header", "Expect:"]] {
        let fixed = [
            "-o",
            "/dev/null",
            "--write-out",
            "%{http_code}",
            "--upload-file",
            &source,
            "URL/small/x",
        ];
        let url = [&fixed[..], extra].concat();
        assert_eq!(curl(&proxy, &url), "413", "{extra:?}");
    }
    assert_eq!(logged(&proxy, "path", "/small/x")["status"], 413);
}

#[test]
fn many_at_once_get_what_they_asked_for() {
    let Some(nginx) = nginx() else { return };
    in_each_mode(|mode| {
        let proxy = Launch::http(mode, &[&nginx.address("socket")]).start();
        let target = tempfile::tempdir().unwrap();
        let mut arguments = ["--parallel", "--parallel-max", "20"].map(str::to_owned).to_vec();
        for index in 0..60 {
            let size = SIZES[index % 5];
            let path = target.path().join(index.to_string()).display().to_string();
            arguments.extend(["-o".to_owned(), path, format!("URL/{size}")]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        curl(&proxy, &arguments);
        for index in 0..60 {
            let sent = files(&nginx).join(SIZES[index % 5].to_string());
            let got = target.path().join(index.to_string());
            assert!(fs::read(&got).unwrap() == fs::read(&sent).unwrap(), "{mode}: {index}");
        }
        await_none_in_flight(&proxy);
    });
}

/// curl can tell that a response was cut.
#[test]
fn a_cut_response_is_an_error_to_curl() {
    if !have("curl", "--version") {
        return;
    }
    for framing in
        ["Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
    {
        let origin = HttpOrigin::start(move |_, connection| {
            connection.send(format!("HTTP/1.1 200 OK\r\n{framing}"));
            false
        });
        let proxy = Launch::http("splice", &[origin.address()]).start();
        let url = format!("http://{}/", proxy.address());
        let output =
            Command::new("curl").args(["--silent", "--noproxy", "*", &url]).output().unwrap();
        assert!(!output.status.success(), "{framing}: {output:?}");
    }
}
