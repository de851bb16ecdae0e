//! A way to an engine on which it is seen when the agent asks for a change.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinHandle,
};

/// Carries what is said to an engine's socket, and notes when a change is asked for.
pub(crate) struct Tap {
    port: u16,
    changes: Arc<Mutex<Vec<Timestamp>>>,
    carrying: JoinHandle<()>,
}

impl Tap {
    /// A tap on the engine at `place`, `unix:///path`.
    pub(crate) async fn on(place: &str) -> Self {
        let socket = place.strip_prefix("unix://").expect("the tests' engines have sockets").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let changes = Arc::new(Mutex::default());
        let noted = Arc::clone(&changes);
        let carrying = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, socket.clone(), Arc::clone(&noted)));
            }
        });
        Self { port, changes, carrying }
    }

    /// Where the agent finds it.
    pub(crate) fn place(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// When a change was first asked for after that.
    pub(crate) fn first_change_after(&self, after: Timestamp) -> Option<Timestamp> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.iter().copied().find(|at| *at > after)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

/// One connection: the agent asks one thing on each.
async fn carry(
    mut agent: TcpStream,
    socket: String,
    noted: Arc<Mutex<Vec<Timestamp>>>,
) -> std::io::Result<()> {
    let mut engine = UnixStream::connect(socket).await?;
    let mut first = [0; 1024];
    let length = agent.read(&mut first).await?;
    if first.starts_with(b"POST ") || first.starts_with(b"DELETE ") {
        noted.lock().unwrap_or_else(PoisonError::into_inner).push(Timestamp::now());
    }
    engine.write_all(&first[..length]).await?;
    copy_bidirectional(&mut agent, &mut engine).await.map(drop)
}
