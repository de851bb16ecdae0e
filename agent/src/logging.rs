//! Logs: one line per decision, as text, JSON or to journald.

use std::{fmt, io::IsTerminal};

use serde::{Deserialize, Serialize};
use tracing_subscriber::{
    Layer, Registry,
    filter::{ParseError, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people, to standard error.
    #[default]
    Text,
    /// One JSON object per line, to standard error.
    Json,
    /// To systemd's journal, with fields.
    Journald,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Logs that cannot be written as asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter.
    #[error("{filter:?} is no log filter, such as info or info,async_nats=warn")]
    Filter {
        /// What was given.
        filter: String,
        /// Why.
        #[source]
        source: ParseError,
    },
    /// There is no journal.
    #[error("cannot write to journald")]
    Journald(#[source] std::io::Error),
}

/// Begins to write logs.
pub fn begin(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let parsed = filter.parse::<Targets>();
    let parsed = parsed.map_err(|source| LogError::Filter { filter: filter.to_owned(), source })?;
    let writer = std::io::stderr;
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal();
            tracing_subscriber::fmt::layer().with_writer(writer).with_target(false).with_ansi(colour).boxed()
        }
        LogFormat::Json => {
            tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer).boxed()
        }
        LogFormat::Journald => tracing_journald::layer().map_err(LogError::Journald)?.boxed(),
    };
    drop(tracing_subscriber::registry().with(layer.with_filter(parsed)).try_init());
    Ok(())
}
