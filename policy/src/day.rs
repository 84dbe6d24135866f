//! Calendar days, as people write them in facts and laws. A day has no time zone until somebody gives it one.

use core::fmt;

const SECONDS_A_DAY: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const EPOCH_FROM_MARCH_0000: i64 = 719_468;
/// Days in 400 years.
const ERA: i64 = 146_097;

/// A day of the Gregorian calendar from 1900-01-01 to 9999-12-31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

impl Day {
    /// A day by year, month and day of month; `None` if there is no such day or it is outside 1900 to 9999.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let last = match month {
            2 => 28 + u8::from(leap),
            4 | 6 | 9 | 11 => 30,
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            _ => return None,
        };
        if !(1900..=9999).contains(&year) || day == 0 || day > last {
            return None;
        }
        // Years begin in March here, so that the leap day is the last of its year.
        let (year, month) = (i64::from(year) - i64::from(month <= 2), (i64::from(month) + 9) % 12);
        let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
        let days = year.div_euclid(400) * ERA + year.rem_euclid(400) * 365 + year.rem_euclid(400) / 4
            - year.rem_euclid(400) / 100
            + day_of_year
            - EPOCH_FROM_MARCH_0000;
        i32::try_from(days).ok().map(Self)
    }

    /// Reads `YYYY-MM-DD`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut next =
            |len: usize| parts.next().filter(|part| part.len() == len && part.bytes().all(|b| b.is_ascii_digit()));
        let (year, month, day) = (next(4)?, next(2)?, next(2)?);
        if parts.next().is_some() {
            return None;
        }
        Self::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
    }

    /// The day on which `time` (seconds since 1970) falls at `offset` minutes east of UTC; `None` outside 1900 to 9999.
    #[must_use]
    pub fn of(time: u64, offset: i32) -> Option<Self> {
        let local = i64::try_from(time).ok()?.checked_add(i64::from(offset) * 60)?;
        let day = Self(i32::try_from(local.div_euclid(SECONDS_A_DAY)).ok()?);
        (day <= Self::new(9999, 12, 31)?).then_some(day)
    }

    /// The first second after this day at `offset` minutes east of UTC; 0 if that is before 1970.
    #[must_use]
    pub fn over(self, offset: i32) -> u64 {
        let next = (i64::from(self.0) + 1) * SECONDS_A_DAY - i64::from(offset) * 60;
        u64::try_from(next).unwrap_or(0)
    }

    /// Year, month, day of month.
    #[must_use]
    pub fn civil(self) -> (i64, i64, i64) {
        let days = i64::from(self.0) + EPOCH_FROM_MARCH_0000;
        let of_era = days.rem_euclid(ERA);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        (days.div_euclid(ERA) * 400 + year_of_era + i64::from(month <= 2), month, day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_read_back_through_every_leap_rule() {
        let mut last = Day::parse("1900-01-01").unwrap();
        assert_eq!(last.to_string(), "1900-01-01");
        for text in ["1900-03-01", "1970-01-01", "2000-02-29", "2000-03-01", "2024-02-29", "2100-02-28", "9999-12-31"] {
            let day = Day::parse(text).unwrap();
            assert_eq!(day.to_string(), text);
            assert!(day > last);
            last = day;
        }
        assert_eq!(Day::parse("1970-01-01"), Some(Day(0)));
        // Every day of four hundred years, one by one.
        for days in 0..146_097 {
            let day = Day(days);
            assert_eq!(Day::parse(&day.to_string()), Some(day));
        }
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in [
            "2023-02-29",
            "1900-02-29",
            "2023-13-01",
            "2023-00-01",
            "2023-04-31",
            "2023-4-1",
            "1899-12-31",
            "20230101",
            "",
        ] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_is_over_at_midnight_of_its_zone() {
        let day = Day::parse("2026-06-30").unwrap();
        let over = day.over(480);
        assert_eq!(Day::of(over - 1, 480), Some(day));
        assert_eq!(Day::of(over, 480).unwrap().to_string(), "2026-07-01");
        assert_eq!(Day::of(over, 0), Some(day));
    }
}
