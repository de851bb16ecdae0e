//! Every way to log in to a server, and what is told where it fails.

use std::{fs, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use control_plane_sim::link::Address;
use e2e::{Device, Fleet, NatsServer, fleet::fleet_at, until};
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair as TlsKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::files;

/// A folder with the secrets of a device.
struct Secrets(TempDir);

impl Secrets {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Writes one, and says where.
    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Starts an agent with these flags, and sees a manifest come true.
async fn is_let_in(fleet: &Fleet, name: &str, flags: &[&str]) {
    let device = Device::with_flags(name, flags);
    let _agent = device.start();
    fleet.apply(&device.id, &files(&[("/etc/a", "a")])).await;
    device.ready(fleet, 1).await;
}

/// Starts an agent with these flags, and sees it tell why it is not let in.
async fn is_kept_out(name: &str, flags: &[&str], why: &str) {
    let agent = Device::with_flags(name, flags).start();
    until(format!("{name} tells: {why}"), Duration::from_secs(30), async || agent.stderr().contains(why))
        .await;
}

#[tokio::test]
async fn without_leave_for_what_is_republished_the_key_is_watched() {
    let users = r#"authorization { users: [
        { user: cloud, password: all },
        { user: pump, password: least, permissions: {
            publish: ["$JS.API.>", "$KV.>", "$JS.ACK.>"], subscribe: ["_INBOX.>", "$JS.>"]
        } }
    ] }"#;
    let server = NatsServer::start_with(users).await;
    let fleet = fleet_at(&Address::new(server.url_of("cloud", "all"))).await;
    let device = Device::with_flags("pump-1", &["--nats-url", &server.url_of("pump", "least")]);
    let agent = device.start();
    for generation in 1..4 {
        fleet.apply(&device.id, &files(&[("/etc/a", &generation.to_string())])).await;
        device.ready(&fleet, generation).await;
    }
    assert!(agent.stderr().contains("watching the key instead"), "{}", agent.stderr());
}

#[tokio::test]
async fn by_user_and_password() {
    let server =
        NatsServer::start_with("authorization { users: [{ user: pump, password: \"p@ss\" }] }").await;
    let url = server.url_of("pump", "p@ss");
    let fleet = fleet_at(&Address::new(&url)).await;
    let secrets = Secrets::new();
    let password = secrets.put("password", "p@ss\n");
    is_let_in(&fleet, "by-url", &["--nats-url", &url]).await;
    let by_file = ["--nats-url", &server.url(), "--nats-user", "pump", "--nats-password-file", &password];
    is_let_in(&fleet, "by-file", &by_file).await;
    is_kept_out("wrong", &["--nats-url", &server.url_of("pump", "wrong")], "authorization violation").await;
}

#[tokio::test]
async fn by_token() {
    let server = NatsServer::start_with("authorization { token: open-sesame }").await;
    let url = format!("nats://open-sesame@127.0.0.1:{}", server.port());
    let fleet = fleet_at(&Address::new(&url)).await;
    let secrets = Secrets::new();
    let token = secrets.put("token", "open-sesame\n");
    is_let_in(&fleet, "by-token", &["--nats-url", &server.url(), "--nats-token-file", &token]).await;
    let other = secrets.put("other", "sesame");
    let flags = ["--nats-url", &server.url(), "--nats-token-file", &other];
    is_kept_out("wrong", &flags, "authorization violation").await;
}

#[tokio::test]
async fn by_nkey() {
    let pump = KeyPair::new_user();
    let config = format!(
        "authorization {{ users: [{{ nkey: {} }}, {{ user: fleet, password: fleet }}] }}",
        pump.public_key()
    );
    let server = NatsServer::start_with(&config).await;
    let fleet = fleet_at(&Address::new(server.url_of("fleet", "fleet"))).await;
    let secrets = Secrets::new();
    let seed = secrets.put("seed", format!("{}\n", pump.seed().unwrap()));
    is_let_in(&fleet, "by-nkey", &["--nats-url", &server.url(), "--nats-nkey-file", &seed]).await;
    let other = secrets.put("other", KeyPair::new_user().seed().unwrap());
    let flags = ["--nats-url", &server.url(), "--nats-nkey-file", &other];
    is_kept_out("wrong", &flags, "authorization violation").await;
}

/// A JWT as NATS has them: claims of `subject`, signed by `issuer`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, nats: Value) -> String {
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
    let claims = json!({
        "jti": name, "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject.public_key(), "name": name, "nats": nats
    });
    let signed = format!("{head}.{}", part(claims));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// A credentials file as `nsc` makes it.
fn creds(account: &KeyPair, user: &KeyPair, name: &str) -> String {
    let limits = json!({ "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2 });
    let jwt = jwt(account, user, name, limits);
    let seed = user.seed().unwrap();
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

#[tokio::test]
async fn by_credentials_file() {
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let operator_jwt = jwt(&operator, &operator, "operator", json!({ "type": "operator", "version": 2 }));
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1
    });
    let account_claims = json!({ "type": "account", "version": 2, "limits": limits });
    let account_jwt = jwt(&operator, &account, "account", account_claims);
    let system = KeyPair::new_account();
    let system_jwt = jwt(&operator, &system, "system", json!({ "type": "account", "version": 2 }));
    let config = format!(
        "operator: \"{operator_jwt}\"\nsystem_account: {0}\nresolver: MEMORY\n\
         resolver_preload: {{ {0}: \"{system_jwt}\", {1}: \"{account_jwt}\" }}\n",
        system.public_key(),
        account.public_key()
    );
    let server = NatsServer::start_with(&config).await;
    let secrets = Secrets::new();
    let own = secrets.put("fleet.creds", creds(&account, &KeyPair::new_user(), "fleet"));
    let address = Address { nats_creds: Some(own.into()), ..Address::new(server.url()) };
    let fleet = fleet_at(&address).await;
    let pump = secrets.put("pump.creds", creds(&account, &KeyPair::new_user(), "pump"));
    is_let_in(&fleet, "by-creds", &["--nats-url", &server.url(), "--nats-creds", &pump]).await;
    let stranger =
        secrets.put("stranger.creds", creds(&KeyPair::new_account(), &KeyPair::new_user(), "pump"));
    let flags = ["--nats-url", &server.url(), "--nats-creds", &stranger];
    is_kept_out("stranger", &flags, "authorization violation").await;
    let mut no_creds = Device::with_flags("pump", &["--nats-creds", "/no/such/file"]).start();
    assert!(!no_creds.wait(Duration::from_secs(10)).await.success());
    assert!(no_creds.stderr().contains("cannot read /no/such/file"), "{}", no_creds.stderr());
}

/// An authority, and what it has signed: a server's certificate and a device's.
struct Authority {
    ca: String,
    server: (String, String),
    device: (String, String),
}

impl Authority {
    fn new(secrets: &Secrets) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, TlsKey::generate().unwrap()).unwrap();
        let signed = |name: &str, host: &str| {
            let key = TlsKey::generate().unwrap();
            let cert =
                CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
            let path = secrets.put(&format!("{name}.pem"), cert.pem());
            (path, secrets.put(&format!("{name}.key"), key.serialize_pem()))
        };
        let (server, device) = (signed("server", "127.0.0.1"), signed("device", "pump-17"));
        Self { ca: secrets.put("ca.pem", issuer.pem()), server, device }
    }

    /// What makes a server speak TLS and ask its clients for certificates.
    fn config(&self) -> String {
        let (cert, key) = &self.server;
        format!(
            "tls {{ cert_file: \"{cert}\", key_file: \"{key}\", ca_file: \"{}\", verify: true }}",
            self.ca
        )
    }
}

#[tokio::test]
async fn by_certificate() {
    let secrets = Secrets::new();
    let authority = Authority::new(&secrets);
    let server = NatsServer::start_with(&authority.config()).await;
    let (cert, key) = &authority.device;
    let address = Address {
        nats_ca: Some(authority.ca.clone().into()),
        nats_cert: Some(cert.into()),
        nats_key: Some(key.into()),
        ..Address::new(server.url())
    };
    let fleet = fleet_at(&address).await;
    let url = server.url();
    let flags = ["--nats-url", &url, "--nats-ca", &authority.ca, "--nats-cert", cert, "--nats-key", key];
    is_let_in(&fleet, "by-certificate", &flags).await;
    is_kept_out("without", &flags[..4], "CertificateRequired").await;
    let elsewhere = Secrets::new();
    let stranger = Authority::new(&elsewhere);
    let flags = ["--nats-url", &url, "--nats-ca", &stranger.ca, "--nats-cert", cert, "--nats-key", key];
    is_kept_out("no-trust", &flags, "invalid peer certificate").await;
}
