//! Clocks that are set while somebody looks, sleeps, or is away.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);
const START: Millis = Millis(1_795_356_131_000);

#[tokio::test]
async fn a_manual_clock_wakes_at_the_moment_and_not_before() {
    let clock = Clock::manual(Millis(0));
    let sleeper = clock.clone();
    let sleep = sleeper.sleep_until(Millis(10));
    tokio::pin!(sleep);
    clock.set(Millis(9));
    assert!(futures_util::poll!(&mut sleep).is_pending());
    clock.set(Millis(10));
    sleep.await;
}

#[test]
fn set_back_it_goes_on_and_set_forward_it_follows() {
    let clock = Clock::manual(START);
    clock.set(START.before(DAY));
    assert_eq!(clock.now(), START);
    clock.advance(HOUR);
    assert_eq!(clock.now(), START.after(HOUR), "an hour is an hour");
    assert_eq!(clock.ahead(), DAY);
    clock.set(START.after(DAY));
    assert_eq!(clock.now(), START.after(DAY));
    assert_eq!(clock.ahead(), Duration::ZERO);
    clock.set(START);
    clock.advance(HOUR);
    assert_eq!(clock.now(), START.after(DAY).after(HOUR), "forward and back: it does not stand still");
    assert_eq!(clock.machine(), START.after(HOUR));
}

#[test]
fn a_jump_is_told_once_and_small_corrections_are_none() {
    let clock = Clock::manual(START);
    for step in [2_999, -2_999, 500, -500] {
        clock.set(Millis(clock.machine().0 + step));
        clock.advance(HOUR);
        assert_eq!(clock.take_jump(), None, "{step}");
    }
    clock.set(clock.machine().after(DAY));
    assert_eq!(clock.take_jump(), Some(Jump { by: 86_400_000, times: 1 }));
    assert_eq!(clock.take_jump(), None);
    for back in [HOUR, HOUR] {
        clock.set(clock.machine().before(back));
        let _ = clock.now();
    }
    assert_eq!(clock.take_jump(), Some(Jump { by: -7_200_000, times: 2 }));
}

#[test]
fn after_a_restart_it_goes_on_from_the_latest_moment_by_what_passed_meanwhile() {
    let clock = Clock::manual(START);
    clock.set(START.after(DAY));
    let latest = clock.now();
    clock.set(START);
    clock.advance(HOUR);
    let (kept, before) = (clock.kept().unwrap(), clock.now());
    let _ = clock.take_jump();
    // The process is away for an hour.
    clock.advance(HOUR);
    let again = clock.restarted();
    assert_eq!(again.now(), START.after(HOUR * 2), "it knows nothing yet");
    again.resume(latest, Some(&kept));
    assert_eq!(again.now(), before.after(HOUR));
    assert_eq!(again.take_jump(), None, "nobody set anything meanwhile");
    // Without what was kept, or after another boot, at least not back.
    let bare = clock.restarted();
    bare.resume(latest, None);
    assert_eq!(bare.now(), latest);
    assert_eq!(bare.take_jump().map(|jump| jump.times), Some(1));
    let booted = Clock::manual(START);
    booted.resume(latest, Some(&Kept { boot: "another".into(), ..kept }));
    assert_eq!(booted.now(), latest);
    assert_eq!(booted.take_jump(), None, "as far behind as it was before");
}

#[test]
fn a_clock_set_while_no_process_ran_is_told() {
    let clock = Clock::manual(START);
    let (kept, latest) = (clock.kept().unwrap(), clock.now());
    for (to, by) in [(START.after(DAY), 86_400_000), (START.before(DAY), -86_400_000)] {
        clock.set(to);
        let again = clock.restarted();
        again.resume(latest, Some(&kept));
        assert_eq!(again.take_jump(), Some(Jump { by, times: 1 }));
        assert!(again.now() >= latest);
    }
}

#[test]
fn the_systems_clock_tells_the_time_and_does_not_stand_still() {
    let clock = Clock::system();
    let first = clock.now();
    assert!(first.0 > START.before(DAY * 3650).0);
    while clock.now() == first {
        std::hint::spin_loop();
    }
    assert!(clock.ahead() < Duration::from_secs(1));
}
