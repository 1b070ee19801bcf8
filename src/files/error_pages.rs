//! What clients get in place of an explanation, where the config names a page for a status.

use crate::config::files::ErrorStatus;
use crate::id::ListenerId;

/// A page, held in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// For which statuses.
    pub status: ErrorStatus,
    /// What it is, as `Content-Type` has it.
    pub media_type: &'static str,
    /// The page.
    pub body: Box<[u8]>,
}

/// The pages of all listeners.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorPages {
    listeners: Vec<Vec<Page>>,
}

impl ErrorPages {
    /// The pages of each listener, in its order; those for a single status before those for a
    /// class.
    pub fn new(listeners: Vec<Vec<Page>>) -> ErrorPages {
        ErrorPages { listeners }
    }

    /// The page of a listener for a status, if there is one.
    pub fn find(&self, listener: ListenerId, status: u16) -> Option<&Page> {
        let pages = self.of_listener(listener.index());
        pages.iter().find(|page| page.status.covers(status))
    }

    /// The pages of the listener at a place.
    pub fn of_listener(&self, place: usize) -> &[Page] {
        self.listeners.get(place).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_status_stands_before_its_class() {
        let page = |status: &str| Page {
            status: ErrorStatus::parse(status).unwrap(),
            media_type: "text/plain",
            body: status.as_bytes().into(),
        };
        let pages = ErrorPages::new(vec![vec![], vec![page("404"), page("4xx"), page("502")]]);
        let found = |listener, status| {
            let page = pages.find(ListenerId(listener), status);
            page.map_or("", |page| std::str::from_utf8(&page.body).unwrap())
        };
        assert_eq!([found(1, 404), found(1, 403), found(1, 502)], ["404", "4xx", "502"]);
        assert_eq!([found(1, 503), found(0, 404), found(2, 404)], ["", "", ""]);
        for bad in ["", "200", "600", "40x", "x", "3xx"] {
            assert!(ErrorStatus::parse(bad).unwrap_err().contains("400 to 599"), "{bad}");
        }
    }
}
