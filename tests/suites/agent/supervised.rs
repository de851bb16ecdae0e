//! Under systemd's eyes: it says when it is ready, that it lives, and that it stops.

use std::{os::unix::net::UnixDatagram, time::Duration};

use e2e::{Device, NatsServer, agent::LONG, fleet, until_some};

use crate::files;

#[tokio::test]
async fn the_supervisor_is_told_of_ready_alive_and_stopping() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let socket = device.home().join("notify.sock");
    let supervisor = UnixDatagram::bind(&socket).unwrap();
    supervisor.set_nonblocking(true).unwrap();
    let heard = async |word: &str| {
        until_some(format!("it says {word}"), Duration::from_secs(30), async || {
            let mut message = [0; 512];
            let count = supervisor.recv(&mut message).ok()?;
            let message = String::from_utf8_lossy(&message[..count]).into_owned();
            message.lines().any(|line| line.starts_with(word)).then_some(())
        })
        .await;
    };
    let command = device.command().env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "1000000");
    let mut agent = command.start();
    heard("READY=1").await;
    heard("WATCHDOG=1").await;
    heard("WATCHDOG=1").await;
    fleet.apply(&device.id, &files(&[("/etc/a", "a")])).await;
    device.ready(&fleet, 1).await;
    agent.signal(nix::sys::signal::Signal::SIGTERM);
    heard("STOPPING=1").await;
    assert!(agent.wait(LONG).await.success());
}
