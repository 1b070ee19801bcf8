//! What to write into a configuration, and why; and where two are too close to call.
//!
//! What counts is CPU time for each GiB: a proxy that spends less of it carries more. One way beats
//! another at a size when a round of it is cheaper than one of the other in at least nine of ten
//! pairs of rounds. So ranges that overlap decide nothing, but for a single round that something
//! else on the machine has made dear. Anything less is too close to call there, and what is the
//! default anyway stays.

use std::fmt::Write as _;

use crate::config::units::show_size;
use crate::measure::results::{CPU, Outcome, Results};
use crate::measure::way::{Case, LOW_WATER, SOCKET_WAYS};
use crate::relay::choice::{BULK_READ_BYTES_MIN, DECISIVE_READ_BYTES_MIN};
use crate::statistics::{Summary, share_smaller};

/// One way beats another where it is the cheaper one in this share of all pairs of rounds. With
/// five rounds of each, chance alone does that to two of the same once in thirty times.
const BEATS: f64 = 0.9;

/// What the proxy does unless told otherwise.
const DEFAULTS: [(&str, &str); 4] = [
    ("relay.mode", "auto"),
    ("relay.pipe_size", PIPE_SIZES[0].0),
    ("relay.low_water", "512KiB"),
    ("files.transfer", TRANSFERS[0].0),
];

/// `files.transfer`: as written in the config, and the way that it stands for. The first is the
/// default.
const TRANSFERS: [(&str, &str); 4] = [
    ("sendfile", "sendfile"),
    ("splice", "splice"),
    ("mmap", "mmap_write"),
    ("copy", "read_write"),
];

/// `relay.pipe_size`, likewise.
const PIPE_SIZES: [(&str, &str); 3] =
    [("1MiB", "splice_1m"), ("256KiB", "splice_256k"), ("64KiB", "splice_64k")];

/// The pipes that were tried with a low-water mark: plain and coalesced.
const COALESCED: [(&str, &str); 2] =
    [("splice_1m", "splice_1m_coalesced"), ("splice_256k", "splice_256k_coalesced")];

/// How the proxy copies: through a buffer of 64 KiB.
const COPY: &str = "read_write_64k";

/// Sizes from here on are bulk: a pipe can be full.
const BULK_BYTES_MIN: u64 = 1 << 20;

/// One value of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The key, such as `relay.mode`.
    pub key: &'static str,
    /// The value, as written in TOML but for the quotes.
    pub value: String,
    /// What the figures say.
    pub because: String,
    /// Values that are too close to this one to tell which is better.
    pub close: Vec<String>,
}

/// All that the figures say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recommendation {
    /// A value for each key of which enough was measured.
    pub advice: Vec<Advice>,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
}

/// What follows from the results.
pub fn recommend(results: &Results) -> Recommendation {
    let mut recommendation = Recommendation::default();
    let judge = Judge { results };
    let pipe = judge.pipe_size();
    let advice = [judge.mode(), pipe.clone(), judge.low_water(pipe.as_ref()), judge.transfer()];
    recommendation.advice.extend(advice.into_iter().flatten());
    recommendation.remarks = judge.remarks(&recommendation.advice);
    recommendation
}

/// How one cost compares with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Less,
    Close,
    More,
}

/// A value that a key may have, and what it costs at each size.
struct Candidate {
    value: String,
    costs: Vec<(u64, Cost)>,
}

/// CPU seconds for each GiB.
struct Cost {
    summary: Summary,
    rounds: Vec<f64>,
}

struct Judge<'a> {
    results: &'a Results,
}

impl Judge<'_> {
    fn compare(&self, one: &Cost, other: &Cost) -> Verdict {
        // A single round has no range.
        if self.results.setting.rounds < 2 {
            return Verdict::Close;
        }
        if share_smaller(&one.rounds, &other.rounds) >= BEATS {
            Verdict::Less
        } else if share_smaller(&other.rounds, &one.rounds) >= BEATS {
            Verdict::More
        } else {
            Verdict::Close
        }
    }

    fn cost(&self, case: Case, key: &str, bytes: u64) -> Option<Cost> {
        let row = self.results.row(case, key, bytes)?;
        Some(Cost { summary: row.summary(CPU)?, rounds: row.rounds(CPU) })
    }

    fn candidate(&self, case: Case, value: &str, key: &str, bytes_min: u64) -> Candidate {
        let sizes = self.results.sizes(case).into_iter().filter(|bytes| *bytes >= bytes_min);
        let costs = sizes.filter_map(|bytes| Some((bytes, self.cost(case, key, bytes)?)));
        Candidate { value: value.to_owned(), costs: costs.collect() }
    }

    /// `relay.mode`: splice against copying, size by size.
    fn mode(&self) -> Option<Advice> {
        let advice = |value: &str, because: String, close: &[&str]| {
            let close = close.iter().map(|it| (*it).to_owned()).collect();
            Some(Advice { key: "relay.mode", value: value.to_owned(), because, close })
        };
        if let Some(because) = self.splice_missing() {
            return advice("copy", format!("splice is not to be had: {because}"), &[]);
        }
        let verdicts = self.splice_against_copy();
        let of = |wanted: Verdict| -> Vec<u64> {
            verdicts.iter().filter(|it| it.1 == wanted).map(|it| it.0).collect()
        };
        let (less, close, more) = (of(Verdict::Less), of(Verdict::Close), of(Verdict::More));
        match (less.is_empty(), close.is_empty(), more.is_empty()) {
            (true, true, true) => None,
            (false, true, true) => {
                advice("splice", "splice takes less CPU at every size".to_owned(), &[])
            }
            (true, true, false) => {
                advice("copy", "copying takes less CPU at every size".to_owned(), &[])
            }
            (true, false, true) => advice(
                "auto",
                "splice and copying are too close to call at every size".to_owned(),
                &["splice", "copy"],
            ),
            _ => {
                let parts = [
                    ("splice takes less CPU", &less),
                    ("copying takes less CPU", &more),
                    ("it is too close to call", &close),
                ];
                let parts = parts.into_iter().filter(|(_, sizes)| !sizes.is_empty());
                let parts = parts.map(|(what, sizes)| format!("{what} at {}", show_all(sizes)));
                // What has won somewhere, and lost nowhere, may be as good as the mixture.
                let rivals: &[&str] = match (less.is_empty(), more.is_empty()) {
                    (false, true) => &["splice"],
                    (true, false) => &["copy"],
                    _ => &[],
                };
                advice("auto", parts.collect::<Vec<String>>().join("; "), rivals)
            }
        }
    }

    fn splice_missing(&self) -> Option<String> {
        let mut reasons = self.results.of(Case::Sockets).filter_map(|row| {
            if !row.way.key.starts_with("splice") {
                return None;
            }
            match &row.outcome {
                Outcome::Missing(because) => Some(Some(because.clone())),
                Outcome::Measured(_) => Some(None),
            }
        });
        let first = reasons.next()??;
        reasons.all(|it| it.is_some()).then_some(first)
    }

    /// At each size, the pipe that costs the least there against the buffer of the proxy.
    fn splice_against_copy(&self) -> Vec<(u64, Verdict)> {
        let cost = |key: &str, bytes| self.cost(Case::Sockets, key, bytes);
        let compared = self.results.sizes(Case::Sockets).into_iter().filter_map(|bytes| {
            let copy = cost(COPY, bytes)?;
            let keys = SOCKET_WAYS.iter().map(|way| way.key);
            let pipes = keys.filter(|key| key.starts_with("splice"));
            let pipes = pipes.filter_map(|key| cost(key, bytes));
            let splice = pipes.min_by(|a, b| a.summary.median.total_cmp(&b.summary.median))?;
            Some((bytes, self.compare(&splice, &copy)))
        });
        compared.collect()
    }

    /// `relay.pipe_size`: in bulk, where a pipe can be full.
    fn pipe_size(&self) -> Option<Advice> {
        let candidates = PIPE_SIZES
            .map(|(value, key)| self.candidate(Case::Sockets, value, key, BULK_BYTES_MIN));
        self.choose("relay.pipe_size", candidates.into(), "in bulk")
    }

    /// `relay.low_water`: with the recommended pipe, if that was tried.
    fn low_water(&self, pipe: Option<&Advice>) -> Option<Advice> {
        let key = pipe.and_then(|pipe| PIPE_SIZES.iter().find(|it| it.0 == pipe.value))?.1;
        let (plain, coalesced) =
            COALESCED.into_iter().find(|(plain, _)| *plain == key).unwrap_or(COALESCED[1]);
        let mark = show_size(u64::from(LOW_WATER));
        let on = self.candidate(Case::Sockets, &mark, coalesced, BULK_BYTES_MIN);
        let off = self.candidate(Case::Sockets, "off", plain, BULK_BYTES_MIN);
        self.choose("relay.low_water", vec![on, off], "in bulk")
    }

    /// `files.transfer`: over all sizes, with the file in the page cache, where a file that is
    /// asked for often is.
    fn transfer(&self) -> Option<Advice> {
        let candidates =
            TRANSFERS.map(|(value, key)| self.candidate(Case::FileCached, value, key, 0));
        self.choose("files.transfer", candidates.into(), "over all sizes (file in the page cache)")
    }

    /// The candidate that costs the least: by the geometric mean, over the sizes, of its cost to
    /// that of the cheapest there. The first is the default, and is kept where the best is no
    /// better for certain.
    fn choose(&self, key: &'static str, candidates: Vec<Candidate>, over: &str) -> Option<Advice> {
        let measured: Vec<Candidate> =
            candidates.into_iter().filter(|it| !it.costs.is_empty()).collect();
        let score = |candidate: &Candidate| score(candidate, &measured);
        let best = measured.iter().min_by(|a, b| score(a).total_cmp(&score(b)))?;
        let default = measured.first()?;
        let chosen = if self.is_close(best, default) { default } else { best };
        let others = measured.iter().filter(|it| it.value != chosen.value);
        let (close, apart): (Vec<&Candidate>, Vec<&Candidate>) =
            others.partition(|it| self.is_close(chosen, it));
        let mut because = match apart.as_slice() {
            [] if close.is_empty() => "nothing else could be measured".to_owned(),
            [] => "nothing is better for certain, and this is the default".to_owned(),
            apart => {
                let than: Vec<&str> = apart.iter().map(|it| it.value.as_str()).collect();
                format!("takes less CPU than {} {over}", than.join(", "))
            }
        };
        for other in &apart {
            let dearer: Vec<u64> = self.sizes(chosen, other, Verdict::More);
            if !dearer.is_empty() {
                let at = show_all(&dearer);
                // Writing to a String cannot fail.
                let _written = write!(because, "; but {} takes less at {at}", other.value);
            }
        }
        let close = close.iter().map(|it| it.value.clone()).collect();
        Some(Advice { key, value: chosen.value.clone(), because, close })
    }

    /// Whether neither is cheaper for certain at any size.
    fn is_close(&self, one: &Candidate, other: &Candidate) -> bool {
        let is_decided = |verdict: Verdict| !self.sizes(one, other, verdict).is_empty();
        !is_decided(Verdict::Less) && !is_decided(Verdict::More)
    }

    /// The sizes at which `one` compares so with `other`.
    fn sizes(&self, one: &Candidate, other: &Candidate, wanted: Verdict) -> Vec<u64> {
        let compared = one.costs.iter().filter_map(|(bytes, cost)| {
            let (_, with) = other.costs.iter().find(|it| it.0 == *bytes)?;
            (self.compare(cost, with) == wanted).then_some(*bytes)
        });
        compared.collect()
    }

    fn remarks(&self, advice: &[Advice]) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.results.setting.rounds < 2 {
            remarks.push("One round has no ranges, so everything is too close to call.".to_owned());
        }
        remarks.extend(self.crossover(advice));
        remarks.extend(self.beaten_by_others(advice));
        remarks
    }

    /// Where splice begins to win, beside the size at which `auto` turns to it.
    fn crossover(&self, advice: &[Advice]) -> Option<String> {
        advice.iter().find(|it| it.key == "relay.mode" && it.value == "auto")?;
        let verdicts = self.splice_against_copy();
        let wins = verdicts.iter().rev().take_while(|it| it.1 == Verdict::Less);
        let first = wins.last()?.0;
        let show = |bytes: usize| show_size(bytes as u64);
        Some(format!(
            "Splice wins for certain from {} on; relay.mode = \"auto\" turns to it at reads of {} \
             in a row, or one of {}.",
            show_size(first),
            show(BULK_READ_BYTES_MIN),
            show(DECISIVE_READ_BYTES_MIN)
        ))
    }

    /// Ways that the proxy does not have, and that were better than the one recommended.
    fn beaten_by_others(&self, advice: &[Advice]) -> Vec<String> {
        let Some(chosen) = advice.iter().find(|it| it.key == "files.transfer") else {
            return Vec::new();
        };
        let key = TRANSFERS.iter().find(|it| it.0 == chosen.value).map_or("", |it| it.1);
        let ours = self.candidate(Case::FileCached, &chosen.value, key, 0);
        let others = [
            ("direct", "O_DIRECT"),
            ("io_uring", "io_uring with send"),
            ("io_uring_zero_copy", "io_uring with send_zc"),
        ];
        let better = others.into_iter().filter_map(|(key, name)| {
            let other = self.candidate(Case::FileCached, name, key, 0);
            let sizes = self.sizes(&ours, &other, Verdict::More);
            (!sizes.is_empty()).then(|| {
                let at = show_all(&sizes);
                format!(
                    "{name} takes less CPU than {} at {at}; the proxy does not have it.",
                    chosen.value
                )
            })
        });
        better.collect()
    }
}

/// The geometric mean of what the candidate costs to what the cheapest one costs at each size.
fn score(candidate: &Candidate, all: &[Candidate]) -> f64 {
    let logarithms: Vec<f64> = candidate
        .costs
        .iter()
        .filter_map(|(bytes, cost)| {
            let at_size = all.iter().flat_map(|it| it.costs.iter().filter(|it| it.0 == *bytes));
            let cheapest = at_size.map(|it| it.1.summary.median).reduce(f64::min)?;
            // A cost too small for the clock counts as one of a nanosecond.
            Some((cost.summary.median.max(1e-9) / cheapest.max(1e-9)).ln())
        })
        .collect();
    (logarithms.iter().sum::<f64>() / logarithms.len().max(1) as f64).exp()
}

fn show_all(sizes: &[u64]) -> String {
    sizes.iter().map(|bytes| show_size(*bytes)).collect::<Vec<String>>().join(", ")
}

impl Recommendation {
    /// As a configuration, with the reasons as comments. It passes `spliceway check` beside a file
    /// with listeners.
    pub fn as_toml(&self, results: &Results) -> String {
        let setting = &results.setting;
        let mut text = format!(
            "# Recommended by `spliceway measure` on Linux {}, {}, {} CPUs.\n\
             # Beside a file of your own: spliceway run --config FILE --config THIS\n",
            setting.kernel, setting.cpu, setting.cpus
        );
        let relay = self.advice.iter().filter_map(|it| Some((it.key.strip_prefix("relay.")?, it)));
        for (index, (key, advice)) in relay.enumerate() {
            text.push_str(if index == 0 { "\n[relay]\n" } else { "" });
            comment(&mut text, advice);
            // Writing to a String cannot fail.
            let _written = writeln!(text, "{key} = \"{}\"", advice.value);
        }
        for advice in self.advice.iter().filter(|it| it.key == "files.transfer") {
            text.push('\n');
            comment(&mut text, advice);
            text.push_str("# It belongs into each route that serves files:\n");
            let _written =
                writeln!(text, "# files = {{ root = \"...\", transfer = \"{}\" }}", advice.value);
        }
        text
    }

    /// What to do, in one sentence: which values are not the defaults.
    pub fn sentence(&self) -> String {
        if self.advice.is_empty() {
            return "In short: too little could be measured to recommend anything.".to_owned();
        }
        let (defaults, others): (Vec<&Advice>, Vec<&Advice>) =
            self.advice.iter().partition(|it| DEFAULTS.contains(&(it.key, it.value.as_str())));
        let show = |advice: &[&Advice]| {
            let values = advice.iter().map(|it| format!("{} = \"{}\"", it.key, it.value));
            values.collect::<Vec<String>>().join(", ")
        };
        match (defaults.as_slice(), others.as_slice()) {
            (defaults, []) => format!("In short: keep the defaults, {}.", show(defaults)),
            ([], others) => format!("In short: set {}.", show(others)),
            (defaults, others) => {
                format!("In short: set {}; keep the defaults {}.", show(others), show(defaults))
            }
        }
    }
}

fn comment(text: &mut String, advice: &Advice) {
    // Writing to a String cannot fail.
    let _written = writeln!(text, "# {}: {}.", advice.value, advice.because);
    if !advice.close.is_empty() {
        let _written = writeln!(text, "# Too close to call: {}.", advice.close.join(", "));
    }
}

#[cfg(test)]
mod tests;
