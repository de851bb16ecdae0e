//! What a container prints: also across its restarts, and by the one that replaces it.

use std::{cmp::Ordering, sync::Arc, time::Duration};

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
        link::Link,
        terms::{Line, Printed as Wanted, State},
    },
    error::ObserveError,
    reconciler::{Hint, Lines, Printed},
};

/// Without news of the engine, it is looked again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// What has ended is not read again sooner.
const PAUSE: Duration = Duration::from_millis(100);

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
        return Ok(printed.map_ok(|line| line.bytes).map_err(ObserveError::from).boxed());
    }
    let news = link.news_of([name.clone()]);
    let begun = lines.last.map(|_| Timestamp::now());
    let heard = Heard { begun, ..Heard::nothing_of(container.id, container.state.started_at) };
    let followed = Followed { link, name, news, printed: Some(printed), heard };
    let all = stream::unfold(followed, |mut followed| async { Some((Ok(followed.next().await), followed)) });
    Ok(all.boxed())
}

/// What was heard of a container so far. Its lines come again when its output is read again; those of one time, which Podman tells in
/// whole seconds, in the same order.
#[derive(Debug)]
struct Heard {
    container: String,
    /// When the life began that was read last.
    started_at: Option<Timestamp>,
    /// What is older is not wanted, as long as nothing was heard.
    begun: Option<Timestamp>,
    /// The latest time of a line.
    last: Option<Timestamp>,
    /// So many lines of that time were heard.
    then: usize,
    /// So many of those are still to come again, while what comes was heard already.
    again: Option<usize>,
}

impl Heard {
    fn nothing_of(container: String, started_at: Option<Timestamp>) -> Self {
        Self { container, started_at, begun: None, last: None, then: 0, again: None }
    }

    fn is_news(&mut self, line: &Line) -> bool {
        let order = line.at.cmp(&self.last);
        match &mut self.again {
            Some(_) if order == Ordering::Less => return false,
            Some(left @ 1..) if order == Ordering::Equal => {
                *left -= 1;
                return false;
            }
            _ => self.again = None,
        }
        match order {
            Ordering::Less => {}
            Ordering::Equal => self.then += 1,
            Ordering::Greater => (self.last, self.then) = (line.at, 1),
        }
        true
    }

    /// What of a container's output was not heard yet.
    fn unheard(&self, container: &str) -> Wanted {
        let since = self.last.or(self.begun).filter(|_| self.container == container);
        Wanted { last: None, since, follow: true }
    }

    /// From now on it is what [`Self::unheard`] asked for.
    fn turn_to(&mut self, container: String, started_at: Option<Timestamp>) {
        if self.container == container {
            self.again = self.last.map(|_| self.then);
            self.started_at = started_at;
        } else {
            *self = Self::nothing_of(container, started_at);
        }
    }

    /// Whether there may be more to hear, once its output has come to an end: it runs, or it ran meanwhile.
    fn may_go_on(&self, state: &State) -> bool {
        state.activity.is_up() || state.started_at != self.started_at
    }
}

/// A container whose output is read for as long as somebody wants it.
struct Followed<E> {
    link: Arc<Link<E>>,
    name: String,
    news: BoxStream<'static, Hint>,
    printed: Option<Output>,
    heard: Heard,
}

impl<E: ContainerEngine> Followed<E> {
    async fn next(&mut self) -> Bytes {
        loop {
            while let Some(printed) = &mut self.printed {
                let told = tokio::select! {
                    biased;
                    told = printed.next() => told,
                    // Podman does not always end the output of a container that has gone.
                    Some(_) = self.news.next() => {
                        if let Ok(Some(next)) = self.open(false).await {
                            self.printed = Some(next);
                        }
                        continue;
                    }
                };
                match told {
                    Some(Ok(line)) if self.heard.is_news(&line) => return line.bytes,
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => self.printed = None,
                }
            }
            tokio::time::sleep(PAUSE).await;
            // An engine that is away comes back, or the resource's status says why not.
            self.printed = self.open(true).await.unwrap_or_default();
            if self.printed.is_none() {
                // Either of the two is reason enough to look again.
                let _ = tokio::time::timeout(LOOK_AGAIN, self.news.next()).await;
            }
        }
    }

    /// The output of the container that has the name now, if that is another one, or if `again` it is that of one that runs.
    async fn open(&mut self, again: bool) -> Answer<Option<Output>> {
        let Some(container) = self.link.engine.container(&self.name).await? else { return Ok(None) };
        let is_same = container.id == self.heard.container;
        let has_more = again && self.heard.may_go_on(&container.state);
        if is_same && !has_more {
            return Ok(None);
        }
        let printed = self.link.engine.output(&container.id, &self.heard.unheard(&container.id)).await?;
        self.heard.turn_to(container.id, container.state.started_at);
        Ok(Some(printed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::terms::Activity;

    fn line(second: i64) -> Line {
        Line { at: Timestamp::from_second(second).ok(), bytes: Bytes::from_static(b"x\n") }
    }

    /// Which of the lines, told by their times, are news.
    fn news<const N: usize>(heard: &mut Heard, seconds: [i64; N]) -> Vec<i64> {
        seconds.into_iter().filter(|second| heard.is_news(&line(*second))).collect()
    }

    #[test]
    fn no_line_is_told_twice_and_none_is_missed() {
        let mut heard = Heard::nothing_of("a".into(), None);
        assert_eq!(news(&mut heard, [10, 11, 11, 9]), [10, 11, 11, 9], "two outputs are not quite in order");
        assert_eq!(heard.unheard("a").since, line(11).at);
        heard.turn_to("a".into(), None);
        assert_eq!(
            news(&mut heard, [10, 11, 11, 11, 12, 9]),
            [11, 12, 9],
            "all but the third of 11 was heard"
        );
        heard.turn_to("a".into(), None);
        assert_eq!(news(&mut heard, [13]), [13]);
        assert_eq!(heard.unheard("b").since, None);
        heard.turn_to("b".into(), None);
        assert_eq!(news(&mut heard, [5]), [5], "it was begun before the end of the one that it replaces");
    }

    #[test]
    fn of_the_last_lines_no_older_ones_come_with_the_next_life() {
        let begun = line(50).at;
        let heard = Heard { begun, ..Heard::nothing_of("a".into(), None) };
        assert_eq!((heard.unheard("a").since, heard.unheard("b").since), (begun, None));
    }

    #[test]
    fn a_short_life_is_heard_when_it_is_over() {
        let heard = Heard::nothing_of("a".into(), line(10).at);
        let ended = |second| State { started_at: line(second).at, ..State::of(Activity::Exited) };
        assert!(!heard.may_go_on(&ended(10)) && heard.may_go_on(&ended(20)));
        assert!(heard.may_go_on(&State { started_at: line(10).at, ..State::of(Activity::Running) }));
    }

    #[test]
    fn what_has_no_time_is_always_told() {
        let mut heard = Heard::nothing_of("a".into(), None);
        let timeless = Line { at: None, ..line(0) };
        assert!(heard.is_news(&timeless) && heard.is_news(&timeless));
        heard.turn_to("a".into(), None);
        assert!(heard.is_news(&timeless), "it cannot be told from another");
    }
}
