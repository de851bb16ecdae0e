//! A way to an engine on which it is seen when the agent asks for what.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinHandle,
};

/// When what was asked for: the first line of each request.
type Calls = Arc<Mutex<Vec<(Timestamp, String)>>>;

/// Carries what is said to an engine's socket, and notes what is asked for.
pub(crate) struct Tap {
    port: u16,
    calls: Calls,
    carrying: JoinHandle<()>,
}

impl Tap {
    /// A tap on the engine at `place`, `unix:///path`.
    pub(crate) async fn on(place: &str) -> Self {
        let socket = place.strip_prefix("unix://").expect("the tests' engines have sockets").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let calls = Calls::default();
        let noted = Arc::clone(&calls);
        let carrying = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, socket.clone(), Arc::clone(&noted)));
            }
        });
        Self { port, calls, carrying }
    }

    /// Where the agent finds it.
    pub(crate) fn place(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// When a call with this in it was first made after that.
    pub(crate) fn first_call_after(&self, after: Timestamp, call: &str) -> Option<Timestamp> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().find(|(at, line)| *at > after && line.contains(call)).map(|(at, _)| *at)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

/// One connection: the agent asks one thing on each.
async fn carry(mut agent: TcpStream, socket: String, calls: Calls) -> std::io::Result<()> {
    let mut engine = UnixStream::connect(socket).await?;
    let mut first = [0; 1024];
    let length = agent.read(&mut first).await?;
    let call = String::from_utf8_lossy(&first[..length]).lines().next().unwrap_or_default().to_owned();
    calls.lock().unwrap_or_else(PoisonError::into_inner).push((Timestamp::now(), call));
    engine.write_all(&first[..length]).await?;
    copy_bidirectional(&mut agent, &mut engine).await.map(drop)
}
