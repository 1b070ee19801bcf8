//! Names of contestants, as in the tables; those that a report compares by name are constants.

pub const SPLICE: &str = "spliceway splice";
pub const COPY: &str = "spliceway copy";
pub const AUTO: &str = "spliceway auto";
pub const NO_PROXY: &str = "no proxy at all";
/// The loop that a splicing contestant is compared with.
pub const BARE_SPLICE: &str = "bare splice, 1 MiB pipes";
/// The loop that a copying contestant is compared with.
pub const BARE_COPY: &str = "bare copy, 64 KiB";
pub const NGINX: &str = "nginx";
pub const HAPROXY_COPY: &str = "haproxy copy";
pub const HAPROXY_SPLICE: &str = "haproxy splice";
