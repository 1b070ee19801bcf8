//! One measurement under each kind of load.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use super::contestant::Program;
use super::kind::{Kind, SMALL_BYTES, WORKERS};
use super::load::arrivals::{self, Outcomes};
use super::load::competitors::Competitors;
use super::load::websocket;
use crate::rig::contestant::{self, Running};
use crate::rig::kind::{Figures, Sender, connections_for};
use crate::rig::load::bind_origin;
use crate::rig::load::http::clients;
use crate::rig::load::http::resting::Resting;
use crate::rig::load::http::wire::{Exchange, Framing, Reuse};
use crate::rig::sample::{Conditions, Sample, Window, idle_kib, watch, watch_and_look};

/// Clients that a proxy may have when it is overloaded.
const OVERLOAD_CLIENTS_MAX: usize = 512;

/// How many times as many clients come as can be served.
const OVERLOAD: f64 = 2.0;

/// Busy threads that the overloaded proxy shares its CPU with.
const COMPETITORS: usize = 3;

/// Requests that show which worker serves a connection: some milliseconds of CPU time.
const SPREAD_REQUESTS: usize = 200;

/// Measures `program` once under one kind of load.
///
/// # Errors
/// When the proxy does not start, or any end of the load fails.
pub fn take(program: Program, kind: Kind, conditions: &Conditions) -> io::Result<Sample> {
    match kind {
        Kind::Body { sender, bytes, framing } => {
            let exchange = Exchange::new(sender, bytes, framing, Reuse::KeepAlive);
            requests(program, kind, exchange, connections_for(bytes), conditions)
        }
        Kind::Connections { clients } => {
            requests(program, kind, small(Reuse::Never), clients, conditions)
        }
        Kind::WebSocket { connections } => {
            let (origin, running) = start(program, conditions)?;
            let load = websocket::start(&origin, running.address, connections)?;
            let window = watch(&running, load, conditions.effort)?;
            Ok(window.sample(kind, values(&window, window.units as f64)))
        }
        Kind::Idle { connections } => idle(program, kind, connections, conditions),
        Kind::Workers => workers(program, kind, conditions),
        Kind::Spread { connections } => spread(program, kind, connections, conditions),
        Kind::Overload => overload(program, kind, conditions),
    }
}

/// A small response.
fn small(reuse: Reuse) -> Exchange {
    Exchange::new(Sender::Origin, SMALL_BYTES, Framing::Length, reuse)
}

/// The proxy at work, and where it finds its origin.
fn start(program: Program, conditions: &Conditions) -> io::Result<(TcpListener, Running)> {
    let origin = bind_origin()?;
    let cpus = conditions.cpus(program.workers());
    let running = contestant::start(program, origin.local_addr()?, cpus)?;
    Ok((origin, running))
}

fn requests(
    program: Program,
    kind: Kind,
    exchange: Exchange,
    connections: usize,
    conditions: &Conditions,
) -> io::Result<Sample> {
    let (origin, running) = start(program, conditions)?;
    let exchange = Arc::new(exchange);
    let load = clients::start(&origin, &running.address.into(), &exchange, connections, 1)?;
    let window = watch(&running, load, conditions.effort)?;
    Ok(window.sample(kind, values(&window, exchange.exchanges(window.units))))
}

/// The figures of so many exchanges that are watched through one window.
fn values(window: &Window, exchanges: f64) -> Vec<f64> {
    let [p50, p99, p99_9] = window.percentiles([0.5, 0.99, 0.999]);
    let per_second = exchanges / window.elapsed.as_secs_f64();
    vec![window.cpu_seconds() / exchanges * 1e6, per_second, p50, p99, p99_9]
}

/// A sample whose figures are not of CPU time in one window.
fn without_cpu(kind: Kind, values: Vec<f64>) -> Sample {
    Sample { figures: Figures::new(kind, values), cpu_disagreement: Duration::ZERO }
}

fn idle(
    program: Program,
    kind: Kind,
    connections: usize,
    conditions: &Conditions,
) -> io::Result<Sample> {
    let (origin, running) = start(program, conditions)?;
    let mut resting = Resting::new(origin, running.address.into(), small(Reuse::KeepAlive));
    let kib = idle_kib(running.process()?, connections, |more| resting.open(more))?;
    resting.stop()?;
    Ok(without_cpu(kind, vec![kib]))
}

/// One worker runs where the two run, so that nothing else differs.
fn workers(program: Program, kind: Kind, conditions: &Conditions) -> io::Result<Sample> {
    let cpus = conditions.cpus(WORKERS);
    let measure = |workers| {
        let origin = bind_origin()?;
        let to = origin.local_addr()?;
        let running = contestant::start(program.with_workers(workers), to, cpus)?;
        let exchange = Arc::new(small(Reuse::KeepAlive));
        let connections = connections_for(SMALL_BYTES);
        let threads = cpus.threads_of_each_end();
        let load =
            clients::start(&origin, &running.address.into(), &exchange, connections, threads)?;
        let window = watch(&running, load, conditions.effort)?;
        let exchanges = exchange.exchanges(window.units);
        let per_second = exchanges / window.elapsed.as_secs_f64();
        io::Result::Ok((exchanges / window.cpu_seconds(), per_second, window))
    };
    let (one, one_per_second, _) = measure(1)?;
    let (two, two_per_second, window) = measure(WORKERS)?;
    Ok(window.sample(kind, vec![one, two, two / one, one_per_second, two_per_second]))
}

fn spread(
    program: Program,
    kind: Kind,
    connections: usize,
    conditions: &Conditions,
) -> io::Result<Sample> {
    let (origin, running) = start(program.with_workers(WORKERS), conditions)?;
    let mut resting = Resting::new(origin, running.address.into(), small(Reuse::KeepAlive));
    resting.open(connections)?;
    let cpu_times = || {
        let times = running.process()?.cpu_time_by_thread()?;
        times.ok_or_else(|| io::Error::other("the kernel keeps no CPU time of threads"))
    };
    let mut served = vec![0; cpu_times()?.len()];
    for client in 0..connections {
        let before = cpu_times()?;
        (0..SPREAD_REQUESTS).try_for_each(|_| resting.ask(client))?;
        let after = cpu_times()?;
        let spent = after.iter().zip(&before).map(|(after, before)| after.saturating_sub(*before));
        let busiest = spent.enumerate().max_by_key(|(_, spent)| *spent);
        let worker = busiest.and_then(|(index, _)| served.get_mut(index));
        *worker.ok_or_else(|| io::Error::other("a thread came while it was measured"))? += 1;
    }
    resting.stop()?;
    let most = served.into_iter().max().unwrap_or(0);
    Ok(without_cpu(kind, vec![f64::from(most) / connections as f64]))
}

/// First with clients that wait for their answers, to find out what the proxy can do; then with
/// twice as many as that.
fn overload(program: Program, kind: Kind, conditions: &Conditions) -> io::Result<Sample> {
    let program = program.with_clients_max(OVERLOAD_CLIENTS_MAX);
    let (origin, running) = start(program, conditions)?;
    let _competitors = Competitors::start(conditions.cpus(program.workers()).proxy, COMPETITORS);
    let exchange = Arc::new(small(Reuse::Never));
    let connections = connections_for(SMALL_BYTES);
    let load = clients::start(&origin, &running.address.into(), &exchange, connections, 1)?;
    // Long enough for many turns of those that share the CPU, and for queues to fill.
    let effort = conditions.effort.longer(3);
    let window = watch(&running, load, effort)?;
    let best = exchange.exchanges(window.units) / window.elapsed.as_secs_f64();
    let kib_before = running.process()?.resident_kib()?;

    let outcomes = Arc::new(Outcomes::default());
    let rate = OVERLOAD * best;
    let load = arrivals::start(origin, running.address, small(Reuse::Never), rate, &outcomes);
    let look = || {
        let kib = running.process()?.resident_kib()?;
        Ok((outcomes.offered() as f64, outcomes.turned_away() as f64, kib))
    };
    let (window, looks) = watch_and_look(&running, load, effort, look)?;
    let [(offered_before, turned_away_before, _), (offered, turned_away, kib)] = looks;
    let elapsed = window.elapsed.as_secs_f64();
    let [p50, p99] = window.percentiles([0.5, 0.99]).map(|microseconds| microseconds / 1e3);
    let offered = offered - offered_before;
    let values = vec![
        best,
        offered / elapsed / best,
        window.units as f64 / elapsed / best,
        p50,
        p99,
        (turned_away - turned_away_before) / offered,
        (kib - kib_before) / 1024.0,
    ];
    Ok(window.sample(kind, values))
}
