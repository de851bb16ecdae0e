//! `holdfast balena`: what has to do with balenaCloud and openBalena.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use manifest_types::{
    document,
    manifest::Refusal,
    problem::{Problem, in_words},
};

use super::{
    error::CliError,
    manifest::{name, read},
    place::Place,
};
use crate::{
    config::Config,
    source::balena::{
        host,
        translate::{self, Kept, Outcome, Translation},
    },
};

/// What to do with balenaCloud or openBalena.
#[derive(Debug, Subcommand)]
pub enum BalenaRequest {
    /// Print the manifest that this device would make of a target state; nothing is changed
    #[command(
        after_help = "The manifest goes to the standard output, remarks go to the standard error: what is rejected, and what is ignored.\nVariables such as the device's type are those of the device on which this is called.\n\nExamples:\n  curl -H \"Authorization: Bearer $KEY\" https://api.balena-cloud.com/device/v3/$UUID/state | holdfast balena translate -f -\n  holdfast balena translate -f state.json | holdfast plan -f -\n\nExit codes: 0 done, 1 a release is rejected, or the file is no target state."
    )]
    Translate {
        /// The target state, version 3, as the API answers it; - reads the standard input
        #[arg(long, short, value_name = "FILE")]
        file: PathBuf,
        /// Whose target state it is [default: the only one in the file]
        #[arg(long, value_name = "UUID")]
        uuid: Option<String>,
        /// Where the agent works.
        #[command(flatten)]
        place: Place,
    },
}

/// Translates the target state in a file.
pub(super) fn translate(file: &Path, uuid: Option<String>, config: Config) -> Result<Translation, CliError> {
    let wrong = |problems: &[Problem]| CliError::NoTargetState {
        file: name(file),
        problems: in_words(problems, Refusal::TOLD),
    };
    let bytes = read(file)?;
    let text = String::from_utf8_lossy(&bytes);
    let document = document::from_yaml(&text).map_err(|problem| wrong(&[problem]))?;
    let only = || document.as_object().and_then(|devices| devices.keys().next().cloned());
    let facts = host::facts(&uuid.or_else(only).unwrap_or_default(), &config.engine_places);
    translate::translate(&document, &facts, &Kept::default()).map_err(|problems| wrong(&problems))
}

/// Whether a release is rejected.
pub(super) fn is_rejected(translated: &Translation) -> bool {
    translated.apps.values().any(|outcome| !outcome.rejected.is_empty())
}

/// What was rejected, left out, left alone and ignored, a line each. Pure.
pub(super) fn remarks(translated: &Translation) -> String {
    let mut lines: Vec<String> = translated.notes.iter().map(ToString::to_string).collect();
    for (uuid, whose) in &translated.left_alone {
        lines.push(format!("{uuid} is left alone: it is {whose}"));
    }
    for outcome in translated.apps.values() {
        let Outcome { name, wanted, rejected, left_out, notes, .. } = outcome;
        let release = wanted.as_deref().unwrap_or("its release");
        lines.extend(rejected.iter().map(|problem| format!("{name}: {release} is rejected: {problem}")));
        lines.extend(left_out.iter().map(|(service, why)| format!("{name}: {service} is left out: {why}")));
        lines.extend(notes.iter().map(|note| format!("{name}: {note}")));
    }
    lines.iter().map(|line| format!("{}\n", super::table::one_line(line))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_remarkable_is_told_line_by_line() {
        let service = json!({ "id": 1, "image_id": 1, "image": "a", "environment": {}, "labels": { "io.balena.features.tea": "1" }, "composition": { "links": ["b"] } });
        let wrong = json!({ "id": 1, "image_id": 1, "image": "a", "environment": {}, "labels": {}, "composition": { "restart": "now" } });
        let release = |service| json!({ "cafe": { "id": 1, "services": { "main": service } } });
        let document = json!({ "abc": { "name": "pump", "apps": {
            "aaaa": { "id": 1, "name": "shop", "releases": release(service) },
            "bbbb": { "id": 2, "name": "yard", "releases": release(wrong) },
            "cccc": { "id": 3, "name": "os", "is_host": true }
        } } });
        let facts = host::facts("abc", &[]);
        let translated = translate::translate(&document, &facts, &Kept::default()).unwrap();
        assert!(is_rejected(&translated));
        insta::assert_snapshot!(remarks(&translated));
    }
}
