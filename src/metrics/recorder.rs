//! Where the handles of all metrics come from, and what a scrape reads: the exporter for what stays
//! as long as the process, and a registry of our own for what the exporter cannot do. That is
//! histograms of fixed size (the exporter's own keep every observation until they are next folded
//! into buckets), and series that end.
//!
//! The number of a series is shared by all its handles, whichever worker has them. A series of a
//! server ends with the last of its handles: names stand for ever other servers, and none of them
//! is to be told of for ever.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, SetRecorderError, SharedString, Unit,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::histogram::{FixedHistogram, labels_text};
use super::{FAMILIES, Family, Kind};

/// Makes handles. Those that were made for the same series, by whichever worker, lead to the same
/// number.
#[derive(Debug)]
pub struct Recorder {
    exporter: PrometheusRecorder,
    registry: Arc<Registry>,
}

/// By the names of families, and labels.
type SeriesByName = BTreeMap<(&'static str, String), Series>;

/// Locked to make a handle and to scrape, never to record.
#[derive(Debug, Default)]
struct Registry(Mutex<SeriesByName>);

/// What its handles lead to.
#[derive(Debug, Clone)]
enum Series {
    Counter(Arc<AtomicU64>),
    /// The bits of an `f64`.
    Gauge(Arc<AtomicU64>),
    Histogram(Arc<FixedHistogram>),
}

impl Series {
    fn new(kind: Kind) -> Series {
        match kind {
            Kind::Counter => Series::Counter(Arc::default()),
            Kind::Gauge => Series::Gauge(Arc::default()),
            Kind::Histogram(bounds) => Series::Histogram(Arc::new(FixedHistogram::new(bounds))),
        }
    }

    /// Whether there is any handle. Handles are made of others, or with the registry locked.
    fn is_held(&self) -> bool {
        match self {
            Series::Counter(number) | Series::Gauge(number) => Arc::strong_count(number) > 1,
            Series::Histogram(histogram) => Arc::strong_count(histogram) > 1,
        }
    }

    /// Writes its samples as Prometheus text; `labels` as [`labels_text`] makes them.
    fn write(&self, name: &str, labels: &str, out: &mut String) -> fmt::Result {
        if let Series::Histogram(histogram) = self {
            return histogram.write(name, labels, out);
        }
        out.push_str(name);
        if !labels.is_empty() {
            write!(out, "{{{labels}}}")?;
        }
        match self {
            Series::Counter(count) => writeln!(out, " {}", count.load(Ordering::Relaxed)),
            Series::Gauge(bits) => {
                writeln!(out, " {}", f64::from_bits(bits.load(Ordering::Relaxed)))
            }
            Series::Histogram(_) => Ok(()),
        }
    }
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, SeriesByName> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series of that name and these labels, made if need be; `None` for a name that no family
    /// has which is kept here.
    fn series(&self, key: &Key) -> Option<Series> {
        let family = family(key.name()).filter(|family| is_kept_here(family))?;
        let mut all = self.lock();
        let series = all.entry((family.name, labels_text(key)));
        Some(series.or_insert_with(|| Series::new(family.kind)).clone())
    }

    fn forget_servers_gone(&self) {
        let is_kept = |name: &str, series: &Series| {
            series.is_held() || family(name).is_none_or(|family| !family.is_of_servers())
        };
        self.lock().retain(|(name, _), series| is_kept(name, series));
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let mut last = "";
        for ((name, labels), series) in &*self.lock() {
            if let Some(family) = family(name).filter(|_| last != *name) {
                let kind = family.kind.label();
                writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", family.help)?;
                last = name;
            }
            series.write(name, labels, out)?;
        }
        Ok(())
    }
}

fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.name == name)
}

/// Whether the exporter does not know its series.
fn is_kept_here(family: &Family) -> bool {
    family.is_of_servers() || matches!(family.kind, Kind::Histogram(_))
}

impl Recorder {
    /// One without series.
    pub fn new() -> Recorder {
        let exporter = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&exporter, || {
            FAMILIES.iter().filter(|family| !is_kept_here(family)).for_each(Family::describe);
        });
        Recorder { exporter, registry: Arc::default() }
    }

    /// What scrapes it.
    pub fn exposition(&self) -> Exposition {
        Exposition { exporter: self.exporter.handle(), registry: Arc::clone(&self.registry) }
    }
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder::new()
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.exporter.describe_counter(name, unit, help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.exporter.describe_gauge(name, unit, help);
    }

    /// The table of families has the help.
    fn describe_histogram(&self, _name: KeyName, _unit: Option<Unit>, _help: SharedString) {}

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        match self.registry.series(key) {
            Some(Series::Counter(number)) => Counter::from_arc(number),
            Some(_) => Counter::noop(),
            None => self.exporter.register_counter(key, metadata),
        }
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        match self.registry.series(key) {
            Some(Series::Gauge(number)) => Gauge::from_arc(number),
            Some(_) => Gauge::noop(),
            None => self.exporter.register_gauge(key, metadata),
        }
    }

    /// A name that is not in the table has no buckets.
    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        match self.registry.series(key) {
            Some(Series::Histogram(histogram)) => Histogram::from_arc(histogram),
            _ => Histogram::noop(),
        }
    }
}

/// Reads what a [`Recorder`] has.
#[derive(Debug, Clone)]
pub struct Exposition {
    exporter: PrometheusHandle,
    registry: Arc<Registry>,
}

impl Exposition {
    /// Everything as Prometheus text 0.0.4, families in no order, but for servers of which nobody
    /// counts anything more.
    pub fn render(&self) -> String {
        self.forget_servers_gone();
        let mut text = self.exporter.render();
        let written = self.registry.write(&mut text);
        debug_assert!(written.is_ok(), "writing to memory does not fail");
        text
    }

    /// Gives back the memory of servers of which nobody counts anything more. To be called now and
    /// then, for it may be that nobody scrapes.
    pub fn forget_servers_gone(&self) {
        self.registry.forget_servers_gone();
    }
}

/// Makes the recorder that all handles made later in this process belong to.
///
/// # Errors
/// When one is installed already.
pub fn install() -> Result<Exposition, SetRecorderError<Recorder>> {
    let recorder = Recorder::new();
    let exposition = recorder.exposition();
    metrics::set_global_recorder(recorder)?;
    Ok(exposition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{
        ServerMetrics, UPSTREAM_CONNECT_DURATION, UPSTREAM_CONNECTIONS, UPSTREAM_ERRORS,
        UPSTREAM_QUEUED,
    };

    #[test]
    fn handles_of_one_series_share_its_buckets() {
        let recorder = Recorder::new();
        let server =
            || metrics::with_local_recorder(&recorder, || ServerMetrics::new("app", "a:1"));
        let (one, other) = (server(), server());
        one.connect_duration.record(0.0002);
        other.connect_duration.record_many(3.0, 2);
        let text = recorder.exposition().render();
        let check = |bound: &str, expected: u32| {
            let line = format!(
                "{}_bucket{{upstream=\"app\",server=\"a:1\",le=\"{bound}\"}} {expected}\n",
                UPSTREAM_CONNECT_DURATION.name
            );
            assert!(text.contains(&line), "{line} in\n{text}");
        };
        check("0.0001", 0);
        check("0.00025", 1);
        check("2.5", 1);
        check("5", 3);
        check("+Inf", 3);
    }

    #[test]
    fn what_is_no_number_or_no_histogram_records_nothing() {
        let recorder = Recorder::new();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("unknown").record(1.0);
            // A gauge, and no counter.
            metrics::counter!(UPSTREAM_CONNECTIONS.name).increment(1);
        });
        assert_eq!(recorder.exposition().render(), "");
    }

    #[test]
    fn numbers_and_labels_are_written() {
        let recorder = Recorder::new();
        let _kept = metrics::with_local_recorder(&recorder, || {
            let errors = UPSTREAM_ERRORS.counter(&["a\"b", "c", "timeout"]);
            errors.increment(1 << 60);
            let connections = UPSTREAM_CONNECTIONS.gauge(&["a", "c"]);
            connections.set(0.5);
            (errors, connections)
        });
        let expected = format!(
            "# HELP {connections} {}\n# TYPE {connections} gauge\n\
             {connections}{{upstream=\"a\",server=\"c\"}} 0.5\n\
             # HELP {errors} {}\n# TYPE {errors} counter\n\
             {errors}{{upstream=\"a\\\"b\",server=\"c\",reason=\"timeout\"}} 1152921504606846976\n",
            UPSTREAM_CONNECTIONS.help,
            UPSTREAM_ERRORS.help,
            connections = UPSTREAM_CONNECTIONS.name,
            errors = UPSTREAM_ERRORS.name,
        );
        assert_eq!(recorder.exposition().render(), expected);
    }

    /// Names that stand for another server each time leave nothing behind, and take nothing from
    /// those that stay.
    #[test]
    fn series_of_a_server_end_with_its_last_handle() {
        let recorder = Recorder::new();
        let server = |name: &str| {
            metrics::with_local_recorder(&recorder, || ServerMetrics::new("app", name))
        };
        let stays = server("stays:1");
        stays.connections.increment(2.0);
        let shown = || recorder.exposition().render();
        let alone = shown();
        for round in 0..1000 {
            let (one, other) = (server(&format!("{round}:1")), server(&format!("{round}:1")));
            drop(one);
            assert!(shown().contains(&format!("server=\"{round}:1\"")), "a worker has it still");
            drop(other);
        }
        assert_eq!(shown(), alone);
        drop(stays);
        assert_eq!(shown(), "");
        metrics::with_local_recorder(&recorder, || UPSTREAM_QUEUED.gauge(&["app"]).set(1.0));
        assert!(shown().contains("spliceway_upstream_queued{upstream=\"app\"} 1\n"), "no server");
    }
}
