//! Which server a request belongs to: by its key, where servers are chosen by a hash, and by the
//! cookie that brings a client back to the server that it had.

use std::io::Write;

use crate::balance::random;
use crate::balance::sticky::Affinity;
use crate::config::balancing::{HashKey, Sticky};
use crate::exchange::Exchange;
use crate::http::context::Scheme;
use crate::http::cookie;
use crate::id::UpstreamId;
use crate::io::connect::hash_of_ip;
use crate::io::http::run::Turn;
use crate::io::kernel::Kernel;

impl<K: Kernel> Turn<'_, K> {
    /// The hash of what of a request belongs to one server. Where it has no such thing, that of
    /// its client.
    pub(super) fn key_of(&self, exchange: &Exchange, upstream: UpstreamId) -> u64 {
        let request = &exchange.request;
        let part = match &self.config.upstreams[upstream.index()].balancing.hash_key {
            HashKey::Client => None,
            HashKey::Host => Some(request.host().as_bytes()),
            HashKey::Path => Some(request.path().as_bytes()),
            HashKey::Header(name) => request.value(name),
            HashKey::Cookie(name) => cookie::values(request, name).next(),
        };
        match part.filter(|part| !part.is_empty()) {
            Some(part) => random::hash(part),
            None => hash_of_ip(exchange.client_or(self.connection.client_address).ip),
        }
    }

    /// What the client's cookie says, if the upstream has given it one.
    pub(super) fn affinity_of(
        &mut self,
        exchange: &Exchange,
        upstream: UpstreamId,
    ) -> Option<Affinity> {
        let sticky = self.config.upstreams[upstream.index()].balancing.sticky.as_ref()?;
        let signer = self.roster.upstream(upstream).state.signer.load();
        let signer = signer.as_ref()?;
        self.desk.refresh_date(self.now);
        let now = self.desk.unix_seconds();
        let mut values = cookie::values(&exchange.request, &sticky.cookie);
        values.find_map(|value| signer.verify(value, now))
    }

    /// The value of `Set-Cookie` with which the client comes back to the server that it has now;
    /// empty where it has such a one already, or needs none.
    pub(super) fn write_cookie(&mut self, exchange: &Exchange, out: &mut Vec<u8>) {
        out.clear();
        let Some((upstream, server)) = Self::server(exchange) else { return };
        let balancing = &self.config.upstreams[upstream.index()].balancing;
        let Some(sticky) = &balancing.sticky else { return };
        let signer = self.roster.upstream(upstream).state.signer.load();
        let Some(signer) = signer.as_ref() else { return };
        let identity = self.roster.server(upstream, server).identity;
        let (now, max_age) = (self.desk.unix_seconds(), seconds(sticky));
        let is_fresh = |affinity: &Affinity| match max_age {
            // Half of its life is left at least.
            Some(max_age) => affinity.expires.saturating_sub(now) * 2 >= max_age,
            None => affinity.expires == 0,
        };
        let known = exchange.affinity.filter(|affinity| affinity.identity == identity);
        if known.as_ref().is_some_and(is_fresh) {
            return;
        }
        let expires = max_age.map_or(0, |max_age| now + max_age);
        let value = signer.sign(Affinity { identity, expires });
        out.extend_from_slice(sticky.cookie.as_bytes());
        out.push(b'=');
        out.extend_from_slice(&value);
        out.extend_from_slice(b"; Path=/; HttpOnly; SameSite=Lax");
        if exchange.client.is_some_and(|client| client.scheme == Scheme::Https) {
            out.extend_from_slice(b"; Secure");
        }
        if let Some(max_age) = max_age {
            // Memory takes whatever is written to it.
            let _written = write!(out, "; Max-Age={max_age}");
        }
    }
}

fn seconds(sticky: &Sticky) -> Option<u64> {
    sticky.max_age.map(|max_age| max_age.as_secs())
}
