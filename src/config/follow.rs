//! A configuration that follows another: the same names have the same ids, and what is gone stays
//! at its place until its connections have drained. The rule of places is in [`super::succession`].

use std::time::Instant;

use super::succession::{self, PLACES_MAX, Standing};
use super::tls::SniRoute;
use super::{Action, Config, Listener, Protocol, Upstream};
use crate::id::UpstreamId;

/// A configuration would need more places than there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyPlaces {
    /// `listeners` or `upstreams`.
    pub of: &'static str,
}

impl std::fmt::Display for TooManyPlaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "more than {PLACES_MAX} {} that were removed drain still; wait for them, or lower \
             process.drain_timeout",
            self.of
        )
    }
}

impl std::error::Error for TooManyPlaces {}

impl Config {
    /// This configuration as it follows `previous`. Of what that one had and this one has not, the
    /// connections may go on until `until`.
    ///
    /// # Errors
    /// Too much of what was removed drains still.
    pub fn following(
        self,
        previous: &Config,
        now: Instant,
        until: Instant,
    ) -> Result<Config, TooManyPlaces> {
        let named = |upstream: &Upstream| (upstream.name.clone(), upstream.standing);
        let present: Vec<_> = previous.upstreams.iter().map(named).collect();
        let wanted: Vec<String> = self.upstreams.iter().map(|it| it.name.clone()).collect();
        let upstream_places = succession::places(&present, &wanted, now);
        let upstreams = put(&previous.upstreams, self.upstreams, &upstream_places, "upstreams")?;
        let upstreams = upstreams.map(|upstream, is_gone| Upstream {
            standing: standing(upstream.standing, is_gone, until),
            ..upstream
        });

        let present: Vec<_> =
            previous.listeners.iter().map(|it| (it.identity(), it.standing)).collect();
        let wanted: Vec<_> = self.listeners.iter().map(Listener::identity).collect();
        let places = succession::places(&present, &wanted, now);
        let moved = |listener: Listener| Listener {
            protocol: with_places(listener.protocol, &upstream_places),
            ..listener
        };
        let listeners = self.listeners.into_iter().map(moved).collect();
        let listeners = put(&previous.listeners, listeners, &places, "listeners")?;
        let listeners = listeners.map(|listener, is_gone| Listener {
            standing: standing(listener.standing, is_gone, until),
            ..listener
        });
        Ok(Config { listeners, upstreams, ..self })
    }

    /// The listeners that are part of the configuration still, with their places.
    pub fn active_listeners(&self) -> impl Iterator<Item = (usize, &Listener)> {
        let all = self.listeners.iter().enumerate();
        all.filter(|(_, listener)| !listener.standing.is_retired())
    }

    /// The same of upstreams.
    pub fn active_upstreams(&self) -> impl Iterator<Item = (usize, &Upstream)> {
        let all = self.upstreams.iter().enumerate();
        all.filter(|(_, upstream)| !upstream.standing.is_retired())
    }
}

impl Listener {
    /// What makes a listener the same one: its name, and that its connections are of the same
    /// kind. One that speaks something else from now on is another.
    pub fn identity(&self) -> (String, bool, bool) {
        (self.name.clone(), self.http().is_some(), self.expects_tls())
    }
}

/// Items at their places, and whether each of them is gone.
struct Placed<T>(Vec<(T, bool)>);

impl<T> Placed<T> {
    fn map(self, finish: impl Fn(T, bool) -> T) -> Vec<T> {
        self.0.into_iter().map(|(item, is_gone)| finish(item, is_gone)).collect()
    }
}

fn put<T: Clone>(
    previous: &[T],
    wanted: Vec<T>,
    places: &[usize],
    of: &'static str,
) -> Result<Placed<T>, TooManyPlaces> {
    let mut placed: Vec<(T, bool)> = previous.iter().map(|it| (it.clone(), true)).collect();
    for (item, place) in wanted.into_iter().zip(places) {
        match placed.get_mut(*place) {
            Some(taken) => *taken = (item, false),
            // Places at the end are given in their order.
            None => placed.push((item, false)),
        }
    }
    if placed.len() > PLACES_MAX { Err(TooManyPlaces { of }) } else { Ok(Placed(placed)) }
}

fn standing(before: Standing, is_gone: bool, until: Instant) -> Standing {
    if is_gone { before.retire(until) } else { Standing::Active }
}

/// A protocol whose upstreams have got these places.
fn with_places(protocol: Protocol, places: &[usize]) -> Protocol {
    let place = |upstream: UpstreamId| {
        let place = places.get(upstream.index()).copied();
        UpstreamId(place.and_then(|place| u32::try_from(place).ok()).unwrap_or(upstream.0))
    };
    match protocol {
        Protocol::Tcp(upstream) => Protocol::Tcp(place(upstream)),
        Protocol::Sni(mut sni) => {
            for route in &mut sni.routes {
                *route = match *route {
                    SniRoute::PassThrough(upstream) => SniRoute::PassThrough(place(upstream)),
                    SniRoute::Terminate(upstream) => SniRoute::Terminate(place(upstream)),
                };
            }
            Protocol::Sni(sni)
        }
        Protocol::Http(mut http) => {
            for route in &mut http.routes {
                if let Action::Forward(forward) = &mut route.action {
                    forward.upstream = place(forward.upstream);
                }
            }
            Protocol::Http(http)
        }
    }
}
