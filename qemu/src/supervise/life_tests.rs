use super::*;

fn limits() -> Limits {
    Limits {
        start: 30_000,
        suspect: 2_000,
        dead: 4_000,
        autopsy: 10_000,
        starts: 3,
        within: 60_000,
        pause: 500,
        stop: Deadlines::default(),
    }
}

fn feed(life: &mut Life, now: Millis, input: Input) -> Vec<Action> {
    let mut actions = Vec::new();
    life.step(now, &input, &mut actions);
    actions
}

/// The actions without the news of states.
fn deeds(actions: Vec<Action>) -> Vec<Action> {
    let news = |action: &Action| matches!(action, Action::Entered(..));
    actions.into_iter().filter(|a| !news(a)).collect()
}

fn healthy_at(now: Millis) -> Life {
    let mut life = Life::new(limits(), now);
    assert_eq!(deeds(feed(&mut life, now, Input::Tick)), [Action::Start]);
    let served = deeds(feed(&mut life, now, Input::Answered(now)));
    assert_eq!(served, [Action::Serve]);
    assert_eq!(life.phase(), Phase::Healthy);
    life
}

#[test]
fn a_wedge_is_noticed_in_time_examined_and_ends_in_a_new_start() {
    let mut life = healthy_at(0);
    feed(&mut life, 10_000, Input::Answered(10_000));
    feed(&mut life, 11_999, Input::Tick);
    assert_eq!(life.phase(), Phase::Healthy);
    feed(&mut life, 12_000, Input::Tick);
    assert_eq!(life.phase(), Phase::Suspect);
    let actions = deeds(feed(&mut life, 14_000, Input::Tick));
    assert_eq!(actions, [Action::Hold, Action::Examine(Cause::Silent)]);
    let actions = deeds(feed(&mut life, 15_000, Input::AutopsyDone));
    assert_eq!(actions, [Action::Press(Means::Quit)]);
    let actions = deeds(feed(&mut life, 15_500, Input::Ended(None)));
    assert_eq!(actions, [Action::Start]);
    assert_eq!(life.phase(), Phase::Starting);
    assert_eq!(life.started(), 2);
}

#[test]
fn an_answer_ends_the_suspicion() {
    let mut life = healthy_at(0);
    feed(&mut life, 3_000, Input::Tick);
    assert_eq!(life.phase(), Phase::Suspect);
    feed(&mut life, 3_500, Input::Answered(3_000));
    assert_eq!(life.phase(), Phase::Healthy);
}

#[test]
fn an_autopsy_ends_at_its_deadline_and_spares_who_answers() {
    let mut life = healthy_at(0);
    feed(&mut life, 2_000, Input::Tick);
    feed(&mut life, 4_000, Input::Tick);
    assert_eq!(life.phase(), Phase::Autopsy);
    feed(&mut life, 13_999, Input::Tick);
    assert_eq!(life.phase(), Phase::Autopsy);
    feed(&mut life, 14_000, Input::Tick);
    assert_eq!(life.phase(), Phase::Stopping);

    let mut life = healthy_at(0);
    feed(&mut life, 2_000, Input::Tick);
    feed(&mut life, 4_000, Input::Tick);
    feed(&mut life, 5_000, Input::Answered(4_500));
    let actions = deeds(feed(&mut life, 5_100, Input::AutopsyDone));
    assert_eq!(actions, [Action::Serve]);
    assert_eq!((life.phase(), life.started()), (Phase::Healthy, 1));
}

#[test]
fn too_many_starts_in_a_row_are_given_up_with_the_last_reason() {
    let mut life = Life::new(limits(), 0);
    let mut now = 0;
    let mut starts = 0;
    while !life.phase().is_final() {
        now += 100;
        assert!(now < 60_000, "it never gives up");
        let mut actions = feed(&mut life, now, Input::Tick);
        while actions.contains(&Action::Start) {
            starts += 1;
            let ending = Some(Ending::Code(ExitCode::Panic));
            feed(&mut life, now, Input::Ended(ending));
            actions = feed(&mut life, now, Input::AutopsyDone);
        }
    }
    assert_eq!((life.phase(), starts), (Phase::Failed, 3));
    let reason = life.reason();
    assert!(
        reason.contains("3 starts") && reason.contains("panicked"),
        "{reason}"
    );
}

#[test]
fn starts_long_ago_do_not_count() {
    let mut life = healthy_at(0);
    for n in 1..20 {
        let now = n * 100_000;
        feed(&mut life, now - 1, Input::Answered(now - 1));
        feed(&mut life, now, Input::Ended(None));
        let actions = deeds(feed(&mut life, now, Input::AutopsyDone));
        assert_eq!(actions, [Action::Start]);
        feed(&mut life, now, Input::Answered(now));
        assert_eq!(life.phase(), Phase::Healthy);
    }
}

#[test]
fn what_starting_again_does_not_help_is_not_started_again() {
    for code in [
        ExitCode::BadCommandLine,
        ExitCode::BadSite,
        ExitCode::NoDevice,
    ] {
        let mut life = Life::new(limits(), 0);
        feed(&mut life, 0, Input::Tick);
        feed(&mut life, 10, Input::Ended(Some(Ending::Code(code))));
        feed(&mut life, 20, Input::AutopsyDone);
        assert_eq!(life.phase(), Phase::Failed, "{code:?}");
    }
}

#[test]
fn a_stop_climbs_every_rung_and_ends() {
    let mut life = healthy_at(0);
    let mut pressed = Vec::new();
    let mut now = 1_000;
    let mut actions = feed(&mut life, now, Input::Stop);
    while !life.phase().is_final() {
        pressed.extend(actions.iter().filter_map(|action| match action {
            Action::Press(means) => Some(*means),
            _ => None,
        }));
        now += 100;
        actions = feed(&mut life, now, Input::Tick);
    }
    use Means::*;
    assert_eq!(pressed, [Drain, PowerDown, Quit, Terminate, Kill]);
    assert_eq!(life.phase(), Phase::Failed);
    assert!(now - 1_000 <= limits().stop.total() + 100);
}

#[test]
fn a_refused_means_gives_way_at_once() {
    let mut life = healthy_at(0);
    feed(&mut life, 1_000, Input::Stop);
    let actions = deeds(feed(&mut life, 1_010, Input::Refused(Means::Drain)));
    assert_eq!(actions, [Action::Press(Means::PowerDown)]);
}

#[test]
fn asked_to_stop_right_after_the_start_it_stops() {
    let mut life = Life::new(limits(), 0);
    feed(&mut life, 0, Input::Tick);
    let actions = deeds(feed(&mut life, 1, Input::Stop));
    assert_eq!(actions, [Action::Hold, Action::Press(Means::Drain)]);
    feed(&mut life, 2, Input::Ended(None));
    assert_eq!(life.phase(), Phase::Stopped);

    let mut life = Life::new(limits(), 0);
    feed(&mut life, 0, Input::Stop);
    assert_eq!(life.phase(), Phase::Stopped);
}

#[test]
fn a_successor_goes_on_with_a_stop_and_does_not_start_over() {
    let mut life = healthy_at(0);
    feed(&mut life, 1_000, Input::Stop);
    let (mut next, actions) = Life::adopt(limits(), &life.memo(), 11_500);
    assert_eq!(deeds(actions), [Action::Press(Means::PowerDown)]);
    feed(&mut next, 12_100, Input::Ended(None));
    assert_eq!(next.phase(), Phase::Stopped);
}

#[test]
fn a_note_that_is_wrong_is_put_right_by_evidence() {
    // Noted as failed, and it lives: healthy, and no second start is counted.
    for phase in Phase::ALL {
        let mut memo = healthy_at(0).memo();
        memo.phase = phase;
        let (mut life, actions) = Life::adopt(limits(), &memo, 50_000);
        assert_eq!(deeds(actions), [], "{phase}");
        let actions = deeds(feed(&mut life, 50_100, Input::Answered(50_050)));
        assert_eq!(actions, [Action::Serve]);
        assert_eq!(
            (life.phase(), life.started()),
            (Phase::Healthy, 1),
            "{phase}"
        );
    }
    // Noted as running, and there is no process: examined, then started again.
    let memo = healthy_at(0).memo();
    let (mut life, actions) = Life::bereft(limits(), &memo, 70_000);
    let examined = Action::Examine(Cause::Ended(None));
    assert!(actions.contains(&examined), "{actions:?}");
    let actions = deeds(feed(&mut life, 70_100, Input::AutopsyDone));
    assert_eq!(actions, [Action::Start]);
}

/// Every sequence of inputs, to a depth, with short and long times between: whatever happened, a
/// process is never started beside another, nothing happens after the end, and a stop ends.
#[test]
fn every_short_history_keeps_the_rules() {
    let inputs = |now: Millis| {
        [
            Input::Tick,
            Input::Answered(now),
            Input::Ended(Some(Ending::Signal(9))),
            Input::Ended(Some(Ending::Code(ExitCode::BadSite))),
            Input::NotStarted("no such program".into()),
            Input::AutopsyDone,
            Input::Refused(Means::Drain),
            Input::Stop,
        ]
    };
    fn apply(life: &mut Life, alive: &mut bool, now: Millis, input: &Input) {
        let ended = matches!(input, Input::Ended(_) | Input::NotStarted(_));
        if ended && !*alive {
            // There is nothing that could end.
            return;
        }
        *alive &= !ended;
        let before = life.phase();
        let actions = feed(life, now, input.clone());
        assert!(
            !before.is_final() || actions.is_empty(),
            "{before} {input:?} {actions:?}"
        );
        for action in &actions {
            match action {
                Action::Start => {
                    assert!(!*alive, "a second process: {before} {input:?}");
                    *alive = true;
                }
                Action::Press(_) => assert_eq!(life.phase(), Phase::Stopping),
                _ => {}
            }
        }
    }
    fn settle(mut life: Life, mut alive: bool, mut now: Millis) {
        apply(&mut life, &mut alive, now, &Input::Stop);
        let longest = limits().autopsy + limits().stop.total() + 3_000;
        let end = now + longest;
        while !life.phase().is_final() {
            now += 1_000;
            apply(&mut life, &mut alive, now, &Input::Tick);
            assert!(now < end, "stuck in {} after {longest} ms", life.phase());
        }
    }
    let mut histories = vec![(Life::new(limits(), 0), false, 0)];
    for _ in 0..5 {
        let mut next = Vec::new();
        for (life, alive, now) in &histories {
            for pause in [1, 2_500, 31_000] {
                let now = now + pause;
                for input in inputs(now) {
                    let (mut life, mut alive) = (life.clone(), *alive);
                    let before = life.phase();
                    apply(&mut life, &mut alive, now, &input);
                    // What changed nothing leads nowhere new.
                    if life.phase() != before || next.len() < 150 {
                        settle(life.clone(), alive, now);
                        next.push((life, alive, now));
                    }
                }
            }
        }
        histories = next;
    }
    assert!(histories.len() > 100);
}
