//! One measurement, as it is told.

use std::time::Duration;

use serde_json::{Value, json};

/// One measurement against its floor or its aim.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) count: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) floor: Option<f64>,
    pub(crate) unit: &'static str,
    pub(crate) aim: String,
    pub(crate) met: bool,
}

/// Of all that was measured, the value below which `percent` of it lies.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// Milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl Row {
    /// Times in milliseconds, of which the median is at most `most` times the floor's median.
    pub(crate) fn against(name: &str, mut times: Vec<f64>, mut floor: Vec<f64>, most: f64) -> Self {
        times.sort_by(f64::total_cmp);
        floor.sort_by(f64::total_cmp);
        let (p50, floor) = (percentile(&times, 50), percentile(&floor, 50));
        Self {
            name: name.to_owned(),
            count: times.len(),
            p50,
            p99: percentile(&times, 99),
            floor: Some(floor),
            unit: "ms",
            aim: format!("p50 ≤ {most} × floor"),
            met: p50 <= most * floor,
        }
    }

    /// One value that is at most `most`.
    pub(crate) fn value(name: &str, value: f64, unit: &'static str, most: f64) -> Self {
        let aim = format!("≤ {most} {unit}");
        Self {
            name: name.to_owned(),
            count: 1,
            p50: value,
            p99: value,
            floor: None,
            unit,
            aim,
            met: value <= most,
        }
    }

    fn ratio(&self) -> Option<f64> {
        self.floor.map(|floor| self.p50 / floor)
    }

    /// As one object of the JSON report.
    pub(crate) fn to_json(&self) -> Value {
        let Self { name, count, p50, p99, floor, unit, aim, met } = self;
        let mut told = json!({ "name": name, "count": count, "floor": floor, "ratio": self.ratio(), "unit": unit, "aim": aim, "met": met });
        if *count == 1 {
            told["value"] = json!(p50);
        } else {
            told["p50"] = json!(p50);
            told["p99"] = json!(p99);
        }
        told
    }

    /// As one line of the table.
    pub(crate) fn to_line(&self) -> String {
        let number = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.3}"));
        format!(
            "{:<34} {:>6} {:>10} {:>10} {:>10} {:>7} {:<9} {:<30} {}",
            self.name,
            self.count,
            number(Some(self.p50)),
            number(Some(self.p99)),
            number(self.floor),
            number(self.ratio()),
            self.unit,
            self.aim,
            if self.met { "met" } else { "not met" },
        )
    }
}
