//! The labels of a service, and those that mean something to this agent.

use manifest_types::kinds::engine::Texts;

const PREFIX: &str = "io.balena.";
const OLD_PREFIX: &str = "io.resin.";

/// Labels of which the later ones go before the earlier ones; the old spelling of balena's own is the new one.
pub(super) fn merged<const N: usize>(layers: [&Texts; N]) -> Texts {
    let mut labels = Texts::new();
    for layer in layers {
        // Where both spellings are there, the new one counts.
        let (new, old): (Vec<_>, Vec<_>) = layer.iter().partition(|(name, _)| !name.starts_with(OLD_PREFIX));
        labels.extend(old.into_iter().map(|(name, value)| (respelt(name), value.clone())));
        labels.extend(new.into_iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    labels
}

fn respelt(name: &str) -> String {
    name.strip_prefix(OLD_PREFIX).map_or_else(|| name.to_owned(), |rest| format!("{PREFIX}{rest}"))
}

/// A label of balena's own.
pub(super) fn own<'a>(labels: &'a Texts, name: &str) -> Option<&'a str> {
    labels.get(&format!("{PREFIX}{name}")).map(String::as_str)
}

/// Whether a feature is asked for.
pub(super) fn has_feature(labels: &Texts, feature: &str) -> bool {
    own(labels, &format!("features.{feature}")).is_some_and(is_true)
}

/// The features that a service names, asked for or not.
pub(super) fn features(labels: &Texts) -> impl Iterator<Item = &str> {
    let named = labels
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?.strip_prefix("features.")?, value)));
    named.filter(|(_, value)| is_true(value)).map(|(feature, _)| feature)
}

/// Whether a label's value says yes.
pub(super) fn is_true(value: &str) -> bool {
    ["1", "true", "on"].contains(&value.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_spelling_is_the_new_one_and_the_new_one_goes_before_it() {
        let low =
            Texts::from([("io.resin.features.dbus".into(), "1".into()), ("a.resin".into(), "x".into())]);
        let high = Texts::from([
            ("io.balena.features.dbus".into(), "0".into()),
            ("io.resin.features.dbus".into(), "1".into()),
        ]);
        let labels = merged([&low, &high]);
        assert_eq!(labels.len(), 2);
        assert!(!has_feature(&labels, "dbus") && labels.contains_key("a.resin"));
        assert!(has_feature(&merged([&low]), "dbus"));
    }
}
