//! Whether bytes from a source are a manifest that this device accepts. Pure.

use std::fmt;

use manifest_types::{
    document,
    manifest::{AgentManifest, Generation, MANIFEST_LIMIT, Refusal, RefusalReason},
    name::AgentId,
    problem::Problem,
};
use serde_json::Value;

use crate::ledger::memory::{Admission, SavedManifest};

/// In which form a source brings manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A program writes them: JSON, with a generation.
    Json,
    /// A person writes them: YAML or JSON, with a generation or none.
    Yaml,
}

/// What admission is judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms<'a> {
    /// This device.
    pub agent_id: &'a AgentId,
    /// The source's name.
    pub source: &'a str,
    /// The form it writes in.
    pub form: Form,
    /// What it last brought that was admitted.
    pub last: Option<Admission>,
}

/// A manifest that this device accepts.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted {
    /// What is wanted.
    pub manifest: AgentManifest,
    /// Its number.
    pub generation: Generation,
    /// As the ledger keeps it.
    pub saved: SavedManifest,
}

impl Admitted {
    /// What later manifests of its source are held against.
    pub fn admission(&self) -> Admission {
        Admission { generation: self.generation, digest: self.manifest.digest }
    }
}

/// Why a manifest is refused: the `reason` of the condition `ManifestAccepted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionReason {
    /// It is no manifest.
    Manifest(RefusalReason),
    /// It is for another device.
    OtherDevice,
    /// It has no generation, and its source must give one.
    NoGeneration,
    /// Its generation is lower than the last one.
    StaleGeneration,
    /// Its generation is the last one's, its content is not.
    GenerationReused,
}

impl fmt::Display for RejectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(reason) => fmt::Debug::fmt(reason, f),
            other => fmt::Debug::fmt(other, f),
        }
    }
}

/// A manifest that this device does not accept.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// Why.
    pub reason: RejectionReason,
    /// Why, for people.
    pub message: String,
    /// Its number, as far as it can be read.
    pub generation: Option<Generation>,
    /// What is wrong inside it, with places in the text; empty where the envelope is refused.
    pub problems: Vec<Problem>,
}

impl Rejection {
    /// Of what a source could make no manifest of.
    pub fn unusable(message: String) -> Self {
        let reason = RejectionReason::Manifest(RefusalReason::Unparsable);
        Self { reason, message, generation: None, problems: Vec::new() }
    }
}

/// Judges `bytes`.
pub fn admit(bytes: &[u8], terms: &Terms<'_>) -> Result<Admitted, Rejection> {
    let text = within_limit(bytes)?;
    let value = match terms.form {
        Form::Json => document::from_json(text),
        Form::Yaml => document::from_yaml(text),
    };
    let value = value.map_err(|problem| {
        let refusal = Refusal { reason: RefusalReason::Unparsable, problems: vec![problem] };
        refused(refusal, None)
    })?;
    let number = value.get("generation").and_then(Value::as_u64);
    let number = number.and_then(|number| Generation::try_from(number).ok());
    let manifest = AgentManifest::read(&value).map_err(|mut refusal| {
        // Each place costs a reading of the text; no more are looked up than are told.
        for problem in refusal.problems.iter_mut().take(Refusal::TOLD) {
            problem.position = document::locate(text, &problem.path);
        }
        refused(refusal, number)
    })?;
    let rejected = |reason, message| Rejection { reason, message, generation: number, problems: Vec::new() };
    if let Some(other) = manifest.agent_id.as_ref().filter(|id| *id != terms.agent_id) {
        let message = format!("it is for {other}, and this is {}", terms.agent_id);
        return Err(rejected(RejectionReason::OtherDevice, message));
    }
    let generation = number_of(&manifest, terms).map_err(|(reason, message)| rejected(reason, message))?;
    let saved = SavedManifest { source: terms.source.to_owned(), generation, text: text.to_owned() };
    Ok(Admitted { manifest, generation, saved })
}

/// Reads a manifest that was admitted before; `None` if this build cannot read it any more.
pub fn readmit(saved: &SavedManifest) -> Option<Admitted> {
    // JSON is YAML; the form that the source had does not matter any more.
    let value = document::from_json(&saved.text).or_else(|_| document::from_yaml(&saved.text)).ok()?;
    let manifest = AgentManifest::read(&value).ok()?;
    Some(Admitted { manifest, generation: saved.generation, saved: saved.clone() })
}

fn within_limit(bytes: &[u8]) -> Result<&str, Rejection> {
    let refuse = |reason, message: String| {
        let message = message.trim_start_matches("$: ").to_owned();
        Rejection {
            reason: RejectionReason::Manifest(reason),
            message,
            generation: None,
            problems: Vec::new(),
        }
    };
    if bytes.len() > MANIFEST_LIMIT {
        let message = format!("it has {} bytes, {MANIFEST_LIMIT} at most", bytes.len());
        return Err(refuse(RefusalReason::TooLarge, message));
    }
    std::str::from_utf8(bytes)
        .map_err(|error| refuse(RefusalReason::Unparsable, format!("it is not UTF-8 text: {error}")))
}

fn refused(refusal: Refusal, generation: Option<Generation>) -> Rejection {
    Rejection {
        reason: RejectionReason::Manifest(refusal.reason),
        message: refusal.to_string(),
        generation,
        problems: refusal.problems,
    }
}

/// The manifest's number: its own, or, from a person's file, the one after the last.
fn number_of(manifest: &AgentManifest, terms: &Terms<'_>) -> Result<Generation, (RejectionReason, String)> {
    match (manifest.generation, terms.last) {
        (None, _) if terms.form == Form::Json => {
            Err((RejectionReason::NoGeneration, "it has no generation; the control plane gives one".into()))
        }
        (None, None) => Ok(Generation::FIRST),
        (None, Some(last)) if last.digest == manifest.digest => Ok(last.generation),
        (None, Some(last)) => {
            let exhausted = || (RejectionReason::StaleGeneration, "there is no higher generation".into());
            last.generation.next().ok_or_else(exhausted)
        }
        (Some(generation), Some(last)) if generation < last.generation => Err((
            RejectionReason::StaleGeneration,
            format!("generation {generation} is lower than {}, the last one admitted", last.generation),
        )),
        (Some(generation), Some(last)) if generation == last.generation && manifest.digest != last.digest => {
            Err((
                RejectionReason::GenerationReused,
                format!("generation {generation} was admitted before with another content"),
            ))
        }
        (Some(generation), _) => Ok(generation),
    }
}

#[cfg(test)]
mod tests;
