//! What a kind of load is, and what one measurement under it came to.

use std::fmt;

/// A kind of load. Its name, as shown and as `--kinds` takes it, holds all of its numbers.
pub trait Kind: Copy + Eq + fmt::Display + 'static {
    /// What the kind is, as the heading of its table.
    fn title(self) -> String;

    /// What one sample gives, in its order. The first is what contestants are compared by.
    fn columns(self) -> &'static [Column];

    /// Whether the first column is CPU time, so that its ratio to that of others says something.
    fn compares_cpu(self) -> bool;

    /// What a reader of its table has to know; nothing where the heads of the columns say it all.
    fn explanation(self) -> Option<&'static str>;
}

/// Which end sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sender {
    Origin,
    Client,
}

/// One thing that is measured.
#[derive(Debug)]
pub struct Column {
    /// The key in JSON.
    pub key: &'static str,
    /// The head of the column.
    pub title: &'static str,
    /// Digits behind the point.
    pub digits: usize,
}

/// A column.
pub const fn column(key: &'static str, title: &'static str, digits: usize) -> Column {
    Column { key, title, digits }
}

/// What one sample came to, in the order of its columns. What cannot be measured is NaN: a
/// client that talks straight to the server has no proxy whose CPU could be read.
#[derive(Debug, Clone)]
pub struct Figures {
    columns: &'static [Column],
    /// One for each column.
    pub values: Vec<f64>,
}

impl Figures {
    /// The values of the columns of `kind`.
    pub fn new(kind: impl Kind, values: Vec<f64>) -> Figures {
        let columns = kind.columns();
        assert_eq!(columns.len(), values.len(), "{kind}: a value for each column");
        Figures { columns, values }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = self.columns.iter().zip(&self.values).filter(|(_, value)| value.is_finite());
        for (column, value) in there {
            write!(f, "{} {value:.*}  ", column.title, column.digits)?;
        }
        Ok(())
    }
}

/// Those of `known` that were asked for by `wanted`: by their whole names, or else by parts of
/// them. In the order of `known`.
///
/// # Errors
/// A sentence with the known names when one fits none.
pub fn select<T>(
    what: &str,
    known: Vec<T>,
    name: impl Fn(&T) -> String,
    wanted: &[String],
) -> Result<Vec<T>, String> {
    let names: Vec<String> = known.iter().map(&name).collect();
    let mut chosen = vec![wanted.is_empty(); known.len()];
    for part in wanted {
        let whole = names.contains(part);
        let fits = |name: &String| if whole { name == part } else { name.contains(part) };
        if !names.iter().any(fits) {
            return Err(format!("{part}: no such {what}; known: {}", names.join(", ")));
        }
        for (chosen, name) in chosen.iter_mut().zip(&names) {
            *chosen |= fits(name);
        }
    }
    Ok(known.into_iter().zip(chosen).filter_map(|(it, chosen)| chosen.then_some(it)).collect())
}

/// `0`, `64 B`, `16 KiB`, `1 MiB`.
pub fn show_bytes(bytes: usize) -> String {
    match bytes {
        0 => "0".to_owned(),
        1_048_576.. if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        1024.. if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}

/// Over how many connections at once bodies of so many bytes go.
pub const fn connections_for(bytes: usize) -> usize {
    if bytes < 1 << 20 { 64 } else { 16 }
}

/// `1 connection`, `64 connections`.
pub fn show_connections(connections: usize) -> String {
    match connections {
        1 => "1 connection".to_owned(),
        many => format!("{many} connections"),
    }
}

/// What a reader of memory for each idle connection has to know.
pub const IDLE_EXPLANATION: &str = "Proportional set size of the process, after less before, by the number of connections, each \
     of which has carried one small message. The kernel's own memory (sockets, their buffers, \
     pipes) is not in it.";
