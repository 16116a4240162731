//! The `Date` of messages: like `asctime`, UTC, without a zone.

use baraza_wire::UnixTime;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

pub(super) fn format(time: UnixTime) -> String {
    let (days, second) = (time.secs() / 86_400, time.secs() % 86_400);
    // Count in eras of 400 years from 1 March of the year 0, so that leap days come last.
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = day_of_era
        .saturating_sub(day_of_era / 1460)
        .saturating_add(day_of_era / 36_524)
        .saturating_sub(day_of_era / 146_096)
        / 365;
    let before = (365 * year_of_era)
        .saturating_add(year_of_era / 4)
        .saturating_sub(year_of_era / 100);
    let day_of_year = day_of_era.saturating_sub(before);
    let shifted_month = (5 * day_of_year).saturating_add(2) / 153;
    let month_start = (153 * shifted_month).saturating_add(2) / 5;
    let day = day_of_year.saturating_sub(month_start).saturating_add(1);
    let month = shifted_month.saturating_add(2) % 12;
    let next_year = u64::from(month < 2);
    let year = (era.saturating_mul(400))
        .saturating_add(year_of_era)
        .saturating_add(next_year);
    let pick = |names: &[&'static str], at: u64| {
        let at = usize::try_from(at).unwrap_or_default();
        names.get(at).copied().unwrap_or_default()
    };
    format!(
        "{} {} {day:2} {:02}:{:02}:{:02} {year}",
        pick(&DAYS, days % 7),
        pick(&MONTHS, month),
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_all_sorts() {
        for (secs, text) in [
            (0, "Thu Jan  1 00:00:00 1970"),
            (951_782_399, "Mon Feb 28 23:59:59 2000"),
            (951_782_400, "Tue Feb 29 00:00:00 2000"),
            (951_868_800, "Wed Mar  1 00:00:00 2000"),
            (1_795_393_774, "Mon Nov 23 00:29:34 2026"),
            (4_107_542_399, "Sun Feb 28 23:59:59 2100"),
            (4_107_542_400, "Mon Mar  1 00:00:00 2100"),
        ] {
            assert_eq!(format(UnixTime::from_secs(secs)), text);
        }
    }
}
