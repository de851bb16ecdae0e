//! The real engine against a model of the world and a seeded adversary.

mod adversary;
mod chance;
mod check;
mod fleet;
mod kept;
mod play;
mod world;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use holdfast::{clock::Now, engine::sabotage::Sabotage};
use kept::Kept;

/// Plays seeds until one fails.
#[derive(Parser)]
struct Arguments {
    /// How many seeds to play.
    #[arg(long, default_value_t = 2000)]
    seeds: u64,
    /// The first seed, or the only one with --seeds 1.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many moves the adversary has in each.
    #[arg(long, default_value_t = 300)]
    turns: usize,
    /// Switches the rule with this number (1 to 11) off: a seed must fail.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=11))]
    sabotage: Option<u8>,
    /// Prints every event and command.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sabotage = arguments.sabotage.map(Sabotage::of).unwrap_or_default();
    let start = Now::read().boot;
    let mut steps = 0;
    let known = if arguments.sabotage.is_none() { kept::all() } else { Vec::new() };
    let asked = arguments.seed..arguments.seed.saturating_add(arguments.seeds);
    let asked = asked.map(|seed| Kept { seed, turns: arguments.turns });
    for Kept { seed, turns } in known.into_iter().chain(asked) {
        let outcome = adversary::play(seed, sabotage, turns, arguments.verbose);
        steps += outcome.steps;
        if let Err(violation) = outcome.result {
            let (turns, violation) = shrink(seed, sabotage, turns, violation);
            println!("seed {seed} fails with {turns} turns: {violation}");
            println!(
                "to see it: cargo xtask sim --seed {seed} --seeds 1 --turns {turns} --verbose{}",
                told(arguments.sabotage)
            );
            if arguments.sabotage.is_none() {
                match kept::keep(Kept { seed, turns }, &violation) {
                    Some(place) => {
                        println!("it is kept in {}: commit that with what mends it", place.display())
                    }
                    None => println!("it cannot be kept: add \"{seed} {turns}\" to failed-seeds.txt by hand"),
                }
            }
            return ExitCode::FAILURE;
        }
    }
    let seconds = (Now::read().boot - start).max(Duration::from_millis(1)).as_secs_f64();
    println!(
        "{} seeds passed: {steps} steps in {seconds:.1} s, {:.0} steps/s",
        arguments.seeds,
        steps as f64 / seconds
    );
    ExitCode::SUCCESS
}

/// The fewest turns with which the seed still fails, found by halving.
fn shrink(seed: u64, sabotage: Sabotage, turns: usize, violation: String) -> (usize, String) {
    let (mut good, mut bad, mut told) = (0, turns, violation);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        match adversary::play(seed, sabotage, middle, false).result {
            Ok(()) => good = middle,
            Err(violation) => (bad, told) = (middle, violation),
        }
    }
    (bad, told)
}

fn told(sabotage: Option<u8>) -> String {
    sabotage.map(|number| format!(" --sabotage {number}")).unwrap_or_default()
}
