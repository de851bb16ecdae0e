//! Reads a request's parameters: which resource, for how long, how much of what it prints.

use std::time::Duration;

use manifest_types::name::ResourceId;
use percent_encoding::percent_decode_str;
use reconcilers::reconciler::Lines;

use super::{failure::Failed, span};

/// The parameters of a request, each once at most.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Query {
    /// The resource that is meant; all, where none is named.
    pub(super) id: Option<ResourceId>,
    /// For how long.
    pub(super) time: Option<Duration>,
    /// Which lines.
    pub(super) lines: Lines,
}

impl Query {
    /// Reads what stands behind the question mark. Only the parameters in `known` may be there.
    pub(super) fn read(text: Option<&str>, known: &[&str]) -> Result<Self, Failed> {
        let mut query = Self::default();
        let mut seen = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(&value.replace('+', " "))?;
            if !known.contains(&name) {
                let known = known.join(", ");
                return Err(Failed::bad("BadQuery", format!("{name:?} is no parameter here: {known}")));
            }
            if seen.contains(&name) {
                return Err(Failed::bad("BadQuery", format!("{name} is given twice")));
            }
            seen.push(name);
            match name {
                "id" => query.id = Some(resource_id(&value)?),
                "for" => query.time = Some(time(&value)?),
                "tail" => query.lines.last = Some(number(&value)?),
                _ => query.lines.follow = truth(&value)?,
            }
        }
        Ok(query)
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

fn number(text: &str) -> Result<u32, Failed> {
    text.parse().map_err(|_| Failed::bad("BadNumber", format!("{text:?} is no number of lines")))
}

fn truth(text: &str) -> Result<bool, Failed> {
    text.parse().map_err(|_| Failed::bad("BadTruth", format!("{text:?} is neither true nor false")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_none_is_passed_over() {
        let all = ["id", "for", "tail", "follow"];
        let read = |text| Query::read(Some(text), &all).map_err(|failed| failed.failure.reason);
        let web = || Query { id: "web".parse().ok(), ..Query::default() };
        assert_eq!(read("id=web&for=1h+30m"), Ok(Query { time: Some(Duration::from_secs(5400)), ..web() }));
        assert_eq!(read("id=w%65b"), Ok(web()));
        assert_eq!(read(""), Ok(Query::default()));
        let lines = Lines { last: Some(20), follow: true };
        assert_eq!(read("tail=20&follow=true"), Ok(Query { lines, ..Query::default() }));
        for (bad, reason) in [
            ("id=", "BadId"),
            ("id", "BadId"),
            ("for=soon", "BadTime"),
            ("id=%ff", "BadEncoding"),
            ("ID=web", "BadQuery"),
            ("id=a&id=b", "BadQuery"),
            ("tail=-1", "BadNumber"),
            ("follow", "BadTruth"),
        ] {
            assert_eq!(read(bad), Err(reason.into()), "{bad}");
        }
        assert!(Query::read(Some("for=1h"), &["id"]).is_err());
    }
}
