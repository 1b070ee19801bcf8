//! Times as `Date` has them (RFC 9110, section 5.6.7). What time it is, the caller says.

/// A time in the preferred format: `Sun, 06 Nov 1994 08:49:37 GMT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpDate {
    text: [u8; HttpDate::BYTES],
}

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
/// The last second of the year 9999: the format has four digits for a year.
const LAST_SECOND: u64 = 253_402_300_799;

impl HttpDate {
    const BYTES: usize = 29;
    /// Of the format that has the most.
    const WORDS_MAX: usize = 6;

    /// The time so many seconds after the beginning of 1970, without leap seconds; the end of the
    /// year 9999 for any that is later.
    pub fn from_unix(seconds: u64) -> HttpDate {
        let seconds = seconds.min(LAST_SECOND);
        let (days, second) = (seconds / SECONDS_PER_DAY, seconds % SECONDS_PER_DAY);
        let (year, month, day) = civil(days);
        let mut text = *b"Thu, 00 Jan 0000 00:00:00 GMT";
        text[..3].copy_from_slice(DAYS[(days % 7) as usize]);
        text[8..11].copy_from_slice(MONTHS[month as usize]);
        let two_digits = [(5, day), (12, year / 100), (14, year % 100), (17, second / 3600)];
        let rest = [(20, second / 60 % 60), (23, second % 60)];
        for (at, number) in two_digits.into_iter().chain(rest) {
            text[at] = b'0' + (number / 10) as u8;
            text[at + 1] = b'0' + (number % 10) as u8;
        }
        HttpDate { text }
    }

    /// The seconds since the beginning of 1970 that a date means, in any of the three formats that
    /// a recipient must take. `None` for anything else, and for what is before 1970.
    ///
    /// A year of two digits is one of the hundred years around 2000, as most have it: 70 and later
    /// belong to the twentieth century.
    pub fn parse(text: &[u8]) -> Option<u64> {
        let text = std::str::from_utf8(text).ok()?;
        let (mut words, mut count) = ([""; HttpDate::WORDS_MAX], 0);
        for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
            *words.get_mut(count)? = word;
            count += 1;
        }
        let (day, month, year, time) = match words[..count] {
            // Sun, 06 Nov 1994 08:49:37 GMT
            [_, day, month, year, time, "GMT"] => (day, month, year.parse().ok()?, time),
            // Sunday, 06-Nov-94 08:49:37 GMT
            [_, date, time, "GMT"] => {
                let mut parts = date.split('-');
                let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
                let year: u64 = year.parse().ok()?;
                (day, month, if year < 70 { 2000 + year } else { 1900 + year }, time)
            }
            // Sun Nov  6 08:49:37 1994
            [_, month, day, time, year] => (day, month, year.parse().ok()?, time),
            _ => return None,
        };
        let month = MONTHS.iter().position(|it| month.as_bytes() == *it)? as u64;
        let day: u64 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
        let mut clock = time.splitn(3, ':').map(|part| part.parse::<u64>().ok());
        let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
        let is_time = hour < 24 && minute < 60 && second <= 60;
        let is_year = (1970..=9999).contains(&year);
        let days = (is_time && is_year).then(|| days_from_civil(year, month, day))?;
        Some(days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second)
    }

    /// The time as text.
    pub fn as_str(&self) -> &str {
        // Nothing but ASCII was put there.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

/// Year, month from 0 and day from 1 of a day counted from 1970-01-01, in the Gregorian calendar.
/// Years are counted from March, so that a leap day is the last of its year (the algorithm is
/// `civil_from_days` of Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    (year, month, day)
}

/// The opposite of [`civil`].
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    const DAYS_TO_1970: u64 = 719_468;
    let year = year - u64::from(month < 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = (month + 10) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - DAYS_TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        let check = |seconds: u64, expected: &str| {
            assert_eq!(HttpDate::from_unix(seconds).as_str(), expected);
        };
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        // The example of the RFC.
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT");
        check(951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT");
        check(4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT");
        check(LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT");
        check(u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn dates_become_seconds() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(HttpDate::parse(text.as_bytes()), expected, "{text}");
        };
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            check(text, Some(784_111_777));
        }
        check("Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
        check("Fri, 31 Dec 9999 23:59:59 GMT", Some(LAST_SECOND));
        for text in [
            "",
            "now",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 19940 08:49:37 GMT",
            "Sun, 06 Vov 1994 08:49:37 GMT",
            "Sun, -6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
            "\u{fffd}",
        ] {
            check(text, None);
        }
        // Every day of two centuries, there and back.
        for day in 0..73_050 {
            let seconds = day * SECONDS_PER_DAY + day % SECONDS_PER_DAY;
            let text = HttpDate::from_unix(seconds);
            assert_eq!(HttpDate::parse(text.as_str().as_bytes()), Some(seconds));
        }
    }
}
