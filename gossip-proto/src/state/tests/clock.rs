//! The hybrid clock in its three states.

use core::time::Duration;

use super::super::Clock;
use crate::time::Instant;

const SECOND: u64 = 1_000_000;
/// In 2026.
const NOW: u64 = 1_780_000_000 * SECOND;

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * SECOND)
}

fn clock() -> Clock {
    Clock::new(Duration::from_secs(30))
}

/// The stamp of a write that is then made.
fn write(clock: &mut Clock, now: Instant, floor: u64) -> u64 {
    let stamp = clock.stamp(now).max(floor);
    assert_eq!(clock.stamp(now).max(floor), stamp, "a write that is not made changes nothing");
    clock.given(stamp);
    stamp
}

#[test]
fn a_wall_clock_runs_on_the_timer_and_refuses_what_is_ahead() {
    let mut clock = clock();
    assert!(clock.set_wall(at(10), NOW));
    assert_eq!(clock.now_estimate(at(15)), Some(NOW + 5 * SECOND));
    assert!(!clock.accept(at(15), NOW + 36 * SECOND));
    assert_eq!(write(&mut clock, at(15), 1), NOW + 5 * SECOND, "what was refused changes nothing");
    assert!(clock.accept(at(15), NOW + 35 * SECOND));
    assert_eq!(write(&mut clock, at(15), 1), NOW + 35 * SECOND);
    assert_eq!(write(&mut clock, at(15), 1), NOW + 35 * SECOND + 1);
    assert_eq!(write(&mut clock, at(15), NOW + 40 * SECOND), NOW + 40 * SECOND);
    assert_eq!(write(&mut clock, at(60), 1), NOW + 50 * SECOND);
    assert_eq!(write(&mut clock, at(0), 1), NOW + 50 * SECOND + 1, "a timer that steps back stalls");
    assert!(clock.accept(at(60), 3), "old stamps are always taken");
}

#[test]
fn without_any_reading_stamps_start_at_one() {
    let mut clock = clock();
    assert_eq!(clock.now_estimate(at(5)), None);
    assert_eq!(write(&mut clock, at(5), 1), 1);
    assert_eq!(write(&mut clock, at(5), 1), 2);
    assert!(clock.accept(at(5), 40));
    assert_eq!(clock.now_estimate(at(5)), None);
    assert_eq!(write(&mut clock, at(5), 1), 40);
    assert_eq!(write(&mut clock, at(5), 41), 41);
}

#[test]
fn what_is_heard_is_at_least_how_late_it_is() {
    let mut clock = clock();
    let days = 24 * 3600 * SECOND;
    assert!(clock.accept(at(5), NOW - 3 * days), "an old entry comes first");
    assert_eq!(clock.now_estimate(at(6)), Some(NOW - 3 * days + SECOND));
    assert!(clock.accept(at(7), NOW), "and does not shut the present out");
    assert!(clock.accept(at(7), NOW - days));
    assert_eq!(clock.now_estimate(at(8)), Some(NOW + SECOND));
    assert_eq!(write(&mut clock, at(8), 1), NOW + SECOND);
}

#[test]
fn no_stamp_near_the_top_is_accepted() {
    for wall in [false, true] {
        for heard in [false, true] {
            let mut clock = clock();
            if heard {
                assert!(clock.accept(at(1), NOW));
            }
            if wall {
                assert!(clock.set_wall(at(1), NOW));
            }
            for stamp in [u64::MAX, u64::MAX - 1, 1 << 63, 4_102_444_800 * SECOND] {
                assert!(!clock.accept(at(2), stamp));
            }
            assert!(write(&mut clock, at(2), 1) <= NOW + SECOND);
        }
    }
    let mut clock = clock();
    assert_eq!(write(&mut clock, at(2), u64::MAX), u64::MAX, "saturates, and does not wrap");
    assert_eq!(write(&mut clock, at(2), u64::MAX), u64::MAX);
}

#[test]
fn a_clock_that_was_never_set_is_no_reading() {
    let mut clock = clock();
    assert!(!clock.set_wall(at(1), 5 * SECOND));
    assert!(!clock.set_wall(at(1), u64::MAX));
    assert_eq!(clock.now_estimate(at(1)), None);
    assert!(clock.accept(at(1), NOW + 1_000_000 * SECOND));
    assert!(clock.set_wall(at(1), NOW));
    assert_eq!(
        write(&mut clock, at(1), 1),
        NOW + 30 * SECOND,
        "what was heard before is followed as far as it is allowed"
    );
}
