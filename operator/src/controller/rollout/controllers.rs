//! Whose a pod is, by what controls it. That is asked for before something is done that cannot be taken back: what is remembered of
//! pods has our labels, which are for everybody to give, and does not show a StatefulSet without them.

use crate::controller::build::{ClusterId, has_labels_of};
use crate::controller::watch::ownership::{Whose, controller, is_kind, whose};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::{Api, Client, Resource};
use std::fmt::Debug;

/// Whether a pod is somebody else's. One whose controller is no more is the cluster's by its labels.
///
/// # Errors
/// When the API server does not say.
pub async fn is_others(client: &Client, id: &ClusterId, pod: &ObjectMeta) -> kube::Result<bool> {
    let Some(owner) = controller(pod).filter(|_| has_labels_of(pod, &id.name)) else {
        return Ok(!has_labels_of(pod, &id.name));
    };
    if is_kind::<StatefulSet>(owner) {
        let set = find::<StatefulSet>(client, id, owner).await?;
        return Ok(set.is_some_and(|set| is_of_others(&set, id)));
    }
    if !is_kind::<ReplicaSet>(owner) {
        return Ok(true);
    }
    let Some(set) = find::<ReplicaSet>(client, id, owner).await? else {
        return Ok(false);
    };
    match controller(&set) {
        Some(owner) if is_kind::<Deployment>(owner) => {
            let deployment = find::<Deployment>(client, id, owner).await?;
            Ok(deployment.is_some_and(|deployment| is_of_others(&deployment, id)))
        }
        _ => Ok(is_of_others(&set, id)),
    }
}

fn is_of_others(object: &ObjectMeta, id: &ClusterId) -> bool {
    whose(object, id) == Whose::Others
}

/// An owner, if it is still there: another one of its name is another.
async fn find<K>(client: &Client, id: &ClusterId, owner: &OwnerReference) -> kube::Result<Option<ObjectMeta>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug,
{
    let api: Api<PartialObjectMeta<K>> = Api::namespaced(client.clone(), &id.namespace);
    let found = api.get_opt(&owner.name).await?.map(|found| found.metadata);
    Ok(found.filter(|found| found.uid.as_ref() == Some(&owner.uid)))
}
