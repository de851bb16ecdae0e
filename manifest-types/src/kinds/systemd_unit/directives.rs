//! What can be told wrong with a unit file before systemd has seen it. Pure. Sources: systemd.syntax(7), systemd.unit(5) and the pages of
//! each type. Whatever is in doubt passes: systemd has the last word.

use std::{collections::BTreeMap, fmt};

use super::name::UnitType;

mod table;
mod values;

use table::{belongs_to, value_of};

/// One mistake in a unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Where; without one, it is something that is missing.
    line: Option<usize>,
    message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// One assignment.
#[derive(Debug)]
struct Assignment<'a> {
    line: usize,
    section: &'a str,
    key: &'a str,
    value: String,
}

/// What is wrong with a text; `is_whole` for a unit file, else it is a drop-in.
pub(super) fn check(text: &str, of: UnitType, is_whole: bool) -> Vec<Mistake> {
    let (assignments, mut mistakes) = parse(text, of);
    mistakes.extend(assignments.iter().filter_map(|assignment| check_one(assignment, of)));
    if is_whole && mistakes.is_empty() {
        let missing = missing(&assignments, of).into_iter();
        mistakes.extend(missing.map(|message| Mistake { line: None, message }));
    }
    mistakes.sort_by_key(|mistake| mistake.line);
    mistakes
}

/// The section that is a type's own.
fn own_section(of: UnitType) -> Option<&'static str> {
    match of {
        UnitType::Service => Some("Service"),
        UnitType::Socket => Some("Socket"),
        UnitType::Mount => Some("Mount"),
        UnitType::Automount => Some("Automount"),
        UnitType::Swap => Some("Swap"),
        UnitType::Path => Some("Path"),
        UnitType::Timer => Some("Timer"),
        UnitType::Slice => Some("Slice"),
        UnitType::Scope => Some("Scope"),
        UnitType::Device | UnitType::Target => None,
    }
}

/// The assignments, and the lines that are none.
fn parse(text: &str, of: UnitType) -> (Vec<Assignment<'_>>, Vec<Mistake>) {
    let (mut assignments, mut mistakes) = (Vec::new(), Vec::new());
    let mut section: Option<&str> = None;
    let mut lines = text.lines().zip(1..);
    while let Some((raw, line)) = lines.next() {
        let mut wrong = |message: String| mistakes.push(Mistake { line: Some(line), message });
        let trimmed = raw.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = trimmed.strip_prefix('[') {
            section = None;
            match header.strip_suffix(']') {
                None => wrong("a section's name ends with ]".into()),
                Some(name) if is_known(name, of) => section = Some(name),
                Some(name) => wrong(unknown_section(name, of)),
            }
            if section.is_none() {
                // What is in a section that is wrong is not told as well.
                section = Some("X-");
            }
            continue;
        }
        let value = continued(raw, &mut lines);
        let (Some((key, _)), Some((_, value))) = (trimmed.split_once('='), value.split_once('=')) else {
            wrong("is neither a section, nor an assignment, nor a comment".into());
            continue;
        };
        match (section, key.trim()) {
            (_, "") => wrong("has no name before the =".into()),
            (None, key) => wrong(format!("{key}= stands before the first section")),
            (Some(section), key) => {
                assignments.push(Assignment { line, section, key, value: value.trim().to_owned() });
            }
        }
    }
    (assignments, mistakes)
}

/// A line with those that continue it, joined as systemd joins them: comments between them do not count.
fn continued<'a>(first: &str, lines: &mut impl Iterator<Item = (&'a str, usize)>) -> String {
    let mut whole = first.to_owned();
    while is_continued(&whole) {
        whole.pop();
        whole.push(' ');
        let is_comment = |line: &&str| line.trim_start().starts_with(['#', ';']);
        let Some(next) = lines.by_ref().map(|(line, _)| line).find(|line| !is_comment(line)) else { break };
        whole.push_str(next);
    }
    whole
}

fn is_continued(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) & 1 == 1
}

fn is_known(section: &str, of: UnitType) -> bool {
    matches!(section, "Unit" | "Install") || section.starts_with("X-") || own_section(of) == Some(section)
}

fn unknown_section(name: &str, of: UnitType) -> String {
    let own = own_section(of).map_or_else(String::new, |own| format!(", [{own}]"));
    format!(
        "a {of} has no section [{name}]; it has [Unit]{own} and [Install], and [X-…] for what systemd is to ignore"
    )
}

fn check_one(Assignment { line, section, key, value }: &Assignment<'_>, of: UnitType) -> Option<Mistake> {
    let wrong = |message: String| Some(Mistake { line: Some(*line), message });
    if section.starts_with("X-") {
        return None;
    }
    let sections = belongs_to(key);
    if !sections.is_empty() && !sections.contains(section) {
        let place = match sections.iter().find(|section| is_known(section, of)) {
            Some(section) => format!("belongs into [{section}]"),
            None => format!("is nothing for a {of}: it belongs into [{}]", sections[0]),
        };
        return wrong(format!("{key}= {place}"));
    }
    // An empty value takes back what was set, and a specifier may become anything.
    if value.is_empty() || value.contains('%') {
        return None;
    }
    let expected = value_of(section, key)?;
    (!expected.fits(value))
        .then(|| Mistake { line: Some(*line), message: format!("{key}= must be {expected}") })
}

/// What a unit file must have and does not.
fn missing(assignments: &[Assignment<'_>], of: UnitType) -> Vec<String> {
    let mut last = BTreeMap::<&str, Vec<&str>>::new();
    let own = own_section(of).unwrap_or_default();
    for Assignment { key, value, .. } in assignments.iter().filter(|assignment| assignment.section == own) {
        let values = last.entry(key).or_default();
        if value.is_empty() {
            values.clear();
        } else {
            values.push(value);
        }
    }
    let has = |key: &str| last.get(key).is_some_and(|values| !values.is_empty());
    let has_any = |begin: &str| last.iter().any(|(key, values)| key.starts_with(begin) && !values.is_empty());
    let need = |is_there: bool, what: &str| (!is_there).then(|| format!("a {of} needs {what} in [{own}]"));
    match of {
        UnitType::Service => service(&last).into_iter().map(str::to_owned).collect(),
        UnitType::Socket => {
            need(has_any("Listen"), "ListenStream= or another Listen…=").into_iter().collect()
        }
        UnitType::Timer => need(has_any("On"), "OnCalendar= or another On…=").into_iter().collect(),
        UnitType::Path => {
            let watches = has_any("Path") || has("DirectoryNotEmpty");
            need(watches, "PathExists= or another Path…=").into_iter().collect()
        }
        UnitType::Mount => {
            [need(has("What"), "What="), need(has("Where"), "Where=")].into_iter().flatten().collect()
        }
        UnitType::Automount => need(has("Where"), "Where=").into_iter().collect(),
        UnitType::Swap => need(has("What"), "What=").into_iter().collect(),
        UnitType::Device | UnitType::Target | UnitType::Slice | UnitType::Scope => Vec::new(),
    }
}

/// What makes systemd refuse a service (`service_verify` in its sources).
fn service(last: &BTreeMap<&str, Vec<&str>>) -> Vec<&'static str> {
    let count = |key: &str| last.get(key).map_or(0, Vec::len);
    let one = |key: &str| last.get(key).and_then(|values| values.last()).copied().unwrap_or_default();
    let starts = count("ExecStart");
    let default_type = match (count("BusName"), starts) {
        (0, 0) => "oneshot",
        (0, _) => "simple",
        _ => "dbus",
    };
    let of = if one("Type").is_empty() { default_type } else { one("Type") };
    let remains = values::is_true(one("RemainAfterExit"));
    let mut wrong = Vec::new();
    if starts == 0 && (of != "oneshot" || count("ExecStop") == 0 || !remains) {
        wrong.push("a service needs ExecStart= in [Service]; only one of Type=oneshot with RemainAfterExit=yes and ExecStop= does without");
    }
    if starts > 1 && of != "oneshot" {
        wrong.push("only a service of Type=oneshot may have more than one ExecStart=; an empty ExecStart= takes the former back");
    }
    if of == "oneshot" && matches!(one("Restart"), "always" | "on-success") {
        wrong.push("a service of Type=oneshot cannot have Restart=always or on-success");
    }
    if of == "dbus" && count("BusName") == 0 {
        wrong.push("a service of Type=dbus needs BusName=");
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, of: UnitType, is_whole: bool) -> Vec<String> {
        check(text, of, is_whole).iter().map(Mistake::to_string).collect()
    }

    #[test]
    fn a_good_service_passes() {
        let text = "# ours\n[Unit]\nDescription=A pump\nAfter=network.target\n\n[Service]\nType=notify\n\
            ExecStart=/usr/bin/pump \\\n  --fast \\\n  # why\n  --loud\nRestart=on-failure\nRestartSec=1min 5s\n\
            User=%i\nTimeoutStopSec=infinity\nNoNewPrivileges=yes\n[Install]\nWantedBy=multi-user.target\n[X-Ours]\nanything=goes\n";
        assert_eq!(told(text, UnitType::Service, true), Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = "After=x\n[Unit\n[Unti]\nWhatever\n[Unit]\nnonsense\n=x\nExecStart=/bin/a\nOnCalendar=daily\n\
            [Service]\nType=simpel\nRestart=yes\nRestartSec=soon\nRemainAfterExit=maybe\nNice=fast\nExecStart=relative/path\nAfter=y\nKillMode=%i\n";
        assert_eq!(
            told(text, UnitType::Service, true),
            [
                "line 1: After= stands before the first section",
                "line 2: a section's name ends with ]",
                "line 3: a service has no section [Unti]; it has [Unit], [Service] and [Install], and [X-…] for what systemd is to ignore",
                "line 4: is neither a section, nor an assignment, nor a comment",
                "line 6: is neither a section, nor an assignment, nor a comment",
                "line 7: has no name before the =",
                "line 8: ExecStart= belongs into [Service]",
                "line 9: OnCalendar= is nothing for a service: it belongs into [Timer]",
                "line 11: Type= must be simple, exec, forking, oneshot, dbus, notify, notify-reload or idle",
                "line 12: Restart= must be no, always, on-success, on-failure, on-abnormal, on-abort or on-watchdog",
                "line 13: RestartSec= must be a time such as 5s, 1min 30s or infinity",
                "line 14: RemainAfterExit= must be yes or no",
                "line 15: Nice= must be a whole number",
                "line 16: ExecStart= must be an absolute path or a program's name, and its arguments",
                "line 17: After= belongs into [Unit]",
            ]
        );
    }

    #[test]
    fn what_is_missing_is_told_of_a_whole_unit_only() {
        let cases = [
            (UnitType::Service, "[Service]\nExecStart=/a\nExecStart=\n", "needs ExecStart="),
            (UnitType::Service, "[Service]\nExecStart=/a\nExecStart=/b\n", "more than one ExecStart="),
            (
                UnitType::Service,
                "[Service]\nType=oneshot\nExecStart=/a\nRestart=always\n",
                "cannot have Restart=always",
            ),
            (UnitType::Service, "[Service]\nType=dbus\nExecStart=/a\n", "needs BusName="),
            (UnitType::Timer, "[Timer]\nPersistent=yes\n", "needs OnCalendar="),
            (UnitType::Socket, "[Socket]\nAccept=no\n", "needs ListenStream="),
            (UnitType::Path, "[Path]\nUnit=a.service\n", "needs PathExists="),
            (UnitType::Mount, "[Mount]\nWhat=/dev/a\n", "needs Where="),
            (UnitType::Automount, "[Automount]\n", "needs Where="),
            (UnitType::Swap, "[Swap]\n", "needs What="),
        ];
        for (of, text, why) in cases {
            let found = told(text, of, true);
            assert!(found.len() == 1 && found[0].contains(why), "{of}: {found:?}");
            assert_eq!(told(text, of, false), Vec::<String>::new(), "a drop-in adds to a unit");
        }
        for (of, text) in [
            (UnitType::Service, "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStop=/a\n"),
            (UnitType::Service, "[Service]\nRemainAfterExit=yes\nExecStop=/a\n"),
            (UnitType::Service, "[Service]\nType=oneshot\nExecStart=/a\nExecStart=/b\n"),
            (UnitType::Target, "[Unit]\nDescription=A point\n"),
            (UnitType::Target, ""),
        ] {
            assert_eq!(told(text, of, true), Vec::<String>::new(), "{of}");
        }
    }

    #[test]
    fn a_line_is_continued_by_an_odd_backslash() {
        let text = "[Service]\nExecStart=/a \\\n[not a section\n\nEnvironment=A=b\\\\\nRestart=no\n";
        assert_eq!(told(text, UnitType::Service, true), Vec::<String>::new());
    }
}
