//! Seeds that failed once: kept beside the code, and played first ever after.

use std::{
    fs::{File, read_to_string},
    io::Write,
    path::Path,
};

/// Each line: a seed, how many turns it needs, and what was wrong then.
const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/failed-seeds.txt");

/// A seed, and with how many turns it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) seed: u64,
    pub(crate) turns: usize,
}

/// Those of all times.
pub(crate) fn all() -> Vec<Kept> {
    let text = read_to_string(PLACE).unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

/// Keeps one more, unless it is known; where, if that could be done.
pub(crate) fn keep(kept: Kept, violation: &str) -> Option<&'static Path> {
    if !all().contains(&kept) {
        let mut file = File::options().append(true).create(true).open(PLACE).ok()?;
        let first = violation.lines().next().unwrap_or_default();
        writeln!(file, "{} {} {first}", kept.seed, kept.turns).ok()?;
    }
    Some(Path::new(PLACE))
}

fn parse(line: &str) -> Option<Kept> {
    let mut words = line.split_whitespace();
    Some(Kept { seed: words.next()?.parse().ok()?, turns: words.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_seed_and_its_turns() {
        assert_eq!(parse("17 240 invariant 8: it lied"), Some(Kept { seed: 17, turns: 240 }));
        assert_eq!(parse("# seeds that failed"), None);
    }
}
