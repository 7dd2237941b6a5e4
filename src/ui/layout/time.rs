//! Times for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// Formats a time in the past, such as `3 min ago` or `yesterday 14:02`. After 7 days it is the
/// date. A time in the future is exact.
pub(crate) fn format_relative(time: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    if time > now {
        return format!("{time:.0}");
    }
    let seconds = now.as_second() - time.as_second();
    let local = time.to_zoned_datetime(zone.clone());
    let days = now.to_zoned_datetime(zone.clone()).date() - local.date();
    match days.get_days() {
        _ if seconds < MINUTE => format!("{seconds} s ago"),
        _ if seconds < HOUR => format!("{} min ago", seconds / MINUTE),
        1 if seconds >= 6 * HOUR => format!("yesterday {}", local.strftime("%H:%M")),
        0 | 1 => format!("{} h ago", seconds / HOUR),
        days @ ..7 => format!("{days} days ago"),
        _ => local.date().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_relative_gets_coarser_with_age() {
        let now = "2026-03-10T15:00:00Z";
        for (time, shown) in [
            ("2026-03-10T15:00:00Z", "0 s ago"),
            ("2026-03-10T14:59:01Z", "59 s ago"),
            ("2026-03-10T14:57:00Z", "3 min ago"),
            ("2026-03-10T12:59:00Z", "2 h ago"),
            ("2026-03-10T00:00:00Z", "15 h ago"),
            ("2026-03-09T14:02:00Z", "yesterday 14:02"),
            ("2026-03-09T23:00:00Z", "yesterday 23:00"),
            ("2026-03-08T23:00:00Z", "2 days ago"),
            ("2026-03-05T15:00:00Z", "5 days ago"),
            ("2026-03-03T15:00:00Z", "2026-03-03"),
            ("2026-03-10T15:00:01Z", "2026-03-10T15:00:01Z"),
        ] {
            let parse = |text: &str| text.parse().expect("a time");
            let found = format_relative(parse(time), parse(now), &TimeZone::UTC);
            assert_eq!(found, shown, "{time}");
        }
        let zone = TimeZone::fixed(jiff::tz::offset(10));
        let parse = |text: &str| text.parse().expect("a time");
        let found = format_relative(
            parse("2026-03-10T13:30:00Z"),
            parse("2026-03-10T22:00:00Z"),
            &zone,
        );
        assert_eq!(found, "yesterday 23:30");
    }
}
