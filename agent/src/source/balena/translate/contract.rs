//! What a service requires of a device.

use nodejs_semver::{Range, Version};

use crate::source::balena::{
    document::{Fields, Node, Read, all},
    facts::Facts,
};

/// The Supervisor whose behaviour this agent has, as far as releases can require one.
pub const SUPERVISOR_VERSION: &str = "19.0.5";

/// What of a contract this device does not fulfil, in words; nothing if it fulfils all.
pub(super) fn unmet(contract: &Node<'_>, facts: &Facts) -> Read<Vec<String>> {
    let mut fields = Fields::of(contract)?;
    let unmet = fields.take("requires", |node| {
        Ok(all(node.items()?.iter().map(|node| requirement(node, facts)))?
            .into_iter()
            .flatten()
            .collect::<Vec<_>>())
    });
    let rest = [
        "type",
        "slug",
        "name",
        "version",
        "assets",
        "data",
        "provides",
        "children",
        "description",
        "aliases",
        "tags",
    ];
    fields.skip(&rest);
    fields.end(Some(unmet.unwrap_or_default()))
}

/// What of one requirement is not fulfilled.
fn requirement(node: &Node<'_>, facts: &Facts) -> Read<Option<String>> {
    let mut fields = Fields::of(node)?;
    if fields.has("or") {
        let alternatives =
            fields.take("or", |node| all(node.items()?.iter().map(|node| requirement(node, facts))));
        let is_met = alternatives.as_ref().is_some_and(|all| all.iter().any(Option::is_none));
        let told = alternatives.into_iter().flatten().flatten().collect::<Vec<_>>().join(" or ");
        return fields.end(Some(Some(told).filter(|_| !is_met)));
    }
    let of = fields.need("type", |node| node.text());
    let slug = fields.take("slug", |node| node.text());
    let range = fields.take("version", |node| node.text());
    let range = range.map(|text| (text, Range::parse(text)));
    if let Some((_, Err(_))) = range {
        fields.wrong("version", "must be a range of versions, such as \">=14 <16\"");
    }
    fields.skip(&["data", "cardinality", "name"]);
    let met = of.map(|of| {
        let range = range.and_then(|(text, range)| Some((text, range.ok()?)));
        let is_met = fulfils(of, slug, range.as_ref().map(|(_, range)| range), facts);
        let words = [Some(of), slug, range.as_ref().map(|(text, _)| *text)];
        let told = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
        Some(format!("{told} (it has {})", has(of, facts))).filter(|_| !is_met)
    });
    fields.end(met)
}

/// What this device has of a type: its slug and its version, where it has one.
fn own<'a>(of: &str, facts: &'a Facts) -> Option<(Option<&'a str>, Option<&'a str>)> {
    match of {
        "sw.supervisor" => Some((None, Some(SUPERVISOR_VERSION))),
        "sw.os" => facts.os.as_ref().map(|(slug, version)| (Some(slug.as_str()), Some(version.as_str()))),
        "sw.kernel" => facts.kernel.as_deref().map(|version| (None, Some(version))),
        "sw.l4t" => facts.l4t.as_deref().map(|version| (None, Some(version))),
        "hw.device-type" => facts.device_type.as_deref().map(|slug| (Some(slug), None)),
        "arch.sw" => facts.arch.as_deref().map(|slug| (Some(slug), None)),
        _ => None,
    }
}

fn has(of: &str, facts: &Facts) -> String {
    match own(of, facts) {
        None | Some((None, None)) => "none".to_owned(),
        Some((slug, version)) => [slug, version].into_iter().flatten().collect::<Vec<_>>().join(" "),
    }
}

fn fulfils(of: &str, slug: Option<&str>, range: Option<&Range>, facts: &Facts) -> bool {
    let Some((own_slug, own_version)) = own(of, facts) else { return false };
    let has_slug = slug.is_none_or(|slug| own_slug.is_none_or(|own| own == slug));
    let has_version = range
        .is_none_or(|range| own_version.and_then(plain).is_some_and(|version| range.satisfies(&version)));
    has_slug && has_version
}

/// The three numbers of a version: a kernel's `6.1.0-18-amd64` is no early 6.1.0.
fn plain(text: &str) -> Option<Version> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let mut numbers: Vec<_> = text[..end].split('.').filter(|part| !part.is_empty()).take(3).collect();
    numbers.resize(3, "0");
    Version::parse(numbers.join(".")).ok()
}
