//! Times as `Date` has them (RFC 9110, section 5.6.7). What time it is, the caller says.

/// A time in the preferred format: `Sun, 06 Nov 1994 08:49:37 GMT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpDate {
    text: [u8; HttpDate::BYTES],
}

const DAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
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
        text[..3].copy_from_slice(&DAYS[(days % 7) as usize].as_bytes()[..3]);
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
    /// a recipient must take, to the letter. `None` for anything else, and for what is before 1970.
    ///
    /// `now` tells the century of a year of two digits: none is more than 50 years ahead.
    pub fn parse(text: &[u8], now: u64) -> Option<u64> {
        let text = std::str::from_utf8(text).ok()?;
        let (mut words, mut count) = ([""; HttpDate::WORDS_MAX], 0);
        for word in text.split(' ') {
            *words.get_mut(count)? = word;
            count += 1;
        }
        let (weekday, day, month, year, time) = match words[..count] {
            // Sun, 06 Nov 1994 08:49:37 GMT
            [weekday, day, month, year, time, "GMT"] => {
                let weekday = Weekday::Short(weekday.strip_suffix(',')?);
                (weekday, number(day, 2)?, month, number(year, 4)?, time)
            }
            // Sunday, 06-Nov-94 08:49:37 GMT
            [weekday, date, time, "GMT"] => {
                let weekday = Weekday::Long(weekday.strip_suffix(',')?);
                let [day, month, year] = in_parts(date, '-')?;
                (weekday, number(day, 2)?, month, full_year(number(year, 2)?, now), time)
            }
            // Sun Nov  6 08:49:37 1994
            [weekday, month, "", day, time, year] => {
                (Weekday::Short(weekday), number(day, 1)?, month, number(year, 4)?, time)
            }
            // Sun Nov 16 08:49:37 1994
            [weekday, month, day, time, year] => {
                (Weekday::Short(weekday), number(day, 2)?, month, number(year, 4)?, time)
            }
            _ => return None,
        };
        let month = MONTHS.iter().position(|it| month.as_bytes() == *it)? as u64;
        let [hour, minute, second] = in_parts(time, ':')?;
        let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
        // The last minute of a day may have a leap second.
        let is_time = hour < 24 && minute < 60 && second <= 60;
        let days =
            (is_time && year >= 1970 && day > 0).then(|| days_from_civil(year, month, day))?;
        let is_date = civil(days) == (year, month, day) && weekday.is_of(days);
        is_date.then_some(days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second)
    }

    /// The time as text.
    pub fn as_str(&self) -> &str {
        // Nothing but ASCII was put there.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

/// A day of the week as a date has it.
enum Weekday<'t> {
    /// Its first three letters.
    Short(&'t str),
    /// All of it.
    Long(&'t str),
}

impl Weekday<'_> {
    /// Whether it is that of a day counted from 1970-01-01.
    fn is_of(&self, days: u64) -> bool {
        let name = DAYS[(days % 7) as usize];
        match self {
            Weekday::Short(short) => *short == &name[..3],
            Weekday::Long(long) => *long == name,
        }
    }
}

/// A number of exactly so many digits.
fn number(text: &str, digits: usize) -> Option<u64> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The three parts between separators.
fn in_parts(text: &str, separator: char) -> Option<[&str; 3]> {
    let mut parts = text.split(separator);
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

/// The year with these last two digits that is not more than 50 years ahead (RFC 9110, section
/// 5.6.7), nor 50 years or more behind.
fn full_year(two_digits: u64, now: u64) -> u64 {
    let (this_year, _, _) = civil(now / SECONDS_PER_DAY);
    let year = this_year - this_year % 100 + two_digits;
    match year {
        _ if year > this_year + 50 => year - 100,
        _ if year + 50 <= this_year => year + 100,
        _ => year,
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

    /// In the year 2026.
    const NOW: u64 = 1_790_000_000;

    #[test]
    fn dates_become_seconds() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(HttpDate::parse(text.as_bytes(), NOW), expected, "{text}");
        };
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            check(text, Some(784_111_777));
        }
        check("Wed Nov 16 08:49:37 1994", Some(784_975_777));
        check("Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
        check("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400));
        check("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_800));
        check("Fri, 31 Dec 9999 23:59:59 GMT", Some(LAST_SECOND));
        // Every day of two centuries, there and back.
        for day in 0..73_050 {
            let seconds = day * SECONDS_PER_DAY + day % SECONDS_PER_DAY;
            let text = HttpDate::from_unix(seconds);
            assert_eq!(HttpDate::parse(text.as_str().as_bytes(), NOW), Some(seconds));
        }
    }

    #[test]
    fn what_is_no_date_means_nothing() {
        for text in [
            "",
            "now",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 19940 08:49:37 GMT",
            "Sun, 06 Vov 1994 08:49:37 GMT",
            "Sun, -6 Nov 1994 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 08:9:37 GMT",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun,  06 Nov 1994 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Fri, 31 Feb 1995 08:49:37 GMT",
            "Wed, 29 Feb 1995 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov 06  08:49:37 1994",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
            "\u{fffd}",
        ] {
            assert_eq!(HttpDate::parse(text.as_bytes(), NOW), None, "{text}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_not_far_ahead() {
        let year = |date: &str, now: u64| {
            let seconds = HttpDate::parse(date.as_bytes(), now);
            seconds.map(|seconds| civil(seconds / SECONDS_PER_DAY).0)
        };
        assert_eq!(year("Wednesday, 01-Jan-76 00:00:00 GMT", NOW), Some(2076));
        assert_eq!(year("Saturday, 01-Jan-77 00:00:00 GMT", NOW), Some(1977));
        assert_eq!(year("Thursday, 01-Jan-70 00:00:00 GMT", NOW), None);
        assert_eq!(year("Thursday, 01-Jan-70 00:00:00 GMT", 784_111_777), Some(1970));
        assert_eq!(full_year(10, 4_107_542_400), 2110);
    }
}
