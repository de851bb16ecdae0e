//! Carries out one command: asks, shows, and says how it ended.

use std::{io, path::PathBuf, process::ExitCode};

use reconcilers::reconciler::Lines;
use serde::Serialize;

use super::{
    Output, Request, actions,
    balena::{self, BalenaRequest},
    client::{Client, ClientError},
    doctor,
    error::CliError,
    explain, manifest,
    place::Place,
    plan, screen, status,
    table::Paint,
    validate,
};
use crate::{
    clock::Now,
    config::{Config, DEFAULT_SOCKET},
    ledger::store::Store,
};

/// There is something to do, says `plan`.
const SOMETHING_TO_DO: u8 = 2;

struct Session {
    socket: Option<PathBuf>,
    json: bool,
    paint: Paint,
}

/// As shells tell of programs that SIGPIPE has ended: nobody takes it for the answer.
const READER_GONE: u8 = 128 + 13;

/// Carries out `request`.
pub(super) fn execute(request: Request, socket: Option<PathBuf>, output: Output, paint: Paint) -> ExitCode {
    let session = Session { socket, json: output == Output::Json, paint };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Start);
    let ended = runtime.and_then(|runtime| {
        let ended = runtime.block_on(session.carry_out(request));
        // A file system that hangs must not keep the command from ending.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(code) => code,
        Err(error) if error.is_reader_gone() => ExitCode::from(READER_GONE),
        Err(error) => {
            screen::remark(&error.told());
            ExitCode::FAILURE
        }
    }
}

impl Session {
    async fn carry_out(&self, request: Request) -> Result<ExitCode, CliError> {
        match request {
            Request::Status { watch: true } => {
                status::watch(&self.client(&Place::default()), self.json, self.paint).await?
            }
            Request::Status { watch: false } => {
                let status = self.client(&Place::default()).status().await?;
                self.show(&status, || status::render(&status, Now::read().wall, self.paint))?;
            }
            Request::Explain { id } => {
                let explanation = self.client(&Place::default()).explain(&id).await?;
                self.show(&explanation, || explain::render(&explanation, Now::read().wall, self.paint))?;
            }
            Request::Logs { id, follow, tail } => {
                let lines = Lines { last: tail, follow };
                self.client(&Place::default()).logs(&id, lines, screen::pass_on).await?;
            }
            Request::Retry { id, .. } => {
                self.client(&Place::default()).retry(id.as_ref()).await?;
                self.done(&actions::retried(id.as_ref()))?;
            }
            Request::Pause { id, time } => {
                self.client(&Place::default()).pause(id.as_ref(), Some(time)).await?;
                self.done(&actions::paused(id.as_ref(), time))?;
            }
            Request::Resume { id } => {
                self.client(&Place::default()).pause(id.as_ref(), None).await?;
                self.done(&actions::resumed(id.as_ref()))?;
            }
            Request::Plan { file, place } => return self.plan(file, place).await,
            Request::Validate { file, allow_unknown_kinds } => {
                let verdict = validate::check(&file, &manifest::read(&file)?, allow_unknown_kinds);
                self.show(&verdict, || validate::render(&verdict))?;
                return Ok(code(verdict.valid));
            }
            Request::Doctor { place } => {
                let checks = doctor::examine(&self.client(&place), place).await;
                self.show(&checks, || doctor::render(&checks, self.paint))?;
                return Ok(code(!doctor::has_failed(&checks)));
            }
            Request::Balena { command } => return self.balena(command).await,
            Request::ForgetGeneration { place } => self.forget_generation(place).await?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The agent at the socket that is named, else where the configuration file says, else at the usual place.
    fn client(&self, place: &Place) -> Client {
        let configured = || place.clone().resolve().map(|config| config.api_socket);
        let socket = self.socket.clone().or_else(|| configured().ok());
        Client::new(socket.unwrap_or_else(|| DEFAULT_SOCKET.into()))
    }

    async fn plan(&self, file: PathBuf, place: Place) -> Result<ExitCode, CliError> {
        let client = self.client(&place);
        match plan::plan(&client, manifest::read(&file)?, place).await? {
            Ok(preview) => {
                self.show(&preview, || plan::render(&file, &preview, self.paint))?;
                Ok(if preview.is_quiet() { ExitCode::SUCCESS } else { SOMETHING_TO_DO.into() })
            }
            Err(refused) => {
                self.show(&refused, || plan::render_refused(&file, &refused))?;
                Ok(ExitCode::FAILURE)
            }
        }
    }

    async fn balena(&self, request: BalenaRequest) -> Result<ExitCode, CliError> {
        match request {
            BalenaRequest::Status { place } => {
                let told = match self.client(&place).source().await {
                    Err(ClientError::NoAgent { .. }) => balena::kept(&place.resolve()?)?,
                    told => told?,
                };
                self.show(&told, || balena::render(&told, Now::read().wall))?;
                Ok(ExitCode::SUCCESS)
            }
            BalenaRequest::Poll { force } => {
                self.client(&Place::default()).poll(force).await?;
                self.done("The target state is asked for now.\n")?;
                Ok(ExitCode::SUCCESS)
            }
            BalenaRequest::Register(args) => {
                let config = balena::config(*args)?;
                let _alone = alone(&config)?;
                let told = balena::register(&config).await?;
                self.show(&told, || balena::render(&told, Now::read().wall))?;
                Ok(ExitCode::SUCCESS)
            }
            BalenaRequest::Forget(args) => {
                let config = balena::config(*args)?;
                let _alone = alone(&config)?;
                self.done(&match balena::forget(&config)? {
                    Some(uuid) => format!("This device was {uuid}, and is nobody now. What runs goes on.\n"),
                    None => "This device was nobody there.\n".to_owned(),
                })?;
                Ok(ExitCode::SUCCESS)
            }
            BalenaRequest::Translate { file, uuid, place } => {
                let translated = balena::translate(&file, uuid, place.resolve()?)?;
                screen::remark(&balena::remarks(&translated));
                // A manifest is for programs, whatever --output says.
                let json =
                    serde_json::to_string_pretty(&translated.manifest()).expect("a manifest is plain JSON");
                screen::print(&(json + "\n"))?;
                Ok(code(!balena::is_rejected(&translated)))
            }
        }
    }

    async fn forget_generation(&self, place: Place) -> Result<(), CliError> {
        match self.client(&place).forget_generation().await {
            Err(ClientError::NoAgent { .. }) => {
                let state_dir = place.resolve()?.state_dir;
                if !state_dir.is_dir() {
                    let source = io::Error::from(io::ErrorKind::NotFound);
                    return Err(CliError::Read { path: state_dir, source });
                }
                // Opening a ledger notes an instance of this device's agent; this one never writes a status.
                let (mut store, _) = Store::open(&state_dir, &ulid::Ulid::generate().to_string())?;
                store.forget_generations()?;
            }
            answer => answer?,
        }
        self.done(actions::FORGOTTEN)
    }

    /// Shows a document, to people as `text`.
    fn show(&self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), CliError> {
        if self.json {
            let json = serde_json::to_string_pretty(document).expect("what is shown is plain JSON");
            screen::print(&(json + "\n"))
        } else {
            screen::print(&text())
        }
    }

    /// Says that it is done.
    fn done(&self, text: &str) -> Result<(), CliError> {
        self.show(&serde_json::json!({ "done": true }), || text.to_owned())
    }
}

/// That no agent runs here, for as long as this is held.
fn alone(config: &Config) -> Result<Option<Store>, CliError> {
    if !config.state_dir.is_dir() {
        return Ok(None);
    }
    let (store, _) = Store::open(&config.state_dir, &ulid::Ulid::generate().to_string())?;
    Ok(Some(store))
}

fn code(is_good: bool) -> ExitCode {
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests;
