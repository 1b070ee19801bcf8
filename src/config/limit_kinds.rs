//! What a single value of `[listeners.NAME.limits]` may be.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::kinds::{Kind, Mismatch, text};
use super::limits;
use super::raw::{Node, Value};
use super::units::{parse_size, show_size};
use crate::limits::bandwidth::Bandwidth;
use crate::limits::rate::{Period, Rate};

/// A value of another kind, or `"off"`, which is `None`.
pub(super) struct OrOff<K>(pub(super) K);

impl<K: Kind> Kind for OrOff<K> {
    type Value = Option<K::Value>;

    fn read(&self, node: &Node) -> Result<Self::Value, Mismatch> {
        if matches!(&node.value, Value::Text(text) if text == "off") {
            return Ok(None);
        }
        self.0.read(node).map(Some).map_err(|mut mismatch| {
            mismatch.expected = format!("\"off\" or {}", mismatch.expected);
            mismatch
        })
    }

    fn show(&self, value: &Self::Value) -> String {
        value.as_ref().map_or_else(|| "off".to_owned(), |value| self.0.show(value))
    }
}

/// The word before a burst.
const BURST: &str = " burst ";

/// `"20/s"`, `"600/m burst 50"`.
pub(super) struct RateOf(pub(super) RangeInclusive<u64>);

impl RateOf {
    fn expected(&self) -> String {
        let (min, max) = (self.0.start(), self.0.end());
        format!(
            "how many in a second, a minute or an hour, from {min} to {max}, such as \"20/s\", \
             \"600/m\" or \"20/s burst 100\""
        )
    }

    fn number(&self, text: &str) -> Option<u32> {
        let number = text.trim().parse::<u64>().ok().filter(|number| self.0.contains(number))?;
        u32::try_from(number).ok()
    }

    fn parse(&self, text: &str) -> Option<Rate> {
        let (rate, burst) = match text.split_once(BURST) {
            Some((rate, burst)) => (rate, Some(self.number(burst)?)),
            None => (text, None),
        };
        let (count, unit) = rate.split_once('/')?;
        let (_, period) = Period::ALL.into_iter().find(|(name, _)| *name == unit.trim())?;
        let rate = Rate::new(self.number(count)?, period);
        Some(Rate { burst: burst.unwrap_or(rate.burst), ..rate })
    }
}

impl Kind for RateOf {
    type Value = Rate;

    fn read(&self, node: &Node) -> Result<Rate, Mismatch> {
        let expected = self.expected();
        let rate = self.parse(text(node, &expected)?);
        rate.ok_or_else(|| Mismatch::found(&node.value, "", expected))
    }

    fn show(&self, rate: &Rate) -> String {
        let unit = Period::ALL.into_iter().find(|(_, period)| *period == rate.period);
        let unit = unit.map_or("s", |(unit, _)| unit);
        format!("{}/{unit}{BURST}{}", rate.count, rate.burst)
    }
}

/// `"10MiB/s"`, `"10MiB/s burst 4MiB"`.
pub(super) struct BandwidthOf(pub(super) RangeInclusive<u64>);

impl BandwidthOf {
    fn expected(&self) -> String {
        let (min, max) = (show_size(*self.0.start()), show_size(*self.0.end()));
        format!(
            "a size in a second from {min}/s to {max}/s, such as \"10MiB/s\" or \
             \"10MiB/s burst 4MiB\""
        )
    }
}

impl Kind for BandwidthOf {
    type Value = Bandwidth;

    fn read(&self, node: &Node) -> Result<Bandwidth, Mismatch> {
        let expected = self.expected();
        let text = text(node, &expected)?;
        let mismatch = |reason: &str| Mismatch::found(&node.value, reason, expected.clone());
        let (rate, burst) = match text.split_once(BURST) {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let Some(rate) = rate.trim().strip_suffix("/s") else {
            return Err(mismatch("it is not said of a second"));
        };
        let bandwidth = match parse_size(rate) {
            Ok(rate) if self.0.contains(&rate) => Bandwidth::new(rate),
            Ok(rate) if rate < *self.0.start() => return Err(mismatch("it is too small")),
            Ok(_) => return Err(mismatch("it is too large")),
            Err(reason) => return Err(mismatch(&reason)),
        };
        let Some(burst) = burst else { return Ok(bandwidth) };
        let burst = parse_size(burst).map_err(|reason| mismatch(&reason))?;
        let least = (bandwidth.rate / limits::BANDWIDTH_BURST_PART).max(*self.0.start());
        if burst < least || burst > *self.0.end() {
            let problem = format!("found {}", node.value);
            let expected = format!(
                "a burst of at least {}, or waking up for it costs more than it holds back",
                show_size(least)
            );
            return Err(Mismatch { problem, expected, nearest: None });
        }
        Ok(Bandwidth { burst, ..bandwidth })
    }

    fn show(&self, bandwidth: &Bandwidth) -> String {
        format!("{}/s{BURST}{}", show_size(bandwidth.rate), show_size(bandwidth.burst))
    }
}

/// One of `allow` and `deny`: a network, or an address.
pub(super) struct Network;

impl Network {
    pub(super) const EXPECTED: &str =
        "a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", or an IP address";
}

impl Kind for Network {
    type Value = IpNet;

    fn read(&self, node: &Node) -> Result<IpNet, Mismatch> {
        let text = text(node, Network::EXPECTED)?;
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(IpNet::from(ip.to_canonical()));
        }
        let Ok(network) = text.parse::<IpNet>() else {
            return Err(Mismatch::found(&node.value, "", Network::EXPECTED));
        };
        match network.trunc() {
            whole if whole != network => {
                let reason = "bits are set past the mask";
                Err(Mismatch::found(&node.value, reason, format!("\"{whole}\"")))
            }
            _ => Ok(network),
        }
    }

    fn show(&self, network: &IpNet) -> String {
        network.to_string()
    }
}
