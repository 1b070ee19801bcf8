//! What a worker counts for one listener of HTTP.

use std::time::Duration;

use super::count::{Count, Durations, Level, flush_all};
use crate::config::{Config, Http};
use crate::exchange::Exchange;
use crate::http::method::Method;
use crate::http::reject::RejectReason;
use crate::id::UpstreamId;
use crate::metrics::code::Code;
use crate::metrics::{HTTP_REQUEST_DURATION, HttpMetrics, Message, RequestMetrics};

/// The status of a request that became a tunnel.
const SWITCHING_PROTOCOLS: u16 = 101;

#[derive(Debug)]
pub(super) struct HttpAccount {
    metrics: HttpMetrics,
    in_flight: Level,
    rejected: [[Count; RejectReason::ALL.len()]; 2],
    /// Requests that went to no upstream.
    own: RequestAccount,
    /// By upstream; `None` where no route leads.
    forwarded: Vec<Option<RequestAccount>>,
    over: u64,
}

impl HttpAccount {
    pub(super) fn new(listener: &str, http: &Http, config: &Config) -> HttpAccount {
        let forwarded = config.upstreams.iter().enumerate().map(|(index, upstream)| {
            leads_to(http, index).then(|| RequestAccount::new(listener, Some(&upstream.name)))
        });
        HttpAccount {
            metrics: HttpMetrics::new(listener),
            in_flight: Level::default(),
            rejected: [[Count::default(); RejectReason::ALL.len()]; 2],
            own: RequestAccount::new(listener, None),
            forwarded: forwarded.collect(),
            over: 0,
        }
    }

    /// Routes lead elsewhere, perhaps. Where one has led before, requests may be on their way still.
    pub(super) fn adopt(&mut self, listener: &str, http: &Http, before: &Config, after: &Config) {
        self.forwarded.resize_with(after.upstreams.len(), || None);
        for (index, (account, upstream)) in
            self.forwarded.iter_mut().zip(&after.upstreams).enumerate()
        {
            let was = before.upstreams.get(index);
            if was.is_some_and(|was| was.name != upstream.name) {
                *account = None;
            }
            if account.is_none() && leads_to(http, index) {
                *account = Some(RequestAccount::new(listener, Some(&upstream.name)));
            }
        }
    }

    /// The first byte of a request has come.
    pub(super) fn began(&mut self) {
        self.in_flight.now += 1;
    }

    /// An exchange is over after `total`.
    pub(super) fn ended(&mut self, exchange: &Exchange, total: Duration) {
        self.in_flight.now -= 1;
        self.over += 1;
        if let Some(rejection) = exchange.rejection {
            let message =
                if rejection.is_of_response() { Message::Response } else { Message::Request };
            self.rejected[message.index()][rejection.reason.index()].add(1);
        }
        let upstream = exchange.upstream.map(UpstreamId::index);
        let forwarded = upstream.and_then(|index| self.forwarded.get_mut(index)?.as_mut());
        let account = forwarded.unwrap_or(&mut self.own);
        account.count(exchange.request.method(), Code::of(exchange.status));
        if exchange.status != Some(SWITCHING_PROTOCOLS) {
            account.durations.record(total);
        }
    }

    /// Exchanges that are over.
    pub(super) fn over(&self) -> u64 {
        self.over
    }

    /// Exchanges that are not.
    pub(super) fn in_flight(&self) -> i64 {
        self.in_flight.now
    }

    pub(super) fn flush(&mut self) {
        self.in_flight.flush(&self.metrics.in_flight);
        for (counts, counters) in self.rejected.iter_mut().zip(&self.metrics.rejected) {
            flush_all(counts, counters);
        }
        self.own.flush();
        self.forwarded.iter_mut().flatten().for_each(RequestAccount::flush);
    }
}

/// Whether a route leads to the upstream at this place.
fn leads_to(http: &Http, upstream: usize) -> bool {
    let mut forwards = http.routes.iter().filter_map(|route| route.action.forward());
    forwards.any(|forward| forward.upstream.index() == upstream)
}

/// Requests that one upstream got, or none, by method and code.
#[derive(Debug)]
struct RequestAccount {
    metrics: RequestMetrics,
    durations: Durations,
    /// Where in `series` those of a method and a code are, plus one; 0 for none so far.
    places: Box<[u16]>,
    series: Vec<(Count, metrics::Counter)>,
}

impl RequestAccount {
    fn new(listener: &str, upstream: Option<&str>) -> RequestAccount {
        let mut account = RequestAccount {
            metrics: RequestMetrics::new(listener, upstream),
            durations: Durations::new(&HTTP_REQUEST_DURATION),
            places: vec![0; Method::ALL.len() * Code::COUNT].into(),
            series: Vec::new(),
        };
        // One series to begin with, so that the family is never missing.
        account.series(Method::Get, Code::of(Some(200)));
        account
    }

    fn series(&mut self, method: Method, code: Code) -> &mut Count {
        let place = &mut self.places[method.index() * Code::COUNT + code.index()];
        if *place == 0 {
            self.series.push((Count::default(), self.metrics.requests(method, code)));
            // There are fewer than a thousand.
            *place = self.series.len() as u16;
        }
        &mut self.series[usize::from(*place) - 1].0
    }

    fn count(&mut self, method: Method, code: Code) {
        self.series(method, code).add(1);
    }

    fn flush(&mut self) {
        self.durations.flush(&self.metrics.duration);
        for (count, counter) in &mut self.series {
            count.flush(counter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Recorder;

    #[test]
    fn every_method_and_code_has_a_series_of_its_own() {
        let recorder = Recorder::new();
        let codes = || (100..600).map(Some).chain([None, Some(999)]);
        let mut requests = 0;
        metrics::with_local_recorder(&recorder, || {
            let mut account = RequestAccount::new("web", Some("app"));
            for method in Method::ALL {
                for status in codes() {
                    account.count(method, Code::of(status));
                    requests += 1;
                }
            }
            assert_eq!(account.series.len(), Method::ALL.len() * Code::COUNT);
            account.flush();
            account.flush();
        });
        let text = recorder.exposition().render();
        let samples =
            text.lines().filter(|line| line.starts_with("spliceway_http_requests_total{"));
        let values = samples.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
        assert_eq!(values.sum::<u64>(), requests);
        let line = "spliceway_http_requests_total{listener=\"web\",upstream=\"app\",\
                    method=\"other\",code=\"none\"} 1\n";
        assert!(text.contains(line), "{text}");
    }
}
