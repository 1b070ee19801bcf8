//! One measurement under each kind of load.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use super::contestant::Program;
use super::kind::{Kind, SMALL_BYTES};
use super::load::{handshakes, passthrough};
use crate::rig::contestant::{self, Running};
use crate::rig::kind::{Figures, Sender, connections_for};
use crate::rig::load::bind_origin;
use crate::rig::load::http::clients;
use crate::rig::load::http::resting::Resting;
use crate::rig::load::http::transport::Proxy;
use crate::rig::load::http::wire::{Exchange, Framing, Reuse};
use crate::rig::sample::{Conditions, Sample, Window, idle_kib, watch};
use crate::rig::tls::{Tickets, client_config};

/// How much longer than others a window of bulk is: buffers and the proxy's own judgement of a flow
/// need a while.
const BULK_LONGER: u32 = 3;

/// Measures `program` once under one kind of load.
///
/// # Errors
/// When the proxy does not start, or any end of the load fails.
pub fn take(program: Program, kind: Kind, conditions: &Conditions) -> io::Result<Sample> {
    let origin = bind_origin()?;
    let running = contestant::start(program, origin.local_addr()?, conditions.cpus(1))?;
    match kind {
        Kind::Responses { bytes } => {
            let exchange = Arc::new(response(bytes));
            let proxy = with_tls(running.address)?;
            let load = clients::start(&origin, &proxy, &exchange, connections_for(bytes), 1)?;
            let window = watch(&running, load, conditions.effort)?;
            Ok(window.sample(kind, response_values(&window, exchange.exchanges(window.units))))
        }
        Kind::Handshakes { tickets, clients } => {
            let load = handshakes::start(origin, running.address, clients, tickets)?;
            let window = watch(&running, load, conditions.effort)?;
            Ok(window.sample(kind, handshake_values(&window)))
        }
        Kind::Idle { connections } => idle(origin, &running, kind, connections),
        Kind::Passthrough { connections } => {
            let load = passthrough::start(&origin, running.address, connections)?;
            let window = watch(&running, load, conditions.effort.longer(BULK_LONGER))?;
            let gib = window.units as f64 / f64::from(1 << 30);
            let values = vec![window.cpu_seconds() / gib, gib / window.elapsed.as_secs_f64()];
            Ok(window.sample(kind, values))
        }
    }
}

fn response(bytes: usize) -> Exchange {
    Exchange::new(Sender::Origin, bytes, Framing::Length, Reuse::KeepAlive)
}

/// As clients find it that speak TLS.
fn with_tls(address: SocketAddr) -> io::Result<Proxy> {
    Ok(Proxy { address, tls: Some(client_config(Tickets::Ignored)?) })
}

fn response_values(window: &Window, exchanges: f64) -> Vec<f64> {
    let [p50, p99, p99_9] = window.percentiles([0.5, 0.99, 0.999]);
    let per_second = exchanges / window.elapsed.as_secs_f64();
    vec![window.cpu_seconds() / exchanges * 1e6, per_second, p50, p99, p99_9]
}

fn handshake_values(window: &Window) -> Vec<f64> {
    let (cpu, handshakes) = (window.cpu_seconds(), window.units as f64);
    let [p50, p99] = window.percentiles([0.5, 0.99]);
    let per_second = handshakes / window.elapsed.as_secs_f64();
    vec![cpu / handshakes * 1e6, handshakes / cpu, per_second, p50, p99]
}

fn idle(
    origin: TcpListener,
    running: &Running,
    kind: Kind,
    connections: usize,
) -> io::Result<Sample> {
    let proxy = with_tls(running.address)?;
    let mut resting = Resting::new(origin, proxy, response(SMALL_BYTES));
    let kib = idle_kib(running.process()?, connections, |more| resting.open(more))?;
    resting.stop()?;
    Ok(Sample { figures: Figures::new(kind, vec![kib]), cpu_disagreement: Duration::ZERO })
}
