//! How far it is, for whoever waits.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::units::show_size;
use crate::measure::results::Row;
use crate::measure::schedule::Progress;

/// What stands there before it is known how many samples there are.
const TEMPLATE_BEFORE: &str = "{msg}";

/// What the bar looks like.
const TEMPLATE: &str = "{bar:30} {percent:>3}%  {eta} left  {msg}";

/// The length of the bar, which knows whole numbers only.
const LENGTH: u64 = 1000;

/// A bar on standard error; nothing where that is no terminal.
pub(super) struct Bar {
    bar: ProgressBar,
    began: Instant,
    time: Duration,
    /// Samples taken, and all that there are to take.
    taken: [usize; 2],
}

impl Bar {
    /// Shows itself in `bar`. All of it takes no longer than `time` from now on.
    pub(super) fn new(bar: ProgressBar, time: Duration) -> Bar {
        bar.set_style(style(TEMPLATE_BEFORE));
        Bar { bar, began: Instant::now(), time, taken: [0, 0] }
    }

    /// Says what is being done.
    pub(super) fn say(&mut self, what: &'static str) {
        self.bar.set_message(what);
    }

    /// Leaves the terminal as it was.
    pub(super) fn end(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// How far it is, as a share: what ends it first is either the last sample or the end of the time.
fn share([taken, samples]: [usize; 2], elapsed: Duration, time: Duration) -> f64 {
    let of_samples = taken as f64 / samples.max(1) as f64;
    let of_time = elapsed.as_secs_f64() / time.as_secs_f64().max(f64::MIN_POSITIVE);
    of_samples.max(of_time).min(1.0)
}

/// A template that did not parse would be a bar of the default form.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Progress for Bar {
    fn begin(&mut self, samples: usize) {
        self.taken = [0, samples];
        self.bar.set_style(style(TEMPLATE));
        self.bar.set_length(LENGTH);
        self.bar.set_message("");
    }

    fn next(&mut self, round: usize, row: &Row) {
        self.bar.set_message(format!("round {round}: {}, {}", row.way.name, show_size(row.bytes)));
    }

    fn over(&mut self) {
        self.taken[0] += 1;
        let share = share(self.taken, self.began.elapsed(), self.time);
        self.bar.set_position((share * LENGTH as f64) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_the_samples_or_the_time_are() {
        let minute = Duration::from_secs(60);
        let check = |taken: [usize; 2], seconds: u64, expected: f64| {
            assert_eq!(share(taken, Duration::from_secs(seconds), minute), expected);
        };
        check([0, 0], 0, 0.0);
        check([1, 4], 6, 0.25);
        check([1, 4], 30, 0.5);
        check([4, 4], 30, 1.0);
        check([1, 4], 90, 1.0);
    }
}
