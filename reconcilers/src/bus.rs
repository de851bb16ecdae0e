//! A message bus (D-Bus): one connection, made when it is needed and again after it broke.

use std::{sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::Mutex, time::timeout};
use zbus::{
    Connection, connection,
    message::Message,
    zvariant::{DynamicType, OwnedValue, Type},
};

/// An answer takes no longer.
const ANSWER: Duration = Duration::from_secs(25);
const DBUS: Object<'static> = Object {
    service: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A message bus. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Bus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: String,
    connection: Mutex<Option<Connection>>,
}

/// Who is called, and in which role.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'a> {
    pub(crate) service: &'a str,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
}

/// A call that was not answered, or in another way than it should be.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CallError {
    /// There is no way to it.
    #[error("the message bus at {address}: {why}")]
    Away { address: String, why: String },
    /// It answered that it will not.
    #[error("{method}: {message}")]
    Refused { method: String, name: String, message: String },
}

impl Bus {
    /// The one at this address, `unix:path=/run/dbus/system_bus_socket`. Nothing is asked yet.
    pub fn new(address: impl Into<String>) -> Self {
        Self(Arc::new(Shared { address: address.into(), connection: Mutex::default() }))
    }

    fn away(&self, why: impl std::fmt::Display) -> CallError {
        CallError::Away { address: self.0.address.clone(), why: why.to_string() }
    }

    async fn connection(&self) -> Result<Connection, CallError> {
        let mut known = self.0.connection.lock().await;
        if let Some(connection) = &*known {
            return Ok(connection.clone());
        }
        let making = async { connection::Builder::address(self.0.address.as_str())?.build().await };
        let made = timeout(ANSWER, making).await.map_err(|_| self.away("it does not answer"))?;
        let made = made.map_err(|error| self.away(error))?;
        *known = Some(made.clone());
        Ok(made)
    }

    /// Calls a method.
    pub(crate) async fn call<B>(&self, of: Object<'_>, method: &str, body: &B) -> Result<Message, CallError>
    where
        B: Serialize + DynamicType + Sync,
    {
        let connection = self.connection().await?;
        let asked = connection.call_method(Some(of.service), of.path, Some(of.interface), method, body);
        match timeout(ANSWER, asked).await {
            Err(_) => Err(self.away(format_args!("{} has not answered {method}", of.service))),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(zbus::Error::MethodError(name, message, _))) => {
                let (name, message) = (name.to_string(), message.unwrap_or_default());
                Err(CallError::Refused { method: method.to_owned(), name, message })
            }
            Ok(Err(error)) => {
                *self.0.connection.lock().await = None;
                Err(self.away(error))
            }
        }
    }

    /// The same, with its answer read.
    pub(crate) async fn ask<B, A>(&self, of: Object<'_>, method: &str, body: &B) -> Result<A, CallError>
    where
        B: Serialize + DynamicType + Sync,
        A: DeserializeOwned + Type,
    {
        let answer = self.call(of, method, body).await?;
        answer.body().deserialize().map_err(|error| self.away(format_args!("{method}: {error}")))
    }

    /// A property, as a value of any type.
    pub(crate) async fn property(&self, of: Object<'_>, name: &str) -> Result<OwnedValue, CallError> {
        let properties = Object { interface: PROPERTIES, ..of };
        self.ask(properties, "Get", &(of.interface, name)).await
    }

    /// Whether a service is there. A bus that is away has none.
    pub(crate) async fn has(&self, service: &str) -> bool {
        self.ask(DBUS, "NameHasOwner", &(service,)).await.unwrap_or(false)
    }
}
