//! Where the output goes: a person's terminal, a pipe or a file.

use std::io::{self, IsTerminal, Write};

use crate::{error::Error, table::Style};

/// The standard output, and what it can do.
pub struct Screen {
    out: Box<dyn Write>,
    terminal: bool,
    colour: bool,
    /// So many lines at its end are to be replaced by what is drawn next.
    drawn: usize,
}

impl Screen {
    /// The standard output; with `plain`, without colours even on a terminal.
    pub fn stdout(plain: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self { out: Box::new(io::stdout()), terminal, colour: terminal && !plain, drawn: 0 }
    }

    /// Whether a person is looking.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// How tables are drawn here.
    pub fn style(&self) -> Style {
        Style { colour: self.colour, width: self.size().map(|(width, _)| width) }
    }

    /// Columns and lines, of a terminal.
    fn size(&self) -> Option<(usize, usize)> {
        let (width, height) = self.terminal.then(terminal_size::terminal_size)??;
        Some((width.0.into(), height.0.into()))
    }

    /// Writes `text`, whole lines, for good. What was drawn before it goes away.
    pub fn print(&mut self, text: &str) -> Result<(), Error> {
        let ended = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let clear = replace(self.drawn, "");
        self.drawn = 0;
        self.write(&format!("{clear}{text}{ended}"))
    }

    /// On a terminal, shows `text` in place of what was drawn before.
    pub fn draw(&mut self, text: &str) -> Result<(), Error> {
        let text = fitting(text, self.size().map(|(_, height)| height));
        let drawing = replace(self.drawn, &text);
        self.drawn = text.lines().count();
        self.write(&drawing)
    }

    fn write(&mut self, text: &str) -> Result<(), Error> {
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).map_err(Error::Output)
    }
}

/// What makes a terminal show `text` in place of the last `drawn` lines. Pure.
fn replace(drawn: usize, text: &str) -> String {
    let mut out = String::new();
    if drawn > 0 {
        out += &format!("\x1b[{drawn}A\r");
    }
    for line in text.lines() {
        out += &format!("{line}\x1b[K\n");
    }
    if drawn > 0 {
        out += "\x1b[J";
    }
    out
}

/// The lines that fit on a terminal: what has scrolled away cannot be replaced. Pure.
fn fitting(text: &str, height: Option<usize>) -> String {
    let lines: Vec<_> = text.lines().collect();
    let room = height.map_or(usize::MAX, |height| height.saturating_sub(1).max(1));
    let shown = if lines.len() <= room { lines.len() } else { room - 1 };
    let mut fitted: String = lines[..shown].iter().map(|line| format!("{line}\n")).collect();
    if shown < lines.len() {
        fitted += &format!("… {} more lines\n", lines.len() - shown);
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_replaces_the_one_before() {
        assert_eq!(replace(0, "a\nb\n"), "a\x1b[K\nb\x1b[K\n");
        assert_eq!(replace(2, "c\n"), "\x1b[2A\rc\x1b[K\n\x1b[J");
        assert_eq!(replace(1, ""), "\x1b[1A\r\x1b[J");
    }

    #[test]
    fn no_more_is_drawn_than_fits() {
        assert_eq!(fitting("a\nb\nc\n", None), "a\nb\nc\n");
        assert_eq!(fitting("a\nb\nc\n", Some(4)), "a\nb\nc\n");
        assert_eq!(fitting("a\nb\nc\n", Some(3)), "a\n… 2 more lines\n");
        assert_eq!(fitting("a\nb\n", Some(1)), "… 2 more lines\n");
    }
}
