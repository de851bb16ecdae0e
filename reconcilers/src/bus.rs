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
    /// It does not answer.
    #[error("{method} was not answered within {seconds} s")]
    Silent { method: &'static str, seconds: u64 },
    /// It answered that it will not.
    #[error("{method}: {message}")]
    Refused { method: &'static str, name: String, message: String },
}

impl Bus {
    /// The one at this address, `unix:path=/run/dbus/system_bus_socket`. Nothing is asked yet.
    pub fn new(address: impl Into<String>) -> Self {
        Self(Arc::new(Shared { address: address.into(), connection: Mutex::default() }))
    }

    pub(crate) fn away(&self, why: impl std::fmt::Display) -> CallError {
        CallError::Away { address: self.0.address.clone(), why: why.to_string() }
    }

    /// The connection, made anew if there is none.
    pub(crate) async fn connection(&self) -> Result<Connection, CallError> {
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

    /// The connection is no good any more: the next one who needs one makes another.
    pub(crate) async fn forsake(&self) {
        *self.0.connection.lock().await = None;
    }

    /// Calls a method.
    pub(crate) async fn call<B>(
        &self,
        of: Object<'_>,
        method: &'static str,
        body: &B,
    ) -> Result<Message, CallError>
    where
        B: Serialize + DynamicType + Sync,
    {
        self.call_within(ANSWER, of, method, body).await
    }

    /// The same, of one that may take another time.
    pub(crate) async fn call_within<B>(
        &self,
        limit: Duration,
        of: Object<'_>,
        method: &'static str,
        body: &B,
    ) -> Result<Message, CallError>
    where
        B: Serialize + DynamicType + Sync,
    {
        let connection = self.connection().await?;
        let asked = connection.call_method(Some(of.service), of.path, Some(of.interface), method, body);
        match timeout(limit, asked).await {
            Err(_) => Err(CallError::Silent { method, seconds: limit.as_secs() }),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(zbus::Error::MethodError(name, message, _))) => {
                Err(self.refused(method, name.to_string(), message))
            }
            Ok(Err(error)) => {
                self.forsake().await;
                Err(self.away(error))
            }
        }
    }

    /// What a bus answers for a service that is not there is not that service's word.
    fn refused(&self, method: &'static str, name: String, message: Option<String>) -> CallError {
        let message = message.unwrap_or_else(|| name.clone());
        let of_the_bus = ["ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected"];
        if of_the_bus.iter().any(|end| name.strip_prefix("org.freedesktop.DBus.Error.") == Some(end)) {
            return self.away(message);
        }
        CallError::Refused { method, name, message }
    }

    /// Calls a method, and reads its answer.
    pub(crate) async fn ask<B, A>(
        &self,
        of: Object<'_>,
        method: &'static str,
        body: &B,
    ) -> Result<A, CallError>
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

    /// Whether a service is there. Where there is no bus at all, there is none; of one that does not answer, that cannot be said.
    pub(crate) async fn has(&self, service: &str) -> Result<bool, CallError> {
        match self.ask(DBUS, "NameHasOwner", &(service,)).await {
            Err(CallError::Away { .. }) if !self.is_there() => Ok(false),
            answer => answer,
        }
    }

    /// Whether there is something at its address.
    fn is_there(&self) -> bool {
        let path = self.0.address.strip_prefix("unix:path=");
        path.is_none_or(|path| std::path::Path::new(path).exists())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_bus_has_no_services_and_of_a_silent_one_it_cannot_be_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        let bus = Bus::new(format!("unix:path={}", path.display()));
        assert!(matches!(bus.has("org.example").await, Ok(false)));
        let silent = tokio::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(bus.has("org.example").await, Err(CallError::Away { .. })));
        drop(silent);
    }
}
