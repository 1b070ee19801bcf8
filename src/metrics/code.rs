//! The label `code`: the status of a response, in a bounded number of words.

use std::fmt;

macro_rules! exact {
    ($($status:literal)*) => {
        /// Statuses that have a label of their own, ascending.
        const EXACT: &[u16] = &[$($status),*];
        const EXACT_LABELS: &[&str] = &[$(stringify!($status)),*];
    };
}

// Those of RFC 9110, section 15, and of the registry that are met in practice.
exact! {
    101
    200 201 202 203 204 205 206 207
    300 301 302 303 304 307 308
    400 401 402 403 404 405 406 407 408 409 410 411 412 413 414 415 416 417
    421 422 423 424 425 426 428 429 431 451
    500 501 502 503 504 505 507 511
}

/// Labels of the others: by class, a status in no class, and no response at all.
const OTHER_LABELS: [&str; 7] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx", "other"];
const NONE: usize = EXACT.len();
const OTHER: usize = EXACT.len() + OTHER_LABELS.len() - 1;

/// What a request was answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(u8);

impl Code {
    /// How many there are.
    pub const COUNT: usize = EXACT.len() + OTHER_LABELS.len();

    /// The label for a final status, or for no answer.
    pub fn of(status: Option<u16>) -> Code {
        let index = match status {
            None => NONE,
            Some(status) => match EXACT.binary_search(&status) {
                Ok(index) => index,
                Err(_) if (100..600).contains(&status) => NONE + usize::from(status / 100),
                Err(_) => OTHER,
            },
        };
        Code(index as u8)
    }

    /// Where arrays indexed by code keep this one.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// The label.
    pub fn label(self) -> &'static str {
        match EXACT_LABELS.get(self.index()) {
            Some(label) => label,
            None => OTHER_LABELS[self.index() - EXACT.len()],
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_status_has_one_of_a_few_labels() {
        assert!(EXACT.is_sorted() && Code::COUNT <= usize::from(u8::MAX));
        let mut labels = BTreeSet::from([Code::of(None).label()]);
        for status in 0..=u16::MAX {
            let code = Code::of(Some(status));
            assert!(code.index() < Code::COUNT, "{status}");
            labels.insert(code.label());
        }
        assert_eq!(labels.len(), Code::COUNT);
    }

    #[test]
    fn known_ones_stand_for_themselves_and_others_for_their_class() {
        let check = |status: Option<u16>, expected: &str| {
            assert_eq!(Code::of(status).label(), expected, "{status:?}");
        };
        check(None, "none");
        check(Some(101), "101");
        check(Some(103), "1xx");
        check(Some(200), "200");
        check(Some(299), "2xx");
        check(Some(308), "308");
        check(Some(399), "3xx");
        check(Some(418), "4xx");
        check(Some(503), "503");
        check(Some(599), "5xx");
        check(Some(600), "other");
        check(Some(99), "other");
    }
}
