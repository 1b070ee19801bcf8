//! Names of contestants, as in the tables; those that a report compares by name are constants.

pub const SPLICE: &str = "spliceway splice";
pub const COPY: &str = "spliceway copy";
pub const AUTO: &str = "spliceway auto";
/// Sessions of TLS that are routed by the name which they are for.
pub const PASSTHROUGH: &str = "spliceway passthrough";
/// Bytes that are relayed whatever they are.
pub const RELAY: &str = "spliceway tcp";
pub const NO_PROXY: &str = "no proxy at all";
/// The loop that a splicing contestant is compared with.
pub const BARE_SPLICE: &str = "bare splice, 1 MiB pipes";
/// The loop that a copying contestant is compared with.
pub const BARE_COPY: &str = "bare copy, 64 KiB";
pub const NGINX: &str = "nginx";
/// HAProxy where there is nothing to splice.
pub const HAPROXY: &str = "haproxy";
pub const HAPROXY_LARGE_BUFFERS: &str = "haproxy, 64 KiB buffers";
pub const HAPROXY_COPY: &str = "haproxy copy";
pub const HAPROXY_SPLICE: &str = "haproxy splice";
