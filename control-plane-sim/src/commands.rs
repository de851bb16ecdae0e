//! The commands, one file each: they fetch, have it decided, write and show.

use serde::Serialize;

use crate::{
    cli::{Cli, Command},
    error::Error,
    link::Link,
    manifest_file::Reading,
    terminal::Screen,
};

mod apply;
mod balena;
mod delete;
mod describe;
mod get;
mod history;
mod init;
mod rollback;
mod wait;
mod watch;

/// Does what the command line asks for.
pub async fn run(cli: Cli, screen: &mut Screen) -> Result<(), Error> {
    let Cli { address, output, command, .. } = cli;
    let connect = || Link::connect(&address);
    match command {
        Command::Init { choice } => init::run(&connect().await?, choice, output, screen).await,
        Command::Apply { file, agent, allow_unknown_kinds, giving } => {
            // What is wrong with a file is told before a server is needed.
            let wanted = apply::read(&file, &Reading { agent, unknown_kinds: allow_unknown_kinds })?;
            apply::give(&connect().await?, &wanted, giving, output, screen).await
        }
        Command::Get { agent: None } | Command::Watch { once: true } => {
            get::fleet(&connect().await?, output, screen).await
        }
        Command::Get { agent: Some(agent) } => get::device(&connect().await?, &agent, output, screen).await,
        Command::Watch { once: false } => Box::pin(watch::run(&connect().await?, output, screen)).await,
        Command::Describe { agent } => describe::run(&connect().await?, &agent, output, screen).await,
        Command::History { agent } => history::run(&connect().await?, &agent, output, screen).await,
        Command::Rollback { agent, to, giving } => {
            let link = connect().await?;
            let wanted = rollback::wanted(&link, &agent, to).await?;
            apply::give(&link, &wanted, giving, output, screen).await
        }
        Command::Balena { command } => balena::run(command, screen).await,
        Command::Delete { agent, status } => {
            delete::run(&connect().await?, &agent, status, output, screen).await
        }
    }
}

fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value);
    text.expect("what is shown has text keys and no failing parts") + "\n"
}
