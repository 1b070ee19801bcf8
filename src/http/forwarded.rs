//! What the server is told of the client and of the way here: `X-Forwarded-*`, `Forwarded`
//! (RFC 7239), `Via` (RFC 9110, section 7.6.3), `X-Request-Id`.

use std::net::IpAddr;

use ipnet::IpNet;

/// Whose word is believed: peers that are proxies themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedPeers {
    networks: Box<[IpNet]>,
    has_unix: bool,
}

impl TrustedPeers {
    /// From a list of networks (`10.0.0.0/8`, `2001:db8::/32`), addresses (`192.0.2.1`) and
    /// `unix`, for whoever comes over a unix socket.
    ///
    /// # Errors
    /// The place in the list of the first that is none of them, and a sentence.
    pub fn parse<S: AsRef<str>>(
        list: impl IntoIterator<Item = S>,
    ) -> Result<TrustedPeers, (usize, String)> {
        let mut networks = Vec::new();
        let mut has_unix = false;
        for (index, item) in list.into_iter().enumerate() {
            match item.as_ref() {
                "unix" => has_unix = true,
                text => networks.push(parse_network(text).map_err(|error| (index, error))?),
            }
        }
        Ok(TrustedPeers { networks: networks.into(), has_unix })
    }

    /// Whether a peer is one of them; `None` is the peer on a unix socket.
    pub fn contains(&self, peer: Option<IpAddr>) -> bool {
        match peer.map(|ip| ip.to_canonical()) {
            None => self.has_unix,
            Some(ip) => self.networks.iter().any(|network| network.contains(&ip)),
        }
    }
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(ip));
    }
    let Ok(network) = text.parse::<IpNet>() else {
        return Err("not a network; expected \"10.0.0.0/8\", \"2001:db8::/32\", an IP address \
                    or \"unix\""
            .to_owned());
    };
    match network.trunc() {
        whole if whole != network => Err(format!("bits are set past the mask; write \"{whole}\"")),
        _ => Ok(network),
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardedPolicy {
    /// Whose fields of this kind are kept; those of everybody else are dropped.
    pub trust: TrustedPeers,
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    pub x_forwarded: bool,
    /// `Forwarded`.
    pub forwarded: bool,
    /// `Via`, of requests and of responses.
    pub via: bool,
    /// `X-Request-Id`.
    pub request_id: bool,
}

impl Default for ForwardedPolicy {
    fn default() -> ForwardedPolicy {
        ForwardedPolicy {
            trust: TrustedPeers::default(),
            x_forwarded: true,
            forwarded: false,
            via: true,
            request_id: true,
        }
    }
}
