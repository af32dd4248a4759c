//! Adoption of what somebody made from a copy of one of our children, such as a backup: before the first apply, the fields of the
//! copy become ours. Otherwise they would stay where a manifest does not name them any more.

use crate::controller::build::ClusterId;
use crate::controller::rollout::upgrade;
use crate::controller::watch::owned_fields::digest;
use crate::controller::watch::ownership::{Whose, change_of, whose};
use crate::controller::watch::taken_over::taken_over;
use k8s_openapi::NamespaceResourceScope;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::{Api, Resource};
use serde_json::{Value, json};
use std::fmt::Debug;

/// What is known of a live object before it is applied.
pub(super) enum Look {
    /// As it is; nothing where there is none.
    At(Option<Box<ObjectMeta>>),
    /// The cache does not show yet what is there: what is to be applied was made for an object that is no more.
    Behind,
}

/// Looks at a live object whose cached metadata is this. The cache holds what has our labels, and an apply would take over what
/// has not. And it does not hold whose the fields are, which counts where we have not applied them.
pub(super) async fn look<K>(
    api: &Api<PartialObjectMeta<K>>,
    (id, name): (&ClusterId, &str),
    cached: Option<ObjectMeta>,
) -> kube::Result<Look>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug,
{
    let is_applied = |live: &ObjectMeta| whose(live, id) == Whose::Ours && digest(live).is_some();
    if cached.as_ref().is_some_and(is_applied) {
        return Ok(Look::At(cached.map(Box::new)));
    }
    let live = api.get_opt(name).await?.map(|live| live.metadata);
    let is_behind = cached
        .zip(live.as_ref())
        .is_some_and(|(cached, live)| cached.resource_version != live.resource_version);
    Ok(if is_behind {
        Look::Behind
    } else {
        Look::At(live.map(Box::new))
    })
}

/// Takes over the fields of a copy, where there are any. Answers whether it did, or would have if nobody had changed the object
/// meanwhile: then it is to be looked at again.
pub(super) async fn take_over<K>(
    api: &Api<PartialObjectMeta<K>>,
    id: &ClusterId,
    live: Option<&ObjectMeta>,
    desired: &Value,
) -> kube::Result<bool>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug,
{
    let Some(live) = live else {
        return Ok(false);
    };
    let managed = live.managed_fields.as_deref().unwrap_or_default();
    let written = with_metadata_of(desired.clone(), upgrade::given_template(live).as_ref());
    let (Some(fields), Some(name)) = (taken_over(managed, &written), &live.name) else {
        return Ok(false);
    };
    let (params, patch) = change_of(live, json!({ "metadata": { "managedFields": fields } }));
    match api.patch(name, &params, &patch).await {
        Ok(_) => {
            tracing::info!(
                namespace = id.namespace,
                cluster = id.name,
                kind = &*K::kind(&()),
                object = name,
                "it is a copy of one of ours: its fields are taken over"
            );
            Ok(true)
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(true),
        Err(error) => Err(error),
    }
}

/// What is desired, with the labels and annotations of pods that a former template had: these we wrote as well.
fn with_metadata_of(mut desired: Value, template: Option<&Value>) -> Value {
    for part in ["labels", "annotations"] {
        let former = template.and_then(|it| it["metadata"][part].as_object());
        if let (Some(former), Some(now)) = (former, desired.pointer_mut("/spec/template/metadata")) {
            let mut all = former.clone();
            all.extend(now[part].as_object().cloned().unwrap_or_default());
            now[part] = Value::Object(all);
        }
    }
    desired
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_annotations_of_a_former_template_are_ones_that_we_wrote() {
        let of = |metadata: Value| json!({ "spec": { "template": { "metadata": metadata } } });
        let former = json!({ "metadata": { "labels": { "a": "1", "b": "1" }, "annotations": { "c": "1" } } });
        let desired = of(json!({ "labels": { "a": "2" } }));
        let both = of(json!({ "labels": { "a": "2", "b": "1" }, "annotations": { "c": "1" } }));
        assert_eq!(with_metadata_of(desired.clone(), Some(&former)), both);
        assert_eq!(with_metadata_of(desired.clone(), None), desired);
        let service = json!({ "spec": { "ports": [] } });
        assert_eq!(with_metadata_of(service.clone(), Some(&former)), service);
    }
}
