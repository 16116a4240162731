//! The `Date` of an answer, as HTTP writes it today: `Sun, 06 Nov 1994 08:49:37 GMT`.

use baraza_wire::UnixTime;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads it; `None` if it is written otherwise, or cannot be a date of today.
pub(super) fn http_date(text: &str) -> Option<UnixTime> {
    let (_weekday, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = number(words.next()?, 1..=31)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)?;
    let month = u64::try_from(month).ok()?.checked_add(1)?;
    let year = number(words.next()?, 1970..=9999)?;
    let mut clock = words.next()?.split(':');
    let hour = number(clock.next()?, 0..=23)?;
    let minute = number(clock.next()?, 0..=59)?;
    // 60 is a leap second.
    let second = number(clock.next()?, 0..=60)?;
    if words.next()? != "GMT" || words.next().is_some() || clock.next().is_some() {
        return None;
    }
    let secs = days(year, month, day)?
        .checked_mul(86_400)?
        .checked_add(hour.checked_mul(3600)?)?
        .checked_add(minute.checked_mul(60)?)?
        .checked_add(second)?;
    Some(UnixTime::from_secs(secs))
}

fn number(text: &str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    range.contains(&number).then_some(number)
}

/// Days from 1970 to a date. Years begin in March, so that leap days come last.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 {
        year.checked_sub(1)?
    } else {
        year
    };
    let (era, of_era) = (year / 400, year % 400);
    let month = month.checked_add(9)? % 12;
    let of_year = month.checked_mul(153)?.checked_add(2)? / 5;
    let of_year = of_year.checked_add(day)?.checked_sub(1)?;
    let of_era = of_era
        .checked_mul(365)?
        .checked_add(of_era / 4)?
        .checked_sub(of_era / 100)?
        .checked_add(of_year)?;
    era.checked_mul(146_097)?
        .checked_add(of_era)?
        .checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        for (text, secs) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Mon, 30 Nov 2026 12:18:08 GMT", 1_796_041_088),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
        ] {
            assert_eq!(http_date(text), Some(UnixTime::from_secs(secs)), "{text}");
        }
        for text in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, +6 Nov 1994 08:00:00 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
        ] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_does_no_harm(text in ".{0,60}") {
            http_date(&text);
        }
    }
}
