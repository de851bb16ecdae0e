//! The two buckets: how they are made, and how one that is there differs from that.

use std::fmt;

use async_nats::jetstream::stream::{Config, DiscardPolicy, Republish, StorageType};
use manifest_types::keys;
use serde::Serialize;

use crate::{
    error::Error,
    link::{Address, Link},
};

/// Where a bucket is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Storage {
    /// On disk.
    File,
    /// In memory: gone with the server.
    Memory,
}

/// What may be chosen; what is not chosen is not compared with a bucket that is there.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Choice {
    /// How many servers of a cluster keep each value [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub replicas: Option<u8>,
    /// Where the values are kept [default: file].
    #[arg(long, value_enum)]
    pub storage: Option<Storage>,
}

/// What was found, or done, of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The bucket.
    pub bucket: String,
    /// Whether it was made just now.
    pub created: bool,
    /// How the one that was there differs from what is wanted.
    pub differences: Vec<Difference>,
}

/// One setting that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The setting, as the server calls it.
    pub setting: &'static str,
    /// What is wanted.
    pub want: String,
    /// What is there.
    pub got: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, created, differences } = self;
        if *created {
            return write!(f, "{bucket}: created");
        }
        if differences.is_empty() {
            return write!(f, "{bucket}: already there");
        }
        write!(f, "{bucket}: differs")?;
        for Difference { setting, want, got } in differences {
            write!(f, "\n  {setting}: is {got}, wanted {want}")?;
        }
        Ok(())
    }
}

/// Makes the buckets that are not there. One that is there is looked at and left as it is.
pub async fn init(link: &Link, choice: Choice) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    for config in wanted(link.address(), choice) {
        found.push(ensure(link, config, choice).await?);
    }
    Ok(found)
}

async fn ensure(link: &Link, config: Config, choice: Choice) -> Result<Found, Error> {
    let bucket = config.name.trim_start_matches("KV_").to_owned();
    if let Some(stream) = link.stream(&bucket).await? {
        let differences = differences(&config, &stream.cached_info().config, choice);
        return Ok(Found { bucket, created: false, differences });
    }
    match link.jetstream().create_stream(config).await {
        Ok(_) => Ok(Found { bucket, created: true, differences: Vec::new() }),
        Err(source) => Err(Error::Create { bucket, source: Box::new(source) }),
    }
}

/// The streams behind both buckets. A KV bucket is a stream with these settings (NATS ADR-8).
fn wanted(address: &Address, choice: Choice) -> [Config; 2] {
    let bucket = |name: &str, description: &str| Config {
        name: format!("KV_{name}"),
        description: Some(description.to_owned()),
        subjects: vec![keys::kv_subject(name, ">")],
        storage: match choice.storage {
            Some(Storage::Memory) => StorageType::Memory,
            Some(Storage::File) | None => StorageType::File,
        },
        num_replicas: choice.replicas.unwrap_or(1).into(),
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..Config::default()
    };
    let (source, destination) = keys::republish(&address.bucket);
    [
        Config {
            max_messages_per_subject: keys::FLEET_HISTORY,
            republish: Some(Republish { source, destination, headers_only: false }),
            ..bucket(&address.bucket, "Holdfast: manifests and statuses")
        },
        Config {
            max_messages_per_subject: 1,
            max_age: keys::HEARTBEAT_TTL,
            ..bucket(&address.heartbeat_bucket, "Holdfast: signs of life")
        },
    ]
}

/// The settings that agents and control planes rely on.
fn differences(want: &Config, got: &Config, choice: Choice) -> Vec<Difference> {
    let republish = |config: &Config| match &config.republish {
        Some(Republish { source, destination, headers_only }) => {
            format!("{source} to {destination}{}", if *headers_only { ", headers only" } else { "" })
        }
        None => "none".to_owned(),
    };
    let storage = |config: &Config| format!("{:?}", config.storage).to_lowercase();
    let compared = [
        (
            "history",
            want.max_messages_per_subject.to_string(),
            got.max_messages_per_subject.to_string(),
            true,
        ),
        ("max_age", format!("{:?}", want.max_age), format!("{:?}", got.max_age), true),
        ("republish", republish(want), republish(got), true),
        ("allow_direct", want.allow_direct.to_string(), got.allow_direct.to_string(), true),
        ("allow_rollup_hdrs", want.allow_rollup.to_string(), got.allow_rollup.to_string(), true),
        ("subjects", want.subjects.join(" "), got.subjects.join(" "), true),
        ("storage", storage(want), storage(got), choice.storage.is_some()),
        (
            "num_replicas",
            want.num_replicas.to_string(),
            got.num_replicas.to_string(),
            choice.replicas.is_some(),
        ),
    ];
    let differing = compared.into_iter().filter(|(_, want, got, asked)| *asked && want != got);
    differing.map(|(setting, want, got, _)| Difference { setting, want, got }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(choice: Choice) -> Config {
        let [fleet, _] = wanted(&Address::new("nats://127.0.0.1"), choice);
        fleet
    }

    #[test]
    fn the_buckets_are_as_the_contract_says() {
        let [fleet, heartbeats] = wanted(&Address::new("nats://127.0.0.1"), Choice::default());
        assert_eq!((fleet.name.as_str(), fleet.max_messages_per_subject), ("KV_fleet", 16));
        assert_eq!(fleet.republish.unwrap().destination, "holdfast.fleet.desired-state.>");
        assert!(fleet.allow_direct && heartbeats.allow_direct);
        assert_eq!(
            (heartbeats.name.as_str(), heartbeats.max_age),
            ("KV_fleet-heartbeat", keys::HEARTBEAT_TTL)
        );
    }

    #[test]
    fn what_was_not_chosen_is_not_compared() {
        let clustered = Choice { replicas: Some(3), storage: Some(Storage::Memory) };
        assert_eq!(differences(&fleet(Choice::default()), &fleet(clustered), Choice::default()), []);
        let differing = differences(
            &fleet(Choice { replicas: Some(1), storage: None }),
            &fleet(clustered),
            Choice { replicas: Some(1), storage: None },
        );
        assert_eq!(differing.len(), 1);
        assert_eq!((differing[0].setting, differing[0].got.as_str()), ("num_replicas", "3"));
    }

    #[test]
    fn every_difference_is_told() {
        let got = Config { max_messages_per_subject: 5, republish: None, ..fleet(Choice::default()) };
        let differences = differences(&fleet(Choice::default()), &got, Choice::default());
        let found = Found { bucket: "fleet".to_owned(), created: false, differences };
        assert_eq!(
            found.to_string(),
            "fleet: differs\n  history: is 5, wanted 16\n  republish: is none, wanted $KV.fleet.desired-state.> to holdfast.fleet.desired-state.>"
        );
    }
}
