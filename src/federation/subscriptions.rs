//! Resources that a client follows, for as long as it wants: also over an end of the connection to their server.

use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::name::public_uri;
use super::scope::Scope;
use super::upstreams::{Road, public};
use super::view::View;
use crate::domain::{Principal, clip};
use crate::policy::Act;
use crate::protocol::RpcError;
use crate::registry::Entry;
use crate::upstream::{Following, Identity};

/// How long a server may take to note a subscription.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long to wait before a lost subscription is made anew, and how long at most.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A resource that is followed until this is dropped.
pub struct Followed {
    task: AbortOnDropHandle<()>,
}

impl Followed {
    /// Whether nothing comes of it any more: its server was blocked or removed.
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

/// Who follows what.
struct Follower {
    road: Road,
    principal: Principal,
    session: Option<String>,
    server: String,
    /// The resource's own URI at its server.
    own: String,
    /// Whether URIs are those of many servers.
    joined: bool,
}

impl Road {
    /// Follows a resource for a client; `told` hears of the URI of what changed, each time.
    pub(super) async fn follow(
        &self,
        view: &View,
        principal: &Principal,
        session: Option<&str>,
        (scope, uri): (Scope<'_>, &str),
        told: impl Fn(String) + Send + Sync + 'static,
    ) -> Result<Followed, RpcError> {
        let unknown = || RpcError::new(RpcError::RESOURCE_NOT_FOUND, format!("there is no resource `{}`", clip(uri, 200)));
        let (server, own) = view.placed(scope, uri).map(|(server, own)| (server.to_owned(), own)).ok_or_else(unknown)?;
        let joined = scope.is_joined();
        let (road, principal, session) = (self.clone(), principal.clone(), session.map(str::to_owned));
        let follower = Follower { road, principal, session, server, own, joined };
        let following = follower.begin().await.ok_or_else(unknown)??;
        Ok(Followed { task: AbortOnDropHandle::new(tokio::spawn(follower.go_on(following, told))) })
    }
}

impl Follower {
    /// Subscribes; none when there is no such server for this caller.
    async fn begin(&self) -> Option<Result<Following, RpcError>> {
        let catalog = self.road.registry.catalog();
        let entry = catalog.usable(&self.server).filter(|_| self.principal.grants().server(&self.server))?;
        Some(self.subscribe(entry).await)
    }

    async fn subscribe(&self, entry: &Entry) -> Result<Following, RpcError> {
        if !entry.release.as_ref().is_some_and(|release| release.manifest.has_in("resources", "subscribe")) {
            return Err(RpcError::new(RpcError::METHOD_NOT_FOUND, format!("{}: its resources cannot be followed", self.server)));
        }
        let identity = Identity { principal: self.principal.id(), session: self.session.as_deref() };
        let opening = self.road.upstreams.connection(&entry.runs, identity, entry.era);
        let connection = opening.await.map_err(|error| public(entry, &error))?;
        connection.follow(&self.own, PATIENCE).await.map_err(|error| public(entry, &error))
    }

    /// Tells of each change until there is nothing to follow any more.
    async fn go_on(self, following: Following, told: impl Fn(String)) {
        let name = |uri: &str| if self.joined { public_uri(&self.server, uri) } else { uri.to_owned() };
        let act = Act { server: Some(&self.server), ..Act::of(&self.principal) };
        let (mut following, mut pause) = (following, PAUSE);
        loop {
            let next = tokio::select! {
                next = following.next() => next,
                _ = self.road.blocks.until(&act) => return,
            };
            if let Some(uri) = next {
                told(name(&uri));
                continue;
            }
            following = loop {
                tokio::time::sleep(pause).await;
                match self.begin().await {
                    Some(Ok(following)) => break following,
                    Some(Err(_)) => pause = (pause * 2).min(LONGEST_PAUSE),
                    None => return,
                }
            };
            pause = PAUSE;
            // What changed while nobody listened was told to nobody.
            told(name(&self.own));
        }
    }
}
