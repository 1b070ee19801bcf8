//! What follows `cargo bench --bench relay --`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::contestant::Contestant;
use crate::kind::{self, Kind};

/// Measures Spliceway beside bare loops and other proxies
#[derive(Debug, Parser)]
#[command(name = "relay")]
pub struct Arguments {
    /// Short windows, fewer kinds: a smoke test, under a minute
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of Markdown
    #[arg(long)]
    pub json: bool,
    /// Draw the picture of the curve into this file (SVG)
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// How often each contestant is measured for each kind
    #[arg(long)]
    rounds: Option<usize>,
    /// Kinds of load whose names contain one of these, separated by commas; all of them by default
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// Contestants whose names contain one of these, separated by commas; all of them by default
    #[arg(long, value_delimiter = ',')]
    contestants: Vec<String>,
    /// How long each sample lasts, such as 2s; a longer one is steadier. The warm-up before it
    /// lasts a third as long
    #[arg(long, value_parser = humantime::parse_duration)]
    window: Option<Duration>,
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
    BareSplice { listen: SocketAddr, to: SocketAddr, pipe_size: i32, low_water: i32 },
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

impl Effort {
    /// The effort for one kind. Bulk gets more time: buffers, windows and the proxy's own judgement
    /// of a flow need a while, with many flows above all.
    pub fn for_kind(self, kind: Kind) -> Effort {
        match kind {
            Kind::Bulk { .. } => {
                Effort { warm_up: self.warm_up * 3, window: self.window * 2, ..self }
            }
            _ => self,
        }
    }
}

impl Arguments {
    /// How long to measure.
    pub fn effort(&self) -> Effort {
        let (rounds, warm_up, window) = if self.quick {
            (1, Duration::from_millis(40), Duration::from_millis(100))
        } else {
            (3, Duration::from_millis(100), Duration::from_millis(350))
        };
        let (warm_up, window) = match self.window {
            Some(window) => (window / 3, window),
            None => (warm_up, window),
        };
        Effort { rounds: self.rounds.unwrap_or(rounds).max(1), warm_up, window }
    }

    /// The kinds of load to measure: those of the quick form, if that is asked for, or any by
    /// name.
    ///
    /// # Errors
    /// A sentence when a name fits none.
    pub fn select_kinds(&self) -> Result<Vec<Kind>, String> {
        if self.kinds.is_empty() && self.quick {
            return Ok(Kind::quick());
        }
        kind::select("kind", Kind::all(), Kind::to_string, &self.kinds)
    }

    /// Those contestants that were asked for.
    ///
    /// # Errors
    /// A sentence when a name fits none.
    pub fn select_contestants(&self) -> Result<Vec<Contestant>, String> {
        let name = |it: &Contestant| it.name.to_owned();
        kind::select("contestant", Contestant::all(), name, &self.contestants)
    }
}
