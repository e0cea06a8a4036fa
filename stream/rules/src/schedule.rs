//! When a scheduled rule runs (`cron`, `duration`, `cronDatetimeRange`): pure functions of the wall clock.

use edgeward_connect::Props;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::Value;

/// How far ahead a tick is looked for: every cron expression that ticks at all ticks within a leap cycle.
const HORIZON_DAYS: usize = 366 * 8;
/// Most ranges of one rule.
const MAX_RANGES: usize = 1_000;

/// A rule's schedule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Schedule {
    /// Starts, each for `duration`.
    cron: Option<Cron>,
    /// Length of a run in ms.
    duration: Option<i64>,
    /// Begin and end in ms since 1970: when the rule may run, or when it runs if there is no cron.
    ranges: Vec<(i64, i64)>,
}

/// What a schedule asks for at an instant; times in ms since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Run until then; the text is the last will of that run.
    Run(i64, &'static str),
    /// Wait until then.
    Wait(i64),
    /// There is nothing left to run.
    Over,
}

impl Schedule {
    /// Reads the options of a rule; none if it is not scheduled. `cron` counts only together with `duration`, as in eKuiper.
    pub(crate) fn read(options: &Props, duration: i64, zone: &TimeZone) -> Result<Option<Schedule>, String> {
        let cron = options.text("cron").map_err(|error| error.to_string())?;
        let cron = cron.map(|text| Cron::parse(text).map_err(|reason| format!("invalid cron {text}: {reason}")));
        let ranges = match options.get("cronDatetimeRange") {
            None => Vec::new(),
            Some(Value::Array(ranges)) if ranges.len() <= MAX_RANGES => {
                ranges.iter().map(|range| read_range(range, zone)).collect::<Result<_, _>>()?
            }
            Some(other) => return Err(format!("invalid cronDatetimeRange {other}; use an array of {{begin,end}}")),
        };
        let duration = (duration > 0).then_some(duration);
        let cron = cron.transpose()?.filter(|_| duration.is_some());
        let scheduled = duration.is_some() || !ranges.is_empty();
        Ok(scheduled.then_some(Schedule { cron, duration, ranges }))
    }

    /// What to do at `now` for a rule that was triggered at `since`.
    pub(crate) fn phase(&self, now: i64, since: i64, zone: &TimeZone) -> Phase {
        match (&self.cron, self.duration) {
            (Some(cron), Some(duration)) => self.at_ticks(cron, duration, now, zone),
            (None, Some(duration)) if now < since.saturating_add(duration) => {
                Phase::Run(since.saturating_add(duration), "duration terminated")
            }
            (None, Some(_)) => Phase::Over,
            (_, None) => self.in_ranges(now),
        }
    }

    /// When the next run begins after `now`; 0 for never.
    pub(crate) fn next_start(&self, now: i64, zone: &TimeZone) -> i64 {
        match (&self.cron, self.duration) {
            (Some(cron), _) => self.tick_after(cron, now, zone),
            (None, Some(_)) => None,
            (None, None) => self.range_after(now),
        }
        .unwrap_or(0)
    }

    fn in_ranges(&self, now: i64) -> Phase {
        if let Some((_, end)) = self.ranges.iter().find(|(begin, end)| (*begin..*end).contains(&now)) {
            return Phase::Run(*end, "schedule terminated");
        }
        self.range_after(now).map_or(Phase::Over, Phase::Wait)
    }

    fn range_after(&self, now: i64) -> Option<i64> {
        self.ranges.iter().map(|(begin, _)| *begin).filter(|begin| *begin > now).min()
    }

    /// A run that began less than `duration` ago is still on.
    fn at_ticks(&self, cron: &Cron, duration: i64, now: i64, zone: &TimeZone) -> Phase {
        let Some(tick) = self.tick_after(cron, now.saturating_sub(duration), zone) else { return Phase::Over };
        let until = tick.saturating_add(duration);
        if tick <= now { Phase::Run(until, "schedule terminated") } else { Phase::Wait(tick) }
    }

    /// The first tick after an instant that is in a range.
    fn tick_after(&self, cron: &Cron, mut from: i64, zone: &TimeZone) -> Option<i64> {
        // Ticks outside the ranges are skipped by going on from the next range's begin.
        for _ in 0..=self.ranges.len().saturating_mul(2) {
            let tick = cron.next(from, zone)?;
            let allowed = |(begin, end): &(i64, i64)| (*begin..*end).contains(&tick);
            if self.ranges.is_empty() || self.ranges.iter().any(allowed) {
                return Some(tick);
            }
            from = self.range_after(tick)? - 1;
        }
        None
    }
}

fn read_range(range: &Value, zone: &TimeZone) -> Result<(i64, i64), String> {
    let bound = |text: &str, number: &str| -> Result<i64, String> {
        if let Some(ms) = range.get(number).and_then(Value::as_i64).filter(|ms| *ms > 0) {
            return Ok(ms);
        }
        let written = range.get(text).and_then(Value::as_str).unwrap_or_default();
        let wrong = || format!("invalid {text} {written:?} of cronDatetimeRange; write it as 2006-01-02 15:04:05");
        let time = DateTime::strptime("%Y-%m-%d %H:%M:%S", written).map_err(|_| wrong())?;
        Ok(time.to_zoned(zone.clone()).map_err(|_| wrong())?.timestamp().as_millisecond())
    };
    let (begin, end) = (bound("begin", "beginTimestamp")?, bound("end", "endTimestamp")?);
    if end < begin {
        return Err("cronDatetimeRange has an end before its begin".into());
    }
    Ok((begin, end))
}

/// A cron expression of five fields: one bit for each value that matches.
#[derive(Debug, Clone, PartialEq)]
struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Day of month or day of week is `*`: then both must match, else either.
    any_day: bool,
}

impl Cron {
    fn parse(text: &str) -> Result<Cron, String> {
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!("expected exactly 5 fields, found {}: {fields:?}", fields.len()));
        };
        let star = |field: &str| field.starts_with(['*', '?']);
        Ok(Cron {
            minutes: bits(minute, 0, 59, &[])?,
            hours: bits(hour, 0, 23, &[])?,
            days: bits(day, 1, 31, &[])?,
            months: bits(month, 1, 12, &MONTHS)?,
            // Sunday may be written 7.
            weekdays: bits(weekday, 0, 7, &WEEKDAYS).map(|set| set | (set >> 7))?,
            any_day: star(day) || star(weekday),
        })
    }

    /// The first tick after an instant.
    fn next(&self, after: i64, zone: &TimeZone) -> Option<i64> {
        let after = Timestamp::from_millisecond(after).ok()?;
        let start = after.to_zoned(zone.clone()).datetime();
        let mut date = start.date();
        for _ in 0..HORIZON_DAYS {
            if self.on(date) {
                let tick = |minute: i16| {
                    let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
                    let wanted = has(self.hours, hour) && has(self.minutes, minute);
                    let time = wanted.then(|| date.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok())??;
                    (time.timestamp() > after).then(|| time.timestamp().as_millisecond())
                };
                if let Some(found) = (0..24 * 60).find_map(tick) {
                    return Some(found);
                }
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    fn on(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month()) && if self.any_day { day && weekday } else { day || weekday }
    }
}

const MONTHS: [&str; 13] = ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

fn has(set: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| set.checked_shr(value).is_some_and(|rest| rest & 1 == 1))
}

/// The values of one field: `*`, `a`, `a-b`, with `/step`, several by commas.
fn bits(field: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, String> {
    let number = |text: &str| -> Result<u32, String> {
        let named = names.iter().position(|name| !name.is_empty() && name.eq_ignore_ascii_case(text));
        let value = named.and_then(|at| u32::try_from(at).ok()).or_else(|| text.parse().ok());
        value.filter(|value| (low..=high).contains(value)).ok_or_else(|| format!("failed to parse {text:?}"))
    };
    let mut set = 0_u64;
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = step.map_or(Ok(1), |step| step.parse::<usize>().map_err(|_| format!("failed to parse {step:?}")))?;
        let (first, last) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (low, high),
            Some((first, last)) => (number(first)?, number(last)?),
            None if part.contains('/') => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if step == 0 || first > last {
            return Err(format!("{part:?} names nothing"));
        }
        (first..=last).step_by(step).for_each(|value| set |= 1 << value);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn cron_ticks() {
        for (cron, after, next) in [
            ("* * * * *", "2026-01-01T00:00:30Z", "2026-01-01T00:01:00Z"),
            ("*/15 3 * * *", "2026-01-01T03:20:00Z", "2026-01-01T03:30:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("30 9 * * mon-fri", "2026-01-02T10:00:00Z", "2026-01-05T09:30:00Z"),
            ("0 0 13 * 5", "2026-01-03T00:00:00Z", "2026-01-09T00:00:00Z"),
            ("0 12 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T12:00:00Z"),
            ("@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"),
        ] {
            let cron = Cron::parse(cron).unwrap();
            assert_eq!(cron.next(ms(after), &TimeZone::UTC), Some(ms(next)), "{cron:?}");
        }
        assert_eq!(Cron::parse("0 0 30 2 *").unwrap().next(0, &TimeZone::UTC), None);
        for wrong in ["", "* * * *", "60 * * * *", "* 5-3 * * *", "*/0 * * * *", "a * * * *", "* * 0 * *"] {
            assert!(Cron::parse(wrong).is_err(), "{wrong}");
        }
    }

    fn schedule(options: Value, duration: i64) -> Result<Option<Schedule>, String> {
        Schedule::read(&Props::new(options.as_object().unwrap().clone()), duration, &TimeZone::UTC)
    }

    #[test]
    fn phases() {
        let phase = |options: Value, duration: i64, now: &str| {
            schedule(options, duration).unwrap().unwrap().phase(ms(now), ms("2026-01-01T00:00:00Z"), &TimeZone::UTC)
        };
        let hourly = || json!({"cron": "0 * * * *"});
        assert_eq!(phase(hourly(), 60_000, "2026-01-01T00:30:00Z"), Phase::Wait(ms("2026-01-01T01:00:00Z")));
        let running = Phase::Run(ms("2026-01-01T01:01:00Z"), "schedule terminated");
        assert_eq!(phase(hourly(), 60_000, "2026-01-01T01:00:30Z"), running);
        assert_eq!(
            phase(json!({}), 5_000, "2026-01-01T00:00:01Z"),
            Phase::Run(ms("2026-01-01T00:00:05Z"), "duration terminated")
        );
        assert_eq!(phase(json!({}), 5_000, "2026-01-01T00:00:05Z"), Phase::Over);
        let range = json!([{"begin": "2026-01-02 00:00:00", "end": "2026-01-02 10:00:00"}]);
        let ranged = || json!({"cronDatetimeRange": range});
        assert_eq!(phase(ranged(), 0, "2026-01-01T00:00:00Z"), Phase::Wait(ms("2026-01-02T00:00:00Z")));
        assert_eq!(
            phase(ranged(), 0, "2026-01-02T01:00:00Z"),
            Phase::Run(ms("2026-01-02T10:00:00Z"), "schedule terminated")
        );
        assert_eq!(phase(ranged(), 0, "2026-01-02T10:00:00Z"), Phase::Over);
        let next = |options: Value, duration: i64, now: &str| {
            schedule(options, duration).unwrap().unwrap().next_start(ms(now), &TimeZone::UTC)
        };
        assert_eq!(next(hourly(), 5_400_000, "2026-01-01T00:30:00Z"), ms("2026-01-01T01:00:00Z"), "it runs already");
        assert_eq!(next(ranged(), 0, "2026-01-01T00:30:00Z"), ms("2026-01-02T00:00:00Z"));
        assert_eq!(next(ranged(), 0, "2026-01-02T00:00:00Z"), 0);
        assert_eq!(next(json!({}), 5_000, "2026-01-02T00:00:00Z"), 0);
        let both = json!({"cron": "0 * * * *", "cronDatetimeRange": range});
        assert_eq!(phase(both, 1_000, "2026-01-01T05:00:00Z"), Phase::Wait(ms("2026-01-02T00:00:00Z")));
    }

    /// The runs of a schedule on a clock that only this test turns: begin, end and last will.
    fn runs(schedule: &Schedule, begin: &str, end: &str) -> Vec<(i64, i64, &'static str)> {
        let (since, mut now, mut runs) = (ms(begin), ms(begin), Vec::new());
        while now < ms(end) {
            now = match schedule.phase(now, since, &TimeZone::UTC) {
                Phase::Over => break,
                Phase::Wait(until) => until,
                Phase::Run(until, will) => {
                    runs.push((now, until, will));
                    until
                }
            };
        }
        runs
    }

    #[test]
    fn whole_days_of_a_schedule() {
        let check = |options: Value, duration: i64, end: &str, expect: &[(&str, &str)]| {
            let schedule = schedule(options.clone(), duration).unwrap().unwrap();
            let got = runs(&schedule, "2026-03-01T00:30:00Z", end);
            let got: Vec<_> = got.into_iter().map(|(begin, end, _)| (begin, end)).collect();
            let expect: Vec<_> = expect.iter().map(|(begin, end)| (ms(begin), ms(end))).collect();
            assert_eq!(got, expect, "{options}");
        };
        check(
            json!({"cron": "0 */12 * * *"}),
            3_600_000,
            "2026-03-02T00:00:00Z",
            &[("2026-03-01T00:30:00Z", "2026-03-01T01:00:00Z"), ("2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z")],
        );
        // A run longer than the time between two ticks goes on without a gap.
        let without_end = schedule(json!({"cron": "* * * * *"}), 90_000).unwrap().unwrap();
        let all = runs(&without_end, "2026-03-01T00:30:00Z", "2026-03-01T00:40:00Z");
        assert!(all.windows(2).all(|pair| pair[0].1 == pair[1].0), "{all:?}");
        let ranges = json!([
            {"begin": "2026-03-01 06:00:00", "end": "2026-03-01 07:00:00"},
            {"beginTimestamp": ms("2026-03-01T09:00:00Z"), "endTimestamp": ms("2026-03-01T10:00:00Z")},
        ]);
        check(
            json!({"cronDatetimeRange": ranges}),
            0,
            "2026-03-09T00:00:00Z",
            &[("2026-03-01T06:00:00Z", "2026-03-01T07:00:00Z"), ("2026-03-01T09:00:00Z", "2026-03-01T10:00:00Z")],
        );
        check(
            json!({"cron": "30 * * * *", "cronDatetimeRange": ranges}),
            60_000,
            "2026-03-09T00:00:00Z",
            &[("2026-03-01T06:30:00Z", "2026-03-01T06:31:00Z"), ("2026-03-01T09:30:00Z", "2026-03-01T09:31:00Z")],
        );
    }

    #[test]
    fn what_is_no_schedule() {
        assert_eq!(schedule(json!({}), 0), Ok(None));
        assert_eq!(schedule(json!({"cron": "* * * * *"}), 0), Ok(None));
        assert!(schedule(json!({"cron": "nonsense"}), 1).is_err());
        assert!(schedule(json!({"cronDatetimeRange": [{"begin": "x", "end": "y"}]}), 0).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_cron_or_not(text in "[0-9*/,a-z -]{0,30}", at in 0_i64..4_000_000_000_000) {
            if let Ok(cron) = Cron::parse(&text) {
                prop_assert!(cron.next(at, &TimeZone::UTC).is_none_or(|next| next > at));
            }
        }
    }
}
