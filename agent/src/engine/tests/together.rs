//! What changes together, and proves bad together.

use reconcilers::reconciler::Batch;

use super::*;

fn together() -> Bench {
    let mut settings = Settings::new(agent(), "this".into());
    settings.batch = Box::new(|_| Some(Batch("all".into())));
    let engine = Engine::new(settings, Memory::default(), at(100.0));
    let mut bench = Bench { engine, now: at(100.0), begun: Vec::new() };
    bench.plan();
    bench
}

fn bad() -> Failure {
    Failure { rolled_back: true, ..Failure::new("RolledBack", "it cuts the device off", false) }
}

/// Goes on with everything but steps, until nothing else is under way; what the step that is then begun changes.
fn step(bench: &mut Bench) -> Vec<String> {
    for _ in 0..100 {
        let is_step = |command: &Command| matches!(command, Command::Start { .. });
        match bench.begun.iter().find(|command| !is_step(command)) {
            Some(Command::Observe { .. }) => bench.see(|_| Ok(wrong(1))),
            Some(Command::Remember { .. }) => bench.remembered(),
            Some(_) => bench.begun.retain(is_step),
            None => break,
        }
    }
    let begun = bench.begun.iter().find_map(|command| match command {
        Command::Start { changes, .. } => Some(changes.iter().map(|change| change.id.to_string()).collect()),
        _ => None,
    });
    begun.unwrap_or_default()
}

#[test]
fn what_proved_bad_with_another_is_tried_again_when_that_one_changes() {
    let mut bench = together();
    bench.bring(1, &[file("a", "/a", "bad"), file("b", "/b", "good")]);
    assert_eq!(step(&mut bench), ["a", "b"]);
    bench.end(Err(bad()), &wrong(1));
    assert_eq!(step(&mut bench), [""; 0], "neither is tried again by itself");
    assert_eq!(bench.phase("b"), (Phase::Failed, "RolledBack".into()));
    // Another change of the same manifest is no reason.
    bench.bring(2, &[file("a", "/a", "bad"), file("b", "/b", "good"), file("c", "/c", "new")]);
    assert_eq!(step(&mut bench), ["c"]);
    bench.end(Ok(()), &right(2));
    bench.bring(3, &[file("a", "/a", "mended"), file("b", "/b", "good"), file("c", "/c", "new")]);
    assert_eq!(step(&mut bench), ["a", "b"]);
    bench.end(Ok(()), &right(3));
    assert_eq!(bench.phase("b"), (Phase::Ready, String::new()));
}

#[test]
fn what_proved_bad_with_another_is_tried_again_without_it() {
    let mut bench = together();
    bench.bring(1, &[file("a", "/a", "bad"), file("b", "/b", "good")]);
    assert_eq!(step(&mut bench), ["a", "b"]);
    bench.end(Err(bad()), &wrong(1));
    bench.bring(2, &[file("b", "/b", "good")]);
    assert!(step(&mut bench).contains(&"b".to_owned()));
}
