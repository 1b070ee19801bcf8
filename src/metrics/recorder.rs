//! Where the handles of all metrics come from, and what a scrape reads: the exporter for counters
//! and gauges, and histograms of our own.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, SetRecorderError, SharedString, Unit,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::histogram::{FixedHistogram, labels_text};
use super::{FAMILIES, Family};

/// Makes handles. Those that were made for the same series, by whichever worker, lead to the same
/// number.
#[derive(Debug)]
pub struct Recorder {
    numbers: PrometheusRecorder,
    histograms: Arc<Histograms>,
}

/// By family and labels. Locked to make a handle and to scrape, never to record.
#[derive(Debug, Default)]
struct Histograms(Mutex<BTreeMap<(&'static str, String), Arc<FixedHistogram>>>);

impl Histograms {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(&'static str, String), Arc<FixedHistogram>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let mut last = "";
        for ((name, labels), histogram) in &*self.lock() {
            if let Some(family) = histogram_family(name).filter(|_| last != *name) {
                writeln!(out, "# HELP {name} {}\n# TYPE {name} histogram", family.help)?;
                last = name;
            }
            histogram.write(name, labels, out)?;
        }
        Ok(())
    }
}

/// The family of that name, if it is a histogram.
fn histogram_family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.name == name && !family.bounds().is_empty())
}

impl Recorder {
    /// One without series that nobody uses yet.
    pub fn new() -> Recorder {
        let recorder = Recorder {
            numbers: PrometheusBuilder::new().build_recorder(),
            histograms: Arc::default(),
        };
        metrics::with_local_recorder(&recorder, || FAMILIES.iter().for_each(Family::describe));
        recorder
    }

    /// What scrapes it.
    pub fn exposition(&self) -> Exposition {
        let (numbers, histograms) = (self.numbers.handle(), Arc::clone(&self.histograms));
        Exposition { numbers, histograms }
    }
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder::new()
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.numbers.describe_counter(name, unit, help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.numbers.describe_gauge(name, unit, help);
    }

    /// The table of families has the help.
    fn describe_histogram(&self, _name: KeyName, _unit: Option<Unit>, _help: SharedString) {}

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.numbers.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.numbers.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        // A name that is not in the table has no buckets.
        let Some(family) = histogram_family(key.name()) else {
            return Histogram::noop();
        };
        let mut histograms = self.histograms.lock();
        let histogram = histograms
            .entry((family.name, labels_text(key)))
            .or_insert_with(|| Arc::new(FixedHistogram::new(family.bounds())));
        Histogram::from_arc(Arc::clone(histogram))
    }
}

/// Reads what a [`Recorder`] has.
#[derive(Debug, Clone)]
pub struct Exposition {
    numbers: PrometheusHandle,
    histograms: Arc<Histograms>,
}

impl Exposition {
    /// Everything as Prometheus text 0.0.4, families in no order.
    pub fn render(&self) -> String {
        let mut text = self.numbers.render();
        let written = self.histograms.write(&mut text);
        debug_assert!(written.is_ok(), "writing to memory does not fail");
        text
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
    use crate::metrics::{ServerMetrics, UPSTREAM_CONNECT_DURATION};

    #[test]
    fn handles_of_one_series_share_its_buckets() {
        let recorder = Recorder::new();
        let server =
            || metrics::with_local_recorder(&recorder, || ServerMetrics::new("app", "a:1"));
        server().connect_duration.record(0.0002);
        server().connect_duration.record_many(3.0, 2);
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
    fn a_histogram_that_no_family_knows_records_nothing() {
        let recorder = Recorder::new();
        metrics::with_local_recorder(&recorder, || metrics::histogram!("unknown").record(1.0));
        assert!(!recorder.exposition().render().contains("unknown"));
    }
}
