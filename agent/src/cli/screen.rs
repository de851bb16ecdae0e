//! The only place where commands write: a person's terminal, a pipe or a file.

use std::io::{self, IsTerminal, Write};

use super::{Color, error::CliError, table::Paint};

/// Lines do not wrap, so that one stays one; the cursor would only flicker. And back again.
const BEGIN: &str = "\x1b[?1049h\x1b[?7l\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?7h\x1b[?1049l";

/// Whether colours are used on the standard output.
pub(super) fn wants_colour(color: Color, no_color: Option<String>) -> Paint {
    let unless_forbidden = no_color.is_none_or(|value| value.is_empty()) && io::stdout().is_terminal();
    Paint(match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => unless_forbidden,
    })
}

/// Writes to the standard output.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    pass_on(text.as_bytes())
}

/// Writes what something else has printed, as it is.
pub(super) fn pass_on(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(CliError::Write)
}

/// Writes a remark to the standard error, where it is in nobody's way.
pub(super) fn remark(text: &str) {
    // Who closed it does not want to know.
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

/// A terminal on which one picture replaces another, given back as it was when dropped.
pub(super) struct Canvas;

impl Canvas {
    /// The standard output, if it is a terminal.
    pub(super) fn begin() -> Result<Option<Self>, CliError> {
        if !io::stdout().is_terminal() {
            return Ok(None);
        }
        print(BEGIN)?;
        Ok(Some(Self))
    }

    /// Shows `text` in place of what was there.
    pub(super) fn draw(&self, text: &str) -> Result<(), CliError> {
        print(&picture(text))
    }
}

impl Drop for Canvas {
    fn drop(&mut self) {
        drop(print(END));
    }
}

/// What makes a terminal show `text` from its upper left corner. "Next line" does not scroll: of a text that is too long,
/// the upper lines and the very last one are seen, whatever the terminal's size. Pure.
fn picture(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("\x1b[2K{line}")).collect();
    format!("\x1b[H{}\x1b[J", lines.join("\x1b[E"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_replaces_the_one_before_and_never_scrolls() {
        let picture = picture("a\nb\n");
        assert_eq!(picture, "\x1b[H\x1b[2Ka\x1b[E\x1b[2Kb\x1b[J");
        assert!(!picture.contains('\n'));
    }

    #[test]
    fn colours_are_as_asked() {
        let paint = |color, no_color: Option<&str>| wants_colour(color, no_color.map(Into::into)).0;
        assert!(paint(Color::Always, Some("1")));
        assert!(!paint(Color::Never, None));
        assert!(!paint(Color::Auto, Some("1")));
    }
}
