//! Which samples are taken, in which order, and for how long.

use std::time::{Duration, Instant};

use crate::measure::results::{Outcome, Row};
use crate::measure::sample::{Bench, Load, Sample};
use crate::measure::way::{Case, PACED_BYTES, ways};

const GIB: f64 = (1 << 30) as f64;

/// How long samples are, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds at most.
    pub rounds: usize,
    /// All of it takes no longer than this, but for the sample that is being taken then.
    pub time: Duration,
    /// How long a sample lasts; `None` for what fits into the time.
    pub window: Option<Duration>,
}

/// What takes note of how far it is.
pub trait Progress {
    /// So many samples are to be taken.
    fn begin(&mut self, samples: usize);
    /// One more is taken next: what is measured.
    fn next(&mut self, round: usize, row: &Row);
    /// It is over: taken, or left out.
    fn over(&mut self);
}

/// A row for each way of each case at each size.
pub fn plan(sizes: &[u64]) -> Vec<Row> {
    let mut rows = Vec::new();
    for case in Case::ALL {
        let sizes = if case == Case::PacedSockets { &[PACED_BYTES] } else { sizes };
        for &bytes in sizes {
            let worthwhile =
                ways(case).iter().filter(|way| way.method.is_worth_trying(case, bytes));
            rows.extend(worthwhile.map(|way| Row {
                case,
                way,
                bytes,
                outcome: Outcome::Measured(Vec::new()),
                remark: None,
                falls_short: false,
            }));
        }
    }
    rows
}

/// Takes samples for the rows until `deadline`, round after round: each round measures every row
/// once, so that a machine that gets slower or faster on the way treats all alike. Every other round
/// goes backwards, so that no row always comes after the same one. A sample that would not be over
/// in time is left out. Says how many rounds it were.
pub fn run(
    bench: &Bench,
    rounds: usize,
    deadline: Instant,
    rows: &mut [Row],
    progress: &mut dyn Progress,
) -> usize {
    let mut taken: Vec<Option<Duration>> = vec![None; rows.len()];
    progress.begin(rounds * rows.len());
    for round in 0..rounds {
        for index in order(round, rows.len()) {
            progress.next(round + 1, &rows[index]);
            let began = Instant::now();
            if began + expected(rows, &taken, index) < deadline {
                measure(&mut rows[index], |load| bench.take(load));
                taken[index] = Some(began.elapsed());
            }
            progress.over();
        }
    }
    for row in rows.iter_mut() {
        if row.outcome == Outcome::Measured(Vec::new()) {
            row.outcome = Outcome::NoTime;
        }
    }
    rows.iter().map(|row| row.rounds().len()).max().unwrap_or(0)
}

/// Forwards and backwards in turn.
fn order(round: usize, rows: usize) -> impl Iterator<Item = usize> {
    (0..rows).map(move |index| if round.is_multiple_of(2) { index } else { rows - 1 - index })
}

/// How long a sample of a row takes: as long as the last one. A row that has had none takes as
/// long as the same way at the next smaller size, and what one transfer would take at its speed.
fn expected(rows: &[Row], taken: &[Option<Duration>], index: usize) -> Duration {
    if let Some(last) = taken[index] {
        return last;
    }
    let row = &rows[index];
    let smaller = (0..index).rev().find(|before| {
        let before = &rows[*before];
        before.case == row.case && before.way == row.way
    });
    let Some((smaller, last)) = smaller.and_then(|at| Some((&rows[at], taken[at]?))) else {
        return Duration::ZERO;
    };
    let speed = smaller.rounds().last().map_or(f64::INFINITY, |it| it.gib_per_second);
    let transfer = Duration::try_from_secs_f64(row.bytes as f64 / GIB / speed);
    last + transfer.unwrap_or(Duration::MAX / 2)
}

/// One sample more; where it fails it is taken once again. What was missing from the beginning is
/// not tried again, and what was measured once is not lost by a later failure.
fn measure(row: &mut Row, take: impl Fn(Load) -> Result<Sample, String>) {
    let Outcome::Measured(rounds) = &mut row.outcome else { return };
    let load = Load { case: row.case, method: row.way.method, bytes: row.bytes };
    match take(load).or_else(|_| take(load)) {
        Ok(sample) => {
            rounds.push(sample.figures);
            if let Some(remark) = sample.remark {
                row.falls_short |= remark.falls_short;
                row.remark = Some(remark.text);
            }
        }
        Err(because) if rounds.is_empty() => row.outcome = Outcome::Missing(because),
        Err(because) => row.remark = Some(format!("not in every round: {because}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::results::Figures;
    use crate::measure::technique::Remark;
    use std::cell::Cell;

    #[test]
    fn every_case_has_rows_at_every_size() {
        let sizes = [1 << 10, 1 << 20];
        let rows = plan(&sizes);
        for case in [Case::FileCached, Case::FileUncached, Case::Sockets] {
            for bytes in sizes {
                assert!(
                    rows.iter().filter(|row| row.case == case && row.bytes == bytes).count() > 2
                );
            }
        }
        let coalesced = rows.iter().filter(|row| row.way.key.ends_with("coalesced"));
        assert_eq!(coalesced.clone().count(), 3);
        assert!(coalesced.into_iter().all(|row| row.case == Case::PacedSockets));
    }

    #[test]
    fn every_other_round_goes_backwards() {
        assert_eq!(order(0, 3).collect::<Vec<usize>>(), [0, 1, 2]);
        assert_eq!(order(1, 3).collect::<Vec<usize>>(), [2, 1, 0]);
    }

    fn sample(gib_per_second: f64) -> Sample {
        let figures = Figures {
            gib_per_second,
            cpu_seconds_per_gib: 1.0,
            cpu_share: 1.0,
            system_calls_per_gib: 1.0,
            context_switches_per_gib: 1.0,
        };
        Sample { figures, remark: None }
    }

    #[test]
    fn one_failure_is_taken_again_and_several_cost_a_round_only() {
        let row = &mut plan(&[1 << 10])[0];
        let script = |row: &mut Row, works: [bool; 2]| {
            let attempts = Cell::new(0);
            measure(row, |_| {
                let works = works[attempts.replace(attempts.get() + 1)];
                if works { Ok(sample(1.0)) } else { Err("a hiccup".to_owned()) }
            });
        };
        script(row, [false, true]);
        assert_eq!((row.rounds().len(), row.remark.as_deref()), (1, None));
        script(row, [false, false]);
        assert_eq!(row.rounds().len(), 1, "what was measured stays");
        assert!(row.remark.as_deref().unwrap().contains("a hiccup"));
        script(row, [true, true]);
        assert_eq!(row.rounds().len(), 2);

        let row = &mut plan(&[1 << 10])[0];
        script(row, [false, false]);
        assert_eq!(row.missing(), Some("a hiccup"));
        script(row, [true, true]);
        assert_eq!(row.missing(), Some("a hiccup"), "what is missing stays so");
    }

    #[test]
    fn what_falls_short_once_does() {
        let row = &mut plan(&[1 << 10])[0];
        let short = Remark { text: "a smaller pipe".to_owned(), falls_short: true };
        measure(row, |_| Ok(Sample { remark: Some(short.clone()), ..sample(1.0) }));
        measure(row, |_| Ok(sample(1.0)));
        assert!(row.falls_short);
    }

    /// A gibibyte from a slow disk is not begun when it cannot end in time.
    #[test]
    fn a_large_transfer_is_expected_to_take_as_long_as_it_would() {
        let mut rows = plan(&[1 << 20, 1 << 30]);
        let is_sendfile = |row: &Row| row.case == Case::FileUncached && row.way.key == "sendfile";
        let small = rows.iter().position(is_sendfile).unwrap();
        let large = rows.iter().rposition(is_sendfile).unwrap();
        let mut taken = vec![None; rows.len()];
        assert_eq!(expected(&rows, &taken, large), Duration::ZERO, "nothing is known");
        let second = Duration::from_secs(1);
        taken[small] = Some(second);
        rows[small].outcome = Outcome::Measured(vec![sample(0.1).figures]);
        assert_eq!(expected(&rows, &taken, large).as_secs(), 11);
        taken[large] = Some(second);
        assert_eq!(expected(&rows, &taken, large), second);
    }
}
