//! A service's healthcheck.

use std::time::Duration;

use manifest_types::kinds::container::Healthcheck;

use crate::source::balena::{
    compose::{
        quantities::{span, whole},
        texts::{flag, list},
    },
    document::{Fields, Node, Read},
};

/// Without a unit, durations of a healthcheck are nanoseconds: that is how engines write them.
const BARE: Duration = Duration::from_nanos(1);

/// Reads `healthcheck`; nothing if it leaves all to the image.
pub(super) fn healthcheck(node: &Node<'_>) -> Read<Option<Healthcheck>> {
    let mut fields = Fields::of(node)?;
    let test = fields.take("test", test).flatten().unwrap_or(NOTHING);
    let is_disabled = fields.take("disable", flag).unwrap_or(false);
    let check = Healthcheck {
        interval: fields.take("interval", |node| span(node, BARE)),
        timeout: fields.take("timeout", |node| span(node, BARE)),
        start_period: fields.take("start_period", |node| span(node, BARE)),
        start_interval: fields.take("start_interval", |node| span(node, BARE)),
        retries: fields.take("retries", |node| whole(node, 0..=i64::from(u16::MAX))),
        ..test
    };
    // What is switched off has no test and no times.
    let off = Healthcheck { disabled: true, ..NOTHING };
    let check = if is_disabled || check.disabled { off } else { check };
    fields.end(Some(Some(check).filter(|check| *check != NOTHING)))
}

const NOTHING: Healthcheck = Healthcheck {
    command: None,
    shell: None,
    disabled: false,
    interval: None,
    timeout: None,
    start_period: None,
    start_interval: None,
    retries: None,
};

fn test(node: &Node<'_>) -> Read<Option<Healthcheck>> {
    if let Some(line) = node.value().as_str() {
        let shell = Some(line.to_owned()).filter(|line| !line.is_empty());
        return Ok(Some(Healthcheck { shell, ..NOTHING }));
    }
    let words = list(node)?;
    match words.split_first() {
        None => Ok(None),
        Some((how, [])) if how == "NONE" => Ok(Some(Healthcheck { disabled: true, ..NOTHING })),
        Some((how, command)) if how == "CMD" && !command.is_empty() => {
            Ok(Some(Healthcheck { command: Some(command.to_vec()), ..NOTHING }))
        }
        Some((how, [line])) if how == "CMD-SHELL" => {
            Ok(Some(Healthcheck { shell: Some(line.clone()), ..NOTHING }))
        }
        Some(_) => node.wrong("must be a text, [\"NONE\"], [\"CMD\", PROGRAM, …] or [\"CMD-SHELL\", LINE]"),
    }
}
