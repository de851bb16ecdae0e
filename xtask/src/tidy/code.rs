//! Rust text without what does not run: comments and the insides of texts blanked out, test modules known.

/// The code of one file, line by line.
pub(super) struct Code {
    lines: Vec<String>,
    /// Which lines belong to a `#[cfg(test)]` item.
    test: Vec<bool>,
}

impl Code {
    /// Takes comments and the insides of string and character literals away; every line keeps its number.
    pub(super) fn of(text: &str) -> Self {
        let blanked = blank(text);
        let lines: Vec<String> = blanked.lines().map(str::to_owned).collect();
        let test = test_lines(&lines);
        Self { lines, test }
    }

    /// All lines, numbered from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }

    /// The lines that are shipped: no tests.
    pub(super) fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(number, _)| !self.test[number - 1])
    }
}

/// The identifiers of a line.
pub(super) fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_'))
}

fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_literal(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        // The quotes stay, so that a text is still seen to be there.
        let quote = chars[at..end].iter().find(|c| **c == '"').copied();
        out.extend(quote);
        out.extend(chars[at..end].iter().filter(|c| **c == '\n'));
        out.extend(quote);
        at = end;
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself if none does.
fn end_of_literal(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match (chars[at], next) {
        ('/', Some('/')) => find(chars, at, |c| c == '\n').unwrap_or(chars.len()),
        ('/', Some('*')) => end_of_block_comment(chars, at),
        ('"', _) => end_of_quoted(chars, at + 1, '"'),
        ('\'', _) => end_of_character(chars, at),
        ('r' | 'b' | 'c', _) if at == 0 || !is_word(chars[at - 1]) => end_of_prefixed(chars, at),
        _ => at,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> Option<usize> {
    (from..chars.len()).find(|&index| wanted(chars[index]))
}

fn end_of_block_comment(chars: &[char], at: usize) -> usize {
    let (mut depth, mut index) = (0_usize, at);
    while index < chars.len() {
        match (chars[index], chars.get(index + 1)) {
            ('/', Some('*')) => (depth, index) = (depth + 1, index + 2),
            ('*', Some('/')) => {
                (depth, index) = (depth - 1, index + 2);
                if depth == 0 {
                    return index;
                }
            }
            _ => index += 1,
        }
    }
    index
}

fn end_of_quoted(chars: &[char], from: usize, quote: char) -> usize {
    let mut index = from;
    while index < chars.len() {
        match chars[index] {
            '\\' => index += 2,
            c if c == quote => return index + 1,
            _ => index += 1,
        }
    }
    chars.len()
}

/// A character literal, but not a lifetime.
fn end_of_character(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => end_of_quoted(chars, at + 1, '\''),
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// A literal with a prefix: b"…", r"…", r#"…"#, br#"…"#, c"…", b'…'.
fn end_of_prefixed(chars: &[char], at: usize) -> usize {
    let Some(after) = find(chars, at, |c| !matches!(c, 'r' | 'b' | 'c')).filter(|after| after - at <= 2)
    else {
        return at;
    };
    let raw = chars[at..after].contains(&'r');
    let Some(open) = find(chars, after, |c| c != '#') else {
        return at;
    };
    let hashes = open - after;
    match chars[open] {
        '"' if raw => {
            let closes = |&index: &usize| {
                chars[index] == '"'
                    && chars[index + 1..].iter().take_while(|c| **c == '#').take(hashes).count() == hashes
            };
            (open + 1..chars.len()).find(closes).map_or(chars.len(), |index| index + 1 + hashes)
        }
        '"' if hashes == 0 => end_of_quoted(chars, open + 1, '"'),
        '\'' if hashes == 0 && !raw => end_of_character(chars, open).max(at),
        _ => at,
    }
}

/// Which lines are part of an item beneath `#[cfg(test)]` (or `any(test, …)`): to the end of its block, or its semicolon.
fn test_lines(lines: &[String]) -> Vec<bool> {
    let mut test = vec![false; lines.len()];
    let mut index = 0;
    while index < lines.len() {
        let start = lines[index].trim_start();
        if !(start.starts_with("#[cfg(test)]") || start.starts_with("#[cfg(any(test,")) {
            index += 1;
            continue;
        }
        let mut depth = 0_i64;
        while let Some(line) = lines.get(index) {
            test[index] = true;
            index += 1;
            let code = line.trim();
            let opened = code.contains('{');
            depth += code.chars().map(|c| i64::from(c == '{') - i64::from(c == '}')).sum::<i64>();
            if depth == 0 && (opened || code.ends_with(['}', ';'])) {
                break;
            }
        }
    }
    test
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let code = Code::of(text);
        code.lines().map(|(_, line)| line.trim_end().to_owned()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn comments_and_texts_are_blanked_and_lines_kept() {
        assert_eq!(code("a // b\nc /* d /* e */\n f */ g"), "a|c| g");
        assert_eq!(code(r#"f("x \" y", 'z', '\'', b"q", b'w', 'a: loop)"#), r#"f("", , , "", , 'a: loop)"#);
        assert_eq!(
            code("r#\"x \" \n y\"# + br\"k\" + for_r + \"\\\\\" + z"),
            "\"|\" + \"\" + for_r + \"\" + z"
        );
        assert_eq!(code("fn f<'a>(x: &'a str) -> r#type"), "fn f<'a>(x: &'a str) -> r#type");
    }

    #[test]
    fn tests_are_not_shipped() {
        let text = "a\n#[cfg(test)]\nmod tests {\n  fn f() { b }\n  c\n}\nd\n#[cfg(test)]\nmod tests;\ne\n#[cfg(test)]\nfn g() -> u8 { 1 }\nh";
        let code = Code::of(text);
        let shipped: Vec<_> = code.shipped().map(|(number, line)| format!("{number}{line}")).collect();
        assert_eq!(shipped, ["1a", "7d", "10e", "13h"]);
    }

    #[test]
    fn identifiers_are_words() {
        let found: Vec<_> = identifiers("let a_b = c::D2(3u8, 'e);").collect();
        assert_eq!(found, ["let", "a_b", "c", "D2", "e"]);
    }
}
