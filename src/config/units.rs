//! Sizes and durations as people write them, with their units.

use std::time::Duration;

/// Units of size, the largest first, as they are parsed and printed.
const BINARY_UNITS: [(&str, u64); 4] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Decimal units, which are understood but never printed.
const DECIMAL_UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)];

/// Reads a size such as `256KiB`, in bytes.
///
/// # Errors
/// What is wrong, in a few words.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let unit = unit.trim_start();
    if digits.is_empty() {
        return Err("it does not begin with a whole number".to_owned());
    }
    if unit.is_empty() {
        return Err("the unit is missing".to_owned());
    }
    let units = || BINARY_UNITS.into_iter().chain(DECIMAL_UNITS);
    let Some((_, factor)) = units().find(|(name, _)| *name == unit) else {
        let meant = units().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let hint = meant.map_or(String::new(), |(name, _)| format!(", but {name} is"));
        return Err(format!("{unit:?} is no unit of size{hint}"));
    };
    let number = digits.parse::<u64>().ok();
    number.and_then(|n| n.checked_mul(factor)).ok_or_else(|| "it is too large".to_owned())
}

/// Prints a size with the largest unit that divides it, so that [`parse_size`] gives it back.
pub fn show_size(bytes: u64) -> String {
    let fits = |(_, factor): &(&str, u64)| bytes != 0 && bytes.is_multiple_of(*factor);
    match BINARY_UNITS.into_iter().find(fits) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

/// Reads a duration such as `1m 30s`.
///
/// # Errors
/// What is wrong, in a few words.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if !text.trim().is_empty() && text.trim().chars().all(|c| c.is_ascii_digit()) {
        return Err("the unit is missing".to_owned());
    }
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

/// Prints a duration so that [`parse_duration`] gives it back.
pub fn show_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_with_units() {
        let check = |text: &str, expected: u64| assert_eq!(parse_size(text), Ok(expected));
        check("0B", 0);
        check("1B", 1);
        check("64KiB", 65_536);
        check("64 KiB", 65_536);
        check(" 1MiB ", 1_048_576);
        check("2GiB", 2_147_483_648);
        check("1KB", 1_000);
        check("3MB", 3_000_000);
        check("1GB", 1_000_000_000);
    }

    #[test]
    fn sizes_that_are_none() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse_size(text), Err(expected.to_owned()), "{text}");
        };
        check("", "it does not begin with a whole number");
        check("KiB", "it does not begin with a whole number");
        check("-1KiB", "it does not begin with a whole number");
        check("256", "the unit is missing");
        check("256kib", "\"kib\" is no unit of size, but KiB is");
        check("256k", "\"k\" is no unit of size");
        check("1.5MiB", "\".5MiB\" is no unit of size");
        check("99999999999999999999B", "it is too large");
        check("99999999999999GiB", "it is too large");
    }

    #[test]
    fn sizes_are_printed_with_the_largest_unit() {
        let check = |bytes: u64, expected: &str| assert_eq!(show_size(bytes), expected);
        check(0, "0B");
        check(1023, "1023B");
        check(1024, "1KiB");
        check(1536, "1536B");
        check(262_144, "256KiB");
        check(5 << 30, "5GiB");
    }

    #[test]
    fn durations_that_are_none() {
        let check = |text: &str, expected: &str| {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("", "empty");
        check("5", "the unit is missing");
        check("0", "the unit is missing");
        check("5 parsecs", "unknown time unit \"parsecs\"");
        check("-5s", "expected number");
    }

    proptest! {
        #[test]
        fn a_printed_size_is_read_again(bytes in any::<u64>(), shift in 0u32..40) {
            let bytes = bytes >> shift << shift;
            prop_assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn a_printed_duration_is_read_again(milliseconds in 0u64..=7 * 24 * 3_600_000) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }

        #[test]
        fn whatever_is_read_is_printed_the_same(text in "[0-9]{0,20} ?[a-zA-Z]{0,4}.{0,8}") {
            if let Ok(bytes) = parse_size(&text) {
                prop_assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
            }
            if let Ok(duration) = parse_duration(&text) {
                prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
            }
        }
    }
}
