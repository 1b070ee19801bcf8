//! Ejection: errors of a server open its circuit, as long as enough other servers are left.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::circuit::{Circuit, OpenTimes, State};
use super::errors::{ErrorLimits, Errors};

/// When servers are ejected, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EjectionPolicy {
    /// What are too many errors.
    pub limits: ErrorLimits,
    /// How long a server is ejected.
    pub times: OpenTimes,
    /// How many servers of the upstream may be ejected at once.
    pub ejected_max: u32,
}

/// What happened to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ejection {
    /// It was ejected.
    Ejected {
        /// For how long, in milliseconds.
        duration: u64,
    },
    /// It is back.
    Returned,
}

/// How many servers of an upstream are ejected.
#[derive(Debug, Default)]
pub struct EjectedCount {
    count: AtomicU32,
}

impl EjectedCount {
    /// How many there are.
    pub fn now(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    fn enter(&self, max: u32) -> bool {
        let next = |count: u32| (count < max).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    fn leave(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the traffic of one server tells of it. Written by all workers; times are milliseconds
/// since the same beginning each time.
#[derive(Debug)]
pub struct PassiveHealth {
    circuit: AtomicU64,
    errors: Errors,
}

impl Default for PassiveHealth {
    fn default() -> PassiveHealth {
        PassiveHealth { circuit: AtomicU64::new(Circuit::CLOSED.pack()), errors: Errors::default() }
    }
}

impl PassiveHealth {
    /// Its circuit.
    pub fn circuit(&self) -> Circuit {
        Circuit::unpack(self.circuit.load(Ordering::Acquire))
    }

    fn change(&self, from: Circuit, to: Circuit) -> bool {
        let (from, to) = (from.pack(), to.pack());
        self.circuit.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes the one trial of a server that is ejected, if its time has come. Whoever has it is
    /// to tell what became of it.
    #[must_use]
    pub fn take_trial(&self, policy: &EjectionPolicy, now: u64) -> bool {
        let circuit = self.circuit();
        circuit.awaits_trial(now) && self.change(circuit, circuit.tried(now, policy.times))
    }

    /// Something went well. What was under way when a server was ejected changes nothing: only
    /// its trial brings it back.
    pub fn succeeded(
        &self,
        policy: &EjectionPolicy,
        ejected: &EjectedCount,
        now: u64,
    ) -> Option<Ejection> {
        let circuit = self.circuit();
        match circuit.state {
            State::Open { .. } => None,
            State::Closed { .. } => {
                self.errors.succeeded(&policy.limits, now);
                None
            }
            State::HalfOpen { .. } => self.close(circuit, ejected, now),
        }
    }

    /// Something failed.
    pub fn failed(
        &self,
        policy: &EjectionPolicy,
        ejected: &EjectedCount,
        now: u64,
    ) -> Option<Ejection> {
        let circuit = self.circuit();
        let opened = circuit.opened(now, policy.times);
        match circuit.state {
            State::Open { .. } => return None,
            State::Closed { .. } => {
                if !self.errors.failed(&policy.limits, now) || !ejected.enter(policy.ejected_max) {
                    return None;
                }
                if !self.change(circuit, opened) {
                    ejected.leave();
                    return None;
                }
            }
            State::HalfOpen { .. } => {
                if !self.change(circuit, opened) {
                    return None;
                }
            }
        }
        let State::Open { until } = opened.state else { return None };
        Some(Ejection::Ejected { duration: until.saturating_sub(now) })
    }

    /// Brings a server back: an operator wants it, or it is no part of the upstream any more.
    pub fn pardon(&self, ejected: &EjectedCount, now: u64) -> Option<Ejection> {
        let circuit = self.circuit();
        if circuit.is_open() { self.close(circuit, ejected, now) } else { None }
    }

    fn close(&self, circuit: Circuit, ejected: &EjectedCount, now: u64) -> Option<Ejection> {
        self.errors.clear();
        if !self.change(circuit, circuit.closed(now)) {
            return None;
        }
        ejected.leave();
        Some(Ejection::Returned)
    }
}
