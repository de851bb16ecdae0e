//! What devices report: whether it is taken, and what is kept of it. Pure.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use serde_json::{Map, Value};

use super::cloud::Release;

/// Measurements alone are written once in so long.
const MEASUREMENTS: Duration = Duration::from_secs(60);
/// The progress of a download is.
const PROGRESS: Duration = Duration::from_secs(30);
/// What an update may be.
const UPDATES: [&str; 6] = ["rejected", "aborted", "downloading", "downloaded", "applying changes", "done"];
/// What is measured.
const MEASURED: [&str; 6] =
    ["cpu_usage", "cpu_temp", "memory_usage", "memory_total", "storage_usage", "storage_total"];
/// Fields that are texts, and no more than so many bytes of them are kept.
const TEXTS: [(&str, usize); 9] = [
    ("status", 50),
    ("os_version", 70),
    ("os_variant", 255),
    ("supervisor_version", 20),
    ("provisioning_state", 255),
    ("ip_address", 2000),
    ("mac_address", 900),
    ("api_secret", 64),
    ("cpu_id", 255),
];

/// What a device has reported.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reported {
    /// Its fields.
    pub fields: BTreeMap<String, Value>,
    /// The release that it runs.
    pub running: Option<String>,
    /// How far each release is.
    pub updates: BTreeMap<String, String>,
    /// How far each service of each release is.
    pub installs: BTreeMap<String, BTreeMap<String, Install>>,
    /// How many reports were taken.
    pub count: u64,
    #[serde(skip)]
    measured: Option<Duration>,
    #[serde(skip)]
    progressed: Option<Duration>,
}

/// How far a service is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Install {
    /// Its image.
    pub image: String,
    /// In a word.
    pub status: String,
    /// In percent.
    pub progress: Option<f64>,
}

/// Whether a report has the types that it must have.
pub fn is_well_formed(told: &Map<String, Value>) -> bool {
    let is_text = |value: &Value, may_be_null: bool| value.is_string() || (may_be_null && value.is_null());
    told.iter().all(|(name, value)| match name.as_str() {
        "mac_address" | "status" | "ip_address" | "supervisor_version" => is_text(value, false),
        "apps" => value.as_object().is_some_and(|apps| apps.values().all(is_app)),
        "is_undervolted" | "is_online" => value.is_boolean(),
        name if TEXTS.iter().any(|(text, _)| *text == name) => is_text(value, true),
        name if MEASURED.contains(&name) || name == "api_port" => value.is_number() || value.is_null(),
        _ => true,
    })
}

fn is_app(app: &Value) -> bool {
    let Some(app) = app.as_object() else { return false };
    let releases = match app.get("releases") {
        None => return true,
        Some(releases) => releases.as_object(),
    };
    releases.is_some_and(|releases| {
        releases.values().all(|release| {
            let is_update = release
                .get("update_status")
                .is_none_or(|update| update.as_str().is_some_and(|update| UPDATES.contains(&update)));
            let services = release.get("services").and_then(Value::as_object);
            let are_services =
                services.is_none_or(|services| services.values().all(|service| service["image"].is_string()));
            release.is_object() && is_update && are_services
        })
    })
}

/// Whether all apps, releases and images that are reported are known.
pub fn knows_all(apps: &Value, fleet: &str, releases: &BTreeMap<&str, &Release>) -> bool {
    let of_app = |app: &Value| {
        let is_running_known =
            app["release_uuid"].as_str().is_none_or(|commit| releases.contains_key(commit));
        let told = app["releases"].as_object();
        let are_known = told.into_iter().flatten().all(|(commit, told)| {
            let Some(release) = releases.get(commit.as_str()) else { return false };
            let services = told["services"].as_object();
            services.into_iter().flatten().all(|(name, line)| {
                let image = line["image"].as_str().unwrap_or_default();
                release.services.get(name).is_some_and(|service| is_same(&service.image, image))
            })
        });
        is_running_known && are_known
    };
    apps.as_object().is_some_and(|apps| apps.iter().all(|(uuid, app)| uuid == fleet && of_app(app)))
}

/// The digest may be left out.
fn is_same(known: &str, told: &str) -> bool {
    let known = known.to_lowercase();
    known == told || known.split('@').next() == Some(told)
}

impl Reported {
    /// Keeps a report that is well-formed and of what is known.
    pub fn take(&mut self, told: &Map<String, Value>, fleet: &str, now: Duration) {
        self.count += 1;
        let since = |at: Option<Duration>| at.map_or(Duration::MAX, |at| now.saturating_sub(at));
        let only_measured = told.keys().all(|name| MEASURED.contains(&name.as_str()));
        if only_measured && since(self.measured) < MEASUREMENTS {
            return;
        }
        self.measured =
            told.keys().any(|name| MEASURED.contains(&name.as_str())).then_some(now).or(self.measured);
        for (name, value) in told.iter().filter(|(name, _)| *name != "apps") {
            let longest = TEXTS.iter().find(|(text, _)| text == name).map(|(_, longest)| *longest);
            let kept = match (value.as_str(), longest) {
                (Some(text), Some(longest)) => text.chars().take(longest).collect::<String>().into(),
                _ => value.clone(),
            };
            self.fields.insert(name.clone(), kept);
        }
        if let Some(apps) = told.get("apps") {
            self.snapshot(&apps[fleet], since(self.progressed), now);
        }
    }

    /// What is not in it is gone.
    fn snapshot(&mut self, app: &Value, since_progress: Duration, now: Duration) {
        let (mut updates, mut installs) = (BTreeMap::new(), BTreeMap::new());
        for (commit, release) in app["releases"].as_object().into_iter().flatten() {
            if let Some(update) = release["update_status"].as_str() {
                updates.insert(commit.clone(), update.to_owned());
            }
            let mut services = BTreeMap::new();
            for (name, line) in release["services"].as_object().into_iter().flatten() {
                let former = self.installs.get(commit).and_then(|former| former.get(name));
                let former_progress = former.and_then(|former| former.progress);
                let told = line.get("download_progress");
                let progress = match told.map(Value::as_f64) {
                    None => former_progress,
                    Some(None) => None,
                    Some(Some(percent)) if percent >= 100.0 || since_progress >= PROGRESS => {
                        self.progressed = Some(now);
                        Some(percent)
                    }
                    Some(Some(_)) => former_progress,
                };
                let status = line["status"].as_str().unwrap_or_default().to_owned();
                let image = line["image"].as_str().unwrap_or_default().to_owned();
                services.insert(name.clone(), Install { image, status, progress });
            }
            installs.insert(commit.clone(), services);
        }
        (self.updates, self.installs) = (updates, installs);
        if let Some(running) = app["release_uuid"].as_str() {
            self.running = Some(running.to_owned());
        }
    }
}
