//! Tables as text: columns aligned, no lines, one row a line, colour only where asked for. Pure.

/// How a cell is to be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
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

/// One cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// What stands in it.
    pub text: String,
    /// How it is to be taken.
    pub tone: Tone,
}

impl Cell {
    /// A cell of that tone.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// What the place that shows it can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether it shows colours.
    pub colour: bool,
    /// How many characters fit in a line; `None`: as many as there are.
    pub width: Option<usize>,
}

impl Style {
    /// `text` in that tone.
    pub fn paint(self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Wait => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
        };
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A table of `rows` beneath `header`, each line ended by a line break. Lines too long are cut, at the end, with an ellipsis.
pub fn render<const N: usize>(header: [&str; N], rows: &[[Cell; N]], style: Style) -> String {
    let mut widths = header.map(length);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(length(&one_line(&cell.text)));
        }
    }
    let header = header.map(|text| Cell::new(text, Tone::Dim));
    let lines = std::iter::once(&header).chain(rows);
    lines.map(|row| line(row, &widths, style) + "\n").collect()
}

fn line(row: &[Cell], widths: &[usize], style: Style) -> String {
    const GAP: usize = 2;
    let mut left = style.width.unwrap_or(usize::MAX);
    let mut line = String::new();
    let mut due = 0;
    for (cell, width) in row.iter().zip(widths) {
        let text = one_line(&cell.text);
        if !text.is_empty() {
            if left <= due {
                break;
            }
            left -= due;
            line.extend(std::iter::repeat_n(' ', due));
            due = 0;
            let shown = cut(&text, left);
            left -= length(&shown);
            line += &style.paint(&shown, cell.tone);
        }
        due += width - length(&text) + GAP;
    }
    line
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// What a device reports may hold anything: line breaks and control characters would break the table, or the terminal.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let mut shown: String = text.chars().take(width.saturating_sub(1)).collect();
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(style: Style) -> String {
        let rows = [
            ["pump-17".into(), Cell::new("online", Tone::Good), "all is well".into()],
            ["p".into(), "".into(), "zwölf\nBoxkämpfer\x1b[31m".into()],
        ];
        render(["ID", "LINK", "NOTE"], &rows, style)
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            shown(Style::default()),
            "ID       LINK    NOTE\npump-17  online  all is well\np                zwölf Boxkämpfer [31m\n"
        );
    }

    #[test]
    fn a_line_ends_where_the_terminal_does() {
        assert_eq!(
            shown(Style { colour: false, width: Some(20) }),
            "ID       LINK    NO…\npump-17  online  al…\np                zw…\n"
        );
        assert_eq!(shown(Style { colour: false, width: Some(9) }), "ID\npump-17\np\n");
    }

    #[test]
    fn colour_does_not_move_anything() {
        let coloured = shown(Style { colour: true, width: None });
        assert!(coloured.contains("pump-17  \x1b[32monline\x1b[0m  all is well"), "{coloured:?}");
    }
}
