//! Reads what a manifest names and what is not in the caches: Secrets.

use super::build::Wish;
use super::context::Context;
use super::reconcile::Error;
use super::secret::Data;
use k8s_openapi::api::core::v1::{Event, Secret};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

/// Events that are read at once: more of one kind about one object are merged by their writer.
const MAX_EVENTS: u32 = 20;
/// Refusals of pods that are older are over: the StatefulSet controller tries again within minutes.
const RECENT: SignedDuration = SignedDuration::from_secs(300);

/// What was found.
pub struct Given {
    /// The admin Secret.
    pub secret: Data,
    /// Something that the manifest names and that is not there: reason and message.
    pub trouble: Option<(&'static str, String)>,
}

/// Reads it. `nodes` is the number of pods of nodes; `busy`: something is not as desired, so look closely.
///
/// # Errors
/// When the API server does not let us.
pub async fn dereference(wish: &Wish, nodes: usize, busy: bool, context: &Context) -> Result<Given, Error> {
    let secret = context.secrets.ensure(&context.client, wish, busy).await;
    let secret = secret.map_err(|source| Error::Secret {
        name: wish.id.secret(),
        source,
    })?;
    // When all is well the nodes have everything already, and a look would be a request for nothing.
    let trouble = match (&wish.spec.redis.external, busy) {
        (Some(external), true) => named_secret(wish, context, &external.url_secret_ref).await?,
        _ => None,
    };
    let trouble = match trouble {
        None if lacks_pods(wish, nodes) => refused_pods(wish, context).await?,
        found => found,
    };
    Ok(Given { secret, trouble })
}

fn lacks_pods(wish: &Wish, nodes: usize) -> bool {
    i32::try_from(nodes).unwrap_or(i32::MAX) < wish.spec.replicas
}

/// Why the StatefulSet controller makes no pods: quotas and Pod Security admission are told in events only.
async fn refused_pods(wish: &Wish, context: &Context) -> Result<Option<(&'static str, String)>, Error> {
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
    let newest = found
        .items
        .into_iter()
        .max_by_key(|event| event.last_timestamp.clone().map(|time| time.0));
    // An old refusal may have been mended since.
    let recent = newest.filter(|event| {
        let at = event.last_timestamp.as_ref().map(|time| time.0);
        at.is_some_and(|at| Timestamp::now().duration_since(at) < RECENT)
    });
    Ok(recent
        .and_then(|event| event.message)
        .map(|message| ("PodsRefused", message)))
}

async fn named_secret(
    wish: &Wish,
    context: &Context,
    reference: &crate::crd::redis::SecretKeyRef,
) -> Result<Option<(&'static str, String)>, Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &wish.id.namespace);
    let name = &reference.name;
    let found = api.get_opt(name).await.map_err(|source| Error::Secret {
        name: name.clone(),
        source: source.into(),
    })?;
    let field = "spec.redis.external.urlSecretRef";
    Ok(match found {
        None => Some((
            "SecretMissing",
            format!(
                "{field}: there is no Secret {name} in this namespace: create it with the key {}",
                reference.key
            ),
        )),
        Some(secret)
            if !secret
                .data
                .iter()
                .flatten()
                .any(|(key, value)| *key == reference.key && !value.0.is_empty()) =>
        {
            Some((
                "SecretMissing",
                format!(
                    "{field}: the Secret {name} has no key {}, or it is empty: put the URL of Redis into it",
                    reference.key
                ),
            ))
        }
        Some(_) => None,
    })
}
