//! What the proxy is to reach, as ratios within one run, and whether it did.

use serde_json::{Value, json};

use crate::kind::{BULK_THROUGHPUT, FAIRNESS_RATIO, Kind, ROUND_TRIP_PERCENTILES};
use crate::names::{AUTO, BARE_COPY, BARE_SPLICE, COPY, HAPROXY_SPLICE, SPLICE};
use crate::results::Results;

/// How a target is measured.
#[derive(Debug, Clone, Copy)]
enum Measure {
    /// A column of `who` as a multiple of that of the best of `to`.
    Ratio { who: &'static str, to: &'static [&'static str], column: usize },
    /// A column of `who` as it is.
    Value { who: &'static str, column: usize },
}

/// What is enough.
#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

struct Target {
    what: &'static str,
    measure: Measure,
    bound: Bound,
    /// The kinds of load that it speaks of.
    of: fn(Kind) -> bool,
}

/// A target beside what was measured.
pub struct Verdict {
    /// What is compared with what.
    pub what: &'static str,
    /// What is enough, in words.
    pub to_reach: String,
    /// The value under each kind of load that it speaks of.
    pub measured: Vec<(Kind, f64)>,
    /// The kinds under which it was missed.
    pub missed: Vec<Kind>,
}

const CPU: usize = 0;
const P99: usize = ROUND_TRIP_PERCENTILES[1];

const fn ratio(
    what: &'static str,
    who: &'static str,
    to: &'static [&'static str],
    column: usize,
    bound: Bound,
    of: fn(Kind) -> bool,
) -> Target {
    Target { what, measure: Measure::Ratio { who, to, column }, bound, of }
}

const fn value(
    what: &'static str,
    who: &'static str,
    column: usize,
    bound: Bound,
    of: fn(Kind) -> bool,
) -> Target {
    Target { what, measure: Measure::Value { who, column }, bound, of }
}

const NO_WORSE: Bound = Bound::AtMost(1.0);
/// "No worse" where the best of two is compared, whose noise always favours them.
const AS_GOOD: Bound = Bound::AtMost(1.05);

const TARGETS: [Target; 20] = [
    ratio("`splice`, CPU to bare splice", SPLICE, &[BARE_SPLICE], CPU, NO_WORSE, is_bulk),
    ratio("`auto`, CPU to bare splice", AUTO, &[BARE_SPLICE], CPU, Bound::AtMost(0.8), is_bulk),
    ratio("`auto`, CPU to HAProxy", AUTO, &[HAPROXY_SPLICE], CPU, Bound::AtMost(0.8), is_bulk),
    ratio(
        "`auto`, throughput to bare splice",
        AUTO,
        &[BARE_SPLICE],
        BULK_THROUGHPUT,
        Bound::AtLeast(1.1),
        is_bulk,
    ),
    ratio(
        "`auto`, throughput to HAProxy",
        AUTO,
        &[HAPROXY_SPLICE],
        BULK_THROUGHPUT,
        Bound::AtLeast(1.1),
        is_bulk,
    ),
    ratio("`copy`, CPU to bare copy", COPY, &[BARE_COPY], CPU, NO_WORSE, is_bulk),
    ratio("`copy`, CPU to bare copy", COPY, &[BARE_COPY], CPU, NO_WORSE, is_1_kib),
    ratio("`auto`, CPU to bare copy", AUTO, &[BARE_COPY], CPU, Bound::AtMost(1.1), is_1_kib),
    ratio("`auto`, CPU to `splice` or `copy`", AUTO, &[SPLICE, COPY], CPU, AS_GOOD, is_round_trip),
    ratio("`auto`, p99 to `splice` or `copy`", AUTO, &[SPLICE, COPY], P99, AS_GOOD, is_round_trip),
    ratio("`splice`, CPU to bare splice", SPLICE, &[BARE_SPLICE], CPU, NO_WORSE, is_new),
    ratio("`copy`, CPU to bare copy", COPY, &[BARE_COPY], CPU, NO_WORSE, is_new),
    ratio("`auto`, CPU to bare splice", AUTO, &[BARE_SPLICE], CPU, NO_WORSE, is_new),
    ratio("`auto`, CPU to bare copy", AUTO, &[BARE_COPY], CPU, NO_WORSE, is_new),
    value("`splice`, KiB resident", SPLICE, 0, Bound::AtMost(1.0), is_idle),
    value("`copy`, KiB resident", COPY, 0, Bound::AtMost(1.0), is_idle),
    value("`auto`, KiB resident", AUTO, 0, Bound::AtMost(1.0), is_idle),
    value("`splice`, p99 beside/alone", SPLICE, FAIRNESS_RATIO, Bound::AtMost(10.0), is_fairness),
    value("`copy`, p99 beside/alone", COPY, FAIRNESS_RATIO, Bound::AtMost(10.0), is_fairness),
    value("`auto`, p99 beside/alone", AUTO, FAIRNESS_RATIO, Bound::AtMost(10.0), is_fairness),
];

fn is_bulk(kind: Kind) -> bool {
    matches!(kind, Kind::Bulk { .. })
}

fn is_1_kib(kind: Kind) -> bool {
    matches!(kind, Kind::RoundTrips { bytes: 1024, .. })
}

fn is_round_trip(kind: Kind) -> bool {
    matches!(kind, Kind::RoundTrips { .. })
}

fn is_new(kind: Kind) -> bool {
    matches!(kind, Kind::Connections { .. })
}

fn is_idle(kind: Kind) -> bool {
    matches!(kind, Kind::Idle { .. })
}

fn is_fairness(kind: Kind) -> bool {
    matches!(kind, Kind::Fairness { .. })
}

/// Every target of which something was measured.
pub fn of(results: &Results) -> Vec<Verdict> {
    let kinds = results.kinds();
    let verdicts = TARGETS.iter().map(|target| {
        let spoken_of = kinds.iter().copied().filter(|kind| (target.of)(*kind));
        let measured: Vec<(Kind, f64)> = spoken_of
            .filter_map(|kind| Some((kind, target.measure.take(results, kind)?)))
            .collect();
        let missed = measured.iter().filter(|(_, value)| !target.bound.holds(*value));
        let missed = missed.map(|(kind, _)| *kind).collect();
        Verdict { what: target.what, to_reach: target.bound.in_words(), measured, missed }
    });
    verdicts.filter(|verdict| !verdict.measured.is_empty()).collect()
}

impl Measure {
    fn take(self, results: &Results, kind: Kind) -> Option<f64> {
        match self {
            Measure::Ratio { who, to, column } => {
                let others = to.iter().map(|to| results.ratio(kind, who, to, column));
                // Of all those it is compared with, the best: the largest ratio, as no column
                // where more is better is compared with several.
                let ratios: Option<Vec<f64>> = others.collect();
                ratios?.into_iter().reduce(f64::max)
            }
            Measure::Value { who, column } => results.median(kind, who, column),
        }
    }
}

impl Bound {
    /// Of the value as it is printed: what reads 1.00 is no worse than 1.
    fn holds(self, value: f64) -> bool {
        let printed = (value * 100.0).round() / 100.0;
        match self {
            Bound::AtMost(bound) => printed <= bound,
            Bound::AtLeast(bound) => printed >= bound,
        }
    }

    fn in_words(self) -> String {
        match self {
            Bound::AtMost(bound) => format!("at most {bound}"),
            Bound::AtLeast(bound) => format!("at least {bound}"),
        }
    }
}

impl Verdict {
    pub fn is_reached(&self) -> bool {
        self.missed.is_empty()
    }

    pub fn to_json(&self) -> Value {
        let measured: serde_json::Map<String, Value> =
            self.measured.iter().map(|(kind, value)| (kind.to_string(), json!(value))).collect();
        json!({
            "what": self.what,
            "to_reach": self.to_reach,
            "measured": measured,
            "reached": self.is_reached(),
        })
    }
}
