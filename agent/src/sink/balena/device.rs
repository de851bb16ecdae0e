//! What a device says of itself beside its apps, and which of it is worth a report. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What is measured, and how coarse a change must be to count.
const BUCKETS: [(&str, f64); 6] = [
    ("cpu_usage", 20.0),
    ("cpu_temp", 5.0),
    ("memory_usage", 10.0),
    ("memory_total", 1.0),
    ("storage_usage", 1.0),
    ("storage_total", 1.0),
];

/// A report, or a part of it: fields by their names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Report(pub Map<String, Value>);

impl Report {
    /// Whether anything in it is measured.
    pub(super) fn has_measurements(&self) -> bool {
        self.0.keys().any(|name| is_measurement(name))
    }
}

/// What of a report has changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Changes {
    /// What is to be sent.
    pub report: Map<String, Value>,
    /// Whether there is more in it than measurements.
    pub is_urgent: bool,
}

/// Whether a field is measured.
pub(super) fn is_measurement(name: &str) -> bool {
    BUCKETS.iter().any(|(bucket, _)| *bucket == name)
}

/// Says that nothing is measured.
pub(super) fn forget_measurements(report: &mut Report) {
    for (name, _) in BUCKETS {
        report.0.insert(name.to_owned(), Value::Null);
    }
}

/// What differs from what was accepted last. Measurements count when they are in another bucket; one that is sent is sent as it is.
pub(super) fn changes(accepted: &Report, now: &Report) -> Changes {
    let mut changes = Changes::default();
    for (name, value) in &now.0 {
        let former = accepted.0.get(name);
        let bucket = BUCKETS.iter().find(|(bucket, _)| bucket == name).map(|(_, size)| *size);
        let is_same = match (bucket, former) {
            (Some(size), Some(former)) => in_bucket(former, size) == in_bucket(value, size),
            (_, former) => former == Some(value),
        };
        if !is_same {
            changes.is_urgent |= bucket.is_none();
            changes.report.insert(name.clone(), value.clone());
        }
    }
    changes
}

fn in_bucket(value: &Value, size: f64) -> Option<i64> {
    value.as_f64().map(|number| (number / size).round() as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(value: Value) -> Report {
        Report(value.as_object().unwrap().clone())
    }

    #[test]
    fn only_what_has_changed_is_sent_and_noise_is_no_change() {
        let accepted = report(
            json!({ "status": "Idle", "cpu_usage": 12, "memory_usage": 310, "cpu_temp": 51, "apps": { "a": {} } }),
        );
        let noise = report(
            json!({ "status": "Idle", "cpu_usage": 19, "memory_usage": 313, "cpu_temp": 52, "apps": { "a": {} } }),
        );
        assert_eq!(changes(&accepted, &noise), Changes::default());
        let hot = report(json!({ "status": "Idle", "cpu_usage": 12, "cpu_temp": 60, "apps": { "a": {} } }));
        let sent = changes(&accepted, &hot);
        assert_eq!((Value::from(sent.report), sent.is_urgent), (json!({ "cpu_temp": 60 }), false));
        let other = report(json!({ "status": "Idle", "cpu_temp": 60, "apps": { "a": { "releases": {} } } }));
        let sent = changes(&accepted, &other);
        assert_eq!(
            (Value::from(sent.report), sent.is_urgent),
            (json!({ "cpu_temp": 60, "apps": { "a": { "releases": {} } } }), true)
        );
        assert!(
            accepted.has_measurements()
                && !report(json!({ "status": "Idle", "apps": {} })).has_measurements()
        );
        let mut silent = accepted.clone();
        forget_measurements(&mut silent);
        let told = |name: &str| silent.0.get(name).cloned();
        assert_eq!(
            (told("cpu_temp"), told("memory_total"), told("status")),
            (Some(Value::Null), Some(Value::Null), Some(json!("Idle")))
        );
        assert!(changes(&Report::default(), &accepted).is_urgent);
        let gone = changes(&accepted, &report(json!({ "cpu_usage": null })));
        assert_eq!((Value::from(gone.report), gone.is_urgent), (json!({ "cpu_usage": null }), false));
    }
}
