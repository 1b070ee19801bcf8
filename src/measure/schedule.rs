//! Which samples are taken, in which order, and for how long.

use std::time::{Duration, Instant};

use crate::measure::results::{Outcome, Row};
use crate::measure::sample::{Bench, Load};
use crate::measure::way::{Case, ways};

/// As many rounds at least, or there would be no range to speak of.
const ROUNDS_MIN: usize = 2;

/// How long samples are, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds at most.
    pub rounds: usize,
    /// No round begins that would end after this.
    pub time: Duration,
}

/// What takes note of how far it is.
pub trait Progress {
    /// So many samples are to be taken.
    fn begin(&mut self, samples: usize);
    /// One more is taken next: what is measured.
    fn next(&mut self, round: usize, row: &Row);
}

/// A row for each way of each case at each size.
pub fn plan(sizes: &[u64]) -> Vec<Row> {
    let mut rows = Vec::new();
    for case in Case::ALL {
        for &bytes in sizes {
            let worthwhile = ways(case).iter().filter(|way| way.method.is_worth_trying(bytes));
            rows.extend(worthwhile.map(|way| Row {
                case,
                way,
                bytes,
                outcome: Outcome::Measured(Vec::new()),
                remark: None,
            }));
        }
    }
    rows
}

/// Takes samples for the rows, round after round: each round measures every row once, so that a
/// machine that gets slower or faster on the way treats all alike. Says how many rounds it were.
pub fn run(bench: &Bench, effort: Effort, rows: &mut [Row], progress: &mut dyn Progress) -> usize {
    let started = Instant::now();
    progress.begin(effort.rounds * rows.len());
    for round in 1..=effort.rounds {
        for row in rows.iter_mut() {
            progress.next(round, row);
            measure(bench, row);
        }
        let elapsed = started.elapsed();
        let is_late = elapsed + elapsed / round as u32 > effort.time;
        if round >= ROUNDS_MIN && is_late {
            return round;
        }
    }
    effort.rounds
}

/// One sample more. What was missing once is not tried again.
fn measure(bench: &Bench, row: &mut Row) {
    let Outcome::Measured(rounds) = &mut row.outcome else { return };
    match bench.take(Load { case: row.case, method: row.way.method, bytes: row.bytes }) {
        Ok(sample) => {
            rounds.push(sample.figures);
            row.remark = sample.remark.or(row.remark.take());
        }
        Err(because) => row.outcome = Outcome::Missing(because),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_rows_at_every_size() {
        let sizes = [1 << 10, 1 << 20];
        let rows = plan(&sizes);
        for case in Case::ALL {
            for bytes in sizes {
                assert!(
                    rows.iter().filter(|row| row.case == case && row.bytes == bytes).count() > 2
                );
            }
        }
        let coalesced = rows.iter().filter(|row| row.way.key.ends_with("coalesced"));
        assert!(coalesced.clone().count() > 0);
        assert!(coalesced.into_iter().all(|row| row.bytes == 1 << 20));
    }
}
