//! Becoming registered: tried until it is so, with what is kept before anybody is told of it.

use std::{sync::Arc, time::Duration};

use super::{Ended, FAULTY, Task, chance};
use crate::{
    clock::Now,
    source::balena::{
        cadence::Cadence,
        identity::{Identity, Provisioning},
        provision::{Session, keep_identity, other, try_once},
        register::Next,
    },
};

impl Task {
    /// Becomes registered, if this device is not.
    pub(super) async fn registered(
        &mut self,
        mut session: Arc<Session>,
        provisioning: Option<Provisioning>,
    ) -> Result<Arc<Session>, Ended> {
        let mut cadence = Cadence::new(FAULTY, Duration::from_secs(1));
        while !session.identity.is_registered {
            cadence.begun(Now::read().boot);
            let (tried, _) = self.meanwhile(try_once(&session, provisioning.as_ref())).await?;
            let (identity, wait) = match tried {
                Ok(identity) => {
                    tracing::info!(uuid = identity.uuid, device = identity.device_id, "registered");
                    (Some(identity), None)
                }
                Err(Next::Retry { why, wait, is_fault }) => {
                    self.away(why).await?;
                    (None, if is_fault { Some(FAULTY) } else { wait })
                }
                Err(renewal) => {
                    let identity = other(&session.identity, &renewal);
                    tracing::warn!(
                        former = session.identity.uuid,
                        uuid = identity.uuid,
                        "the uuid or the key belongs to another device; this one takes other ones"
                    );
                    (Some(identity), None)
                }
            };
            if let Some(identity) = identity {
                session = self.kept(session, identity).await?;
            }
            if !session.identity.is_registered {
                cadence.failed(Now::read().boot, wait, chance());
                self.until_due(&mut cadence).await?;
            }
        }
        Ok(session)
    }

    /// The session of this identity, once that is kept; the former one, if it cannot be.
    async fn kept(&mut self, former: Arc<Session>, identity: Identity) -> Result<Arc<Session>, Ended> {
        match keep_identity(&former.dir, &identity).await {
            Ok(()) => {
                let (api, dir) = (former.api.clone(), former.dir.clone());
                Ok(Arc::new(Session { identity, api, dir }))
            }
            Err(error) => {
                self.away(format!("cannot keep the identity: {error}")).await?;
                Ok(former)
            }
        }
    }
}
