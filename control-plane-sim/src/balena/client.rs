//! Asks a running simulation's admin side.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::error::Error;

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// Asks, and gives back the answer's document.
pub async fn ask(address: SocketAddr, method: Method, path: &str, body: &Value) -> Result<Value, Error> {
    let answered = exchange(address, method, path, body).await;
    let (status, body) = answered.map_err(|source| Error::NoSimulation { address, source })?;
    if (200..300).contains(&status) {
        return Ok(serde_json::from_slice(&body).unwrap_or(Value::Null));
    }
    let message = match serde_json::from_slice(&body) {
        Ok(Value::String(text)) => text,
        _ => String::from_utf8_lossy(&body).into_owned(),
    };
    Err(Error::NotDone { status, message })
}

async fn exchange(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: &Value,
) -> Result<(u16, Bytes), Broken> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // How the connection fares is told by the request's own result.
    tokio::spawn(connection);
    let body = Full::new(Bytes::from(body.to_string()));
    let request =
        Request::builder().method(method).uri(path).header(header::HOST, address.to_string()).body(body)?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}
