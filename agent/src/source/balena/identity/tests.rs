use std::time::Duration;

use serde_json::json;

use super::*;

const UUID: &str = "5e0d1f0c9a7b4c6f8d2e3a4b5c6d7e8f";
const API: &str = "https://api.example";

fn options() -> Options {
    Options {
        api_endpoint: Some(API.into()),
        uuid: None,
        api_key: None,
        provisioning_key: None,
        fleet: None,
        device_type: None,
        config: ("/none".into(), false),
        ca: None,
        spacing: Duration::from_secs(10),
        dir: "/none".into(),
        root: "/".into(),
        engine_places: Vec::new(),
    }
}

fn provisioned() -> Options {
    let device_type = Some("raspberrypi4-64".to_owned());
    Options { provisioning_key: Some(Secret::new("fleet")), fleet: Some(7), device_type, ..options() }
}

fn fresh() -> Fresh {
    Fresh { uuid: "f".repeat(32), key: Secret::new("fresh") }
}

fn config(value: serde_json::Value) -> ConfigJson {
    serde_json::from_value(value).unwrap()
}

fn who(
    options: &Options,
    config: &ConfigJson,
    kept: Option<Kept>,
) -> Result<(String, String, bool, bool), IdentityError> {
    let identity = identity(API, options, config, kept, fresh())?;
    Ok((identity.uuid, identity.key.expose().to_owned(), identity.is_registered, identity.is_made_here))
}

#[test]
fn what_is_given_goes_before_what_was_kept_and_that_before_what_is_made() {
    let none = ConfigJson::default();
    let given = Options { uuid: Some(UUID.into()), api_key: Some(Secret::new("given")), ..provisioned() };
    let made = (fresh().uuid, "fresh".to_owned(), false, true);
    let first = identity(API, &provisioned(), &none, None, fresh()).unwrap();
    assert_eq!(who(&provisioned(), &none, None), Ok(made.clone()));
    let another = Fresh { uuid: "e".repeat(32), key: Secret::new("another") };
    let again = identity(API, &provisioned(), &none, Some(first.keep()), another).unwrap();
    assert_eq!(again, first, "it is made once");
    assert_eq!(who(&given, &none, Some(first.keep())), Ok((UUID.into(), "given".into(), true, false)));
    let of_a_uuid = Options { uuid: Some(UUID.into()), ..provisioned() };
    assert_eq!(who(&of_a_uuid, &none, Some(first.keep())), Ok((UUID.into(), "fresh".into(), false, false)));
    assert_eq!(who(&options(), &none, None), Err(IdentityError::Nobody { endpoint: API.into() }));
    assert_eq!(who(&options(), &none, Some(first.keep())), Ok(made), "nothing is needed any more");
}

#[test]
fn a_balena_device_says_who_it_is() {
    let registered = config(json!({
        "uuid": UUID, "apiEndpoint": "https://api.example/", "deviceApiKey": "old", "deviceApiKeys": { "api.example": "own", "other": "x" },
        "registered_at": 1754350000123_u64, "deviceId": "12", "deviceType": "raspberrypi4-64", "os": { "network": {} }
    }));
    assert_eq!(who(&options(), &registered, None), Ok((UUID.into(), "own".into(), true, false)));
    let fresh_one = config(
        json!({ "apiEndpoint": API, "apiKey": "fleet", "applicationId": "7", "deviceType": "x", "uuid": UUID }),
    );
    assert_eq!(who(&options(), &fresh_one, None), Ok((UUID.into(), "fresh".into(), false, false)));
    let provisioning = provisioning(&options(), &fresh_one).unwrap();
    assert_eq!((provisioning.fleet, provisioning.device_type.as_str()), (7, "x"));
    let of_another = config(
        json!({ "uuid": UUID, "apiEndpoint": "https://elsewhere", "deviceApiKey": "k", "registered_at": 1 }),
    );
    assert!(who(&options(), &of_another, None).is_err());
}

#[test]
fn a_system_that_joined_anew_is_another_device() {
    let joined = |uuid: &str, key: &str| {
        config(json!({ "uuid": uuid, "apiEndpoint": API, "deviceApiKey": key, "registered_at": 1 }))
    };
    let kept = || Some(identity(API, &options(), &joined(UUID, "first"), None, fresh()).unwrap().keep());
    let mut renewed = kept().unwrap().identity();
    renewed.key = Secret::new("renewed here");
    let same = who(&options(), &joined(UUID, "first"), Some(renewed.keep()));
    assert_eq!(same, Ok((UUID.into(), "renewed here".into(), true, false)));
    let other = "a".repeat(32);
    let another = who(&options(), &joined(&other, "second"), kept());
    assert_eq!(another, Ok((other.clone(), "second".into(), true, false)));
    let named = Options { uuid: Some(UUID.into()), ..options() };
    assert_eq!(
        who(&named, &joined(&other, "second"), kept()),
        Ok((UUID.into(), "first".into(), true, false))
    );
    let mended = Options { device_type: Some("jetson-nano".into()), ..options() };
    let mended = identity(API, &mended, &ConfigJson::default(), kept(), fresh()).unwrap();
    assert_eq!(
        mended.device_type.as_deref(),
        Some("jetson-nano"),
        "what is configured goes before what was kept"
    );
}

#[test]
fn another_device_has_nothing_of_the_former_one_but_its_type() {
    let first = identity(API, &provisioned(), &ConfigJson::default(), None, fresh()).unwrap();
    let registered =
        Identity { is_registered: true, is_made_here: false, device_id: Some(7), ..first.clone() };
    let other = Fresh { uuid: "e".repeat(32), key: Secret::new("another") };
    let renewed = registered.renewed(other);
    let expected = Identity { uuid: "e".repeat(32), key: Secret::new("another"), ..first };
    assert_eq!(renewed, expected);
    assert!(renewed.is_made_here && renewed.device_type.is_some());
}

#[test]
fn whom_to_trust_is_told_in_base64() {
    let pem = config(json!({ "balenaRootCA": " UEVN\n" }));
    assert_eq!(pem.authority(), Some(b"PEM".to_vec()));
    assert_eq!(
        (config(json!({ "balenaRootCA": "?" })).authority(), ConfigJson::default().authority()),
        (None, None)
    );
}

#[test]
fn what_is_no_api_and_no_uuid_is_told() {
    let none = ConfigJson::default();
    assert_eq!(endpoint(&Options { api_endpoint: None, ..options() }, &none), Err(IdentityError::NoEndpoint));
    let with = |endpoint: &str| Options { api_endpoint: Some(endpoint.into()), ..options() };
    assert_eq!(endpoint(&with("https://api.example//"), &none).unwrap(), API);
    assert!(endpoint(&with("api.example"), &none).is_err() && endpoint(&with("http://"), &none).is_err());
    for wrong in ["", "abc", &"A".repeat(32), &"a".repeat(33)] {
        let told = who(&Options { uuid: Some(wrong.to_owned()), ..provisioned() }, &none, None);
        assert_eq!(told.is_err(), !wrong.is_empty(), "{wrong}");
    }
    assert!(who(&Options { uuid: Some("a".repeat(62)), ..provisioned() }, &none, None).is_ok());
}
