//! The scrape in either of its formats. Prometheus text 0.0.4, as it comes from several sources, is
//! taken apart into families here, sorted, and written again, as that text or as OpenMetrics 1.0.0
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).
//!
//! What OpenMetrics wants otherwise: a counter's family is named without `_total`, while its
//! samples keep it; no empty lines; `# EOF` at the end; bounds of buckets (`le`) are floating
//! point numbers (`1.0`, not `1`); quotes in help are escaped.
//!
//! `spliceway_connections_total` and the gauge `spliceway_connections` would then be two families
//! of one name, which OpenMetrics forbids. Such a counter keeps its full name and is declared
//! `unknown` there: the series are the same in both formats, only its type goes unsaid.

use std::collections::HashSet;
use std::fmt::Write;

use super::negotiation::Format;

/// One metric with its samples, borrowed from a text in the format 0.0.4.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    help: &'a str,
    samples: Vec<&'a str>,
}

/// Takes a text in the format 0.0.4 apart and sorts it: families by name, samples by series.
pub(super) fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            family(&mut families, name).help = help;
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            family(&mut families, name).kind = kind;
        } else if !line.is_empty()
            && !line.starts_with('#')
            && let Some(family) = families.last_mut()
        {
            family.samples.push(line);
        }
    }
    families.sort_by_key(|family| family.name);
    for family in &mut families {
        // Buckets of a histogram come in an order of their own.
        if matches!(family.kind, "counter" | "gauge") {
            family.samples.sort_unstable();
        }
    }
    families
}

/// The family called `name`, which is the last one or a new one.
fn family<'a, 'b>(families: &'b mut Vec<Family<'a>>, name: &'a str) -> &'b mut Family<'a> {
    if families.last().is_none_or(|last| last.name != name) {
        families.push(Family { name, ..Family::default() });
    }
    let last = families.len() - 1;
    &mut families[last]
}

/// Writes the families in `format`.
pub(super) fn render(families: &[Family<'_>], format: Format) -> String {
    let names: HashSet<_> = families.iter().map(|family| family.name).collect();
    let mut out = String::new();
    for family in families {
        let written = match format {
            Format::Text => write_text(&mut out, family),
            Format::OpenMetrics => write_open_metrics(&mut out, family, &names),
        };
        debug_assert!(written.is_ok(), "writing to memory does not fail");
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn write_text(out: &mut String, family: &Family<'_>) -> std::fmt::Result {
    let Family { name, kind, help, samples } = family;
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
    samples.iter().try_for_each(|sample| writeln!(out, "{sample}"))
}

fn write_open_metrics(
    out: &mut String,
    family: &Family<'_>,
    names: &HashSet<&str>,
) -> std::fmt::Result {
    let (name, kind) = match (family.kind, family.name.strip_suffix("_total")) {
        ("counter", Some(name)) if !names.contains(name) => (name, "counter"),
        // Nor can a counter be declared whose samples do not end in `_total`.
        ("counter" | "untyped", _) => (family.name, "unknown"),
        (kind, _) => (family.name, kind),
    };
    writeln!(out, "# HELP {name} {}", family.help.replace('"', "\\\""))?;
    writeln!(out, "# TYPE {name} {kind}")?;
    for sample in &family.samples {
        match (kind, bound(sample)) {
            ("histogram", Some((before, bound, after))) => {
                writeln!(out, "{before}{}{after}", float(bound))?;
            }
            _ => writeln!(out, "{sample}")?,
        }
    }
    Ok(())
}

/// Splits a bucket's sample around the value of `le`, which is written last.
fn bound(sample: &str) -> Option<(&str, &str, &str)> {
    const START: &str = "le=\"";
    let start = sample.rfind(START)? + START.len();
    if !sample[..start - START.len()].ends_with(['{', ',']) {
        return None;
    }
    let end = start + sample[start..].find('"')?;
    Some((&sample[..start], &sample[start..end], &sample[end..]))
}

/// A number as OpenMetrics writes floating point numbers.
fn float(number: &str) -> String {
    let is_integer = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_integer { format!("{number}.0") } else { number.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(render(&families(text), Format::OpenMetrics), expected);
    }

    #[test]
    fn counters_lose_the_suffix_in_their_family() {
        check(
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{l=\"x\"} 3\n\n",
            "# HELP a Things.\n# TYPE a counter\na_total{l=\"x\"} 3\n# EOF\n",
        );
        check("# TYPE a counter\na 3\n", "# HELP a \n# TYPE a unknown\na 3\n# EOF\n");
    }

    #[test]
    fn a_counter_makes_way_for_a_gauge_of_its_name() {
        check(
            "# HELP a_total Ever.\n# TYPE a_total counter\na_total 3\n\n\
             # HELP a Now.\n# TYPE a gauge\na 1\n",
            "# HELP a Now.\n# TYPE a gauge\na 1\n\
             # HELP a_total Ever.\n# TYPE a_total unknown\na_total 3\n# EOF\n",
        );
    }

    #[test]
    fn gauges_stay_and_families_are_sorted() {
        check(
            "# HELP b B \"quoted\".\n# TYPE b gauge\nb{l=\"y\"} 1\nb{l=\"x\"} 2\n\n\
             # HELP a A.\n# TYPE a gauge\na 0.5\n\n",
            "# HELP a A.\n# TYPE a gauge\na 0.5\n\
             # HELP b B \\\"quoted\\\".\n# TYPE b gauge\nb{l=\"x\"} 2\nb{l=\"y\"} 1\n# EOF\n",
        );
    }

    #[test]
    fn bounds_of_buckets_are_floating_point_numbers() {
        check(
            "# HELP h H.\n# TYPE h histogram\nh_bucket{title=\"1\",le=\"0.5\"} 1\n\
             h_bucket{title=\"1\",le=\"10\"} 2\nh_bucket{title=\"1\",le=\"+Inf\"} 2\n\
             h_sum{title=\"1\"} 7.25\nh_count{title=\"1\"} 2\n\n",
            "# HELP h H.\n# TYPE h histogram\nh_bucket{title=\"1\",le=\"0.5\"} 1\n\
             h_bucket{title=\"1\",le=\"10.0\"} 2\nh_bucket{title=\"1\",le=\"+Inf\"} 2\n\
             h_sum{title=\"1\"} 7.25\nh_count{title=\"1\"} 2\n# EOF\n",
        );
    }

    #[test]
    fn an_empty_scrape_is_a_valid_one() {
        check("", "# EOF\n");
    }

    #[test]
    fn text_keeps_its_meaning() {
        let text = "# HELP b_total B.\n# TYPE b_total counter\nb_total 1\n\n\
                    # HELP a A.\n# TYPE a gauge\na{l=\"y\"} 1\na{l=\"x\"} 2\n";
        let sorted = "# HELP a A.\n# TYPE a gauge\na{l=\"x\"} 2\na{l=\"y\"} 1\n\
                      # HELP b_total B.\n# TYPE b_total counter\nb_total 1\n";
        assert_eq!(render(&families(text), Format::Text), sorted);
    }
}
