//! `control-plane-sim balena`: the simulation of balena's API, and what it is told.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use hyper::Method;
use manifest_types::document;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::json as shown;
use crate::{
    balena::{
        client::ask,
        server::{Server, serve},
    },
    cli::{BalenaCommand, Changed},
    error::Error,
    terminal::Screen,
};

/// Does what was asked for.
pub(super) async fn run(command: BalenaCommand, screen: &mut Screen) -> Result<(), Error> {
    match command {
        BalenaCommand::Serve { listen } => {
            let failed = |source| Error::Listen { address: listen, source };
            let listener = TcpListener::bind(listen).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            screen.print(&format!("http://{address}\n"))?;
            match serve(listener, Arc::new(Server::default())).await {
                Ok(never) => match never {},
                Err(source) => Err(Error::Listen { address, source }),
            }
        }
        BalenaCommand::Fleet { name, device_type, api } => {
            let new = json!({ "name": name, "deviceType": device_type });
            let made = ask(api.address, Method::POST, "/admin/fleets", &new).await?;
            screen.print(&shown(&made))
        }
        BalenaCommand::Release { fleet, file, api } => {
            let path = format!("/admin/fleets/{fleet}/releases");
            let made = ask(api.address, Method::POST, &path, &compose(&file)?).await?;
            screen.print(&shown(&made))
        }
        BalenaCommand::Set { what: Changed { fleet, device }, name, release, variables, config, api } => {
            let mut to = Map::new();
            name.into_iter().for_each(|name| drop(to.insert("name".into(), name.into())));
            let pin = if fleet.is_some() { "target" } else { "pin" };
            release.into_iter().for_each(|release| drop(to.insert(pin.into(), release.into())));
            for (key, pairs) in [("variables", variables), ("config", config)] {
                if !pairs.is_empty() {
                    to.insert(key.into(), json!(pairs.into_iter().collect::<BTreeMap<_, _>>()));
                }
            }
            let path = match (fleet, device) {
                (Some(fleet), _) => format!("/admin/fleets/{fleet}"),
                (None, device) => format!("/admin/devices/{}", device.unwrap_or_default()),
            };
            ask(api.address, Method::PATCH, &path, &to.into()).await.map(drop)
        }
        BalenaCommand::Devices { api } => {
            let devices = ask(api.address, Method::GET, "/admin/devices", &Value::Null).await?;
            screen.print(&shown(&devices))
        }
    }
}

/// A compose file, YAML or JSON.
fn compose(path: &Path) -> Result<Value, Error> {
    let failed = |source| Error::ReadFile { path: path.to_owned(), source };
    let mut text = String::new();
    let read = match path == Path::new("-") {
        true => io::stdin().read_to_string(&mut text).map(drop),
        false => fs::read_to_string(path).map(|read| text = read),
    };
    read.map_err(failed)?;
    document::from_yaml(&text).map_err(|problem| failed(io::Error::other(problem.to_string())))
}
