//! The target state of a device, version 3. Pure.

use serde_json::{Map, Value, json};

use super::cloud::{Cloud, Device, Fleet, Release, Service, Texts};

/// No device asks more often, in milliseconds.
const FLOOR: u64 = 600_000;
/// What becomes labels of services, where they have no such label.
const AS_LABELS: [(&str, &str); 2] = [
    ("RESIN_SUPERVISOR_UPDATE_STRATEGY", "io.resin.update.strategy"),
    ("RESIN_SUPERVISOR_HANDOVER_TIMEOUT", "io.resin.update.handover-timeout"),
];

/// The target state of a device.
pub fn state(cloud: &Cloud, device: &Device) -> Value {
    let fleet = &cloud.fleets[&device.fleet];
    let mut config = merged([&fleet.config, &device.config]);
    let interval =
        config.get("RESIN_SUPERVISOR_POLL_INTERVAL").and_then(|value| value.parse().ok()).unwrap_or(0);
    config.insert("RESIN_SUPERVISOR_POLL_INTERVAL".to_owned(), interval.max(FLOOR).to_string());
    let mut app = json!({ "id": fleet.id, "name": fleet.name, "is_host": false, "class": "fleet" });
    let target = device.pinned.as_ref().or(fleet.target.as_ref());
    if let Some(release) = target.and_then(|commit| cloud.releases.get(commit)) {
        app["releases"] = json!({ release.commit.as_str(): of_release(fleet, device, release, &config) });
    }
    json!({ device.uuid.as_str(): { "name": device.name, "apps": { fleet.uuid.as_str(): app }, "config": config } })
}

fn of_release(fleet: &Fleet, device: &Device, release: &Release, config: &Texts) -> Value {
    let service = |(name, service): (&String, &Service)| {
        let none = Texts::new();
        let own = device.service_variables.get(name).unwrap_or(&none);
        let mut labels = service.labels.clone();
        for (variable, label) in AS_LABELS {
            if let Some(value) = config.get(variable) {
                labels.entry(label.to_owned()).or_insert_with(|| value.clone());
            }
        }
        let mut told = json!({
            "id": fleet.services.get(name), "image_id": service.image_id, "image": service.image.to_lowercase(),
            "environment": merged([&fleet.variables, &device.variables, own]), "labels": labels, "composition": service.composition,
        });
        if let Some(contract) = &service.contract {
            told["contract"] = contract.clone();
        }
        (name.clone(), told)
    };
    let services: Map<_, _> = release.services.iter().map(service).collect();
    let mut told = json!({ "id": release.id });
    if !services.is_empty() {
        told["services"] = services.into();
    }
    for (name, value) in &release.rest {
        told[name] = value.clone();
    }
    told
}

/// Of which the later ones go before the earlier ones.
fn merged<const N: usize>(layers: [&Texts; N]) -> Texts {
    layers.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}
