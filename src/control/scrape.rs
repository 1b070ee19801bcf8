//! What a scrape of `/metrics` holds: the proxy's own series, after the gauges of the process were
//! brought up to date, and the standard `process_*` ones.

use std::fmt::{Display, Write};
use std::time::{Duration, Instant};

use axum::body::Bytes;

use super::negotiation::Format;
use super::openmetrics;
use super::state::State;

/// A scrape that is not older than this is given again. Workers report less often than that, so
/// nothing is lost, and a client that asks without pause costs the machine ten renderings a
/// second and not a CPU that a worker needs.
const REUSE_MAX: Duration = Duration::from_millis(100);

/// The last scrape of each format.
#[derive(Debug, Default)]
pub(super) struct LastScrapes([Option<(Instant, Bytes)>; 2]);

/// Everything in `format`, as it is or was a moment ago.
pub(super) fn scrape(state: &State, format: Format, now: Instant) -> Bytes {
    let mut last = state.last_scrapes();
    let last = &mut last.0[format as usize];
    match last {
        Some((at, text)) if now.saturating_duration_since(*at) < REUSE_MAX => text.clone(),
        _ => {
            let text = Bytes::from(render(state, format));
            *last = Some((now, text.clone()));
            text
        }
    }
}

fn render(state: &State, format: Format) -> String {
    update_gauges(state);
    let mut text = state.exposition.render();
    append_process(&mut text, &metrics_process::collector::collect());
    openmetrics::render(&openmetrics::families(&text), format)
}

fn update_gauges(state: &State) {
    let metrics = &state.metrics;
    // Gauges are f64: exact up to 2^53, 8 PiB.
    metrics.pipes_idle.set(state.sum(|report| &report.pipes_idle) as f64);
    metrics.pipes_busy.set(state.sum(|report| &report.pipes_busy) as f64);
    metrics.pipe_held_bytes.set(state.sum(|report| &report.pipe_held_bytes) as f64);
    metrics.pipe_memory_bytes.set(state.sum(|report| &report.pipe_memory_bytes) as f64);
    metrics.buffer_held_bytes.set(state.sum(|report| &report.buffer_held_bytes) as f64);
    metrics.access_log_dropped.absolute(state.access_log_dropped());
    let config = &state.config_metrics;
    config.generation.set(state.snapshot.load().generation as f64);
    config.generations_draining.set(state.generations_draining(Instant::now()) as f64);
    let retired = state.sum(|report| &report.connections_retired);
    config.connections_retired.set(retired as f64);
    let life = *state.life();
    metrics.workers.set(life.workers_running as f64);
    metrics.draining.set(if life.phase.is_ending() { 1.0 } else { 0.0 });
}

/// The names and meanings that all Prometheus client libraries share
/// (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>). Written here
/// and not through the `metrics` crate, whose counters are integers: CPU seconds need their
/// fraction.
fn append_process(text: &mut String, process: &metrics_process::collector::Metrics) {
    let mut append = |name: &str, kind: &str, help: &str, value: Option<&dyn Display>| {
        if let Some(value) = value {
            let written = writeln!(
                text,
                "# HELP process_{name} {help}\n# TYPE process_{name} {kind}\nprocess_{name} {value}"
            );
            debug_assert!(written.is_ok(), "writing to memory does not fail");
        }
    };
    fn shown<T: Display>(value: &Option<T>) -> Option<&dyn Display> {
        value.as_ref().map(|value| value as &dyn Display)
    }
    append(
        "cpu_seconds_total",
        "counter",
        "Total user and system CPU time spent in seconds.",
        shown(&process.cpu_seconds_total),
    );
    append("open_fds", "gauge", "Number of open file descriptors.", shown(&process.open_fds));
    append("max_fds", "gauge", "Maximum number of open file descriptors.", shown(&process.max_fds));
    append(
        "virtual_memory_bytes",
        "gauge",
        "Virtual memory size in bytes.",
        shown(&process.virtual_memory_bytes),
    );
    append(
        "resident_memory_bytes",
        "gauge",
        "Resident memory size in bytes.",
        shown(&process.resident_memory_bytes),
    );
    append(
        "start_time_seconds",
        "gauge",
        "Start time of the process since unix epoch in seconds.",
        shown(&process.start_time_seconds),
    );
    append("threads", "gauge", "Number of OS threads in the process.", shown(&process.threads));
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::http::method::Method;
    use crate::metrics::code::Code;
    use crate::metrics::{
        HttpMetrics, ListenerMetrics, ProcessMetrics, Recorder, RequestMetrics, ServerMetrics,
        UpstreamMetrics,
    };

    /// All series that the proxy has, some with values, and the standard ones.
    fn text() -> String {
        let recorder = Recorder::new();
        let _kept = metrics::with_local_recorder(&recorder, || {
            let listener = ListenerMetrics::new("we\"b");
            listener.relay_bytes[0][0].increment(1 << 40);
            listener.duration.record(0.25);
            HttpMetrics::new("web");
            let own = RequestMetrics::new("web", None);
            own.duration.record_many(0.25, 3);
            own.requests(Method::Other, Code::of(Some(404))).increment(3);
            let server = ServerMetrics::new("app", "[::1]:9001");
            server.connections.increment(1.0);
            UpstreamMetrics::new("app");
            ProcessMetrics::new("1.2.3");
            server
        });
        let mut text = recorder.exposition().render();
        append_process(&mut text, &metrics_process::collector::collect());
        text
    }

    #[test]
    fn the_standard_series_are_there_with_help() {
        let text = text();
        for name in [
            "cpu_seconds_total",
            "open_fds",
            "max_fds",
            "virtual_memory_bytes",
            "resident_memory_bytes",
            "start_time_seconds",
            "threads",
        ] {
            assert!(text.contains(&format!("# HELP process_{name} ")), "{name}");
            assert!(text.contains(&format!("\nprocess_{name} ")), "{name}");
        }
    }

    /// Runs the parser of the Prometheus project's own client library over `document`; `None`
    /// where Python or the library is missing.
    fn judge(module: &str, document: &str) -> Option<Result<usize, String>> {
        let has_library = |python: &&str| {
            Command::new(python)
                .args(["-c", &format!("import {module}")])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        // The first one in PATH need not be the one that distribution packages belong to.
        let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has_library) else {
            let missing = "python3 with prometheus_client (Debian: python3-prometheus-client)";
            assert!(std::env::var_os("CI").is_none(), "{missing} must be here in CI");
            eprintln!("SKIPPED: {missing} is not here to judge");
            return None;
        };
        let program = format!(
            "import sys\nfrom {module} import text_string_to_metric_families as parse\n\
             print(sum(len(family.samples) for family in parse(sys.stdin.read())))"
        );
        let mut child = Command::new(python)
            .args(["-c", &program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Some(if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().parse().unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        })
    }

    fn check_with_parser(module: &str, format: Format) {
        let text = text();
        let document = openmetrics::render(&openmetrics::families(&text), format);
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        if let Some(judged) = judge(module, &document) {
            assert_eq!(judged, Ok(samples.count()), "{document}");
        }
    }

    #[test]
    fn the_parser_of_prometheus_reads_the_text() {
        check_with_parser("prometheus_client.parser", Format::Text);
    }

    #[test]
    fn the_parser_of_prometheus_reads_openmetrics() {
        check_with_parser("prometheus_client.openmetrics.parser", Format::OpenMetrics);
    }

    #[test]
    fn the_parser_of_prometheus_refuses_text_as_openmetrics() {
        // The judge can say no: without the conversion it does.
        let verdict = judge("prometheus_client.openmetrics.parser", &text());
        assert!(!matches!(verdict, Some(Ok(_))), "{verdict:?}");
    }
}
