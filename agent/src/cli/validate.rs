//! `holdfast validate`: all problems of a manifest.

use std::path::Path;

use manifest_types::problem::Problem;
use serde::Serialize;

use super::manifest;
use crate::ask::ToldProblem;

/// What was found, as a program reads it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Verdict {
    /// The file.
    pub(super) file: String,
    /// Whether a device would take all of it.
    pub(super) valid: bool,
    /// How many resources it lists, if it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resources: Option<usize>,
    /// All that is wrong.
    pub(super) problems: Vec<ToldProblem>,
}

/// Checks `bytes`, the content of `path`.
pub(super) fn check(path: &Path, bytes: &[u8], allow_unknown_kinds: bool) -> Verdict {
    let (resources, mut problems) = match manifest::parse(bytes) {
        Err(refusal) => (None, refusal.problems),
        Ok(read) => {
            let mut problems: Vec<Problem> = read.problems().cloned().collect();
            if !allow_unknown_kinds {
                problems.extend(manifest::unknown_kinds(bytes, &read));
            }
            (Some(read.resources.len()), problems)
        }
    };
    problems.sort_by_key(|problem| (problem.position.is_none(), problem.position));
    let problems: Vec<_> = problems.iter().map(ToldProblem::from).collect();
    Verdict { file: manifest::name(path), valid: problems.is_empty(), resources, problems }
}

/// One line for each problem, or one that says that there is none. Pure.
pub(super) fn render(verdict: &Verdict) -> String {
    match verdict.resources.filter(|_| verdict.valid) {
        Some(1) => format!("{}: valid, 1 resource\n", verdict.file),
        Some(count) => format!("{}: valid, {count} resources\n", verdict.file),
        None => lines(&verdict.file, &verdict.problems),
    }
}

/// `FILE:LINE:COLUMN: PATH: MESSAGE`. Pure.
pub(super) fn lines(file: &str, problems: &[ToldProblem]) -> String {
    let line = |problem: &ToldProblem| {
        let ToldProblem { path, line, column, message } = problem;
        let place = match (line, column) {
            (Some(line), Some(column)) => format!(":{line}:{column}"),
            _ => String::new(),
        };
        format!("{file}{place}: {}\n", super::table::one_line(&format!("{path}: {message}")))
    };
    problems.iter().map(line).collect()
}
