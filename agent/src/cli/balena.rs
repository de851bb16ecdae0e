//! `holdfast balena`: what has to do with balenaCloud and openBalena.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;
use manifest_types::{
    document,
    manifest::Refusal,
    problem::{Problem, in_words},
};
use serde_json::Value;

use super::{
    age,
    error::CliError,
    manifest::{name, read},
    place::Place,
};
use crate::{
    config::{Config, RunArgs},
    source::{
        SourceKind,
        balena::{
            host, provision,
            told::Told,
            translate::{self, Kept, Outcome, Translation},
        },
    },
};

/// What to do with balenaCloud or openBalena.
#[derive(Debug, Subcommand)]
pub enum BalenaRequest {
    /// Show who this device is there, when it asked last, and what became of its apps
    #[command(
        after_help = "Asks the running agent, or looks alone where none runs.\n\nExamples:\n  holdfast balena status\n  holdfast balena status -o json"
    )]
    Status {
        /// Where the agent works.
        #[command(flatten)]
        place: Place,
    },
    /// Ask for the target state now, without waiting for the next time
    #[command(after_help = "Examples:\n  holdfast balena poll\n  holdfast balena poll --force")]
    Poll {
        /// Ignore the locks of services: until something else is wanted, or it is asked again without this
        #[arg(long)]
        force: bool,
    },
    /// Register this device, before an agent runs
    #[command(
        after_help = "A running agent does that by itself. Uuid and key are kept before the API is told of them: called again, also after a lost answer, it registers the same device.\n\nExample:\n  HOLDFAST_BALENA_PROVISIONING_KEY=… holdfast balena register --balena-api-endpoint https://api.balena-cloud.com --balena-fleet 1745210 --balena-device-type raspberrypi4-64"
    )]
    Register(Box<RunArgs>),
    /// Forget who this device is there, and what it was to run; what runs goes on
    #[command(
        after_help = "No agent may run. The device's record at the API stays: delete it there. The next start registers another device.\n\nExample:\n  holdfast balena forget --balena-api-endpoint https://api.balena-cloud.com"
    )]
    Forget(Box<RunArgs>),
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
    let facts = host::facts(&uuid.or_else(only).unwrap_or_default(), &config.engine_places, None);
    translate::translate(&document, &facts, &Kept::default()).map_err(|problems| wrong(&problems))
}

/// The configuration of an agent whose source is balena, whatever else is said.
pub(super) fn config(args: RunArgs) -> Result<Config, CliError> {
    let mut args = args.with_file()?;
    args.source = Some(SourceKind::Balena);
    // Its name is not needed here.
    args.agent_id.get_or_insert_with(|| "unnamed".parse().expect("it is a name"));
    Ok(args.resolve()?)
}

/// What is known without an agent: who this device is.
pub(super) fn kept(config: &Config) -> Result<Value, CliError> {
    let options = config.balena.as_ref().ok_or(CliError::NotBalena)?;
    let (session, _) = provision::find_kept(options).map_err(CliError::Balena)?;
    let mut told = Told::default();
    told.is(&session.identity);
    Ok(told.document())
}

/// Registers this device, if it is not.
pub(super) async fn register(config: &Config) -> Result<Value, CliError> {
    let options = config.balena.clone().ok_or(CliError::NotBalena)?;
    let identity = provision::register(&options).await.map_err(CliError::Balena)?;
    let mut told = Told::default();
    told.is(&identity);
    Ok(told.document())
}

/// Forgets who this device is: the uuid that it had.
pub(super) fn forget(config: &Config) -> Result<Option<String>, CliError> {
    let options = config.balena.as_ref().ok_or(CliError::NotBalena)?;
    provision::forget(options).map_err(CliError::Balena)
}

/// What the source tells of itself, for people. Pure.
pub(super) fn render(told: &Value, now: Timestamp) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
    let mut lines = Vec::new();
    let mut line =
        |name: &str, value: String| lines.push(format!("{name:<12}{}\n", super::table::one_line(&value)));
    let identity = &told["identity"];
    if identity.is_null() {
        line("Device", "not known yet".to_owned());
    } else {
        line("API", text(&identity["apiEndpoint"]));
        let registered = match (&identity["registered"], &identity["deviceId"]) {
            (Value::Bool(true), Value::Number(id)) => format!("registered as device {id}"),
            (Value::Bool(true), _) => "registered".to_owned(),
            _ => "not registered yet".to_owned(),
        };
        line("Uuid", format!("{}, {registered}", text(&identity["uuid"])));
    }
    if let Some(why) = told["away"].as_str() {
        line("Away", why.to_owned());
    }
    let ago =
        |at: &Value| at.as_str().and_then(|at| at.parse().ok()).map(|at: Timestamp| age::since(now, at));
    if let Some(age) = ago(&told["lastPoll"]["at"]) {
        line("Last poll", format!("{age} ago: {}", text(&told["lastPoll"]["answer"])));
    }
    if let Some(next) = told["nextPoll"].as_str().and_then(|at| at.parse::<Timestamp>().ok()) {
        let left = next.duration_since(now).as_secs().max(0);
        line("Next poll", format!("in {left} s"));
    }
    let target = &told["target"];
    if let Some(name) = target["name"].as_str() {
        line("Name", name.to_owned());
    }
    for (uuid, app) in target["apps"].as_object().into_iter().flatten() {
        let release = match (app["wanted"].as_str(), app["held"].as_str()) {
            (None, None) => "has no release".to_owned(),
            (Some(wanted), Some(held)) if wanted == held => format!("release {held}"),
            (_, Some(held)) => {
                format!("release {held}; {} is rejected", app["wanted"].as_str().unwrap_or("the next"))
            }
            (Some(wanted), None) => format!("{wanted} is rejected, and there is none before it"),
        };
        line("App", format!("{} ({uuid}): {release}", text(&app["name"])));
        for problem in app["rejected"].as_array().into_iter().flatten() {
            line("", format!("{}: {}", text(&problem["path"]), text(&problem["message"])));
        }
        for (service, why) in app["leftOut"].as_object().into_iter().flatten() {
            line("", format!("without {service}: {}", text(why)));
        }
        for note in app["notes"].as_array().into_iter().flatten() {
            line("", format!("{}: {}", text(&note["path"]), text(&note["message"])));
        }
    }
    for (uuid, whose) in target["leftAlone"].as_object().into_iter().flatten() {
        line("Left alone", format!("{uuid}: it is {}", text(whose)));
    }
    lines.concat()
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
        let facts = host::facts("abc", &[], None);
        let translated = translate::translate(&document, &facts, &Kept::default()).unwrap();
        assert!(is_rejected(&translated));
        insta::assert_snapshot!(remarks(&translated));
    }
}
