//! Reads a manifest from a person's file, with all its problems and where they stand.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use manifest_types::{
    document,
    kinds::KINDS,
    manifest::{AgentManifest, Body, MANIFEST_LIMIT, Refusal, RefusalReason},
    problem::{JsonPath, Problem},
};

use super::error::CliError;
use crate::ask::{Preview, Refused};

/// So many problems are located in the text. Each costs one more reading of it, and nobody mends more at a time.
const LOCATED: usize = 200;

/// The bytes of `path`, or of the standard input where it is `-`. Not much more is read than a manifest may have.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let error = |source| CliError::Read { path: path.to_owned(), source };
    let from: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(fs::File::open(path).map_err(error)?)
    };
    let mut bytes = Vec::new();
    from.take(MANIFEST_LIMIT as u64 + 1).read_to_end(&mut bytes).map_err(error)?;
    Ok(bytes)
}

/// How the file is called in messages.
pub(super) fn name(path: &Path) -> String {
    if path == Path::new("-") { "<stdin>".into() } else { path.display().to_string() }
}

/// A manifest of `bytes`, YAML or JSON, as a device would read it. Bad entries are in the result, with places.
pub(super) fn parse(bytes: &[u8]) -> Result<AgentManifest, Refusal> {
    let root = JsonPath::root;
    if bytes.len() > MANIFEST_LIMIT {
        let message = format!("has more than {MANIFEST_LIMIT} bytes");
        return Err(Refusal::new(RefusalReason::TooLarge, root(), message));
    }
    let not_text =
        |error| Refusal::new(RefusalReason::Unparsable, root(), format!("is not UTF-8 text: {error}"));
    let text = std::str::from_utf8(bytes).map_err(not_text)?;
    let value = document::from_yaml(text)
        .map_err(|problem| Refusal { reason: RefusalReason::Unparsable, problems: vec![problem] })?;
    let mut manifest = AgentManifest::read(&value).map_err(|mut refusal| {
        locate(text, refusal.problems.iter_mut());
        refusal
    })?;
    let bad = manifest.resources.iter_mut().filter_map(|resource| match &mut resource.body {
        Body::Invalid(problems) => Some(problems),
        Body::Spec(..) | Body::UnknownKind => None,
    });
    locate(text, bad.flatten());
    Ok(manifest)
}

fn locate<'a>(text: &str, problems: impl Iterator<Item = &'a mut Problem>) {
    for problem in problems.filter(|problem| problem.position.is_none()).take(LOCATED) {
        problem.position = document::locate(text, &problem.path);
    }
}

/// The entries of kinds that this build does not know, as problems.
pub(super) fn unknown_kinds(text: &[u8], manifest: &AgentManifest) -> Vec<Problem> {
    let entries = manifest.resources.iter().enumerate();
    let unknown = entries.filter(|(_, resource)| matches!(resource.body, Body::UnknownKind));
    let mut problems: Vec<_> = unknown
        .map(|(index, resource)| {
            let path = JsonPath::root().key("resources").index(index).key("kind");
            Problem::new(path, format!("{:?} is no kind known here ({})", resource.kind, KINDS.join(", ")))
        })
        .collect();
    if let Ok(text) = std::str::from_utf8(text) {
        locate(text, problems.iter_mut());
    }
    problems
}

/// A refusal as an agent tells it.
pub(super) fn refused(refusal: &Refusal) -> Refused {
    Refused {
        reason: format!("{:?}", refusal.reason),
        message: refusal.to_string(),
        problems: refusal.problems.iter().map(Into::into).collect(),
    }
}

/// Adds to an agent's preview where in the text its problems stand: the agent tells paths only.
pub(super) fn locate_told(text: &[u8], preview: &mut Preview) {
    let Ok(manifest) = parse(text) else { return };
    let positions: std::collections::BTreeMap<_, _> =
        manifest.problems().map(|problem| (problem.path.to_string(), problem.position)).collect();
    for problem in preview.problems.iter_mut().filter(|problem| problem.line.is_none()) {
        let position = positions.get(&problem.path).copied().flatten();
        problem.line = position.map(|position| position.line);
        problem.column = position.map(|position| position.column);
    }
}
