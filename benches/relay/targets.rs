//! What the proxy is to reach, as ratios within one run.

use super::kind::{BULK_THROUGHPUT, FAIRNESS_RATIO, Kind, ROUND_TRIP_PERCENTILES};
use crate::rig::names::{AUTO, BARE_COPY, BARE_SPLICE, COPY, HAPROXY_SPLICE, SPLICE};
use crate::rig::results::{Marks, Reference};
use crate::rig::targets::{Bound, Target, ratio, value};

/// What the figures are held against.
pub fn marks() -> Marks<Kind> {
    Marks { references: &REFERENCES, targets: &TARGETS }
}

const REFERENCES: [Reference; 2] = [
    Reference { name: BARE_SPLICE, key: "cpu_to_bare_splice", title: "to bare splice" },
    Reference { name: BARE_COPY, key: "cpu_to_bare_copy", title: "to bare copy" },
];

const CPU: usize = 0;
const P99: usize = ROUND_TRIP_PERCENTILES[1];

const NO_WORSE: Bound = Bound::AtMost(1.0);
/// "No worse" where the best of two is compared, whose noise always favours them.
const AS_GOOD: Bound = Bound::AtMost(1.05);

const TARGETS: [Target<Kind>; 20] = [
    ratio("`splice`, CPU to bare splice", SPLICE, &[BARE_SPLICE], CPU, NO_WORSE, is_bulk),
    ratio("`auto`, CPU to bare splice", AUTO, &[BARE_SPLICE], CPU, Bound::AtMost(0.8), is_bulk),
    ratio("`auto`, CPU to HAProxy", AUTO, &[HAPROXY_SPLICE], CPU, Bound::AtMost(0.8), is_bulk),
    ratio(
        "`auto`, throughput to bare splice",
        AUTO,
        &[BARE_SPLICE],
        BULK_THROUGHPUT,
        Bound::AtLeast(1.1),
        is_bulk,
    ),
    ratio(
        "`auto`, throughput to HAProxy",
        AUTO,
        &[HAPROXY_SPLICE],
        BULK_THROUGHPUT,
        Bound::AtLeast(1.1),
        is_bulk,
    ),
    ratio("`copy`, CPU to bare copy", COPY, &[BARE_COPY], CPU, NO_WORSE, is_bulk),
    ratio("`copy`, CPU to bare copy", COPY, &[BARE_COPY], CPU, NO_WORSE, is_1_kib),
    ratio("`auto`, CPU to bare copy", AUTO, &[BARE_COPY], CPU, Bound::AtMost(1.1), is_1_kib),
    ratio("`auto`, CPU to `splice` or `copy`", AUTO, &[SPLICE, COPY], CPU, AS_GOOD, is_round_trip),
    ratio("`auto`, p99 to `splice` or `copy`", AUTO, &[SPLICE, COPY], P99, AS_GOOD, is_round_trip),
    ratio("`splice`, CPU to bare splice", SPLICE, &[BARE_SPLICE], CPU, NO_WORSE, is_new),
    ratio("`copy`, CPU to bare copy", COPY, &[BARE_COPY], CPU, NO_WORSE, is_new),
    ratio("`auto`, CPU to bare splice", AUTO, &[BARE_SPLICE], CPU, NO_WORSE, is_new),
    ratio("`auto`, CPU to bare copy", AUTO, &[BARE_COPY], CPU, NO_WORSE, is_new),
    value("`splice`, KiB resident", SPLICE, 0, Bound::AtMost(1.0), is_idle),
    value("`copy`, KiB resident", COPY, 0, Bound::AtMost(1.0), is_idle),
    value("`auto`, KiB resident", AUTO, 0, Bound::AtMost(1.0), is_idle),
    value("`splice`, p99 beside/alone", SPLICE, FAIRNESS_RATIO, Bound::AtMost(10.0), is_fairness),
    value("`copy`, p99 beside/alone", COPY, FAIRNESS_RATIO, Bound::AtMost(10.0), is_fairness),
    value("`auto`, p99 beside/alone", AUTO, FAIRNESS_RATIO, Bound::AtMost(10.0), is_fairness),
];

fn is_bulk(kind: Kind) -> bool {
    matches!(kind, Kind::Bulk { .. })
}

fn is_1_kib(kind: Kind) -> bool {
    matches!(kind, Kind::RoundTrips { bytes: 1024, .. })
}

fn is_round_trip(kind: Kind) -> bool {
    matches!(kind, Kind::RoundTrips { .. })
}

fn is_new(kind: Kind) -> bool {
    matches!(kind, Kind::Connections { .. })
}

fn is_idle(kind: Kind) -> bool {
    matches!(kind, Kind::Idle { .. })
}

fn is_fairness(kind: Kind) -> bool {
    matches!(kind, Kind::Fairness { .. })
}
