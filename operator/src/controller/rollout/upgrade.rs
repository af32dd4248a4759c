//! What an upgrade of the operator does to pods that run: by itself nothing.
//!
//! A new release may build other pod templates from the same manifest. So a child with pods carries, as annotations, the
//! template that it was given and the part of the manifest that this was built from. As long as the manifest says the
//! same, `upgradePolicy: Manual` keeps that template, whatever this release would build.

use crate::crd::{SfuClusterSpec, UpgradePolicy};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::core::ObjectMeta;
use serde_json::Value;

/// Annotation with the part of the manifest that a template was built from.
const FROM: &str = "sfumato.dev/built-from";
/// Annotation with the template.
const TEMPLATE: &str = "sfumato.dev/template";
/// Fields of the manifest that are in no pod template of nodes.
const APART: [&str; 5] = ["replicas", "paused", "upgradePolicy", "networkPolicy", "web"];
/// Fields of the manifest that are in the front door's pod template.
const WITH_WEB: [&str; 4] = ["web", "imagePullPolicy", "imagePullSecrets", "userIds"];
/// Fields of the manifest that are in Redis' pod template.
const WITH_REDIS: [&str; 4] = ["redis", "imagePullPolicy", "imagePullSecrets", "userIds"];

/// Which template is meant: each is built from another part of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodKind {
    Nodes,
    Redis,
    Web,
}

impl PodKind {
    /// The part of a manifest that the template is built from.
    fn of(self, spec: &SfuClusterSpec) -> Value {
        self.part_of(serde_json::to_value(spec).unwrap_or_default())
    }

    /// The same of a manifest that was written down, perhaps by a release that wrote down more of it.
    fn part_of(self, mut value: Value) -> Value {
        let Some(fields) = value.as_object_mut() else {
            return value;
        };
        let remove = |value: Option<&mut Value>, names: &[&str]| {
            if let Some(fields) = value.and_then(Value::as_object_mut) {
                names.iter().for_each(|name| drop(fields.remove(*name)));
            }
        };
        match self {
            Self::Nodes => {
                fields.retain(|field, _| !APART.contains(&field.as_str()));
                // Only the operator's own planning uses it.
                remove(fields.get_mut("mesh"), &["linkGrace"]);
                // To a node, one managed Redis is like the other.
                remove(fields.get_mut("redis"), &["managed"]);
            }
            Self::Redis => fields.retain(|field, _| WITH_REDIS.contains(&field.as_str())),
            Self::Web => {
                fields.retain(|field, _| WITH_WEB.contains(&field.as_str()));
                remove(fields.get_mut("web"), &["replicas", "service"]);
            }
        }
        value
    }

    /// Where a manifest names the image of these pods, as a JSON pointer.
    fn image_field(self) -> &'static str {
        match self {
            Self::Nodes => "/image",
            Self::Redis => "/redis/managed/image",
            Self::Web => "/web/image",
        }
    }
}

/// Lets a child keep the template that its live object was given, where the policy says so, and writes down what it now
/// has. Answers the image of this release when another is kept.
pub fn keep(
    metadata: &mut ObjectMeta,
    template: &mut PodTemplateSpec,
    live: Option<&ObjectMeta>,
    (spec, kind): (&SfuClusterSpec, PodKind),
) -> Option<String> {
    let wanted = image(template).unwrap_or_default();
    let built_from = kind.of(spec);
    let named = |manifest: &Value| manifest.pointer(kind.image_field()).is_some();
    let mut available = None;
    if let Some((from, kept)) = live.and_then(|live| said(live, kind))
        && spec.upgrade_policy == UpgradePolicy::Manual
    {
        if is_same(&from, &built_from, &kind.of(&SfuClusterSpec::default())) {
            available = (kept != *template).then_some(wanted);
            *template = kept;
        } else if !named(&from)
            && !named(&built_from)
            && let Some(old) = image(&kept).filter(|old| *old != wanted)
        {
            // The manifest has changed, which rolls the pods; their image is still for its owner to choose. An image that
            // the manifest named before, and does not any more, is not kept.
            set_image(template, old);
            available = Some(wanted);
        }
    }
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(FROM.to_owned(), built_from.to_string());
    annotations.insert(TEMPLATE.to_owned(), serde_json::to_string(template).unwrap_or_default());
    available
}

/// The template that a live object was given, where the policy says that it keeps that.
#[must_use]
pub fn kept_template(live: &ObjectMeta, (spec, kind): (&SfuClusterSpec, PodKind)) -> Option<PodTemplateSpec> {
    let (from, template) = said(live, kind)?;
    let same = is_same(&from, &kind.of(spec), &kind.of(&SfuClusterSpec::default()));
    (same && spec.upgrade_policy == UpgradePolicy::Manual).then_some(template)
}

/// What a live object's template was built from, and that template.
fn said(live: &ObjectMeta, kind: PodKind) -> Option<(Value, PodTemplateSpec)> {
    let template = serde_json::from_value(annotation(live, TEMPLATE)?).ok()?;
    Some((kind.part_of(annotation(live, FROM)?), template))
}

/// The part of the manifest that a child's template was built from.
#[must_use]
pub fn built_from(live: &ObjectMeta) -> Option<Value> {
    annotation(live, FROM)
}

/// The template that a live object was given last.
#[must_use]
pub fn template(live: &ObjectMeta) -> Option<Value> {
    annotation(live, TEMPLATE)
}

fn annotation(metadata: &ObjectMeta, name: &str) -> Option<Value> {
    serde_json::from_str(metadata.annotations.as_ref()?.get(name)?).ok()
}

/// Whether two manifests say the same. A field that only `now` knows is one of a newer release: it says nothing new while
/// it has its default.
fn is_same(before: &Value, now: &Value, default: &Value) -> bool {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            let all_before = before.iter().all(|(key, value)| {
                now.get(key)
                    .is_some_and(|now| is_same(value, now, default.get(key).unwrap_or(&Value::Null)))
            });
            all_before
                && now
                    .iter()
                    .filter(|(key, _)| !before.contains_key(*key))
                    .all(|(key, value)| default.get(key) == Some(value))
        }
        _ => before == now,
    }
}

fn image(template: &PodTemplateSpec) -> Option<String> {
    template.spec.as_ref()?.containers.first()?.image.clone()
}

fn set_image(template: &mut PodTemplateSpec, image: String) {
    if let Some(container) = template.spec.as_mut().and_then(|spec| spec.containers.first_mut()) {
        container.image = Some(image);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(image: &str, arg: &str) -> PodTemplateSpec {
        serde_json::from_value(json!({ "spec": { "containers": [{ "name": "c", "image": image, "args": [arg] }] } }))
            .unwrap()
    }

    fn spec(spec: Value) -> SfuClusterSpec {
        serde_json::from_value(spec).unwrap()
    }

    /// The live object after this release has applied its template.
    fn applied(template: &PodTemplateSpec, spec: &SfuClusterSpec) -> ObjectMeta {
        let mut metadata = ObjectMeta::default();
        keep(&mut metadata, &mut template.clone(), None, (spec, PodKind::Nodes));
        metadata
    }

    fn kept(built: &PodTemplateSpec, live: &ObjectMeta, spec: &SfuClusterSpec) -> (PodTemplateSpec, Option<String>) {
        let mut built = built.clone();
        let available = keep(
            &mut ObjectMeta::default(),
            &mut built,
            Some(live),
            (spec, PodKind::Nodes),
        );
        (built, available)
    }

    #[test]
    fn an_upgrade_of_the_operator_alone_never_changes_a_template() {
        let same = spec(json!({}));
        let live = applied(&template("node:1", "--old"), &same);
        let (now, available) = kept(&template("node:2", "--new"), &live, &same);
        assert_eq!(now, template("node:1", "--old"));
        assert_eq!(available.as_deref(), Some("node:2"));
    }

    #[test]
    fn without_an_upgrade_nothing_is_available() {
        let same = spec(json!({}));
        let live = applied(&template("node:1", "--old"), &same);
        assert_eq!(
            kept(&template("node:1", "--old"), &live, &same),
            (template("node:1", "--old"), None)
        );
    }

    #[test]
    fn automatic_takes_what_this_release_builds() {
        let live = applied(&template("node:1", "--old"), &spec(json!({})));
        let now = kept(
            &template("node:2", "--new"),
            &live,
            &spec(json!({ "upgradePolicy": "Automatic" })),
        );
        assert_eq!(now, (template("node:2", "--new"), None));
    }

    #[test]
    fn a_manifest_that_changes_gets_a_new_template_and_keeps_the_image() {
        let live = applied(&template("node:1", "--old"), &spec(json!({})));
        let now = kept(
            &template("node:2", "--new"),
            &live,
            &spec(json!({ "mesh": { "fanOut": "Eager" } })),
        );
        assert_eq!(now, (template("node:1", "--new"), Some("node:2".to_owned())));
    }

    #[test]
    fn an_image_that_the_manifest_names_is_taken() {
        let live = applied(&template("node:1", "--old"), &spec(json!({})));
        let now = kept(&template("mine:3", "--new"), &live, &spec(json!({ "image": "mine:3" })));
        assert_eq!(now, (template("mine:3", "--new"), None));
    }

    #[test]
    fn an_image_that_the_manifest_names_no_more_is_given_up() {
        let live = applied(&template("broken:3", "--old"), &spec(json!({ "image": "broken:3" })));
        let now = kept(&template("node:1", "--old"), &live, &spec(json!({})));
        assert_eq!(now, (template("node:1", "--old"), None));
    }

    #[test]
    fn numbers_of_nodes_and_other_things_outside_the_pods_change_no_template() {
        let live = applied(&template("node:1", "--old"), &spec(json!({})));
        let other =
            spec(json!({ "replicas": 7, "paused": true, "web": { "replicas": 1 }, "mesh": { "linkGrace": "5s" } }));
        assert_eq!(
            kept(&template("node:2", "--new"), &live, &other).0,
            template("node:1", "--old")
        );
    }

    #[test]
    fn what_a_manifest_says_of_redis_replaces_no_node_and_of_nodes_no_redis() {
        let live = applied(&template("node:1", "--old"), &spec(json!({})));
        let other = spec(json!({ "redis": { "managed": { "storage": { "size": "1Gi" } } } }));
        assert_eq!(
            kept(&template("node:2", "--new"), &live, &other).0,
            template("node:1", "--old")
        );
        let external = spec(json!({ "redis": { "external": { "urlSecretRef": { "name": "a", "key": "b" } } } }));
        assert_eq!(
            kept(&template("node:2", "--new"), &live, &external).0,
            template("node:1", "--new")
        );

        // As the release before wrote it down: with all that nodes are built from.
        let is_kept = |now: Value| kept_template(&live, (&spec(now), PodKind::Redis)).is_some();
        assert!(is_kept(json!({})) && is_kept(json!({ "drain": { "deadline": "9s" }, "image": "mine:3" })));
        assert!(!is_kept(json!({ "redis": { "managed": { "image": "redis:8" } } })));
        assert!(!is_kept(json!({ "upgradePolicy": "Automatic" })));
    }

    #[test]
    fn a_field_of_a_newer_release_says_nothing_new_while_it_has_its_default() {
        let (before, default) = (json!({ "a": 1 }), json!({ "b": { "c": 2 } }));
        assert!(is_same(&before, &json!({ "a": 1, "b": { "c": 2 } }), &default));
        assert!(!is_same(&before, &json!({ "a": 1, "b": { "c": 3 } }), &default));
        assert!(!is_same(&before, &json!({ "a": 2 }), &default));
        assert!(!is_same(&before, &json!({}), &default));
    }
}
