"""Cron expressions: what they take, where clocks change, what is refused; against a scan of every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import cron
from tributary_daemon.model.slots import due_at

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
MINUTE = timedelta(minutes=1)


def upcoming(text, zone, start, count):
    """Return the next slots as the zone's clock shows them, with the offset from UTC."""
    where = ZoneInfo(zone)
    slots = cron.parse(text, zone).upcoming(datetime.fromisoformat(start).replace(tzinfo=where), count)
    return [slot.astimezone(where).strftime("%m-%d %H:%M %z") for slot in slots]


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("* * * * *", ["11-25 12:01", "11-25 12:02"]),
        ("*/15 * * * *", ["11-25 12:15", "11-25 12:30"]),
        ("5/20 9-17 * * MON-FRI", ["11-25 12:05", "11-25 12:25"]),
        ("10-50/20 * * * *", ["11-25 12:10", "11-25 12:30"]),
        ("0 3 1,15 * *", ["12-01 03:00", "12-15 03:00"]),
        ("0 0 * jan,JUL *", ["01-01 00:00", "01-02 00:00"]),
        ("0 12 * * 7", ["11-29 12:00", "12-06 12:00"]),
        ("0 12 * * sat-sun", ["11-28 12:00", "11-29 12:00"]),
        ("0 0 13 * FRI", ["11-27 00:00", "12-04 00:00"]),
        ("0 0 */13 * FRI", ["11-27 00:00", "01-01 00:00"]),
        ("0 0 L * *", ["11-30 00:00", "12-31 00:00"]),
        ("0 0 L,1 * ?", ["11-30 00:00", "12-01 00:00"]),
        ("0 9 * * MON#2", ["12-14 09:00", "01-11 09:00"]),
        ("0 9 * * FRIL", ["11-27 09:00", "12-25 09:00"]),
        ("0 0 29 2 *", ["02-29 00:00", "02-29 00:00"]),
        ("@hourly", ["11-25 13:00", "11-25 14:00"]),
        ("@daily", ["11-26 00:00", "11-27 00:00"]),
        ("@weekly", ["11-29 00:00", "12-06 00:00"]),
        ("@monthly", ["12-01 00:00", "01-01 00:00"]),
        ("@YEARLY", ["01-01 00:00", "01-01 00:00"]),
    ],
)
def test_what_an_expression_takes(text, slots):
    assert [slot[:11] for slot in upcoming(text, "UTC", "2026-11-25T12:00:30", 2)] == slots


def test_seconds_may_come_first():
    start = datetime(2026, 11, 25, 12, 0, 10, 5, tzinfo=UTC)
    slots = cron.parse("*/20 1 * * * *").upcoming(start, 3)
    assert [slot.strftime("%H:%M:%S") for slot in slots] == ["12:01:00", "12:01:20", "12:01:40"]


@pytest.mark.parametrize(
    ("text", "zone", "start", "slots"),
    [
        # forward: what does not exist comes once, right after the gap
        ("30 2 * * *", BERLIN, "2026-03-28T12:00", ["03-29 03:00 +0200", "03-30 02:30 +0200"]),
        ("*/20 2 * * *", BERLIN, "2026-03-28T12:00", ["03-29 03:00 +0200", "03-30 02:00 +0200"]),
        ("0,30 2-3 * * *", BERLIN, "2026-03-28T12:00", ["03-29 03:00 +0200", "03-29 03:30 +0200"]),
        ("30 2 * * *", NEW_YORK, "2026-03-07T12:00", ["03-08 03:00 -0400", "03-09 02:30 -0400"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-03T12:00", ["10-04 02:30 +1100", "10-05 02:15 +1100"]),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00", ["04-24 01:00 +0300", "04-25 00:00 +0300"]),
        ("0 12 * * *", "Pacific/Apia", "2011-12-29T13:00", ["12-31 00:00 +1400", "12-31 12:00 +1400"]),
        # every hour: real time goes on, and what does not exist does not come
        ("30 * * * *", BERLIN, "2026-03-29T00:45", ["03-29 01:30 +0100", "03-29 03:30 +0200"]),
        ("*/30 * * * *", NEW_YORK, "2026-03-08T01:15", ["03-08 01:30 -0500", "03-08 03:00 -0400"]),
        # back: what comes twice is taken the first time only
        ("30 2 * * *", BERLIN, "2026-10-24T12:00", ["10-25 02:30 +0200", "10-26 02:30 +0100"]),
        ("0 2,3 * * *", BERLIN, "2026-10-24T12:00", ["10-25 02:00 +0200", "10-25 03:00 +0100"]),
        ("30 1 * * *", NEW_YORK, "2026-10-31T12:00", ["11-01 01:30 -0400", "11-02 01:30 -0500"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04T12:00", ["04-05 01:45 +1100", "04-06 01:45 +1030"]),
        # every hour: all of the hours
        ("0 * * * *", BERLIN, "2026-10-25T01:30",
         ["10-25 02:00 +0200", "10-25 02:00 +0100", "10-25 03:00 +0100"]),
        ("*/20 * * * *", LORD_HOWE, "2026-04-05T01:25",
         ["04-05 01:40 +1100", "04-05 01:40 +1030", "04-05 02:00 +1030"]),
        # an hour whose beginning is not where steps of an hour would come
        ("*/20 5 * * *", LORD_HOWE, "2026-10-04T00:00",
         ["10-04 05:00 +1100", "10-04 05:20 +1100", "10-04 05:40 +1100"]),
    ],
)  # fmt: skip
def test_where_a_clock_is_changed(text, zone, start, slots):
    assert upcoming(text, zone, start, len(slots)) == slots


def field(values):
    """Return a strategy for (text, numbers) of a field."""
    low, high = values[0], values[-1]
    lists = st.lists(st.integers(low, high), min_size=1, max_size=3).map(
        lambda n: (",".join(map(str, n)), set(n))
    )
    ranges = st.tuples(st.integers(low, high), st.integers(low, high), st.integers(1, 7)).map(
        lambda n: (f"{min(n[:2])}-{max(n[:2])}/{n[2]}", set(range(min(n[:2]), max(n[:2]) + 1, n[2])))
    )
    steps = st.integers(2, 7).map(lambda n: (f"*/{n}", set(values[::n])))
    return st.one_of(st.just(("*", set(values))), lists, ranges, steps)


# midnight on the wall, of days on which the zone's clock is changed
CHANGES = [
    (BERLIN, "2026-03-29"), (BERLIN, "2026-10-25"), (NEW_YORK, "2026-03-08"),
    (NEW_YORK, "2026-11-01"), (LORD_HOWE, "2026-04-05"), (LORD_HOWE, "2026-10-04"),
    ("Africa/Cairo", "2026-04-24"), ("UTC", "2026-02-28"),
]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    minutes=field(range(60)), hours=field(range(24)), days=field(range(1, 32)), weekdays=field(range(7)),
    where=st.sampled_from(CHANGES), early=st.integers(0, 1_439),
)  # fmt: skip
def test_slots_are_those_that_a_scan_of_every_minute_finds(minutes, hours, days, weekdays, where, early):
    name, day = where
    zone = ZoneInfo(name)

    def takes(wall):
        fits = [wall.day in days[1], wall.isoweekday() % 7 in weekdays[1]]
        both = "*" in days[0] or "*" in weekdays[0]
        on = all(fits) if both else any(fits)
        return wall.minute in minutes[1] and wall.hour in hours[1] and on

    everyhour = len(hours[1]) == 24
    midnight = datetime.fromisoformat(day)
    start = (midnight - timedelta(days=1) + early * MINUTE).replace(tzinfo=zone).astimezone(UTC)
    end = start + timedelta(days=2)
    expected, moment, before = [], start, None
    while moment <= end:
        local = moment.astimezone(zone)
        wall = local.replace(tzinfo=None, fold=0)
        if everyhour:
            fires = takes(wall)
        else:
            fires = local.fold == 0 and takes(wall)
            lost = before + MINUTE if before is not None else wall
            while lost < wall:
                fires = fires or takes(lost)
                lost += MINUTE
        if fires:
            expected.append(moment)
        before, moment = wall, moment + MINUTE
    text = f"{minutes[0]} {hours[0]} {days[0]} * {weekdays[0]}"
    assert list(cron.parse(text, name).between(start, end)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing"),
        ("* * * *", "has 4 fields"),
        ("* * * * * * *", "has 7 fields"),
        ("60 * * * *", "minutes are 0 to 59"),
        ("* 24 * * *", "hours are 0 to 23"),
        ("* * 0 * *", "days are 1 to 31, or L for the last one"),
        ("* * * 13 *", "months are 1 to 12, or JAN to DEC"),
        ("* * * * MOON", "MON#2 for the second Monday"),
        ("* * * * MON#6", "weekdays are"),
        ("* * * * 9L", "weekdays are"),
        ("*/90 * * * *", "a number from 1 to 60"),
        ("*/0 * * * *", "a number from 1 to 60"),
        ("0 22-2 * * *", "write 22-23,0-2"),
        ("1,,2 * * * *", "'' is no minute"),
        ("1-2-3 * * * *", "'1-2-3' is no minute"),
        ("² * * * *", "'²' is no minute"),
        ("-1 * * * *", "'-1' is no minute"),
        ("1.5 * * * *", "'1.5' is no minute"),
        ("0 0 30 2 *", "day 30 of month 2 never comes"),
        ("0 0 31 4,6 *", "no day ever fits"),
        ("@reboot", "known are @yearly"),
        ("@every 5m", "every five minutes is */5 * * * *"),
        ("*" * 2_000, "at most 1,000 characters"),
    ],
)
def test_what_is_no_expression_is_refused_with_what_to_write(text, words):
    with pytest.raises(InvalidInput) as refused:
        cron.parse(text)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("New York", "did you mean America/New_York?"),
        ("Europe", "zones are named like|did you mean"),
        ("../../etc/passwd", "zones are named like"),
        ("", "zones are named like"),
        ("a\0b", "zones are named like"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest(zone, hint):
    with pytest.raises(InvalidInput, match="there is no time zone") as refused:
        cron.parse("* * * * *", zone)
    assert any(word in str(refused.value.hint) for word in hint.split("|"))


@settings(max_examples=40)
@given(
    name=st.text(max_size=20), minute=st.integers(0, 10**7), jitter=st.floats(0, 10**6, allow_nan=False)
)  # fmt: skip
def test_jitter_is_the_same_everywhere_and_never_longer_than_it_says(name, minute, jitter):
    slot = datetime(2026, 1, 1, tzinfo=UTC) + minute * MINUTE
    late = (due_at(name, slot, jitter) - slot).total_seconds()
    assert 0 <= late <= jitter
    assert due_at(name, slot.astimezone(ZoneInfo(BERLIN)), jitter) == slot + timedelta(seconds=late)
