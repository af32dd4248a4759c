//! Reads what a manifest names and what is not in the caches: Secrets.

use super::named_secrets::named;
use crate::controller::build::Wish;
use crate::controller::context::Context;
use crate::controller::reconcile::Error;
use crate::controller::remark::Remark;
use crate::controller::secret::{self, Data};
use crate::controller::watch::queue::Key;
use k8s_openapi::api::core::v1::{Event, Secret};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use std::time::Instant;

/// Events that are read at once: more of one kind about one object are merged by their writer.
const MAX_EVENTS: u32 = 20;
/// Refusals of pods that are older are over: the StatefulSet controller tries again within minutes.
const RECENT: SignedDuration = SignedDuration::from_secs(300);

/// What was found.
pub struct Given {
    /// The admin Secret.
    pub secret: Data,
    /// Something that the manifest names and that is not there.
    pub trouble: Option<Remark>,
}

/// Reads it. `nodes` is the number of pods of nodes; `busy`: something is not as desired, so look closely.
///
/// # Errors
/// When the API server does not let us.
pub async fn dereference(wish: &Wish, nodes: usize, busy: bool, context: &Context) -> Result<Given, Error> {
    let secret = admin_secret(wish, busy, context).await?;
    let trouble = known_trouble_with_secrets(wish, busy, context).await?;
    let trouble = match trouble {
        None if lacks_pods(wish, nodes) => refused_pods(wish, context).await?,
        found => found,
    };
    Ok(Given { secret, trouble })
}

/// The admin Secret, made or completed where that is needed.
///
/// # Errors
/// When the API server does not let us.
pub async fn admin_secret(wish: &Wish, busy: bool, context: &Context) -> Result<Data, Error> {
    let secret = context.secrets.ensure(&context.client, wish, busy).await;
    secret.map_err(|source| Error::Secret {
        name: wish.id.secret(),
        source,
    })
}

fn lacks_pods(wish: &Wish, nodes: usize) -> bool {
    i32::try_from(nodes).unwrap_or(i32::MAX) < wish.spec.replicas
}

/// Why the StatefulSet controller makes no pods: quotas and Pod Security admission are told in events only.
async fn refused_pods(wish: &Wish, context: &Context) -> Result<Option<Remark>, Error> {
    let set = ObjectRef::new(&wish.id.nodes()).within(&wish.id.namespace);
    let Some(live) = context.caches.stateful_sets.get(&set) else {
        return Ok(None);
    };
    let api: Api<Event> = Api::namespaced(context.client.clone(), &wish.id.namespace);
    let of = format!(
        "involvedObject.uid={},reason=FailedCreate",
        live.uid().unwrap_or_default()
    );
    let found = api.list(&ListParams::default().fields(&of).limit(MAX_EVENTS)).await;
    let found = found.map_err(Error::Events)?;
    // An old refusal may have been mended since.
    let is_recent = |event: &Event| {
        let at = event.last_timestamp.as_ref().map(|time| time.0);
        at.is_some_and(|at| Timestamp::now().duration_since(at) < RECENT)
    };
    // Each pod is refused in its own words: always the same one is told, or every look would tell another.
    let refusal = found
        .items
        .into_iter()
        .filter(is_recent)
        .filter_map(|event| event.message)
        .min();
    Ok(refusal.map(|message| {
        let advice =
            "change the quota, the Pod Security label or the admission policy of the namespace that refuses them";
        Remark::new("PodsRefused", format!("{message}; {advice}"))
    }))
}

/// What is wrong with the Secrets that the manifest names, as seen a moment ago: nobody tells of changes of Secrets, and
/// looking at them costs requests.
async fn known_trouble_with_secrets(wish: &Wish, busy: bool, context: &Context) -> Result<Option<Remark>, Error> {
    let key = Key::from(&wish.id);
    let believed = secret::believed(busy);
    let known = context.remember(&key, |memory| memory.named_secrets.clone());
    if let Some((at, trouble)) = known
        && at.elapsed() < believed
    {
        return Ok(trouble);
    }
    let trouble = trouble_with_secrets(wish, context).await?;
    context.remember(&key, |memory| {
        memory.named_secrets = Some((Instant::now(), trouble.clone()));
    });
    Ok(trouble)
}

/// What is wrong with the first Secret that the manifest names and nodes cannot use.
async fn trouble_with_secrets(wish: &Wish, context: &Context) -> Result<Option<Remark>, Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &wish.id.namespace);
    for named in named(wish) {
        let name = &named.reference.name;
        let live = api.get_opt(name).await.map_err(|source| Error::Secret {
            name: name.clone(),
            source: source.into(),
        })?;
        if let Some(trouble) = named.trouble(live.as_ref()) {
            return Ok(Some(trouble));
        }
    }
    Ok(None)
}
