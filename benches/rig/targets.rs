//! What the proxy is to reach, and whether it did.

use serde_json::{Value, json};

use super::kind::Kind;
use super::results::Results;

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
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// A target, of a benchmark with the kinds of load `K`.
#[derive(Debug)]
pub struct Target<K: 'static> {
    what: &'static str,
    measure: Measure,
    bound: Bound,
    /// The kinds of load that it speaks of.
    of: fn(K) -> bool,
}

/// A target beside what was measured.
pub struct Verdict<K> {
    /// What is compared with what.
    pub what: &'static str,
    /// What is enough, in words.
    pub to_reach: String,
    /// The value under each kind of load that it speaks of.
    pub measured: Vec<(K, f64)>,
    /// The kinds under which it was missed.
    pub missed: Vec<K>,
}

/// A column of `who`, to be a multiple of that of the best of `to`.
pub const fn ratio<K>(
    what: &'static str,
    who: &'static str,
    to: &'static [&'static str],
    column: usize,
    bound: Bound,
    of: fn(K) -> bool,
) -> Target<K> {
    Target { what, measure: Measure::Ratio { who, to, column }, bound, of }
}

/// A column of `who`.
pub const fn value<K>(
    what: &'static str,
    who: &'static str,
    column: usize,
    bound: Bound,
    of: fn(K) -> bool,
) -> Target<K> {
    Target { what, measure: Measure::Value { who, column }, bound, of }
}

/// Every target of which something was measured.
pub fn judge<K: Kind>(results: &Results<K>) -> Vec<Verdict<K>> {
    let kinds = results.kinds();
    let verdicts = results.marks.targets.iter().map(|target| {
        let spoken_of = kinds.iter().copied().filter(|kind| (target.of)(*kind));
        let measured: Vec<(K, f64)> = spoken_of
            .filter_map(|kind| Some((kind, target.measure.take(results, kind)?)))
            .collect();
        let missed = measured.iter().filter(|(_, value)| !target.bound.holds(*value));
        let missed = missed.map(|(kind, _)| *kind).collect();
        Verdict { what: target.what, to_reach: target.bound.in_words(), measured, missed }
    });
    verdicts.filter(|verdict| !verdict.measured.is_empty()).collect()
}

impl Measure {
    fn take<K: Kind>(self, results: &Results<K>, kind: K) -> Option<f64> {
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

impl<K: Kind> Verdict<K> {
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
