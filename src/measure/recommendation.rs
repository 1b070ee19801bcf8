//! What to write into a configuration, and why; and where two are too close to call.
//!
//! What counts is CPU time for each GiB: a proxy that spends less of it carries more. One way is
//! better than another at a size when the rounds of both lie so far apart that chance alone would
//! hardly have them so (the rank-sum test, with all comparisons of a key taken together). Anything
//! else is too close to call. The default stays unless another value is better somewhere, and
//! worse nowhere.

mod choice;

use std::fmt::Write as _;

use crate::config::units::show_size;
use crate::measure::results::{Outcome, Results};
use crate::measure::way::{Case, LOW_WATER, PACED_BYTES};
use crate::relay::choice::{BULK_READ_BYTES_MIN, DECISIVE_READ_BYTES_MIN};
use choice::{Candidate, ROUNDS_MIN, Spot, Verdict, choose, compare, costs, show_all};

/// `files.transfer`: as written in the config, and the way that it stands for. The first is the
/// default.
const TRANSFERS: [(&str, &str); 4] = [
    ("sendfile", "sendfile"),
    ("splice", "splice"),
    ("mmap", "mmap_write"),
    ("copy", "read_write"),
];

/// A pipe: as written in the config, and the ways that it stands for.
struct PipeWays {
    value: &'static str,
    plain: &'static str,
    coalesced: &'static str,
}

/// `relay.pipe_size`, likewise.
const PIPES: [PipeWays; 3] = [
    PipeWays { value: "1MiB", plain: "splice_1m", coalesced: "splice_1m_coalesced" },
    PipeWays { value: "256KiB", plain: "splice_256k", coalesced: "splice_256k_coalesced" },
    PipeWays { value: "64KiB", plain: "splice_64k", coalesced: "splice_64k_coalesced" },
];

/// Where coalescing has something to do: the sender is slower than the proxy.
const PACED: Spot = Spot { case: Case::PacedSockets, bytes: PACED_BYTES };

/// What the proxy does unless told otherwise: key and value.
pub const DEFAULTS: [(&str, &str); 4] = [
    ("relay.mode", "auto"),
    ("relay.pipe_size", PIPES[0].value),
    ("relay.low_water", "512KiB"),
    ("files.transfer", TRANSFERS[0].0),
];

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
    let size = judge.pipe_size();
    let pipe = PIPES.iter().find(|it| size.as_ref().is_some_and(|size| size.value == it.value));
    let pipe = pipe.unwrap_or(&PIPES[0]);
    let advice = [judge.mode(pipe), size, judge.low_water(pipe), judge.transfer()];
    recommendation.advice.extend(advice.into_iter().flatten());
    recommendation.remarks = judge.remarks(pipe, &recommendation.advice);
    recommendation
}

struct Judge<'a> {
    results: &'a Results,
}

impl Judge<'_> {
    /// The sizes of a case that were asked for, each with the key of a way.
    fn spots<'k>(&self, case: Case, key: &'k str, bytes_min: u64) -> Vec<(Spot, &'k str)> {
        let sizes = self.results.sizes(case).into_iter().filter(|bytes| *bytes >= bytes_min);
        sizes.map(|bytes| (Spot { case, bytes }, key)).collect()
    }

    /// From a file in the page cache, at all sizes.
    fn of_files(&self, value: &str, key: &str) -> Candidate {
        Candidate::of(self.results, value, &self.spots(Case::FileCached, key, 0))
    }

    /// `relay.mode`: splice with the recommended pipe against copying, size by size.
    fn mode(&self, pipe: &PipeWays) -> Option<Advice> {
        let advice = |value: &str, because: String, close: &[&str]| {
            let close = close.iter().map(|it| (*it).to_owned()).collect();
            Some(Advice { key: "relay.mode", value: value.to_owned(), because, close })
        };
        if let Some(because) = self.splice_missing() {
            return advice("copy", format!("splice is not to be had: {because}"), &[]);
        }
        let verdicts = self.splice_against_copy(pipe);
        let of = |wanted: Verdict| -> Vec<Spot> {
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
                Outcome::Measured(_) | Outcome::NoTime => Some(None),
            }
        });
        let first = reasons.next()??;
        reasons.all(|it| it.is_some()).then_some(first)
    }

    /// At each size, the pipe against the buffer of the proxy. Where messages are so small that a
    /// large pipe is no different, the next smaller one stands for it.
    fn splice_against_copy(&self, pipe: &PipeWays) -> Vec<(Spot, Verdict)> {
        let not_larger = PIPES.iter().skip_while(|it| it.value != pipe.value);
        let keys: Vec<&str> = not_larger.map(|it| it.plain).collect();
        let spots = self.spots(Case::Sockets, COPY, 0);
        let compared = spots.iter().filter_map(|(spot, copy)| {
            let key =
                keys.iter().find(|key| self.results.row(spot.case, key, spot.bytes).is_some())?;
            let [splice, copy] =
                [costs(self.results, *spot, key)?, costs(self.results, *spot, copy)?];
            Some((*spot, compare(&splice, &copy, spots.len())))
        });
        compared.collect()
    }

    /// `relay.pipe_size`: in bulk, where a pipe can be full. From a slower sender with coalescing,
    /// as the default has it.
    fn pipe_size(&self) -> Option<Advice> {
        let candidates = PIPES.iter().map(|pipe| {
            let mut spots = self.spots(Case::Sockets, pipe.plain, BULK_BYTES_MIN);
            spots.push((PACED, pipe.coalesced));
            Candidate::of(self.results, pipe.value, &spots)
        });
        choose("relay.pipe_size", candidates.collect(), "in bulk")
    }

    /// `relay.low_water`: with the recommended pipe, from a slower sender.
    fn low_water(&self, pipe: &PipeWays) -> Option<Advice> {
        let mark = show_size(u64::from(LOW_WATER));
        let on = Candidate::of(self.results, &mark, &[(PACED, pipe.coalesced)]);
        let off = Candidate::of(self.results, "off", &[(PACED, pipe.plain)]);
        choose("relay.low_water", vec![on, off], "with that pipe")
    }

    /// `files.transfer`: over all sizes, with the file in the page cache, where a file that is
    /// asked for often is.
    fn transfer(&self) -> Option<Advice> {
        let candidates = TRANSFERS.map(|(value, key)| self.of_files(value, key));
        choose("files.transfer", candidates.into(), "from the page cache")
    }

    fn remarks(&self, pipe: &PipeWays, advice: &[Advice]) -> Vec<String> {
        let mut remarks = Vec::new();
        let rounds = self.results.setting.rounds;
        if rounds < ROUNDS_MIN {
            remarks.push(format!(
                "{rounds} rounds tell nothing apart, so everything is too close to call; \
                 {ROUNDS_MIN} are the least, and --time makes room for more."
            ));
        }
        remarks.extend(self.crossover(pipe, advice));
        remarks.extend(self.beaten_by_others(advice));
        remarks
    }

    /// Where splice begins to win, beside the size at which `auto` turns to it. Only where there is
    /// such a size: above it splice wins for certain, below it nowhere.
    fn crossover(&self, pipe: &PipeWays, advice: &[Advice]) -> Option<String> {
        advice.iter().find(|it| it.key == "relay.mode" && it.value == "auto")?;
        let verdicts = self.splice_against_copy(pipe);
        let first = verdicts.iter().position(|it| it.1 == Verdict::Less)?;
        if verdicts[first..].iter().any(|it| it.1 != Verdict::Less) {
            return None;
        }
        let show = |bytes: usize| show_size(bytes as u64);
        Some(format!(
            "Splice wins for certain from messages of {} on; relay.mode = \"auto\" turns to it at \
             reads of {} in a row, or one of {}.",
            verdicts[first].0,
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
        let ours = self.of_files(&chosen.value, key);
        let others = [
            ("direct", "O_DIRECT"),
            ("io_uring", "io_uring with send"),
            ("io_uring_zero_copy", "io_uring with send_zc"),
        ];
        let comparisons = ours.comparisons(others.len());
        let better = others.into_iter().filter_map(|(key, name)| {
            let spots = ours.spots(&self.of_files(name, key), comparisons, Verdict::More);
            (!spots.is_empty()).then(|| {
                format!(
                    "{name} takes less CPU than {} at {}; the proxy does not have it.",
                    chosen.value,
                    show_all(&spots)
                )
            })
        });
        better.collect()
    }
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
            text.push_str(
                "# Bare loops were compared; the proxy sends in windows, and looks before each \
                 whether\n# it is in memory. It belongs into each route that serves files:\n",
            );
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
