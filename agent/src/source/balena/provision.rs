//! Becoming somebody to an API: found in what is kept, or made, kept, and registered.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    api::{About, Api},
    host,
    identity::{self, ConfigJson, Fresh, Identity, Provisioning},
    keep,
    options::Options,
    register::{Answered, Next, Question, first, next},
    translate::SUPERVISOR_VERSION,
};
use crate::secret::Secret;

/// The API, and who this device is there.
#[derive(Debug)]
pub struct Session {
    /// The API.
    pub api: Api,
    /// Who this device is.
    pub identity: Identity,
    /// Where what is known of it is kept.
    pub dir: PathBuf,
}

/// Where the identity is kept.
fn identity_file(dir: &Path) -> PathBuf {
    dir.join("identity.json")
}

/// One try to be registered: all questions in a row. The error is what follows otherwise.
pub(super) async fn try_once(session: &Session, with: Option<&Provisioning>) -> Result<Identity, Next> {
    let Session { api, identity, .. } = session;
    let about = About {
        supervisor_version: SUPERVISOR_VERSION.to_owned(),
        os_version: host::os_version(),
        os_variant: host::os_variant(),
    };
    let mut question = first(with.is_some());
    loop {
        let answer: Answered = match (question, with) {
            (Question::WhoAmI, _) => api.find(identity, &identity.key).await,
            (_, None) => Answered::NoKey,
            (Question::Register, Some(with)) => api.register(identity, with, &about).await,
            (Question::WhoIsIt, Some(with)) => api.find(identity, &with.key).await,
            (Question::Exchange(id), Some(with)) => api.exchange(identity, with, id).await,
        };
        match next(question, answer, identity.is_made_here) {
            Next::Ask(another) => question = another,
            Next::Done(id) => {
                return Ok(Identity { device_id: Some(id), is_registered: true, ..identity.clone() });
            }
            otherwise => return Err(otherwise),
        }
    }
}

/// Who this device is, if that was kept; nothing is made.
pub fn find_kept(options: &Options) -> Result<(Arc<Session>, Option<Provisioning>), String> {
    let (file, endpoint) = place(options)?;
    match keep::load::<identity::Kept>(&file).map_err(|error| unreadable(&file, &error))? {
        Some(_) => find(options),
        None => Err(format!(
            "this device is not known at {endpoint} yet: run the agent, or `holdfast balena register`"
        )),
    }
}

/// The API, over a connection that nobody else has.
pub(super) fn new_connection(options: &Options) -> Result<Api, String> {
    let config = configured(options)?;
    let endpoint = identity::endpoint(options, &config).map_err(|error| error.to_string())?;
    Api::new(&endpoint, &authorities(options, &config)?)
}

/// Whom to trust beside those whom the system trusts, PEM.
fn authorities(options: &Options, config: &ConfigJson) -> Result<Vec<Vec<u8>>, String> {
    let named = options.ca.as_ref().map(|path| {
        fs::read(path).map_err(|error| format!("cannot read the certificate {}: {error}", path.display()))
    });
    named.into_iter().chain(config.authority().map(Ok)).collect()
}

/// Registers this device, if it is not. One try: called again, it goes on where it was.
pub async fn register(options: &Options) -> Result<Identity, String> {
    let (session, with) = find(options)?;
    if session.identity.is_registered {
        return Ok(session.identity.clone());
    }
    match try_once(&session, with.as_ref()).await {
        Ok(identity) => {
            let kept = keep_identity(&session.dir, &identity).await;
            kept.map_err(|error| format!("cannot keep the identity: {error}"))?;
            Ok(identity)
        }
        Err(Next::Retry { why, .. }) => Err(why),
        Err(renewal) => {
            let identity = other(&session.identity, &renewal);
            let kept = keep_identity(&session.dir, &identity).await;
            kept.map_err(|error| format!("cannot keep the identity: {error}"))?;
            Err("its uuid or key belongs to another device; other ones are made: try again".to_owned())
        }
    }
}

/// Forgets who this device is, and what it was to run: the uuid that it had.
pub fn forget(options: &Options) -> Result<Option<String>, String> {
    let (file, _) = place(options)?;
    let kept = keep::load::<identity::Kept>(&file).ok().flatten();
    let dir = file.parent().unwrap_or(&options.dir).to_owned();
    for path in [
        dir.join("target.json"),
        dir.join("report.json"),
        registries(options, &dir),
        dir.join("identity.json"),
    ] {
        keep::forget(&path).map_err(|error| format!("cannot forget {}: {error}", path.display()))?;
    }
    Ok(kept.map(|kept| kept.identity().uuid))
}

/// Where the credentials for registries are kept: a manifest names them, and they are below what its paths are below.
pub(super) fn registries(options: &Options, dir: &Path) -> PathBuf {
    let named = dir.join("registries.json");
    options.root.join(named.strip_prefix("/").unwrap_or(&named))
}

/// Where the identity is kept, and the API that it is for.
fn place(options: &Options) -> Result<(PathBuf, String), String> {
    let config = configured(options)?;
    let endpoint = identity::endpoint(options, &config).map_err(|error| error.to_string())?;
    Ok((identity_file(&keep::directory(&options.dir, &endpoint)), endpoint))
}

fn configured(options: &Options) -> Result<ConfigJson, String> {
    let (path, must_be_there) = &options.config;
    match keep::load::<ConfigJson>(path) {
        Ok(None) if *must_be_there => Err(format!("there is no {}", path.display())),
        Ok(config) => Ok(config.unwrap_or_default()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// What cannot be read may be who this device is: nothing is made in its place.
fn unreadable(file: &Path, error: &io::Error) -> String {
    let file = file.display();
    format!(
        "cannot read who this device is from {file}: {error}. Put it right, or take it away with `holdfast balena forget`"
    )
}

/// Who this device is, found or made, and kept; and with what it registers itself.
pub fn find(options: &Options) -> Result<(Arc<Session>, Option<Provisioning>), String> {
    let config = configured(options)?;
    let endpoint = identity::endpoint(options, &config).map_err(|error| error.to_string())?;
    let dir = keep::directory(&options.dir, &endpoint);
    let file = identity_file(&dir);
    let kept = keep::load::<identity::Kept>(&file).map_err(|error| unreadable(&file, &error))?;
    let was_kept = kept.clone();
    let identity =
        identity::identity(&endpoint, options, &config, kept, fresh()).map_err(|error| error.to_string())?;
    if was_kept != Some(identity.keep()) {
        keep::save(&file, &identity.keep())
            .map_err(|error| format!("cannot keep {}: {error}", file.display()))?;
    }
    let api = Api::new(&endpoint, &authorities(options, &config)?)
        .map_err(|error| format!("cannot speak with {endpoint}: {error}"))?;
    let provisioning = identity::provisioning(options, &config.of(&endpoint));
    Ok((Arc::new(Session { api, identity, dir }), provisioning))
}

/// The same device with another key, or with another uuid and another key.
pub(super) fn other(identity: &Identity, renewal: &Next) -> Identity {
    let fresh = fresh();
    match renewal {
        Next::RenewKey => Identity { key: fresh.key, ..identity.clone() },
        _ => identity.renewed(fresh),
    }
}

pub(super) async fn keep_identity(dir: &Path, identity: &Identity) -> io::Result<()> {
    let (file, kept) = (identity_file(dir), identity.keep());
    blocking(move || keep::save(&file, &kept)).await
}

/// Does what blocks beside the loop.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// A uuid and a key that nobody else has.
pub(super) fn fresh() -> Fresh {
    let random = || {
        let mut bytes = [0_u8; 32];
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut bytes)
            .expect("the kernel has random numbers");
        bytes
    };
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789AB";
    let key: String = random().iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)])).collect();
    let mut uuid: Vec<u8> = random()[..16].to_vec();
    // A random uuid as RFC 9562 marks it (version 4).
    uuid[6] = (uuid[6] & 0x0f) | 0x40;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    let uuid = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    Fresh { uuid, key: Secret::new(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_has_the_form_that_the_api_takes() {
        let (one, other) = (fresh(), fresh());
        assert_ne!(one.uuid, other.uuid);
        assert!(one.uuid.len() == 32 && one.uuid.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(
            one.key.expose().len() == 32 && one.key.expose().bytes().all(|byte| byte.is_ascii_alphanumeric())
        );
    }
}
