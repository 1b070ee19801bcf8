//! What `spliceway check` and `spliceway explain` say of files, and what the process does about
//! them: the real program.

use std::path::Path;

use nix::sys::signal::Signal;

use crate::Case;
use crate::support::certificates::{Authority, Wanted, write_named_certificates};
use crate::support::eventually;
use crate::support::proxy::{Launch, Proxy};

const ONE: &str = "certificates = [{ chain = \"a.pem\", key = \"a.key\" }]";

fn run(case: &Case, command: &str) -> (Option<i32>, String) {
    let path = case.folder().join("spliceway.toml");
    Launch::with_arguments(&[command, "--config", path.to_str().unwrap()]).run_to_end()
}

/// The proxy, once it is ready.
fn start(case: &Case) -> Proxy {
    let path = case.folder().join("spliceway.toml");
    let launch = Launch::with_arguments(&["run", "--config", path.to_str().unwrap()]);
    let proxy = launch.environment("SPLICEWAY__ADMIN__BIND", "127.0.0.1:0").start();
    says(&proxy, "ready");
    proxy
}

/// Waits until the process log has these words.
fn says(proxy: &Proxy, words: &str) {
    eventually(words, || {
        proxy.stderr_lines().iter().any(|line| line.contains(words)).then_some(())
    });
}

#[test]
fn check_finds_what_clients_would() {
    let root = Authority::root("Root");
    let middle = root.intermediate("Middle");
    let check = |wanted: &Wanted<'_>, behind: &str, code: i32, expected: &[&str]| {
        let case = Case::new();
        middle.issue(wanted).write(case.folder(), "a", behind);
        case.config(ONE, "");
        let (found, printed) = run(&case, "check");
        assert_eq!(found, Some(code), "{printed}");
        for expected in expected {
            assert!(printed.contains(expected), "{expected}: {printed}");
        }
        assert!(!expected.is_empty() || !printed.contains("warning"), "{printed}");
    };
    let whole = format!("{}{}", middle.pem(), root.pem());
    let good = Wanted::names(&["a.example"]);
    check(&good, &whole, 0, &[]);
    check(&good, &middle.pem(), 0, &["spliceway.toml:5: ", "issued by CN=Root, which is no root"]);
    check(&good, &root.pem(), 1, &["spliceway.toml:5: ", "certificate 1 was not issued by"]);
    let old = Wanted { years: (2020, 2021), ..good };
    check(&old, &whole, 1, &["certificates[0].chain: ", "has expired, 2021-01-01 00:00 UTC"]);
    let future = Wanted { years: (2998, 2999), ..good };
    check(&future, &whole, 1, &["good only from 2998-01-01 00:00 UTC on"]);
    check(&Wanted::names(&[]), &whole, 0, &["it is for no name"]);
}

#[test]
fn explain_says_which_way_bytes_take_where_sessions_end() {
    let (case, root) = (Case::new(), Authority::root("Root"));
    root.issue(&Wanted::names(&["a.example"])).write(case.folder(), "a", &root.pem());
    let tls = "tls = { certificates = [{ chain = \"a.pem\", key = \"a.key\" }] }";
    case.config_of(&format!(
        "[listeners.edge]\nbind = \"127.0.0.1:0\"\n{tls}\n\
         [[listeners.edge.sni]]\nnames = [\"a.example\"]\nterminate = true\nupstream = \"app\"\n\
         [[listeners.edge.sni]]\ndefault = true\nupstream = \"app\"\n\
         [listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"safe\"\n{tls}\n\
         [listeners.out]\nbind = \"127.0.0.1:0\"\nupstream = \"safe\"\n\
         [upstreams.app]\nservers = [\"127.0.0.1:9001\"]\n\
         [upstreams.safe]\nservers = [\"127.0.0.1:9002\"]\n\
         [upstreams.safe.tls]\ndanger_skip_verification = true\n"
    ));
    let (code, printed) = run(&case, "explain");
    assert_eq!(code, Some(0), "{printed}");
    let lines: Vec<&str> = printed.lines().map(str::trim).collect();
    let check = |route: &str, expected: &str| {
        let at = lines.iter().position(|line| *line == route).unwrap();
        assert_eq!(lines[at + 1], expected, "{printed}");
    };
    check(
        "a.example -> app, its TLS ends here",
        "copy: copied (tls): sessions of clients end here",
    );
    check("* -> app, passed through", "splice: all bytes are spliced, the ClientHello included");
    check("every request -> safe", "copy: copied (tls): sessions of clients and servers end here");
    check("out: 127.0.0.1:0 -> safe", "copy: copied (tls): sessions of servers end here");
}

#[test]
fn check_finds_keys_that_do_not_fit_and_names_that_nothing_is_for() {
    let (case, root) = (Case::new(), Authority::root("Root"));
    let own = root.issue(&Wanted::names(&["a.example", "*.b.example"]));
    own.write(case.folder(), "a", &root.pem());
    case.config_of(
        "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\nupstream = \"app\"\n\
         [[listeners.web.routes]]\nhost = \"a.example\"\nupstream = \"app\"\n\
         [[listeners.web.routes]]\nhost = \"*.b.example\"\nupstream = \"app\"\n\
         [[listeners.web.routes]]\nhost = \"c.example\"\nupstream = \"app\"\n\
         [listeners.web.tls]\ncertificates = [{ chain = \"a.pem\", key = \"a.key\" }]\n\
         [upstreams.app]\nservers = [\"127.0.0.1:9001\"]\n\
         [upstreams.app.tls]\ndanger_skip_verification = true\n",
    );
    let (code, printed) = run(&case, "check");
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("no certificate of listener web is for c.example"), "{printed}");
    assert!(!printed.contains("is for a.example") && !printed.contains("b.example:"), "{printed}");
    assert!(printed.contains("the servers of upstream app are not verified"), "{printed}");

    let (code, printed) = run(&case, "explain");
    assert_eq!(code, Some(0), "{printed}");
    let expected = "a.pem (ECDSA, until 2999-01-01 00:00 UTC): a.example, *.b.example";
    assert!(printed.contains(expected), "{printed}");
    assert!(printed.contains("each server NOT verified"), "{printed}");

    use std::os::unix::fs::PermissionsExt;
    let key = case.folder().join("a.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (_, printed) = run(&case, "check");
    assert!(printed.contains("readable by every user"), "{printed}");

    let other = root.issue(&Wanted::names(&["a.example"]));
    std::fs::write(&key, &other.key).unwrap();
    for command in ["check", "explain", "run"] {
        let (code, printed) = run(&case, command);
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains("does not fit the certificate"), "{printed}");
    }
}

#[test]
fn the_examples_are_right_once_their_files_are_there() {
    for name in ["tls.toml", "sni.toml"] {
        let case = Case::new();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
        let text = std::fs::read_to_string(path).unwrap();
        case.write("spliceway.toml", &text);
        write_named_certificates(&text, case.folder());
        for command in ["check", "explain"] {
            let (code, printed) = run(&case, command);
            assert_eq!(code, Some(0), "{name}: {printed}");
            assert!(!printed.contains("warning"), "{name}: {printed}");
        }
    }
}

#[test]
fn files_that_change_are_read_again() {
    let (case, root) = (Case::new(), Authority::root("Root"));
    let issue = || root.issue(&Wanted::names(&["a.example"]));
    issue().write(case.folder(), "a", &root.pem());
    case.config(ONE, "");
    let mut proxy = start(&case);
    // By renaming, as tools do that care; the key first, so that they do not fit for a while.
    let next = issue();
    next.write(case.folder(), "next", &root.pem());
    std::fs::rename(case.folder().join("next.key"), case.folder().join("a.key")).unwrap();
    says(&proxy, "does not fit the certificate: it is another's key; what was there before");
    std::fs::rename(case.folder().join("next.pem"), case.folder().join("a.pem")).unwrap();
    says(&proxy, "listeners.web.tls: certificates were replaced");
    proxy.signal(Signal::SIGHUP);
    says(&proxy, "certificates were read again; nothing has changed");
    let ends = proxy.get("/metrics").unwrap().text();
    assert!(ends.contains("spliceway_certificate_not_after_timestamp_seconds{side=\"listener\""));
    assert!(ends.contains("spliceway_certificate_reloads_total{result=\"success\"} 1"), "{ends}");
    proxy.signal(Signal::SIGTERM);
    assert!(proxy.wait().success());
}

/// As Kubernetes mounts secrets: names that lead to a folder that a link leads to, and the link is
/// what is replaced.
#[test]
fn a_link_that_leads_elsewhere_is_a_change() {
    use std::os::unix::fs::symlink;
    let (case, root) = (Case::new(), Authority::root("Root"));
    for version in ["v1", "v2"] {
        let folder = case.folder().join(version);
        std::fs::create_dir(&folder).unwrap();
        root.issue(&Wanted::names(&["a.example"])).write(&folder, "a", &root.pem());
    }
    symlink("v1", case.folder().join("data")).unwrap();
    for file in ["a.pem", "a.key"] {
        symlink(format!("data/{file}"), case.folder().join(file)).unwrap();
    }
    case.config(ONE, "");
    let mut proxy = start(&case);
    symlink("v2", case.folder().join("next")).unwrap();
    std::fs::rename(case.folder().join("next"), case.folder().join("data")).unwrap();
    says(&proxy, "listeners.web.tls: certificates were replaced");
    proxy.signal(Signal::SIGTERM);
    assert!(proxy.wait().success());
}
