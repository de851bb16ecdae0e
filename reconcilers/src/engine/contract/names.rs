//! What tests call things, and how they list them beside others that come and go.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::engine::{ContainerEngine, terms::Listed};

/// So often a list that failed is asked for again.
const ASKED: u32 = 200;

/// A name that nothing else has, and that begins no other one.
pub fn fresh(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{name}-{}-{:05}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// All containers of an engine. Podman's list fails when somebody's container ends while it is made: it is made again.
pub async fn listed<E: ContainerEngine>(engine: &E) -> Vec<Listed> {
    let mut asked = 0;
    loop {
        match engine.containers().await {
            Ok(all) => return all,
            Err(error) => assert!(asked < ASKED, "the engine does not list its containers: {error}"),
        }
        asked += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
