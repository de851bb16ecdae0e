//! A connection to a server that can be cut: at once, or silently, as when a modem loses its carrier.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// A slow cable waits so long with each piece of 16 KiB.
const SLOW: Duration = Duration::from_millis(5);

/// What a cable does with what is sent through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It carries it.
    Whole,
    /// It carries it slowly: three mebibytes a second at most.
    Slow,
    /// It carries nothing, and nobody is told: what is sent waits.
    Silent,
    /// Connections through it end, and new ones are refused.
    Cut,
}

/// A cable to a server.
#[derive(Debug)]
pub struct Cable {
    port: u16,
    state: Arc<watch::Sender<State>>,
    carried: Arc<AtomicU64>,
    carrying: JoinHandle<()>,
}

impl Cable {
    /// A whole cable to the server on `port` of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a free port");
        let own = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(watch::Sender::new(State::Whole));
        let carried = Arc::new(AtomicU64::new(0));
        let carrying = tokio::spawn(carry(listener, port, state.clone(), carried.clone()));
        Self { port: own, state, carried, carrying }
    }

    /// Its other end, for NATS clients.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its other end's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many bytes it has carried to the server.
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// From now on it is so.
    pub fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

async fn carry(listener: TcpListener, port: u16, state: Arc<watch::Sender<State>>, carried: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((near, _)) = listener.accept().await else { return };
        if *state.borrow() == State::Cut {
            continue;
        }
        let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
        let (near_in, near_out) = near.into_split();
        let (far_in, far_out) = far.into_split();
        connections.spawn(pump(near_in, far_out, state.subscribe(), carried.clone()));
        connections.spawn(pump(far_in, near_out, state.subscribe(), Arc::default()));
    }
}

/// Carries one direction of one connection until it ends or is cut.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    carried: Arc<AtomicU64>,
) {
    let mut cut = state.clone();
    let carrying = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            if *state.borrow() == State::Slow {
                tokio::time::sleep(SLOW).await;
            }
            if state.wait_for(|state| *state != State::Silent).await.is_err()
                || to.write_all(&buffer[..count]).await.is_err()
            {
                return;
            }
            carried.fetch_add(count as u64, Ordering::Relaxed);
        }
    };
    tokio::select! {
        () = carrying => {}
        _ = cut.wait_for(|state| *state == State::Cut) => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn what_is_sent_waits_in_silence_and_ends_with_a_cut() {
        let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let cable = Cable::to(server.local_addr().unwrap().port()).await;
        let mut near = TcpStream::connect(cable.url().trim_start_matches("nats://")).await.unwrap();
        let (mut far, _) = server.accept().await.unwrap();
        let mut byte = [0];
        near.write_all(b"a").await.unwrap();
        far.read_exact(&mut byte).await.unwrap();
        cable.set(State::Silent);
        near.write_all(b"b").await.unwrap();
        assert!(timeout(Duration::from_millis(50), far.read_exact(&mut byte)).await.is_err());
        cable.set(State::Whole);
        far.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"b");
        cable.set(State::Cut);
        assert_eq!(far.read(&mut byte).await.unwrap(), 0);
    }
}
