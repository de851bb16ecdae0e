//! Reads a request's parameters: which resource, and for how long.

use std::time::Duration;

use manifest_types::name::ResourceId;
use percent_encoding::percent_decode_str;

use super::{failure::Failed, span};

/// The parameters of a request, each once at most.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Query {
    /// The resource that is meant; all, where none is named.
    pub(super) id: Option<ResourceId>,
    /// For how long.
    pub(super) time: Option<Duration>,
}

impl Query {
    /// Reads what stands behind the question mark.
    pub(super) fn read(text: Option<&str>) -> Result<Self, Failed> {
        let mut query = Self::default();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(&value.replace('+', " "))?;
            let is_twice = match name {
                "id" => query.id.replace(resource_id(&value)?).is_some(),
                "for" => query.time.replace(time(&value)?).is_some(),
                _ => return Err(Failed::bad("BadQuery", format!("{name:?} is no parameter here: id, for"))),
            };
            if is_twice {
                return Err(Failed::bad("BadQuery", format!("{name} is given twice")));
            }
        }
        Ok(query)
    }

    /// Without a time: only pauses have one.
    pub(super) fn without_time(self) -> Result<Option<ResourceId>, Failed> {
        match self.time {
            None => Ok(self.id),
            Some(_) => Err(Failed::bad("BadQuery", "\"for\" is no parameter here")),
        }
    }
}

/// A resource's id as it stands in an address.
pub(super) fn resource_id(text: &str) -> Result<ResourceId, Failed> {
    text.parse().map_err(|error| Failed::bad("BadId", error))
}

/// Undoes the encoding of an address.
pub(super) fn decoded(text: &str) -> Result<String, Failed> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(Into::into)
        .map_err(|error| Failed::bad("BadEncoding", format!("it is not UTF-8 text: {error}")))
}

fn time(text: &str) -> Result<Duration, Failed> {
    span::parse(text).map_err(|message| Failed::bad("BadTime", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_none_is_passed_over() {
        let read = |text| Query::read(Some(text)).map_err(|failed| failed.failure.reason);
        let both = Query { id: "web".parse().ok(), time: Some(Duration::from_secs(5400)) };
        assert_eq!(read("id=web&for=1h+30m"), Ok(both));
        assert_eq!(read("id=w%65b"), Ok(Query { id: "web".parse().ok(), time: None }));
        assert_eq!(read(""), Ok(Query::default()));
        for (bad, reason) in [
            ("id=", "BadId"),
            ("id", "BadId"),
            ("for=soon", "BadTime"),
            ("id=%ff", "BadEncoding"),
            ("ID=web", "BadQuery"),
            ("id=a&id=b", "BadQuery"),
        ] {
            assert_eq!(read(bad), Err(reason.into()), "{bad}");
        }
        assert!(Query::read(Some("for=1h")).unwrap().without_time().is_err());
    }
}
