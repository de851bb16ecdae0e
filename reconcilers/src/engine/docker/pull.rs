//! What an engine tells while it pulls an image.

use std::{collections::BTreeMap, time::Duration};

use manifest_types::status::Progress;
use serde_json::Value;

use super::{http::parse, wire::Told};
use crate::engine::{
    Answer,
    error::{Cause, EngineError},
};

/// A pull of which nothing was heard for so long has come to a stop.
pub(super) const STALLED: Duration = Duration::from_secs(120);

/// How far a pull is: bytes by layer.
#[derive(Debug, Default)]
pub(super) struct Pulling {
    layers: BTreeMap<String, (u64, u64)>,
}

impl Pulling {
    /// Takes in a line; what is told of it, or why the pull failed.
    pub(super) fn take(&mut self, line: &[u8], doing: &str) -> Answer<Option<Progress>> {
        let told: Value = parse(line, doing)?;
        let told = Told(&told);
        if let Some(message) = told.some_text("error") {
            return Err(EngineError::Refused { doing: doing.into(), cause: Cause::of(0, &message), message });
        }
        let (id, detail) = (told.text("id").to_owned(), told.at("progressDetail"));
        match told.text("status") {
            "Downloading" if detail.some("total").is_some() => {
                self.layers.insert(id, (detail.amount("current"), detail.amount("total")));
            }
            "Download complete" | "Pull complete" | "Already exists" => {
                let layer = self.layers.entry(id).or_default();
                layer.0 = layer.1;
            }
            "Pulling fs layer" => {
                self.layers.entry(id).or_default();
            }
            _ => return Ok(None),
        }
        let (done, total) =
            self.layers.values().fold((0, 0), |(done, total), layer| (done + layer.0, total + layer.1));
        let message = "pulling the image".to_owned();
        Ok(Some(Progress {
            message,
            done,
            total: Some(total).filter(|total| *total > 0),
            unit: "bytes".into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_added_up_and_errors_are_errors() {
        let mut pulling = Pulling::default();
        let mut take = |line: &str| pulling.take(line.as_bytes(), "pull it");
        assert_eq!(take(r#"{"status":"Pulling from web","id":"1"}"#).unwrap(), None);
        take(r#"{"status":"Pulling fs layer","progressDetail":{},"id":"a"}"#).unwrap();
        take(r#"{"status":"Downloading","progressDetail":{"current":10,"total":100},"id":"a"}"#).unwrap();
        let told = take(r#"{"status":"Downloading","progressDetail":{"current":5,"total":50},"id":"b"}"#)
            .unwrap()
            .unwrap();
        assert_eq!((told.done, told.total), (15, Some(150)));
        let told = take(r#"{"status":"Download complete","progressDetail":{},"id":"a"}"#).unwrap().unwrap();
        assert_eq!(told.done, 105);
        let error =
            take(r#"{"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}"#).unwrap_err();
        assert_eq!(error.cause(), Some(Cause::ImageNotFound));
        assert!(take("what").is_err());
    }
}
