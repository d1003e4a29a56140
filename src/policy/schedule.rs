//! Times of the day and days of the week, in a time zone.

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use crate::call::Millis;

/// The days as they are written, from the first of the week on.
pub(super) const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// A span of the day on some days. Where it ends before it begins it lasts over midnight, and belongs to the day on
/// which it begins.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// Its IANA name as written.
    pub zone_name: String,
    pub zone: TimeZone,
    /// The first moment.
    pub from: Time,
    /// The moment behind the last; the same as `from` means that of the next day.
    pub to: Time,
    /// Never empty.
    pub days: Vec<Weekday>,
}

impl Schedule {
    /// Whether its days are those of the calendar, from midnight to midnight.
    pub(super) fn is_of_whole_days(&self) -> bool {
        self.from == self.to && self.from == Time::midnight()
    }

    /// Whether the moment lies within; `None` where no calendar reaches it. By the clock on the wall of that zone: in
    /// the hour that a change of the clocks repeats it holds twice, what such a change leaves out does not come.
    pub(super) fn holds(&self, moment: Millis) -> Option<bool> {
        let local = Timestamp::from_millisecond(moment.0).ok()?.to_zoned(self.zone.clone());
        let (day, time) = (local.weekday(), local.time());
        let began_today = self.days.contains(&day);
        let began_yesterday = self.days.contains(&day.previous());
        Some(if self.from < self.to {
            began_today && self.from <= time && time < self.to
        } else {
            (began_today && self.from <= time) || (began_yesterday && time < self.to)
        })
    }
}

/// Reads `HH:MM`, from 00:00 to 24:00, which is the next day's 00:00.
pub(super) fn time(text: &str) -> Result<Time, String> {
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        let number = |part: &str| {
            let plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| part.parse::<i8>().ok()).flatten()
        };
        match (number(hour)?, number(minute)?) {
            (24, 0) => Some(Time::midnight()),
            (hour, minute) => Time::new(hour, minute, 0, 0).ok(),
        }
    };
    read().ok_or_else(|| format!("{text:?} is not a time of the day"))
}

/// Reads the IANA name of a zone.
pub(super) fn zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| format!("no time zone is called {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(zone_name: &str, from: &str, to: &str, days: &[&str]) -> Schedule {
        let day = |name: &&str| DAYS.iter().find(|(known, _)| known == name).unwrap().1;
        Schedule {
            zone_name: zone_name.to_owned(),
            zone: zone(zone_name).unwrap(),
            from: time(from).unwrap(),
            to: time(to).unwrap(),
            days: days.iter().map(day).collect(),
        }
    }

    fn at(text: &str) -> Millis {
        Millis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_span_of_the_day_in_its_zone() {
        let office = schedule("Europe/Berlin", "09:00", "17:30", &["mon", "tue", "wed", "thu", "fri"]);
        for (moment, expected) in [
            // A Monday, in winter: one hour before UTC.
            ("2026-11-23T07:59:59.999Z", false),
            ("2026-11-23T08:00:00Z", true),
            ("2026-11-23T16:29:59.999Z", true),
            ("2026-11-23T16:30:00Z", false),
            // A Saturday.
            ("2026-11-21T10:00:00Z", false),
            // In summer: two hours.
            ("2026-07-06T07:00:00Z", true),
            ("2026-07-06T15:30:00Z", false),
        ] {
            assert_eq!(office.holds(at(moment)), Some(expected), "{moment}");
        }
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = schedule("UTC", "22:00", "06:00", &["fri"]);
        for (moment, expected) in [
            ("2026-11-20T21:59:00Z", false),
            ("2026-11-20T22:00:00Z", true),
            ("2026-11-21T05:59:59Z", true),
            ("2026-11-21T06:00:00Z", false),
            ("2026-11-21T23:00:00Z", false),
            ("2026-11-20T03:00:00Z", false),
        ] {
            assert_eq!(night.holds(at(moment)), Some(expected), "{moment}");
        }
    }

    #[test]
    fn whole_days() {
        for (from, to) in [("00:00", "24:00"), ("00:00", "00:00"), ("12:00", "12:00")] {
            let whole = schedule("UTC", from, to, &["sun"]);
            assert_eq!(whole.holds(at("2026-11-22T12:00:00Z")), Some(true), "{from}");
        }
        assert_eq!(schedule("UTC", "00:00", "24:00", &["sun"]).holds(at("2026-11-23T00:00:00Z")), Some(false));
        assert_eq!(schedule("UTC", "00:00", "24:00", &["sun"]).holds(Millis::MAX), None);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "9:00", "09:60", "24:01", "25:00", "-1:00", "09:00:00", "0900", "０９:00", "09:00 "] {
            assert!(time(text).is_err(), "{text:?}");
        }
        for text in ["", "Berlin", "UTC+1", "../../etc/passwd", "CET/CEST"] {
            assert!(zone(text).is_err(), "{text:?}");
        }
    }
}
