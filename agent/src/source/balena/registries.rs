//! The credentials with which an engine pulls: those of the device, for registries of the same owner as the API. Pure.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use manifest_types::kinds::engine::ImageRef;
use serde_json::{Value, json};

use super::{identity::Identity, translate::Translation};

/// Docker's `config.json` with the device's credentials for the registries of a translation's images.
pub fn credentials(who: &Identity, translation: &Translation) -> Value {
    let lines = translation.apps.values().flat_map(|app| app.services.values());
    let registries: BTreeSet<_> =
        lines.filter_map(|line| Some(line.image.parse::<ImageRef>().ok()?.registry())).collect();
    let auth = STANDARD.encode(format!("d_{}:{}", who.uuid, who.key.expose()));
    let own = registries.into_iter().filter(|registry| is_of_one_owner(registry, &who.endpoint));
    let auths: serde_json::Map<_, _> = own.map(|registry| (registry, json!({ "auth": auth }))).collect();
    json!({ "auths": auths })
}

/// Whether a registry is the API's host, or is below the domain that the API is the `api.` of. What is shared by more than one owner, such as `co.uk`, is no such domain.
fn is_of_one_owner(registry: &str, endpoint: &str) -> bool {
    let api = endpoint.split("://").nth(1).unwrap_or(endpoint);
    let (registry, api) = (host(registry), host(api));
    if registry == api {
        return true;
    }
    let (registry, api) = (registry.to_ascii_lowercase(), api.to_ascii_lowercase());
    let domain = api.strip_prefix("api.").filter(|domain| domain.contains('.'));
    domain.is_some_and(|domain| {
        registry.strip_suffix(domain).is_some_and(|host| host.is_empty() || host.ends_with('.'))
    })
}

/// A host without its port and without what follows.
fn host(authority: &str) -> &str {
    let authority = authority.split('/').next().unwrap_or(authority);
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.split(':').next().unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registries_of_the_same_owner_are_told_the_key() {
        for (registry, api, is_told) in [
            ("registry2.balena-cloud.com", "https://api.balena-cloud.com", true),
            ("registry2.balena-cloud.com", "https://api.balena-cloud.com:443/x", true),
            ("docker.io", "https://api.balena-cloud.com", false),
            ("balena-cloud.com.example", "https://api.balena-cloud.com", false),
            ("127.0.0.1:5000", "http://127.0.0.1:8080", true),
            ("127.0.0.2:5000", "http://127.0.0.1:8080", false),
            ("[::1]:5000", "http://[::1]:8080", true),
            ("localhost:5000", "http://localhost:1", true),
            ("registry", "http://api", false),
            ("registry2.fleet.co.uk", "https://api.fleet.co.uk", true),
            ("registry.other.co.uk", "https://api.fleet.co.uk", false),
            ("evilfleet.co.uk", "https://api.fleet.co.uk", false),
            ("registry.com", "https://api.com", false),
            ("registry.example.org", "https://balena.example.org", false),
        ] {
            assert_eq!(is_of_one_owner(registry, api), is_told, "{registry} {api}");
        }
    }
}
