//! Which format a scraper or a browser wants, from its `Accept` header (RFC 9110, section 12.5.1).

/// The formats of `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus text 0.0.4: for everybody who does not ask for the other.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The value of `Content-Type`.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
        }
    }
}

/// A weight in thousandths, the precision that RFC 9110 allows.
const WEIGHT_MAX: u16 = 1000;

/// Picks the format. OpenMetrics wins when it is named with a weight that is not below that of
/// text, because a scraper that names it has asked for it; wildcards alone get text, so that
/// browsers and curl see something readable. Whoever accepts neither gets text as well: RFC 9110
/// allows it, and a scrape that works is more useful than a 406.
pub(super) fn negotiate(accept: Option<&str>) -> Format {
    let Some(accept) = accept else { return Format::Text };
    let mut open_metrics = 0;
    let mut text = Match::default();
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
        let weight = weight(&parameters);
        match media.as_str() {
            "application/openmetrics-text" if is_known_version(&parameters) => {
                open_metrics = open_metrics.max(weight);
            }
            "text/plain" => text.offer(3, weight),
            "text/*" => text.offer(2, weight),
            "*/*" => text.offer(1, weight),
            _ => {}
        }
    }
    if open_metrics > 0 && open_metrics >= text.weight { Format::OpenMetrics } else { Format::Text }
}

/// Whether `/status` is to be a page: for whoever names HTML, as browsers do, and does not prefer
/// JSON. Everybody else gets the document.
pub(super) fn wants_page(accept: Option<&str>) -> bool {
    let mut weights = [0, 0];
    for range in accept.unwrap_or_default().split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
        let place = ["text/html", "application/json"].iter().position(|it| *it == media);
        if let Some(place) = place {
            weights[place] = weights[place].max(weight(&parameters));
        }
    }
    weights[0] > 0 && weights[0] >= weights[1]
}

/// The weight of the most specific range that covers text.
#[derive(Default)]
struct Match {
    specificity: u8,
    weight: u16,
}

impl Match {
    fn offer(&mut self, specificity: u8, weight: u16) {
        if specificity > self.specificity {
            *self = Match { specificity, weight };
        } else if specificity == self.specificity {
            self.weight = self.weight.max(weight);
        }
    }
}

/// Prometheus lists 1.0.0 and 0.0.1, which are the same but for the name of the version.
fn is_known_version(parameters: &[(&str, &str)]) -> bool {
    let version = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("version"));
    version.is_none_or(|(_, value)| value.trim_matches('"') == "1.0.0")
}

fn weight(parameters: &[(&str, &str)]) -> u16 {
    let weight = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("q"));
    match weight.map(|(_, value)| value.parse::<f32>()) {
        None => WEIGHT_MAX,
        // The cast saturates, and NaN becomes 0.
        Some(Ok(value)) => ((value * f32::from(WEIGHT_MAX)).round() as u16).min(WEIGHT_MAX),
        Some(Err(_)) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_a_page_and_everybody_else_the_document() {
        let check = |accept: &str, expected: bool| {
            assert_eq!(wants_page(Some(accept)), expected, "{accept}");
        };
        assert!(!wants_page(None));
        check("", false);
        check("*/*", false);
        check("application/json", false);
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true);
        check("Text/HTML; charset=utf-8", true);
        check("application/json, text/html;q=0.9", false);
        check("text/html;q=0", false);
    }

    #[test]
    fn the_heavier_format_wins() {
        let check = |accept: &str, expected: Format| {
            assert_eq!(negotiate(Some(accept)), expected, "{accept}");
        };
        assert_eq!(negotiate(None), Format::Text);
        check("", Format::Text);
        check("*/*", Format::Text);
        check("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text);
        check("application/json", Format::Text);
        check("application/openmetrics-text", Format::OpenMetrics);
        check("Application/OpenMetrics-Text ; Version=1.0.0", Format::OpenMetrics);
        check("application/openmetrics-text; version=\"1.0.0\"", Format::OpenMetrics);
        check("application/openmetrics-text;version=2.0.0", Format::Text);
        check("application/openmetrics-text;q=0", Format::Text);
        check("application/openmetrics-text;q=nonsense", Format::Text);
        check("application/openmetrics-text;q=0.5,text/plain;q=0.4", Format::OpenMetrics);
        check("application/openmetrics-text;q=0.4,text/plain;q=0.5", Format::Text);
        check("text/plain;q=0.5,application/openmetrics-text;q=0.5", Format::OpenMetrics);
        check("application/openmetrics-text;q=0.4,text/*;q=0.5", Format::Text);
        check("application/openmetrics-text;q=0.4,*/*;q=0.5,text/plain;q=0.1", Format::OpenMetrics);
        check("application/openmetrics-text;q=0.001,text/plain;q=0", Format::OpenMetrics);
        // What Prometheus 2 and 3 send.
        check(
            "application/openmetrics-text;version=1.0.0;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            Format::OpenMetrics,
        );
        check("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", Format::Text);
    }
}
