//! Probes that pass or fail -> up or down. It takes several in a row to change what is believed, so
//! that one lost packet does not take a server out.
//!
//! ```text
//!              first probe passes             fall in a row fail
//!   Unchecked ────────────────────▶ Up ◀──────────────────────────▶ Down
//!       └── first probe fails ─────────────────────────────────────▶ ▲
//!                                        rise in a row pass
//! ```

/// What is believed of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Nothing was heard yet: it gets traffic, and the first probe decides (as HAProxy does).
    Unchecked,
    /// Its probes pass.
    Up,
    /// Its probes fail.
    Down,
}

impl Health {
    /// As metrics, logs and `/status` call it.
    pub fn label(self) -> &'static str {
        match self {
            Health::Unchecked => "unchecked",
            Health::Up => "up",
            Health::Down => "down",
        }
    }
}

/// How many probes in a row change what is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Passes after which a server is up.
    pub rise: u32,
    /// Failures after which it is down.
    pub fall: u32,
}

/// What is believed of one server, and what speaks against it.
#[derive(Debug, Clone, Copy)]
pub struct Checker {
    health: Health,
    /// Probes in a row that contradict it.
    against: u32,
}

impl Checker {
    /// Goes on from what is believed.
    pub fn new(health: Health) -> Checker {
        Checker { health, against: 0 }
    }

    /// What is believed.
    pub fn health(&self) -> Health {
        self.health
    }

    /// A probe has passed or failed. Says what is believed now, if that is something else.
    pub fn observe(&mut self, passed: bool, thresholds: Thresholds) -> Option<Health> {
        let (told, enough) = match (passed, self.health) {
            (true, Health::Unchecked) => (Health::Up, 1),
            (false, Health::Unchecked) => (Health::Down, 1),
            (true, _) => (Health::Up, thresholds.rise),
            (false, _) => (Health::Down, thresholds.fall),
        };
        if told == self.health {
            self.against = 0;
            return None;
        }
        self.against += 1;
        if self.against < enough {
            return None;
        }
        *self = Checker::new(told);
        Some(told)
    }
}
