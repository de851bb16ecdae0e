//! Tables and coloured words as text. Pure.

/// How a word is to be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// As any.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// On its way, or worth a look.
    Wait,
    /// Wrong.
    Bad,
    /// Beside the point.
    Dim,
}

/// Whether colours are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    /// `text` in that tone.
    pub(super) fn paint(self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Wait => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
            Tone::Plain => return text.to_owned(),
        };
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// One cell.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell of that tone.
    pub(super) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: one_line(&text.into()), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// A table of `rows` beneath `header`: columns aligned, no lines, one row a line.
pub(super) fn table<const N: usize>(header: [&str; N], rows: &[[Cell; N]], paint: Paint) -> String {
    let header = header.map(|text| Cell::new(text, Tone::Dim));
    let lines = || std::iter::once(&header).chain(rows);
    let mut widths = [0; N];
    for row in lines() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.chars().count());
        }
    }
    lines().map(|row| line(row, &widths, paint)).collect()
}

fn line(row: &[Cell], widths: &[usize], paint: Paint) -> String {
    const GAP: usize = 2;
    let (mut line, mut gap) = (String::new(), 0);
    for (cell, width) in row.iter().zip(widths) {
        if !cell.text.is_empty() {
            line.extend(std::iter::repeat_n(' ', gap));
            line += &paint.paint(&cell.text, cell.tone);
            gap = 0;
        }
        gap += width - if cell.text.is_empty() { 0 } else { cell.text.chars().count() } + GAP;
    }
    line + "\n"
}

/// What comes from a manifest or the device may hold anything: line breaks and control characters would break the table, or the terminal.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(paint: Paint) -> String {
        let rows = [
            ["web".into(), Cell::new("Ready", Tone::Good), "all is well".into()],
            ["w".into(), "".into(), "zwölf\nx\x1b[31m".into()],
        ];
        table(["ID", "PHASE", "NOTE"], &rows, paint)
    }

    #[test]
    fn columns_are_aligned_and_nothing_escapes() {
        assert_eq!(
            shown(Paint(false)),
            "ID   PHASE  NOTE\nweb  Ready  all is well\nw           zwölf x [31m\n"
        );
    }

    #[test]
    fn colour_moves_nothing() {
        let shown = shown(Paint(true));
        assert!(shown.contains("web  \x1b[32mReady\x1b[0m  all is well\n"), "{shown:?}");
    }
}
