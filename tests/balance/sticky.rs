//! Clients that come back to their server.

use std::fs;

use crate::support::http::{Connection, Message};
use crate::support::proxy::{Launch, Proxy};
use crate::{addresses, backends, launch};

fn request(proxy: &Proxy, cookie: Option<&str>) -> Message {
    let cookie = cookie.map_or_else(String::new, |it| format!("Cookie: theme=dark; {it}\r\n"));
    let mut client = Connection::open(&proxy.address());
    client.exchange(format!("GET / HTTP/1.1\r\nHost: a\r\n{cookie}\r\n"))
}

fn cookie(answer: &Message) -> Option<String> {
    answer.field("Set-Cookie").map(|it| it.split(';').next().unwrap().to_owned())
}

fn with_secret(servers: &[String], secret: &[u8], more: &str) -> (tempfile::TempDir, Launch) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sticky.key");
    fs::write(&path, secret).unwrap();
    let settings =
        format!("sticky = {{ cookie = \"SRV\", secret_file = \"{}\"{more} }}", path.display());
    let launch = launch(servers, &settings);
    (directory, launch)
}

#[test]
fn a_cookie_brings_a_client_back() {
    let mut backends = backends(3);
    let (_directory, launch) = with_secret(&addresses(&backends), &[7; 32], ", max_age = \"1h\"");
    let proxy = launch.start();
    let first = request(&proxy, None);
    let full = first.field("Set-Cookie").unwrap();
    assert!(full.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600"), "{full}");
    let mine = cookie(&first).unwrap();
    assert!(!mine.contains("127.0.0.1"), "{mine}");
    for _ in 0..9 {
        let answer = request(&proxy, Some(&mine));
        assert_eq!((answer.text(), cookie(&answer)), (first.text(), None));
    }
    // What was not signed here is not believed.
    let forged = format!("SRV={}", "0".repeat(64));
    let others = (0..6).map(|_| request(&proxy, Some(&forged)));
    assert!(others.into_iter().all(|answer| cookie(&answer).is_some()));
    // A server that dies hands its clients over, with another cookie.
    let place = backends.iter().position(|it| it.name() == first.text()).unwrap();
    backends[place].kill();
    let moved = request(&proxy, Some(&mine));
    assert_ne!(moved.text(), first.text());
    let new = cookie(&moved).unwrap();
    assert_eq!(request(&proxy, Some(&new)).text(), moved.text());
}

#[test]
fn a_cookie_holds_for_all_who_know_the_secret() {
    let backends = backends(3);
    let (_one, first) = with_secret(&addresses(&backends), &[7; 32], "");
    let (_two, second) = with_secret(&addresses(&backends), &[7; 32], "");
    let (_three, third) = with_secret(&addresses(&backends), &[8; 32], "");
    let answer = request(&first.start(), None);
    let mine = cookie(&answer).unwrap();
    let second = second.start();
    for _ in 0..3 {
        let again = request(&second, Some(&mine));
        assert_eq!((again.text(), cookie(&again)), (answer.text(), None));
    }
    assert!(cookie(&request(&third.start(), Some(&mine))).is_some());
}

#[test]
fn a_secret_that_is_none_is_refused() {
    let backends = backends(1);
    let (directory, launch) = with_secret(&addresses(&backends), b"short", "");
    let (code, printed) = launch.run_to_end();
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("upstreams.app.sticky.secret_file"), "{printed}");
    assert!(printed.contains("expected at least 32 random ones"), "{printed}");
    fs::remove_file(directory.path().join("sticky.key")).unwrap();
}
