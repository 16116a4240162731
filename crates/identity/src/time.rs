//! Dates of certificates: UTCTime and GeneralizedTime, seconds, always UTC.

use baraza_wire::UnixTime;

use crate::der::{self, DerError, Item};

const DAY: i64 = 86_400;

/// Writes a date the way RFC 5280 asks: UTCTime up to 2049, then GeneralizedTime.
pub(crate) fn write(time: UnixTime) -> Vec<u8> {
    let seconds = i64::try_from(time.secs()).unwrap_or(i64::MAX);
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    let (year, tag) = if (1950..2050).contains(&year) {
        (format!("{:02}", year.rem_euclid(100)), der::UTC_TIME)
    } else {
        (format!("{:04}", year.clamp(0, 9999)), der::GENERALIZED_TIME)
    };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let text = format!("{year}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    der::write(tag, &[text.as_bytes()])
}

/// Reads a date. Dates before 1970 become 1970.
pub(crate) fn read(item: Item<'_>) -> Result<UnixTime, DerError> {
    const BAD: DerError = DerError("not a date");
    let (mut digits, year_digits) = match item.tag {
        der::UTC_TIME => (item.content, 2),
        der::GENERALIZED_TIME => (item.content, 4),
        _ => return Err(BAD),
    };
    let mut number = |len: usize| -> Result<i64, DerError> {
        let (field, rest) = digits.split_at_checked(len).ok_or(BAD)?;
        digits = rest;
        field.iter().try_fold(0i64, |value, digit| {
            let digit = char::from(*digit).to_digit(10).ok_or(BAD)?;
            Ok(value.saturating_mul(10).saturating_add(i64::from(digit)))
        })
    };
    let year = number(year_digits)?;
    let year = match (year_digits, year) {
        (2, 0..50) => year.saturating_add(2000),
        (2, _) => year.saturating_add(1900),
        _ => year,
    };
    let (month, day) = (number(2)?, number(2)?);
    let (hour, minute, second) = (number(2)?, number(2)?, number(2)?);
    let in_range = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if digits != b"Z" || !in_range {
        return Err(BAD);
    }
    let seconds = days(year, month, day)
        .saturating_mul(DAY)
        .saturating_add(hour.saturating_mul(3600))
        .saturating_add(minute.saturating_mul(60))
        .saturating_add(second);
    Ok(UnixTime::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Days since 1970 of a date of the Gregorian calendar. The year begins in March here, so
/// that the leap day is the last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 {
        year.saturating_sub(1)
    } else {
        year
    };
    let month = (month.saturating_add(9)) % 12;
    let era = year.div_euclid(400);
    let year = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era.saturating_mul(146_097)
        .saturating_add(year * 365 + year / 4 - year / 100 + day_of_year)
        .saturating_sub(719_468)
}

/// The date of a day since 1970: the inverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = year.saturating_add(era.saturating_mul(400));
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year.saturating_add(1), month - 9, day)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::der::Reader;

    fn parse(tag: u8, text: &str) -> Result<UnixTime, DerError> {
        read(
            Reader::new(&der::write(tag, &[text.as_bytes()]))
                .any()
                .unwrap(),
        )
    }

    proptest! {
        #[test]
        fn dates_round_trip(seconds in 0u64..253_402_300_800) {
            let time = UnixTime::from_secs(seconds);
            let der = write(time);
            prop_assert_eq!(read(Reader::new(&der).any().unwrap()), Ok(time));
        }

        #[test]
        fn any_text_does_not_panic(text: Vec<u8>) {
            for tag in [der::UTC_TIME, der::GENERALIZED_TIME] {
                let der = der::write(tag, &[&text]);
                let _ = read(Reader::new(&der).any().unwrap());
            }
        }
    }

    #[test]
    fn known_dates() {
        assert_eq!(
            parse(der::UTC_TIME, "261123002433Z").unwrap().secs(),
            1_795_393_473
        );
        assert_eq!(
            parse(der::GENERALIZED_TIME, "20500229000000Z")
                .unwrap()
                .secs(),
            parse(der::GENERALIZED_TIME, "20500301000000Z")
                .unwrap()
                .secs()
        );
        assert_eq!(parse(der::UTC_TIME, "500101000000Z").unwrap().secs(), 0);
        assert_eq!(
            write(UnixTime::from_secs(951_782_400)),
            b"\x17\x0d000229000000Z"
        );
        assert!(parse(der::UTC_TIME, "261323002433Z").is_err());
        assert!(parse(der::UTC_TIME, "2611230024Z").is_err());
        assert!(parse(der::UTC_TIME, "261123002433+0100").is_err());
    }
}
