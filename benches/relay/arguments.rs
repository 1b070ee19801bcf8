//! What follows `cargo bench --bench relay --`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::contestant::Contestant;
use crate::kind::Kind;

/// Measures Spliceway beside bare loops and other proxies.
#[derive(Debug, Parser)]
#[command(name = "relay")]
pub struct Arguments {
    /// Short windows and two rounds: a smoke test, under a minute
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of Markdown
    #[arg(long)]
    pub json: bool,
    /// How often each contestant is measured for each kind
    #[arg(long)]
    rounds: Option<usize>,
    /// Kinds of load, separated by commas; all of them by default
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Contestants whose names contain one of these, separated by commas; all of them by default
    #[arg(long, value_delimiter = ',')]
    contestants: Vec<String>,
    /// Passed by cargo to every benchmark; means nothing here
    #[arg(long, hide = true)]
    bench: bool,
    /// What this process is when the benchmark starts it as a contestant.
    #[command(subcommand)]
    pub mode: Option<Mode>,
}

/// The bare loops, which the benchmark runs as processes of their own.
#[derive(Debug, Subcommand)]
pub enum Mode {
    /// Nothing but epoll and splice
    #[command(hide = true)]
    BareSplice { listen: SocketAddr, to: SocketAddr, pipe_size: i32 },
    /// Nothing but epoll, recv and send
    #[command(hide = true)]
    BareCopy { listen: SocketAddr, to: SocketAddr },
}

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Samples of each contestant for each kind.
    pub rounds: usize,
    /// Load before the window opens, so that TCP's windows and the pools have grown.
    pub warm_up: Duration,
    /// How long the window is open.
    pub window: Duration,
}

impl Arguments {
    /// How long to measure.
    pub fn effort(&self) -> Effort {
        let (rounds, warm_up, window) = if self.quick {
            (2, Duration::from_millis(60), Duration::from_millis(250))
        } else {
            (7, Duration::from_millis(250), Duration::from_millis(1250))
        };
        Effort { rounds: self.rounds.unwrap_or(rounds).max(1), warm_up, window }
    }

    /// The kinds of load to measure.
    pub fn kinds(&self) -> Vec<Kind> {
        if self.kinds.is_empty() { Kind::ALL.to_vec() } else { self.kinds.clone() }
    }

    /// Those of `all` that were asked for.
    ///
    /// # Errors
    /// A sentence when a name fits none.
    pub fn select_contestants(&self, all: Vec<Contestant>) -> Result<Vec<Contestant>, String> {
        let names: Vec<&str> = all.iter().map(|contestant| contestant.name).collect();
        for wanted in &self.contestants {
            if !names.iter().any(|name| name.contains(wanted)) {
                let known = names.join(", ");
                return Err(format!("--contestants {wanted}: no such contestant; known: {known}"));
            }
        }
        let is_wanted = |contestant: &Contestant| {
            let mut wanted = self.contestants.iter();
            self.contestants.is_empty() || wanted.any(|part| contestant.name.contains(part))
        };
        Ok(all.into_iter().filter(is_wanted).collect())
    }
}
