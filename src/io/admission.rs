//! Whether a client's connection may begin, as far as the limits of its listener say.
//!
//! It is asked once, as soon as it is known who the client is: at accept, or after its PROXY
//! header; always before TLS. Limits that are set later count those who are there. Whoever is sent
//! away is reset, which costs the least, except where the listener speaks plain HTTP: there the
//! first request is read and answered with the reason, for a bounded number of clients at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::account::{Account, Refused};
use crate::config::Listener;
use crate::error::LimitReason;
use crate::id::{ConnectionId, ListenerId};
use crate::io::connection::{Accepted, Slot};
use crate::io::introduction;
use crate::io::kernel::Kernel;
use crate::io::worker::Worker;
use crate::limits::{Admission, Limits, Visitor};

/// Clients that a worker answers at once that it is sending them away. Those beyond are reset: a
/// flood must not be given what the limits keep from it.
pub const TURNED_AWAY_MAX: usize = 256;

/// A client, and what it is asked for.
pub(super) struct Gate<'a> {
    pub(super) limits: &'a Limits,
    pub(super) account: &'a mut Account,
    pub(super) listener: &'a Listener,
    /// There is room for one more client that is told why.
    pub(super) may_answer: bool,
    pub(super) now: Instant,
}

impl Gate<'_> {
    /// Whether a client's connection may begin. One that is only to be told why not has its
    /// `refusal`.
    ///
    /// # Errors
    /// It is to be reset, for this reason.
    pub(super) fn admit<S>(self, accepted: &mut Accepted<S>) -> Result<(), LimitReason> {
        let Gate { limits, account, listener, may_answer, now } = self;
        if !listener.limits.is_limited() {
            return Ok(());
        }
        let visitor = visitor(listener, accepted.client_address);
        let id = accepted.listener;
        let admitted = limits.admit(id, &listener.limits, visitor, now, |missed| {
            account.client_missed(id, missed);
        });
        match admitted {
            Ok(admission) => accepted.admission = admission,
            Err(refusal) => {
                account.limit_refused(id, refusal.reason);
                let speaks_plain_http = listener.http().is_some() && listener.tls.is_none();
                if !speaks_plain_http || !may_answer {
                    return Err(refusal.reason);
                }
                accepted.refusal = Some(refusal);
            }
        }
        Ok(())
    }
}

/// Who a client is to the limits of its listener.
fn visitor(listener: &Listener, client: Option<SocketAddr>) -> Visitor {
    let ip = client.map(|address| address.ip());
    let names_clients = listener.http().is_some_and(|http| http.forwarded.names_clients(ip));
    if names_clients { Visitor::Proxy } else { Visitor::Client(ip) }
}

impl<K: Kernel> Worker<K> {
    /// A connection that exists is held to the limits that its listener has now.
    pub(super) fn join_limits(&mut self, id: ConnectionId, listener: ListenerId, now: Instant) {
        let settings = &self.config.listeners[listener.index()];
        if !settings.limits.is_limited() {
            return;
        }
        let slot = self.connections.get_mut(id.index as usize);
        let Some((client, admission)) = slot.and_then(Slot::admission_mut) else { return };
        let (account, visitor) = (&mut self.account, visitor(settings, client));
        self.limits.join(listener, &settings.limits, visitor, admission, now, |missed| {
            account.client_missed(listener, missed);
        });
    }

    /// A client that nothing is known of yet but its address is sent away.
    pub(super) fn refuse_at_accept(
        &mut self,
        accepted: Accepted<K::Socket>,
        reason: LimitReason,
        now: Instant,
    ) {
        let refused = Refused {
            listener: accepted.listener,
            client: accepted.client_address,
            upstream: None,
            tls: introduction::client_tls(None, None),
            failure: None,
            reason: reason.close_reason(),
        };
        self.kernel.reset(accepted.client);
        self.account.refused(&refused, Duration::ZERO);
        self.on_place_free(accepted.listener, accepted.admission, now);
    }

    /// A connection has ended: another may be accepted.
    pub(super) fn on_place_free(
        &mut self,
        listener: ListenerId,
        admission: Admission,
        now: Instant,
    ) {
        self.limits.leave(listener, admission);
        self.limit.give_back();
        self.member.on_closed();
        if let Some(pause) = &mut self.pause {
            pause.until = now;
        }
    }
}
