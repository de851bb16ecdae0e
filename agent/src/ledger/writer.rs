//! The thread that writes the ledger: its own, so that a look or a step that hangs in the kernel never keeps a commit waiting.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use tokio::sync::oneshot;

use super::{memory::LedgerWrite, store::Store};
use crate::chain::chain;

/// How a commit ended: why it failed, and whether for want of space.
pub type Committed = Result<(), (String, bool)>;

/// Enough for a transaction.
const STACK: usize = 256 * 1024;

/// The way to that thread. It ends when this is dropped, after what it was given.
pub struct Writer {
    work: Sender<Work>,
}

struct Work {
    write: Arc<LedgerWrite>,
    done: oneshot::Sender<Committed>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(store: Store) -> io::Result<Self> {
        let (work, given) = channel();
        thread::Builder::new().name("ledger".into()).stack_size(STACK).spawn(move || write(store, &given))?;
        Ok(Self { work })
    }

    /// Commits `write` after all that was given before; the answer comes when it is on the disk, or failed.
    pub fn commit(&self, write: Arc<LedgerWrite>) -> oneshot::Receiver<Committed> {
        let (done, committed) = oneshot::channel();
        // If the thread has gone, so has the other end of `done`, and that is the answer.
        drop(self.work.send(Work { write, done }));
        committed
    }
}

fn write(mut store: Store, given: &Receiver<Work>) {
    while let Ok(Work { write, done }) = given.recv() {
        let committed = store.commit(&write).map_err(|error| (chain(&error), error.is_full()));
        // Whoever asked may have stopped waiting.
        drop(done.send(committed));
    }
}
