//! The ladder, told stories.

use super::*;

const TICK: u64 = 100_000;

#[test]
fn time_does_not_jump() {
    let mut time = Time::default();
    assert_eq!(time.advance(5_000_000), 0);
    assert_eq!(time.advance(5_100_000), 100_000);
    // The machine was stopped for an hour.
    assert_eq!(time.advance(3_605_100_000), 300_000);
    // The clock went back.
    assert_eq!(time.advance(0), 300_000);
    assert_eq!(time.advance(100_000), 400_000);
}

#[test]
fn an_interrupt_on_its_way_is_not_missed() {
    let mut announcement = Announcement::default();
    // Seen in the moment between entry and interrupt, at each tick anew.
    for tick in 0..100 {
        assert!(!announcement.is_overdue(tick * TICK, true));
        announcement.clear();
    }
    for tick in 100..200 {
        assert!(!announcement.is_overdue(tick * TICK, tick % 2 == 0));
    }
}

#[test]
fn an_interrupt_that_does_not_come_is_missed() {
    let mut announcement = Announcement::default();
    let overdue: std::vec::Vec<bool> = (0..6)
        .map(|tick| announcement.is_overdue(tick * TICK, true))
        .collect();
    assert_eq!(overdue, [false, false, true, false, false, true]);
}

#[test]
fn a_queue_that_moves_is_not_stalled() {
    let mut stall = Stall::default();
    for tick in 0..1000 {
        assert_eq!(stall.tick(tick * TICK, 200, tick), Stalled::No);
    }
    // Empty for as long as it likes.
    for tick in 1000..2000 {
        assert_eq!(stall.tick(tick * TICK, 0, 999), Stalled::No);
    }
    // Full for one tick in two.
    for tick in 2000..3000 {
        let gap = (tick % 2) as u16;
        assert_eq!(stall.tick(tick * TICK, gap, 999), Stalled::No);
    }
}

#[test]
fn a_stalled_queue_is_notified_and_then_given_to_a_reset() {
    let mut stall = Stall::default();
    let mut steps = std::vec::Vec::new();
    for tick in 0..20 {
        match stall.tick(tick * TICK, 3, 7) {
            Stalled::No => {}
            step => steps.push((tick, step)),
        }
        if steps.last().is_some_and(|(_, step)| *step == Stalled::Dead) {
            break;
        }
    }
    let rekick = Stalled::Rekick;
    assert_eq!(steps, [(3, rekick), (6, rekick), (9, Stalled::Dead)]);
}

#[test]
fn a_stalled_queue_that_moves_again_begins_anew() {
    let mut stall = Stall::default();
    for tick in 0..8 {
        stall.tick(tick * TICK, 3, 0);
    }
    assert_eq!(stall.tick(8 * TICK, 3, 1), Stalled::No);
    assert_eq!(stall.tick(9 * TICK, 3, 1), Stalled::No);
    assert_eq!(stall.tick(10 * TICK, 3, 1), Stalled::No);
    assert_eq!(stall.tick(11 * TICK, 3, 1), Stalled::Rekick);
}

fn fail(ladder: &mut Ladder) {
    ladder.fail(Cause::NeedsReset);
}

#[test]
fn the_first_reset_comes_at_once() {
    let mut ladder = Ladder::default();
    assert_eq!(ladder.due(0, [0; 2]), Ok(None));
    fail(&mut ladder);
    assert!(ladder.is_down());
    assert_eq!(ladder.due(1, [0; 2]), Ok(Some((Cause::NeedsReset, 1))));
    ladder.ended(Ok(()));
    assert!(!ladder.is_down());
    assert_eq!(ladder.due(2, [0; 2]), Ok(None));
}

#[test]
fn the_first_cause_is_told() {
    let mut ladder = Ladder::default();
    ladder.fail(Cause::Lost);
    ladder.fail(Cause::Gone);
    assert_eq!(ladder.due(0, [0; 2]), Ok(Some((Cause::Lost, 1))));
}

#[test]
fn failing_resets_back_off_and_end() {
    let mut ladder = Ladder::default();
    fail(&mut ladder);
    let mut attempts = std::vec::Vec::new();
    let mut end = None;
    for tick in 0..200 {
        match ladder.due(tick * TICK, [0; 2]) {
            Ok(None) => {}
            Ok(Some((_, attempt))) => {
                attempts.push((tick, attempt));
                ladder.ended(Err(NetError::ResetRefused));
            }
            Err(given_up) => {
                end.get_or_insert((tick, given_up));
            }
        }
    }
    assert_eq!(attempts, [(0, 1), (1, 2), (3, 3), (7, 4), (15, 5), (31, 6)]);
    let (tick, given_up) = end.expect("it ends");
    assert_eq!(tick, 32);
    assert_eq!(given_up.resets, 6);
    assert_eq!(given_up.error, Some(NetError::ResetRefused));
    let text = std::format!("{given_up}");
    assert!(text.contains("given up after 6 resets"), "{text}");
    assert!(text.contains("does not finish its reset"), "{text}");
}

#[test]
fn resets_that_do_not_last_end_too() {
    let mut ladder = Ladder::default();
    let mut resets = 0;
    for tick in 0..1000 {
        fail(&mut ladder);
        match ladder.due(tick * TICK, [0; 2]) {
            Ok(None) => {}
            Ok(Some(_)) => {
                resets += 1;
                ladder.ended(Ok(()));
            }
            Err(given_up) => {
                assert_eq!(given_up.error, None);
                assert_eq!(resets, 6);
                return;
            }
        }
    }
    panic!("resets without end");
}

#[test]
fn a_reset_that_lasted_is_forgotten() {
    let mut ladder = Ladder::default();
    let mut now = 0;
    for _ in 0..100 {
        fail(&mut ladder);
        assert_eq!(ladder.due(now, [0; 2]), Ok(Some((Cause::NeedsReset, 1))));
        ladder.ended(Ok(()));
        for _ in 0..101 {
            now += TICK;
            assert_eq!(ladder.due(now, [0; 2]), Ok(None));
        }
    }
}

/// Fails and resets every [`HELPED_US`], with so many frames received and sent in between.
/// Whether it is given up.
fn is_given_up(frames: [u64; 2]) -> bool {
    let mut ladder = Ladder::default();
    let mut carried = [0; 2];
    (0..1000).any(|round| {
        fail(&mut ladder);
        let due = ladder.due(round * HELPED_US, carried);
        if due == Ok(None) {
            return false;
        }
        ladder.ended(Ok(()));
        carried = [carried[0] + frames[0], carried[1] + frames[1]];
        due.is_err()
    })
}

#[test]
fn resets_that_help_do_not_add_up() {
    assert!(!is_given_up([HELPED_FRAMES; 2]));
}

#[test]
fn resets_that_help_one_way_only_add_up() {
    assert!(is_given_up([HELPED_FRAMES - 1, HELPED_FRAMES]));
    assert!(is_given_up([HELPED_FRAMES, HELPED_FRAMES - 1]));
}

/// Found by the fuzzer: what was carried before the end must not turn into help after it.
#[test]
fn the_end_is_the_end() {
    let mut ladder = Ladder::default();
    let mut now = 0;
    let mut end = None;
    while end.is_none() {
        fail(&mut ladder);
        match ladder.due(now, [0; 2]) {
            Ok(None) => now += TICK,
            Ok(Some(_)) => ladder.ended(Ok(())),
            Err(given_up) => end = Some(given_up),
        }
    }
    assert!(ladder.ends_now() && !ladder.ends_now());
    for later in [TICK, HELPED_US, LASTING_US, 100 * LASTING_US] {
        assert_eq!(ladder.due(now + later, [1000; 2]).err(), end);
        assert!(ladder.is_down());
    }
}
