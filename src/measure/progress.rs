//! How far it is, for whoever waits.

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::units::show_size;
use crate::measure::results::Row;
use crate::measure::schedule::Progress;

/// What stands there before it is known how many samples there are.
const TEMPLATE_BEFORE: &str = "{msg}";

/// What the bar looks like.
const TEMPLATE: &str = "{bar:30} {percent:>3}%  {eta} left  {msg}";

/// A bar on standard error; nothing where that is no terminal.
pub(super) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// Shows itself in `bar`.
    pub(super) fn new(bar: ProgressBar) -> Bar {
        bar.set_style(style(TEMPLATE_BEFORE));
        Bar { bar }
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

/// A template that did not parse would be a bar of the default form.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Progress for Bar {
    fn begin(&mut self, samples: usize) {
        self.bar.set_style(style(TEMPLATE));
        self.bar.set_length(samples as u64);
    }

    fn next(&mut self, round: usize, row: &Row) {
        self.bar.set_message(format!("round {round}: {}, {}", row.way.name, show_size(row.bytes)));
        self.bar.inc(1);
    }
}
