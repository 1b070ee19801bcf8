//! What the server is told of the client and of the way here: `X-Forwarded-*`, `Forwarded`
//! (RFC 7239), `Via` (RFC 9110, section 7.6.3), `X-Request-Id`. What others tell this proxy of the
//! client is read in [`super::client`].

use std::net::IpAddr;

use ipnet::IpNet;

use super::client::ClientSource;
use super::context::{Context, write_ip, write_number};
use super::edits::HeaderEdits;
use super::field::{Known, is_alike};
use super::head::{Field, Version};
use super::host::Authority;
use super::request::RequestHead;
use super::request_id::RequestId;
use super::rewrite::write_line;

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
    /// Which of them names the client.
    pub client: ClientSource,
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Forwarded-Port`.
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
            client: ClientSource::default(),
            x_forwarded: true,
            forwarded: false,
            via: true,
            request_id: true,
        }
    }
}

impl ForwardedPolicy {
    /// Whether a peer is a proxy that tells of its clients, and so none itself. `peer` is `None`
    /// for a unix socket.
    pub fn names_clients(&self, peer: Option<IpAddr>) -> bool {
        self.client != ClientSource::Peer && self.trust.contains(peer)
    }

    /// The id that a request brings along, if it comes from a peer that is trusted and is an id
    /// ([`RequestId::accept`]). `peer` is `None` for a unix socket.
    pub fn brought_request_id(
        &self,
        head: &RequestHead,
        peer: Option<IpAddr>,
    ) -> Option<RequestId> {
        let mut brought = genuine(head, Known::XRequestId);
        let is_believed = self.request_id && self.trust.contains(peer);
        brought.next().filter(|_| is_believed).and_then(RequestId::accept)
    }
}

/// The values of all fields of a name that are not empty. A name with `_` in the place of `-` does
/// not count: no proxy writes it.
pub(super) fn genuine(head: &RequestHead, known: Known) -> impl DoubleEndedIterator<Item = &[u8]> {
    let is_genuine = move |field: &Field<'_>| {
        field.known == Some(known) && !field.name.contains(&b'_') && !field.value.is_empty()
    };
    head.fields().filter(is_genuine).map(|field| field.value)
}

/// One request's way through this proxy: what is kept of the fields that tell of the way so far,
/// and what is added.
pub(super) struct Hop<'a> {
    policy: &'a ForwardedPolicy,
    context: &'a Context<'a>,
    is_trusted: bool,
}

impl<'a> Hop<'a> {
    pub(super) fn new(policy: &'a ForwardedPolicy, context: &'a Context<'a>) -> Hop<'a> {
        let is_trusted = policy.trust.contains(context.peer.map(|peer| peer.ip()));
        Hop { policy, context, is_trusted }
    }

    /// Whether a field of the client goes on as it is.
    pub(super) fn keeps(&self, field: &Field<'_>) -> bool {
        let is_written_anew = match field.known {
            Some(Known::XForwardedFor) => self.policy.x_forwarded,
            Some(Known::Forwarded) => self.policy.forwarded,
            Some(Known::XRequestId) => return !self.policy.request_id,
            Some(Known::XRealIp) => false,
            _ if is_x_forwarded(field.name) => false,
            _ => return true,
        };
        // A server may take an underscore for the hyphen, and then prefer the wrong one.
        self.is_trusted && !is_written_anew && !field.name.contains(&b'_')
    }

    /// Appends what this proxy tells, but for fields that the configuration edits.
    pub(super) fn write(&self, head: &RequestHead, edits: &HeaderEdits, out: &mut Vec<u8>) {
        let is_free = |known: Known| !edits.replaces(known.lower_case().as_bytes());
        if self.policy.x_forwarded {
            if is_free(Known::XForwardedFor) {
                self.write_x_forwarded_for(head, out);
            }
            if is_free(Known::XForwardedProto) && !self.believes(head, Known::XForwardedProto) {
                let scheme = self.context.client.scheme.label();
                write_line("X-Forwarded-Proto", scheme.as_bytes(), out);
            }
            let is_host_missing = !self.believes(head, Known::XForwardedHost);
            let authority = head.authority().as_bytes();
            if is_free(Known::XForwardedHost) && is_host_missing && !authority.is_empty() {
                write_line("X-Forwarded-Host", authority, out);
            }
            if is_free(Known::XForwardedPort) && !self.believes(head, Known::XForwardedPort) {
                self.write_x_forwarded_port(head, out);
            }
        }
        if self.policy.forwarded && is_free(Known::Forwarded) {
            self.write_forwarded(head, out);
        }
        if self.policy.request_id && is_free(Known::XRequestId) {
            write_line("X-Request-Id", self.context.request_id.as_str().as_bytes(), out);
        }
        if self.policy.via && is_free(Known::Via) {
            write_via(head.version(), out);
        }
    }

    /// The values that whoever is trusted has sent.
    fn believed<'h>(&self, head: &'h RequestHead, known: Known) -> impl Iterator<Item = &'h [u8]> {
        let is_trusted = self.is_trusted;
        genuine(head, known).filter(move |_| is_trusted)
    }

    fn believes(&self, head: &RequestHead, known: Known) -> bool {
        self.believed(head, known).next().is_some()
    }

    /// Appends what is believed of a list, each member with a comma behind it.
    fn write_believed(&self, head: &RequestHead, known: Known, out: &mut Vec<u8>) {
        for value in self.believed(head, known) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }

    fn write_x_forwarded_for(&self, head: &RequestHead, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(b"X-Forwarded-For: ");
        let empty = out.len();
        self.write_believed(head, Known::XForwardedFor, out);
        match self.context.peer {
            Some(peer) => write_ip(peer.ip(), out),
            // A unix socket has no address to add.
            None if out.len() == empty => return out.truncate(start),
            None => out.truncate(out.len() - ", ".len()),
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The port that a URL for this request has, as it is outside: that of the host asked for, or
    /// the one that goes with the scheme. The port of the listener may be another, where addresses
    /// are translated in front of it.
    fn write_x_forwarded_port(&self, head: &RequestHead, out: &mut Vec<u8>) {
        let told = self.believed(head, Known::XForwardedHost).next();
        if let Some(authority) = Authority::parse(told.unwrap_or(head.authority().as_bytes())) {
            let port = authority.port.unwrap_or(self.context.client.scheme.port());
            out.extend_from_slice(b"X-Forwarded-Port: ");
            write_number(u64::from(port), out);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// RFC 7239, section 4.
    fn write_forwarded(&self, head: &RequestHead, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Forwarded: ");
        self.write_believed(head, Known::Forwarded, out);
        out.extend_from_slice(b"for=");
        match self.context.peer.map(|peer| peer.ip().to_canonical()) {
            Some(ip @ IpAddr::V4(_)) => write_ip(ip, out),
            Some(ip @ IpAddr::V6(_)) => {
                out.extend_from_slice(b"\"[");
                write_ip(ip, out);
                out.extend_from_slice(b"]\"");
            }
            None => out.extend_from_slice(b"unknown"),
        }
        if !head.authority().is_empty() {
            out.extend_from_slice(b";host=\"");
            out.extend_from_slice(head.authority().as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b";proto=");
        out.extend_from_slice(self.context.scheme.label().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether a field is one of the family of `X-Forwarded-For`. Not all of them are known, but
/// servers believe many: `X-Forwarded-Prefix`, `-Server`, `-Ssl`, `-Scheme`, `-User`.
fn is_x_forwarded(name: &[u8]) -> bool {
    const FAMILY: &[u8] = b"x-forwarded-";
    name.get(..FAMILY.len()).is_some_and(|beginning| is_alike(beginning, FAMILY))
}

/// Appends this proxy to `Via`; `received` is the version of the message as it came.
pub(super) fn write_via(received: Version, out: &mut Vec<u8>) {
    let line: &[u8] = match received {
        Version::Http10 => b"Via: 1.0 spliceway\r\n",
        Version::Http11 => b"Via: 1.1 spliceway\r\n",
    };
    out.extend_from_slice(line);
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::context::Scheme;
    use super::super::samples::{self, request, written};
    use super::*;

    fn trusted(list: &[&str]) -> TrustedPeers {
        TrustedPeers::parse(list).unwrap()
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn peers_are_trusted_by_network() {
        let peers = trusted(&["192.0.2.0/24", "198.51.100.7", "2001:db8::/32"]);
        for address in ["192.0.2.1", "::ffff:192.0.2.1", "198.51.100.7", "2001:db8::1"] {
            assert!(peers.contains(ip(address)), "{address}");
        }
        for address in ["192.0.3.1", "198.51.100.8", "2001:db9::1", "::1"] {
            assert!(!peers.contains(ip(address)), "{address}");
        }
        assert!(!peers.contains(None) && trusted(&["unix"]).contains(None));
        assert!(!TrustedPeers::default().contains(ip("127.0.0.1")));
    }

    #[test]
    fn what_is_no_network_is_said() {
        let check = |list: &[&str], expected: usize, words: &str| {
            let (index, error) = TrustedPeers::parse(list).unwrap_err();
            assert!(index == expected && error.contains(words), "{list:?}: {index} {error}");
        };
        check(&["unix", "localhost"], 1, "not a network");
        check(&["10.0.0.0/33"], 0, "not a network");
        check(&["10.0.0.1/8"], 0, "write \"10.0.0.0/8\"");
    }

    /// What goes on of the client's fields, and what is added, by a policy that tells everything.
    fn told(fields: &[&str], client: Option<&str>, trust: &[&str]) -> Vec<String> {
        let head = request(&[&["GET / HTTP/1.1", "Host: a:80"], fields].concat());
        let policy = ForwardedPolicy {
            trust: trusted(trust),
            forwarded: true,
            ..ForwardedPolicy::default()
        };
        tell(&head, client, &policy)
    }

    fn tell(head: &RequestHead, peer: Option<&str>, policy: &ForwardedPolicy) -> Vec<String> {
        let peer = peer.map(|text| SocketAddr::new(text.parse().unwrap(), 1));
        let brought = policy.brought_request_id(head, peer.map(|it| it.ip()));
        let request_id = brought.unwrap_or_else(|| RequestId::new(1));
        let mut context = samples::context(&request_id);
        (context.peer, context.scheme) = (peer, Scheme::Https);
        context.client = policy.client(head, peer, Scheme::Https);
        let hop = Hop::new(policy, &context);
        let is_kept = |field: &Field<'_>| field.known != Some(Known::Host) && hop.keeps(field);
        let kept = head.fields().filter(is_kept);
        let text = written(|out| {
            kept.for_each(|field| super::super::rewrite::write_field(&field, out));
            hop.write(head, &HeaderEdits::default(), out);
        });
        text.lines().map(str::to_owned).collect()
    }

    const NEW_ID: &str = "X-Request-Id: 00000000000000000000000000000001";

    #[test]
    fn strangers_are_not_believed() {
        let fields = [
            "X-Forwarded-For: 127.0.0.1",
            "X_Forwarded_For: 127.0.0.1",
            "X-Forwarded-Proto: gopher",
            "X-Forwarded-Host: evil.example",
            "X-Forwarded-Port: 1",
            "X-Forwarded-Prefix: /x",
            "x_forwarded-Ssl: on",
            "X-Real-IP: 127.0.0.1",
            "Forwarded: for=127.0.0.1",
            "X-Request-Id: theirs",
            "Via: 1.1 other",
            "X-Other: kept",
        ];
        let expected = [
            "Via: 1.1 other",
            "X-Other: kept",
            "X-Forwarded-For: 192.0.2.7",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: a:80",
            "X-Forwarded-Port: 80",
            "Forwarded: for=192.0.2.7;host=\"a:80\";proto=https",
            NEW_ID,
            "Via: 1.1 spliceway",
        ];
        assert_eq!(told(&fields, Some("192.0.2.7"), &["10.0.0.0/8"]), expected);
    }

    #[test]
    fn the_word_of_the_trusted_is_kept_and_added_to() {
        let fields = [
            "X-Forwarded-For: 1.1.1.1, 2.2.2.2",
            "X-Forwarded-For: 3.3.3.3",
            "X_Forwarded_For: 4.4.4.4",
            "X-Forwarded-For:",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: b",
            "X-Forwarded-Port: 1",
            "X-Forwarded-Prefix: /x",
            "X-Real-IP: 1.1.1.1",
            "Forwarded: for=1.1.1.1",
            "X-Request-Id: theirs",
        ];
        let expected = [
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: b",
            "X-Forwarded-Port: 1",
            "X-Forwarded-Prefix: /x",
            "X-Real-IP: 1.1.1.1",
            "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 2001:db8::1",
            "Forwarded: for=1.1.1.1, for=\"[2001:db8::1]\";host=\"a:80\";proto=https",
            "X-Request-Id: theirs",
            "Via: 1.1 spliceway",
        ];
        assert_eq!(told(&fields, Some("2001:db8::1"), &["2001:db8::1"]), expected);
    }

    #[test]
    fn a_unix_socket_has_no_address() {
        let forwarded = "Forwarded: for=unknown;host=\"a:80\";proto=https";
        let expected = [
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: a:80",
            "X-Forwarded-Port: 80",
            forwarded,
            NEW_ID,
            "Via: 1.1 spliceway",
        ];
        assert_eq!(told(&["X-Forwarded-For: 1.1.1.1"], None, &[]), expected);
        let expected = [&["X-Forwarded-For: 1.1.1.1"], &expected[..]].concat();
        assert_eq!(told(&["X-Forwarded-For: 1.1.1.1"], None, &["unix"]), expected);
    }

    #[test]
    fn what_is_off_is_not_told_and_strangers_tell_it_neither() {
        let policy = |trust: &[&str]| ForwardedPolicy {
            trust: trusted(trust),
            client: ClientSource::Peer,
            x_forwarded: false,
            forwarded: false,
            via: false,
            request_id: false,
        };
        let head = request(&[
            "GET / HTTP/1.0",
            "X-Forwarded-For: 1.1.1.1",
            "Forwarded: for=1.1.1.1",
            "X-Request-Id: theirs",
        ]);
        let client = Some("192.0.2.7");
        assert_eq!(tell(&head, client, &policy(&[])), ["X-Request-Id: theirs"]);
        let all = ["X-Forwarded-For: 1.1.1.1", "Forwarded: for=1.1.1.1", "X-Request-Id: theirs"];
        assert_eq!(tell(&head, client, &policy(&["192.0.2.7"])), all);
    }

    #[test]
    fn ids_are_taken_from_the_trusted_only() {
        let policy = ForwardedPolicy { trust: trusted(&["10.0.0.0/8"]), ..Default::default() };
        let check = |value: &str, client: &str, expected: Option<&str>| {
            let head = request(&["GET / HTTP/1.0", &format!("X-Request-Id: {value}")]);
            let id = policy.brought_request_id(&head, ip(client));
            assert_eq!(id.as_ref().map(RequestId::as_str), expected, "{value} {client}");
        };
        check("theirs", "10.1.1.1", Some("theirs"));
        check("theirs", "11.1.1.1", None);
        check("bad id", "10.1.1.1", None);
    }

    #[test]
    fn what_is_believed_in_one_form_is_told_in_the_other() {
        let head = request(&["GET / HTTP/1.0", "Host: a", "Forwarded: for=1.1.1.1;proto=https"]);
        let policy = ForwardedPolicy {
            trust: trusted(&["10.0.0.1"]),
            client: ClientSource::Forwarded,
            ..ForwardedPolicy::default()
        };
        let peer = Some(SocketAddr::from(([10, 0, 0, 1], 1)));
        let request_id = RequestId::new(1);
        let mut context = samples::context(&request_id);
        (context.peer, context.client) = (peer, policy.client(&head, peer, Scheme::Http));
        let hop = Hop::new(&policy, &context);
        let text = written(|out| hop.write(&head, &HeaderEdits::default(), out));
        assert!(text.contains("X-Forwarded-Proto: https\r\n"), "{text}");
        assert!(text.contains("X-Forwarded-Port: 443\r\n"), "{text}");
    }

    #[test]
    fn the_port_is_that_of_the_url_outside() {
        let check = |fields: &[&str], client: &str, expected: Option<&str>| {
            let head = request(&[&["GET / HTTP/1.0"], fields].concat());
            let policy = ForwardedPolicy { trust: trusted(&["10.0.0.0/8"]), ..Default::default() };
            let peer = Some(SocketAddr::new(client.parse().unwrap(), 1));
            let request_id = RequestId::new(1);
            let mut context = samples::context(&request_id);
            (context.peer, context.client) = (peer, policy.client(&head, peer, Scheme::Http));
            let hop = Hop::new(&policy, &context);
            let text = written(|out| hop.write(&head, &HeaderEdits::default(), out));
            let mut lines = text.lines();
            let found = lines.find_map(|line| line.strip_prefix("X-Forwarded-Port: "));
            assert_eq!(found, expected, "{fields:?} {client}");
        };
        check(&["Host: a"], "11.0.0.1", Some("80"));
        check(&["Host: a:8080"], "11.0.0.1", Some("8080"));
        check(&["Host: [::1]:8080"], "11.0.0.1", Some("8080"));
        check(&[], "11.0.0.1", None);
        let secure = "X-Forwarded-Proto: https";
        check(&["Host: a", secure], "11.0.0.1", Some("80"));
        check(&["Host: a", secure], "10.0.0.1", Some("443"));
        check(&["Host: a:1", secure, "X-Forwarded-Host: b"], "10.0.0.1", Some("443"));
        check(&["Host: a:1", "X-Forwarded-Host: b:2"], "10.0.0.1", Some("2"));
        check(&["Host: a:1", "X-Forwarded-Host: b, c"], "10.0.0.1", None);
        check(&["Host: a:1", "X-Forwarded-Port: 7"], "10.0.0.1", None);
    }
}
