//! One measurement of one size.

use std::io;
use std::sync::Arc;

use super::contestant::Program;
use super::kind::Kind;
use super::site;
use crate::rig::contestant;
use crate::rig::load::bind_origin;
use crate::rig::load::http::clients;
use crate::rig::load::http::wire::{Exchange, Reuse, Units};
use crate::rig::sample::{Conditions, Sample, watch};

const GIB: f64 = (1 << 30) as f64;

/// Measures `program` once with files of one size.
///
/// # Errors
/// When it does not start, or a client fails.
pub fn take(program: Program, kind: Kind, conditions: &Conditions) -> io::Result<Sample> {
    site::prepare(kind.bytes)?;
    // Nobody asks it for anything.
    let origin = bind_origin()?;
    let running = contestant::start(program, origin.local_addr()?, conditions.cpus(1))?;
    let exchange = Arc::new(Exchange {
        request: format!(
            "GET /{} HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: benchmark/1\r\n\
             Accept: */*\r\n\r\n",
            site::name(kind.bytes)
        )
        .into_bytes(),
        request_body: 0,
        response: Vec::new(),
        response_body: kind.bytes as u64,
        units: Units::ResponseBytes,
        reuse: Reuse::KeepAlive,
    });
    let load = clients::start(&origin, &running.address.into(), &exchange, kind.connections(), 1)?;
    let window = watch(&running, load, conditions.effort)?;
    let (cpu, bytes) = (window.cpu_seconds(), window.units as f64);
    let [p50, p99] = window.percentiles([0.5, 0.99]);
    let values = vec![
        cpu / exchange.exchanges(window.units) * 1e6,
        cpu / (bytes / GIB),
        bytes / GIB / window.elapsed.as_secs_f64(),
        p50,
        p99,
    ];
    Ok(window.sample(kind, values))
}
