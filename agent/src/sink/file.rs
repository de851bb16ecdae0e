//! The file sink: the status in a file beside the manifest, always whole.

use std::{io, path::PathBuf};

use tokio::sync::mpsc;

use super::{Answer, Order};
use crate::engine::outbox::{Fact, Held};

/// Carries out orders until there are no more.
pub async fn run(path: PathBuf, mut orders: mpsc::Receiver<Order>, answers: mpsc::Sender<Answer>) {
    let mut revision = 0;
    if answers.send(Answer::Fact(Fact::LinkUp)).await.is_err() {
        return;
    }
    while let Some(order) = orders.recv().await {
        let fact = match order {
            Order::Read => Fact::Read { revision, held: Held::Unreadable },
            Order::Write { bytes, .. } => match write(path.clone(), bytes).await {
                Ok(()) => {
                    revision += 1;
                    Fact::Delivered { revision }
                }
                Err(error) => Fact::Unknown { message: format!("cannot write {}: {error}", path.display()) },
            },
            // Who reads the file sees by its process that the agent lives.
            Order::Heartbeat { .. } | Order::Listen => continue,
        };
        if answers.send(Answer::Fact(fact)).await.is_err() {
            return;
        }
    }
}

/// A reader sees the old status or the new one. A status need not survive a power cut: the next start writes it anew.
async fn write(path: PathBuf, bytes: Vec<u8>) -> io::Result<()> {
    let work = move || {
        let mut beside = path.clone().into_os_string();
        beside.push(".new");
        std::fs::write(&beside, bytes)?;
        std::fs::rename(&beside, &path)
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
