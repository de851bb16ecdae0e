//! The API over HTTPS, with a certificate that only its owner's devices know.

use std::{fs, net::SocketAddr, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use e2e::{Device, agent::LONG, parts, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reconcilers::engine::contract::fresh;
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::Cloud;

/// What stands before the API and speaks TLS.
struct Front {
    endpoint: String,
    /// The certificate of who signed its own, PEM.
    authority: String,
    serving: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Front {
    async fn of(api: SocketAddr) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own =
            CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let acceptor =
            TlsAcceptor::from(Arc::new(config.with_single_cert(vec![own.der().clone()], key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Who does not trust it hangs up.
                    let Ok(mut device) = acceptor.accept(stream).await else { return };
                    let mut behind = TcpStream::connect(api).await.unwrap();
                    drop(copy_bidirectional(&mut device, &mut behind).await);
                });
            }
        });
        Self { endpoint, authority: issuer.pem(), serving }
    }
}

/// How many devices have asked for their target state.
async fn asking(cloud: &Cloud) -> usize {
    cloud.devices().await.iter().filter(|device| device["asked"] == true).count()
}

#[tokio::test]
async fn an_api_that_nobody_else_knows_is_trusted_when_it_is_said_and_only_then() {
    let cloud = Cloud::open().await;
    let front = Front::of(cloud.address).await;
    let files = tempfile::tempdir().unwrap();
    let authority = files.path().join("ca.pem");
    fs::write(&authority, &front.authority).unwrap();
    let place = parts::docker();

    let without = Device::new_of_balena(&fresh("pump"), &front.endpoint, &place, &cloud.key, cloud.fleet);
    let _without = without.start();
    until("it says why it asks nobody", LONG, async || {
        let mut asked = without.ask(["-o", "json", "balena", "status"]).start();
        asked.wait(LONG).await;
        let told: Value = serde_json::from_str(&asked.stdout()).unwrap_or_default();
        told["away"].as_str().is_some_and(|away| away.contains("certificate"))
    })
    .await;
    assert_eq!(asking(&cloud).await, 0);

    let fleet = cloud.fleet.to_string();
    let who = [
        "--balena-provisioning-key",
        &cloud.key,
        "--balena-fleet",
        &fleet,
        "--balena-device-type",
        "genericx86-64-ext",
    ];
    let trusts = ["--balena-ca", authority.to_str().unwrap()];
    let by_flag = Device::of_balena(&fresh("pump"), &front.endpoint, &place, &[&who[..], &trusts].concat());
    let _by_flag = by_flag.start();
    until("one that was told by a flag asks", LONG, async || asking(&cloud).await == 1).await;

    // As a balena device has it.
    let config = json!({
        "apiEndpoint": front.endpoint, "apiKey": cloud.key, "applicationId": cloud.fleet, "deviceType": "genericx86-64-ext",
        "uuid": "ab".repeat(16), "balenaRootCA": BASE64_STANDARD.encode(&front.authority)
    });
    let path = files.path().join("config.json");
    fs::write(&path, config.to_string()).unwrap();
    let flags = ["--source", "balena", "--balena-config", path.to_str().unwrap(), "--docker-host", &place];
    let by_config = Device::with_flags(&fresh("pump"), &flags);
    let _by_config = by_config.start();
    until("one that has it in its config.json asks", LONG, async || asking(&cloud).await == 2).await;
    assert!(cloud.devices().await.iter().any(|device| device["uuid"] == "ab".repeat(16).as_str()));
}
