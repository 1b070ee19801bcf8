//! What the proxy is to reach, in one run with nginx.

use super::contestant::{COPY, NGINX_NOPUSH, SENDFILE};
use super::kind::Kind;
use crate::rig::names::NGINX;
use crate::rig::results::{Marks, Reference};
use crate::rig::targets::Bound::AtMost;
use crate::rig::targets::{Target, ratio};

/// What the figures are held against.
pub fn marks() -> Marks<Kind> {
    Marks { references: &REFERENCES, targets: &TARGETS }
}

const REFERENCES: [Reference; 2] = [
    Reference { name: NGINX, key: "cpu_to_nginx", title: "to nginx" },
    Reference { name: COPY, key: "cpu_to_copy", title: "to copy" },
];

const CPU: usize = 0;

const TARGETS: [Target<Kind>; 1] =
    [ratio("CPU to nginx", SENDFILE, &[NGINX, NGINX_NOPUSH], CPU, AtMost(1.0), |_| true)];
