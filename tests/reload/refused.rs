//! A configuration that cannot be put in force, and a process that is told to end meanwhile.

use std::io::{Read, Write};

use nix::sys::signal::Signal;

use crate::support::eventually;
use crate::support::origin::{Origin, echo};
use crate::support::stream::{Listener, Stream, loopback, refusing};
use crate::{Case, RELOADS};

fn config(origin: &Origin, more: &str) -> String {
    format!(
        "[listeners.tcp]\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\n\
         [upstreams.app]\nservers = [\"{}\"]\n{more}",
        origin.address()
    )
}

fn ping(client: &mut Stream) {
    client.write_all(b"ping").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
}

#[test]
fn a_bad_config_leaves_everything_as_it_was() {
    let origin = Origin::start(echo);
    let case = Case::start(&config(&origin, ""));
    let mut client = case.proxy.connect();
    let taken = Listener::bind(&loopback()).unwrap();
    let free = refusing();
    let occupied = format!(
        "[listeners.new]\nbind = \"{free}\"\nupstream = \"app\"\n\
         [listeners.second]\nbind = \"{}\"\nupstream = \"app\"\n",
        taken.address()
    );
    let no_file = "[access_log]\npath = \"/nowhere/at/all.log\"\n";
    let no_certificate = "[listeners.tls]\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\n\
                          tls.certificates = [{ chain = \"no.pem\", key = \"no.key\" }]\n";
    for (more, expected) in [
        ("[listener]\n", "unknown key"),
        (&*occupied, "cannot bind"),
        (no_file, "cannot open"),
        (no_certificate, "cannot be read"),
    ] {
        case.reload_in_vain(&config(&origin, more));
        let status = case.status();
        let message = status["config"]["last_reload"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(expected), "{message}");
        assert_eq!(status["config"]["last_reload"]["ok"], false);
        assert_eq!(status["config"]["generation"], 0);
        assert_eq!(status["listeners"].as_array().unwrap().len(), 1);
        let success = "spliceway_config_last_reload_success";
        assert_eq!(case.proxy.metrics().sum(success, &[]), 0.0);
        eventually("what was bound for it is closed", || Listener::bind(&free).ok());
        ping(&mut client);
        ping(&mut case.proxy.connect());
    }
    let lines = case.proxy.stderr_lines();
    let said = lines.iter().filter(|line| line.contains("not reloaded, everything stays"));
    assert_eq!(said.count(), 4);

    case.reload(&config(&origin, "[timeouts]\nidle = \"7m\"\n"));
    let metrics = case.proxy.metrics();
    assert_eq!(metrics.sum("spliceway_config_last_reload_success", &[]), 1.0);
    assert_eq!(metrics.sum("spliceway_config_generation", &[]), 1.0);
    assert_eq!(metrics.sum(RELOADS, &[("result", "failure")]), 4.0);
    ping(&mut client);
}

#[test]
fn the_end_comes_before_a_reload() {
    let origin = Origin::start(echo);
    for round in 0..10 {
        let mut case = Case::start(&config(&origin, ""));
        let mut client = case.proxy.connect();
        ping(&mut client);
        case.write(&config(
            &origin,
            "[listeners.more]\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\n",
        ));
        let signals = match round % 2 {
            0 => [Signal::SIGHUP, Signal::SIGTERM],
            _ => [Signal::SIGTERM, Signal::SIGHUP],
        };
        for signal in signals {
            case.proxy.signal(signal);
        }
        ping(&mut client);
        drop(client);
        assert_eq!(case.proxy.wait().code(), Some(0));
    }
}
