//! Chooses between values of a key by what each costs, size by size.

use std::fmt;

use super::Advice;
use crate::config::units::show_size;
use crate::measure::results::{CPU, Results};
use crate::measure::way::Case;
use crate::statistics::{Summary, rank_sum_probability};

/// Nothing is told apart by fewer rounds, whatever they say.
pub(super) const ROUNDS_MIN: usize = 5;

/// How probable it may be that any of the differences that a choice rests on is an accident.
const ERROR_MAX: f64 = 0.05;

/// How one cost compares with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Less,
    Close,
    More,
}

/// Where something was measured: the case, and the bytes of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) case: Case,
    pub(super) bytes: u64,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.case {
            Case::PacedSockets => f.write_str("bulk from a slower sender"),
            _ => f.write_str(&show_size(self.bytes)),
        }
    }
}

/// CPU seconds for each GiB, one for each round.
pub(super) type Costs = Vec<f64>;

/// A value that a key may have, and what it costs at each spot.
pub(super) struct Candidate {
    pub(super) value: String,
    costs: Vec<(Spot, Costs)>,
    /// Why it does not stand for its value anywhere, if that is so.
    missing: Option<String>,
}

impl Candidate {
    /// What `value` costs: at each spot, the way with that key.
    pub(super) fn of(results: &Results, value: &str, spots: &[(Spot, &str)]) -> Candidate {
        let costs =
            spots.iter().filter_map(|(spot, key)| Some((*spot, costs(results, *spot, key)?)));
        let missing = spots.iter().find_map(|(spot, key)| {
            let row = results.row(spot.case, key, spot.bytes)?;
            let short = row.remark.as_deref().filter(|_| row.falls_short);
            row.missing().or(short).map(str::to_owned)
        });
        let costs: Vec<(Spot, Costs)> = costs.collect();
        let missing = missing.filter(|_| costs.is_empty());
        Candidate { value: value.to_owned(), costs, missing }
    }

    /// The spots at which it compares so with `other`.
    pub(super) fn spots(
        &self,
        other: &Candidate,
        comparisons: usize,
        wanted: Verdict,
    ) -> Vec<Spot> {
        let compared = self.costs.iter().filter_map(|(spot, cost)| {
            let (_, with) = other.costs.iter().find(|it| it.0 == *spot)?;
            (compare(cost, with, comparisons) == wanted).then_some(*spot)
        });
        compared.collect()
    }

    /// Cheaper somewhere, and nowhere dearer, for certain.
    fn beats(&self, other: &Candidate, comparisons: usize) -> bool {
        !self.spots(other, comparisons, Verdict::Less).is_empty()
            && self.spots(other, comparisons, Verdict::More).is_empty()
    }

    /// How many spots it shares with others.
    pub(super) fn comparisons(&self, others: usize) -> usize {
        (self.costs.len() * others).max(1)
    }
}

/// What a way costs at a spot; `None` where it was not measured, or the kernel gave less than its
/// name says.
pub(super) fn costs(results: &Results, spot: Spot, key: &str) -> Option<Costs> {
    let row = results.row(spot.case, key, spot.bytes)?;
    let costs: Costs = row.rounds().iter().map(CPU.1).collect();
    (!costs.is_empty() && !row.falls_short).then_some(costs)
}

/// By the rank-sum test, for one of so many comparisons (Bonferroni): all of them together are
/// right in 95 of 100 runs.
pub(super) fn compare(one: &[f64], other: &[f64], comparisons: usize) -> Verdict {
    let is_enough = one.len().min(other.len()) >= ROUNDS_MIN;
    let error = rank_sum_probability(one, other) * comparisons as f64;
    match (Summary::of(one), Summary::of(other)) {
        (Some(one), Some(other)) if is_enough && error <= ERROR_MAX => {
            if one.median < other.median { Verdict::Less } else { Verdict::More }
        }
        _ => Verdict::Close,
    }
}

/// The default, which comes first, unless another one is cheaper for certain at some spot and
/// dearer at none; of several such, the cheapest over all spots.
pub(super) fn choose(key: &'static str, candidates: Vec<Candidate>, over: &str) -> Option<Advice> {
    let default = candidates.first()?.value.clone();
    let (measured, missing): (Vec<Candidate>, Vec<Candidate>) =
        candidates.into_iter().partition(|it| !it.costs.is_empty());
    let first = measured.first()?;
    let comparisons = first.comparisons(measured.len() - 1);
    let better = measured.iter().filter(|it| it.beats(first, comparisons));
    let chosen =
        better.min_by(|a, b| score(a, &measured).total_cmp(&score(b, &measured))).unwrap_or(first);
    let others = || measured.iter().filter(|it| it.value != chosen.value);
    let told = |other: &Candidate, wanted: Verdict| {
        let spots = chosen.spots(other, comparisons, wanted);
        (!spots.is_empty()).then(|| format!("{} ({})", other.value, show_all(&spots)))
    };
    let cheaper_than: Vec<String> = others().filter_map(|it| told(it, Verdict::Less)).collect();
    let dearer_than: Vec<String> = others().filter_map(|it| told(it, Verdict::More)).collect();
    let mut parts = Vec::new();
    if !cheaper_than.is_empty() {
        parts.push(format!("takes less CPU {over} than {}", cheaper_than.join(", ")));
    } else if measured.len() == 1 {
        parts.push("nothing else could be measured".to_owned());
    } else if chosen.value == default {
        parts.push("nothing is better for certain, and this is the default".to_owned());
    } else {
        parts.push("nothing else that is to be had is better for certain".to_owned());
    }
    if !dearer_than.is_empty() {
        parts.push(format!("but more than {}", dearer_than.join(", ")));
    }
    for other in missing {
        let Some(because) = other.missing else { continue };
        parts.push(format!("{} is not to be had: {because}", other.value));
    }
    let is_close = |other: &&Candidate| {
        chosen.spots(other, comparisons, Verdict::Less).is_empty()
            && chosen.spots(other, comparisons, Verdict::More).is_empty()
    };
    let close = others().filter(is_close).map(|it| it.value.clone()).collect();
    Some(Advice { key, value: chosen.value.clone(), because: parts.join("; "), close })
}

/// The geometric mean of what the candidate costs to what the cheapest one costs at each spot.
fn score(candidate: &Candidate, all: &[Candidate]) -> f64 {
    let median = |costs: &Costs| Summary::of(costs).map(|it| it.median.max(f64::MIN_POSITIVE));
    let logarithms: Vec<f64> = candidate
        .costs
        .iter()
        .filter_map(|(spot, cost)| {
            let at_spot = all.iter().flat_map(|it| it.costs.iter().filter(|it| it.0 == *spot));
            let cheapest = at_spot.filter_map(|it| median(&it.1)).reduce(f64::min)?;
            Some((median(cost)? / cheapest).ln())
        })
        .collect();
    logarithms.iter().sum::<f64>() / logarithms.len().max(1) as f64
}

/// With commas between.
pub(super) fn show_all(spots: &[Spot]) -> String {
    spots.iter().map(Spot::to_string).collect::<Vec<String>>().join(", ")
}
