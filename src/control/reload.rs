//! A configuration follows another in a running process: read, checked, built beside what is in
//! force, and then put in its place in one step. Whatever fails before that step leaves everything
//! as it was.
//!
//! ```text
//!   read ─▶ valid ─▶ ids as before ─▶ plan, servers, TLS, sockets, log ─▶ published ─▶ workers
//!     └───────┴───────────┴─────────────────┴──▶ refused: said, counted      │
//!                                                                     all have taken it
//! ```

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::certificates::Certificates;
use crate::access_log::AccessLogSink;
use crate::capacity::{self, Machine};
use crate::config::{Config, ConfigError, Workers};
use crate::listen::{Bound, Followed};
use crate::snapshot::Snapshot;
use crate::tls::keeper::Following;

/// Errors of a configuration that the log and an answer name; the others are counted.
const ERRORS_SHOWN_MAX: usize = 10;

/// Where the configuration comes from, so that it can be read again.
pub struct ConfigSource {
    /// Its files; none where it has none.
    pub files: Vec<PathBuf>,
    /// Reads it, with whatever else it comes from.
    pub read: Box<dyn Fn() -> Result<Config, Vec<ConfigError>> + Send>,
}

impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigSource").field("files", &self.files).finish_non_exhaustive()
    }
}

/// A configuration with all that it needs, ready to be put in force.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) snapshot: Snapshot,
    pub(super) tls: Following,
    pub(super) sockets: Followed,
    pub(super) changes: Changes,
    /// Until when connections of what was removed may go on.
    pub(super) drains_until: Instant,
}

/// What a reload changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Changes {
    listeners: Difference,
    upstreams: Difference,
    /// Something else.
    has_others: bool,
    /// Keys whose new values hold from the next start.
    pub(super) needs_restart: Vec<&'static str>,
}

/// What was added, removed and changed, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Difference {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

impl Changes {
    fn between(before: &Config, after: &Config) -> Changes {
        let listeners = |config: &Config| -> Vec<_> {
            config.active_listeners().map(|(_, it)| (it.name.clone(), it.clone())).collect()
        };
        let upstreams = |config: &Config| -> Vec<_> {
            config.active_upstreams().map(|(_, it)| (it.name.clone(), it.clone())).collect()
        };
        let rest = |config: &Config| {
            let dns = config.dns.clone();
            (config.process.clone(), config.access_log.clone(), config.memory, dns)
        };
        Changes {
            listeners: Difference::between(&listeners(before), &listeners(after)),
            upstreams: Difference::between(&upstreams(before), &upstreams(after)),
            has_others: rest(before) != rest(after),
            needs_restart: Vec::new(),
        }
    }

    /// Whether anything is to be done.
    pub(super) fn is_any(&self) -> bool {
        *self != Changes::default()
    }

    /// Whether something was removed, so that its connections drain.
    pub(super) fn retires(&self) -> bool {
        !self.listeners.removed.is_empty()
            || !self.upstreams.removed.is_empty()
            || !self.upstreams.changed.is_empty()
            || !self.listeners.changed.is_empty()
    }
}

impl Difference {
    fn between<T: PartialEq>(before: &[(String, T)], after: &[(String, T)]) -> Difference {
        let find = |list: &'_ [(String, T)], name: &String| {
            list.iter().position(|(other, _)| other == name)
        };
        let mut difference = Difference::default();
        for (name, item) in after {
            match find(before, name) {
                None => difference.added.push(name.clone()),
                Some(place) if before[place].1 != *item => difference.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let gone = before.iter().filter(|(name, _)| find(after, name).is_none());
        difference.removed.extend(gone.map(|(name, _)| name.clone()));
        difference
    }

    fn describe(&self, noun: &str, into: &mut Vec<String>) {
        let lists =
            [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)];
        for (verb, names) in lists {
            if !names.is_empty() {
                let plural = if names.len() == 1 { "" } else { "s" };
                into.push(format!("{verb} {noun}{plural} {}", names.join(", ")));
            }
        }
    }
}

/// A sentence without its full stop.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        self.listeners.describe("listener", &mut parts);
        self.upstreams.describe("upstream", &mut parts);
        if self.has_others {
            parts.push("changed settings of the process".to_owned());
        }
        if parts.is_empty() {
            parts.push("nothing has changed".to_owned());
        }
        f.write_str(&parts.join("; "))?;
        if !self.needs_restart.is_empty() {
            let keys = self.needs_restart.join(" and ");
            write!(f, "; the new value of {keys} holds from the next start")?;
        }
        Ok(())
    }
}

/// Makes everything that `config` needs as it follows what is in force. Nothing of that changes.
///
/// # Errors
/// Why it cannot be put in force, in sentences for a log.
pub(super) fn prepare(
    config: Config,
    present: &Snapshot,
    machine: &Machine,
    certificates: &Certificates,
    sockets: &Bound,
    now: Instant,
) -> Result<Prepared, String> {
    let (config, needs_restart) = as_it_can_be(config, present, machine);
    let before = &*present.config;
    let until = now + config.process.drain_timeout;
    let config = config.following(before, now, until).map_err(|error| error.to_string())?;
    let changes = Changes { needs_restart, ..Changes::between(before, &config) };
    let plan = capacity::plan(&config, machine);
    let roster = present.roster.following(before, &config, now, until);
    let tls = certificates.following(&config).map_err(|findings| {
        let line = |finding: &crate::tls::finding::Finding| format!("{}: {finding}", finding.key);
        some_of(&findings.iter().map(line).collect::<Vec<_>>())
    })?;
    let access_log = match config.access_log.target == before.access_log.target {
        true => present.access_log.clone(),
        false => AccessLogSink::open(&config.access_log.target).map_err(|it| it.to_string())?,
    };
    let limits = present.limits.succeeded(
        config.listeners.iter().map(|listener| &listener.limits),
        config.process.limited_clients_max.get(),
    );
    // Last, since it is the only thing that others could notice.
    let sockets = sockets.following(&config).map_err(|error| error.to_string())?;
    let snapshot = Snapshot {
        generation: present.generation + 1,
        config: Arc::new(config),
        plan: Arc::new(plan),
        roster: Arc::new(roster),
        limits: Arc::new(limits),
        tls: Arc::clone(&present.tls),
        sockets: Arc::clone(&present.sockets),
        access_log,
        stage: present.stage,
    };
    Ok(Prepared { snapshot, tls, sockets, changes, drains_until: until })
}

/// The configuration as far as a running process can have it, and the keys of the rest.
fn as_it_can_be(
    mut config: Config,
    present: &Snapshot,
    machine: &Machine,
) -> (Config, Vec<&'static str>) {
    let mut needs_restart = Vec::new();
    if capacity::workers(&config, machine) != present.plan.workers {
        needs_restart.push("process.workers");
    }
    config.process.workers = present.config.process.workers;
    if capacity::workers(&config, machine) != present.plan.workers {
        // Other CPUs than at the start, and as many threads as then.
        let workers = std::num::NonZeroUsize::new(present.plan.workers);
        config.process.workers = workers.map_or(Workers::Auto, Workers::Count);
    }
    let limited_clients_max = present.config.process.limited_clients_max;
    if config.process.limited_clients_max != limited_clients_max {
        needs_restart.push("process.limited_clients_max");
        config.process.limited_clients_max = limited_clients_max;
    }
    if config.control != present.config.control {
        needs_restart.push("control");
        config.control = present.config.control.clone();
    }
    if config.admin != present.config.admin {
        needs_restart.push("admin.bind");
        config.admin = present.config.admin;
    }
    (config, needs_restart)
}

/// What is wrong with a configuration, as one text.
pub(super) fn describe(errors: &[ConfigError]) -> String {
    some_of(&errors.iter().map(ConfigError::to_string).collect::<Vec<_>>())
}

fn some_of(lines: &[String]) -> String {
    let shown = &lines[..lines.len().min(ERRORS_SHOWN_MAX)];
    let mut text = shown.join("\n");
    if lines.len() > shown.len() {
        text.push_str(&format!("\nand {} more", lines.len() - shown.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_read_as_a_sentence() {
        let check = |changes: &Changes, expected: &str| assert_eq!(changes.to_string(), expected);
        check(&Changes::default(), "nothing has changed");
        let named = |name: &str, value| (name.to_owned(), value);
        let listeners = Difference::between(
            &[named("a", 1), named("b", 1), named("c", 1)],
            &[named("b", 2), named("c", 1), named("d", 1), named("e", 1)],
        );
        let changes = Changes { listeners, has_others: true, ..Changes::default() };
        check(
            &changes,
            "added listeners d, e; removed listener a; changed listener b; changed settings of \
             the process",
        );
        let needs_restart = vec!["process.workers", "admin.bind"];
        let words = "nothing has changed; the new value of process.workers and admin.bind holds \
                     from the next start";
        check(&Changes { needs_restart, ..Changes::default() }, words);
    }

    #[test]
    fn of_many_errors_the_first_are_shown() {
        let lines: Vec<String> = (0..12).map(|line| line.to_string()).collect();
        assert_eq!(some_of(&lines[..2]), "0\n1");
        assert!(some_of(&lines).ends_with("9\nand 2 more"));
    }
}
