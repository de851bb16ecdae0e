//! What a container prints: also across its restarts, and by the one that replaces it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;

use super::error::ContainerError;
use crate::{
    engine::{
        Answer, ContainerEngine, Output,
        link::{Link, Whose},
        terms::{Container, Printed as Wanted, State, Subject},
    },
    error::ObserveError,
    reconciler::{Hint, Lines, Printed},
};

/// Without news of the engine, it is looked again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// One life of a container: from its start on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Life {
    container: String,
    started_at: Option<Timestamp>,
    /// The end of the life before it.
    after: Option<Timestamp>,
}

impl Life {
    fn of(container: &Container) -> Self {
        let State { started_at, finished_at, .. } = container.state;
        Self { container: container.id.clone(), started_at, after: finished_at }
    }
}

/// Whether there is something to read again, and from when on: a life that has begun, or the one whose output broke off. Pure.
///
/// A program may print before its engine says that it was started, but not before the end of its life before.
fn resume(read: &Life, broke_off: Option<Timestamp>, now: &Life) -> Option<Option<Timestamp>> {
    if now.container != read.container {
        return now.started_at.is_some().then_some(None);
    }
    if now.started_at != read.started_at { Some(now.after) } else { broke_off.map(Some) }
}

/// Reads what the container called `name` prints.
pub(super) async fn output<E: ContainerEngine>(
    link: Arc<Link<E>>,
    name: String,
    lines: Lines,
) -> Result<Printed, ObserveError> {
    let Some(container) = link.engine.container(&name).await? else {
        return Err(ContainerError::NotThere { name }.into());
    };
    let wanted = Wanted { last: lines.last, since: None, follow: lines.follow };
    let printed = link.engine.output(&container.id, &wanted).await?;
    if !lines.follow {
        return Ok(printed.map_err(ObserveError::from).boxed());
    }
    let own = name.clone();
    let news = link.hints(move |subject| match subject {
        Subject::Container { name, .. } if *name == own => Some(Whose::Kind),
        _ => None,
    });
    let life = Life::of(&container);
    let followed = Followed { link, name, news, printed: Some(printed), life, broke_off: None };
    let all = stream::unfold(followed, |mut followed| async { Some((Ok(followed.next().await), followed)) });
    Ok(all.boxed())
}

/// A container whose output is read for as long as somebody wants it.
struct Followed<E> {
    link: Arc<Link<E>>,
    name: String,
    news: BoxStream<'static, Hint>,
    printed: Option<Output>,
    life: Life,
    /// When the output of this life came to an end that is not its own.
    broke_off: Option<Timestamp>,
}

impl<E: ContainerEngine> Followed<E> {
    async fn next(&mut self) -> Bytes {
        loop {
            while let Some(printed) = &mut self.printed {
                let told = tokio::select! {
                    biased;
                    told = printed.next() => told,
                    // Podman does not always end the output of a container that has gone.
                    Some(_) = self.news.next() => match self.again().await {
                        Ok(Some(next)) => {
                            self.printed = Some(next);
                            continue;
                        }
                        _ => continue,
                    },
                };
                match told {
                    Some(Ok(more)) => return more,
                    Some(Err(_)) => self.broke_off = Some(Timestamp::now()),
                    None => self.broke_off = None,
                }
                self.printed = None;
            }
            // An engine that is away comes back, or the resource's status says why not.
            self.printed = self.again().await.unwrap_or_default();
            if self.printed.is_none() {
                // Either of the two is reason enough to look again.
                let _ = tokio::time::timeout(LOOK_AGAIN, self.news.next()).await;
            }
        }
    }

    async fn again(&mut self) -> Answer<Option<Output>> {
        let Some(container) = self.link.engine.container(&self.name).await? else { return Ok(None) };
        let life = Life::of(&container);
        let Some(since) = resume(&self.life, self.broke_off, &life) else { return Ok(None) };
        let wanted = Wanted { last: None, since, follow: true };
        let printed = self.link.engine.output(&container.id, &wanted).await?;
        self.life = life;
        Ok(Some(printed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_life_is_read_from_its_start_and_a_broken_one_from_where_it_broke() {
        let at = |second| Timestamp::from_second(second).ok();
        let life =
            |id: &str, after, start| Life { container: id.into(), started_at: at(start), after: at(after) };
        let read = life("a", 0, 10);
        assert_eq!(resume(&read, None, &read), None, "it has ended, and is still the same");
        assert_eq!(resume(&read, at(15), &read), Some(at(15)));
        assert_eq!(resume(&read, None, &life("a", 18, 20)), Some(at(18)), "it was restarted");
        assert_eq!(resume(&read, at(15), &life("b", 0, 20)), Some(None), "it was replaced");
        let made = Life { container: "b".into(), started_at: None, after: None };
        assert_eq!(resume(&read, None, &made), None, "the new one has not begun");
    }
}
