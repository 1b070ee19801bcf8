//! Reloads under load: whoever has nothing to do with a change does not notice it.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::sys::signal::Signal;

use crate::support::eventually;
use crate::support::http::{Connection, HttpOrigin, get, ok};
use crate::support::origin::Origin;
use crate::support::pattern::{digest, read_digest_by, write_pattern};
use crate::support::stream::{Stream, refusing};
use crate::{Case, RELOADS};

const CLIENTS: usize = 4;
const RELOADS_UNDER_LOAD: usize = 20;
const TRANSFER_BYTES: u64 = 64 << 20;

/// Servers that stay for as long as the test.
struct Servers {
    web: [HttpOrigin; 2],
    tunnel: HttpOrigin,
    bulk: Origin,
}

impl Servers {
    fn start() -> Servers {
        Servers {
            web: ["one", "two"].map(|name| HttpOrigin::answering(ok(name))),
            tunnel: HttpOrigin::by_connection(|connection| {
                let Ok(Some(_)) = connection.read_head() else { return };
                connection.send(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                     Upgrade: echo\r\n\r\n",
                );
                while let Ok(some) = connection.read_some() {
                    if some.is_empty() || connection.try_send(some).is_err() {
                        return;
                    }
                }
            }),
            bulk: Origin::start(|mut stream: Stream| {
                write_pattern(&mut stream, 7, TRANSFER_BYTES).ok()?;
                None
            }),
        }
    }

    /// A configuration that differs from that of another round in nearly everything but the
    /// listeners that are under load.
    fn config(&self, binds: &[String; 3], round: usize) -> String {
        let [web, bulk, extra] = binds;
        let mode = ["splice", "copy", "auto"][round % 3];
        let servers = match round % 2 {
            0 => format!("\"{}\"", self.web[0].address()),
            _ => format!("\"{}\", \"{}\"", self.web[0].address(), self.web[1].address()),
        };
        let extra = match round % 2 {
            0 => String::new(),
            _ => format!(
                "[listeners.extra{round}]\nbind = \"{extra}\"\nupstream = \"extra{round}\"\n\
                 [upstreams.extra{round}]\nservers = [\"{}\"]\n",
                self.bulk.address()
            ),
        };
        format!(
            "[process]\ndrain_timeout = \"1s\"\n[relay]\nmode = \"{mode}\"\n\
             [timeouts]\nidle = \"{}m\"\n\
             [listeners.web]\nbind = \"{web}\"\nprotocol = \"http\"\nupstream = \"app\"\n\
             routes = [{{ path = \"/tunnel\", upstream = \"tunnel\" }}]\n\
             [listeners.bulk]\nbind = \"{bulk}\"\nupstream = \"bulk\"\n{extra}\
             [upstreams.app]\nservers = [{servers}]\n\
             [upstreams.bulk]\nservers = [\"{}\"]\n[upstreams.tunnel]\nservers = [\"{}\"]\n",
            round % 50 + 1,
            self.bulk.address(),
            self.tunnel.address()
        )
    }
}

/// Requests one after the other over connections that are kept, until it is told to stop. Any
/// failure ends the test.
fn ask_until(stop: &AtomicBool, case: &Case, requests: &AtomicU64) {
    let mut client = Connection::open(&case.proxy.address_of("web"));
    while !stop.load(Ordering::Relaxed) {
        let response = client.exchange(get("/"));
        assert_eq!(response.status(), 200);
        assert_eq!(response.field("connection"), None, "nobody tells it to go");
        requests.fetch_add(1, Ordering::Relaxed);
    }
}

fn under_load(servers: &Servers, case: &Case, reload: impl FnOnce(&mut dyn FnMut())) -> u64 {
    let (stop, requests) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut tunnel = Connection::open(&case.proxy.address_of("web"));
    tunnel.send(
        "GET /tunnel HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
    );
    assert_eq!(tunnel.read_head().unwrap().unwrap().status(), 101);
    let mut tunnel = tunnel.stream().try_clone().unwrap();
    let mut ping = || {
        tunnel.write_all(b"ping").unwrap();
        tunnel.read_exact(&mut [0; 4]).unwrap();
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| ask_until(&stop, case, &requests))).collect();
        let download = scope.spawn(|| {
            let mut client = Stream::connect(&case.proxy.address_of("bulk")).unwrap();
            // Slow enough to last through all reloads.
            let (received, ending) = read_digest_by(&mut client, 1 << 20, || {
                std::thread::sleep(std::time::Duration::from_millis(10));
            });
            ending.unwrap();
            assert_eq!(received, digest(7, TRANSFER_BYTES));
        });
        eventually("the load has begun", || {
            let is_running = requests.load(Ordering::Relaxed) > 100;
            (is_running && servers.bulk.accepted() > 0).then_some(())
        });
        reload(&mut ping);
        ping();
        // A failed client ends the test at once, without the others.
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().unwrap();
        }
        download.join().unwrap();
    });
    requests.into_inner()
}

fn binds() -> [String; 3] {
    [(); 3].map(|()| refusing().to_string())
}

#[test]
fn twenty_reloads_under_load_fail_no_request_and_break_no_transfer() {
    let servers = Servers::start();
    let binds = binds();
    let case = Case::start(&servers.config(&binds, 0));
    let requests = under_load(&servers, &case, |ping| {
        for round in 1..=RELOADS_UNDER_LOAD {
            case.reload(&servers.config(&binds, round));
            ping();
            if round % 2 == 1 {
                let address = binds[2].parse().unwrap();
                let mut extra = Stream::connect(&address).unwrap();
                extra.read_exact(&mut [0; 16]).unwrap();
            }
        }
    });
    let metrics = case.proxy.metrics();
    let answered =
        metrics.sum("spliceway_http_requests_total", &[("code", "200"), ("upstream", "app")]);
    assert!(answered <= requests as f64, "{answered} of {requests}");
    case.proxy.await_metric(
        "spliceway_http_requests_total",
        &[("code", "200"), ("upstream", "app")],
        |count| count == requests as f64,
    );
    assert_eq!(metrics.sum(RELOADS, &[("result", "success")]), RELOADS_UNDER_LOAD as f64);
    case.await_drained();
}

/// As fast as anybody could: some of them find the one before not yet taken by all workers.
#[test]
fn many_reloads_a_second_leave_nothing_behind() {
    let servers = Servers::start();
    let binds = binds();
    let case = Case::start(&servers.config(&binds, 0));
    let before = case.proxy.descriptors();
    under_load(&servers, &case, |ping| {
        for round in 1..=100 {
            case.write(&servers.config(&binds, round));
            case.proxy.signal(Signal::SIGHUP);
            std::thread::sleep(std::time::Duration::from_millis(20));
            if round % 10 == 0 {
                ping();
            }
        }
    });
    case.write(&servers.config(&binds, 0));
    case.proxy.signal(Signal::SIGHUP);
    eventually("only what is in the last one listens", || {
        (case.status()["listeners"].as_array()?.len() == 2).then_some(())
    });
    case.await_drained();
    case.proxy.await_metric("spliceway_connections", &[], |open| open == 0.0);
    // Pipes and connections to servers stay for a while.
    eventually("its descriptors are closed", || {
        (case.proxy.descriptors() <= before + 4).then_some(())
    });
}
