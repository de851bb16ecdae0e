//! What devices report: whether it is taken, and what is kept of it. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Serialize;
use serde_json::{Map, Value};

use super::cloud::Release;

/// Measurements alone are written once in so long.
const MEASUREMENTS: Duration = Duration::from_secs(60);
/// The progress of a download is.
const PROGRESS: Duration = Duration::from_secs(30);
/// What was dropped and comes again as it was stays deleted for so long.
const FORGOTTEN: Duration = Duration::from_secs(300);
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
    /// What was dropped, by release and service, and when.
    #[serde(skip)]
    dropped: BTreeMap<(String, String), (Install, Duration)>,
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

/// Whether all apps, releases and images that are reported are known; and whether each image is there under all of the reported releases that have it.
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
        is_running_known && are_known && is_counted_right(&app["releases"], releases)
    };
    apps.as_object().is_some_and(|apps| apps.iter().all(|(uuid, app)| uuid == fleet && of_app(app)))
}

/// The API counts: of all releases that are reported, the images that are reported of any must be as many as there are lines.
fn is_counted_right(told: &Value, releases: &BTreeMap<&str, &Release>) -> bool {
    let told: Vec<_> = told.as_object().into_iter().flatten().collect();
    let lines = |(commit, release): &(&String, &Value)| {
        let services = release["services"].as_object().cloned().unwrap_or_default();
        let locations = services.into_iter().filter_map(|(_, line)| Some(location(line["image"].as_str()?)));
        locations.map(|image| ((*commit).clone(), image)).collect::<Vec<_>>()
    };
    let listed: BTreeSet<_> = told.iter().flat_map(lines).collect();
    let images: BTreeSet<_> = listed.iter().map(|(_, image)| image.clone()).collect();
    let known = |(commit, _): &(&String, &Value)| {
        let services =
            releases.get(commit.as_str()).into_iter().flat_map(|release| release.services.values());
        let own: Vec<_> = services.map(|service| ((*commit).clone(), location(&service.image))).collect();
        own.into_iter().filter(|(_, image)| images.contains(image)).collect::<Vec<_>>()
    };
    listed == told.iter().flat_map(known).collect()
}

/// Where an image is, whatever its digest.
fn location(image: &str) -> String {
    image.split('@').next().unwrap_or(image).to_lowercase()
}

/// The digest may be left out.
fn is_same(known: &str, told: &str) -> bool {
    known.to_lowercase() == told || location(known) == told
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

    /// Whether an install that was dropped a little while ago is told again as it was then: the API takes it for what it knows.
    fn stays_deleted(&mut self, commit: &str, name: &str, told: &Install, now: Duration) -> bool {
        let key = (commit.to_owned(), name.to_owned());
        let Some((former, at)) = self.dropped.get(&key) else { return false };
        let is_forgotten = former.status == told.status && now.saturating_sub(*at) < FORGOTTEN;
        if !is_forgotten {
            self.dropped.remove(&key);
        }
        is_forgotten
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
                let install = Install { image, status, progress };
                if !self.stays_deleted(commit, name, &install, now) {
                    services.insert(name.clone(), install);
                }
            }
            installs.insert(commit.clone(), services);
        }
        for (commit, services) in &self.installs {
            for (name, install) in services {
                if installs.get(commit).is_none_or(|now| !now.contains_key(name)) {
                    self.dropped.insert((commit.clone(), name.clone()), (install.clone(), now));
                }
            }
        }
        (self.updates, self.installs) = (updates, installs);
        if let Some(running) = app["release_uuid"].as_str() {
            self.running = Some(running.to_owned());
        }
    }
}
