//! Who asks a registry: credentials from a file in the form of Docker's `config.json`. Pure but for reading the file.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use manifest_types::kinds::engine::ImageRef;
use serde_json::Value;

use super::error::ImageError;
use crate::engine::terms::Login;

/// A file of credentials is no longer than this.
const LONGEST: u64 = 1024 * 1024;
/// What Docker's files call its own registry.
const DOCKER_HUB: [&str; 3] = ["https://index.docker.io/v1/", "index.docker.io", "docker.io"];

/// The login for an image's registry, if the file has one.
pub(super) fn login(file: &Path, image: &ImageRef) -> Result<Option<Login>, ImageError> {
    let unusable = |why: String| ImageError::Credentials { path: file.to_owned(), why };
    let size = fs::metadata(file).map_err(|error| unusable(error.to_string()))?.len();
    if size > LONGEST {
        return Err(unusable(format!("it has {size} bytes, {LONGEST} at most")));
    }
    let text = fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    // What the parser quotes may be a secret.
    let config: Value = serde_json::from_str(&text)
        .map_err(|error| unusable(format!("line {} is not JSON", error.line())))?;
    find(&config, &image.registry()).map_err(|why| unusable(why.to_owned()))
}

fn find(config: &Value, registry: &str) -> Result<Option<Login>, &'static str> {
    let names: Vec<&str> = if registry == "docker.io" { DOCKER_HUB.to_vec() } else { vec![registry] };
    let auths = config.get("auths").and_then(Value::as_object);
    let found = auths.into_iter().flatten().find(|(name, _)| {
        let bare = name.trim_start_matches("https://").trim_start_matches("http://");
        let host = bare.split('/').next().unwrap_or_default();
        names.contains(&name.as_str()) || names.contains(&host)
    });
    let Some((_, entry)) = found else {
        let helped = config.get("credsStore").is_some() || config.get("credHelpers").is_some();
        return if helped {
            Err("it names a credential helper, which is a program; put the credentials in")
        } else {
            Ok(None)
        };
    };
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let login = |user: Option<String>, secret: String| Login { registry: registry.to_owned(), user, secret };
    if let Some(token) = text("identitytoken") {
        return Ok(Some(login(None, token)));
    }
    if let (Some(user), Some(secret)) = (text("username"), text("password")) {
        return Ok(Some(login(Some(user), secret)));
    }
    let decoded = text("auth").and_then(|auth| STANDARD.decode(auth).ok());
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((user, secret)) => Ok(Some(login(Some(user.to_owned()), secret.to_owned()))),
        None => Err("its entry for the registry has neither auth nor username and password"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dockers_form_is_understood() {
        let auth = STANDARD.encode("me:a:secret");
        let config = json!({ "auths": {
            "registry.example": { "auth": auth },
            "https://index.docker.io/v1/": { "username": "hub", "password": "p" },
            "127.0.0.1:5000": { "identitytoken": "t" },
            "https://path.example/v1/": { "username": "deep", "password": "p" },
            "empty.example": {}
        } });
        let told = |registry: &str| {
            find(&config, registry).map(|login| login.map(|login| (login.user, login.secret)))
        };
        assert_eq!(told("registry.example"), Ok(Some((Some("me".into()), "a:secret".into()))));
        assert_eq!(told("docker.io"), Ok(Some((Some("hub".into()), "p".into()))));
        assert_eq!(told("127.0.0.1:5000"), Ok(Some((None, "t".into()))));
        assert_eq!(told("path.example"), Ok(Some((Some("deep".into()), "p".into()))));
        assert_eq!(told("other.example"), Ok(None));
        assert!(told("empty.example").is_err());
        assert!(find(&json!({ "credsStore": "pass" }), "a").is_err());
    }

    #[test]
    fn no_secret_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        let image: ImageRef = "registry.example/web:1".parse().unwrap();
        assert!(login(&file, &image).unwrap_err().to_string().contains("config.json"));
        std::fs::write(&file, "{ \"auths\": hunter2 }").unwrap();
        let told = login(&file, &image).unwrap_err().to_string();
        assert!(told.contains("line 1") && !told.contains("hunter2"), "{told}");
    }
}
