//! `watch`: the fleet, live.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;

use crate::{
    cli::Output,
    error::Error,
    fleet::{self, Fleet},
    follow::Follow,
    link::Link,
    table::Style,
    terminal::Screen,
};

/// Ages grow this often on a terminal.
const TICK: Duration = Duration::from_secs(1);
/// Changes that come within this time are shown together.
const GATHER: Duration = Duration::from_millis(200);

/// Shows the fleet until the process is ended: in place on a terminal, else a new table (or JSON line) for each change.
pub(super) async fn run(link: &Link, output: Output, screen: &mut Screen) -> Result<(), Error> {
    let mut states = Follow::start(link, &link.fleet().await?, ">").await?;
    let mut beats = Follow::start(link, &link.heartbeats().await?, ">").await?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let in_place = screen.is_terminal() && output == Output::Table;
    let mut fleet = Fleet::default();
    let mut shown = None;
    loop {
        tokio::select! {
            entry = states.next() => fleet.take(&entry),
            entry = beats.next() => fleet.take(&entry),
            _ = tick.tick() => {}
        }
        gather(&mut fleet, &mut states, &mut beats).await;
        let now = Timestamp::now();
        if in_place {
            let table = fleet::render(&fleet.rows(now), screen.style());
            screen.draw(&table)?;
            continue;
        }
        // Growing ages alone are no change where every change is a new table.
        let state = fleet.rows(Timestamp::UNIX_EPOCH);
        let links: Vec<_> = fleet.rows(now).iter().map(|row| row.link).collect();
        let state = Some((state, links));
        if shown == state {
            continue;
        }
        shown = state;
        match output {
            Output::Json => {
                let line = serde_json::to_string(&fleet.rows(now))
                    .expect("rows have text keys and no failing parts");
                screen.print(&line)?;
            }
            Output::Table => screen.print(&fleet::render(&fleet.rows(now), Style::default()))?,
        }
    }
}

/// Takes in what comes within a moment, so that a wave of changes is one redrawing.
async fn gather(fleet: &mut Fleet, states: &mut Follow, beats: &mut Follow) {
    let end = tokio::time::sleep(GATHER);
    tokio::pin!(end);
    loop {
        tokio::select! {
            entry = states.next() => fleet.take(&entry),
            entry = beats.next() => fleet.take(&entry),
            () = &mut end => return,
        }
    }
}
