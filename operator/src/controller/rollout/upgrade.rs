//! What an upgrade of the operator does to pods that run: by itself nothing.
//!
//! A new release may build other pod templates from the same manifest. So a child with pods carries, as annotations, the
//! template that it was given and the part of the manifest that this was built from. As long as the manifest says the
//! same, `upgradePolicy: Manual` keeps that template, whatever this release would build.

use crate::crd::{SfuClusterSpec, UpgradePolicy, quantity};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::core::ObjectMeta;
use serde_json::{Value, json};

/// Annotation with the part of the manifest that a template was built from.
const FROM: &str = "sfumato.dev/built-from";
/// Annotation with the template.
const TEMPLATE: &str = "sfumato.dev/template";
/// Fields of the manifest that are in no pod template of nodes.
const APART: [&str; 5] = ["replicas", "paused", "upgradePolicy", "networkPolicy", "web"];
/// Fields of the manifest that are in the front door's pod template.
const WITH_WEB: [&str; 5] = ["web", "ports", "imagePullPolicy", "imagePullSecrets", "userIds"];
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
                let is_told = fields.get("media").is_some_and(tells_at_pods);
                // Nodes are told of these while they run.
                remove(fields.get_mut("media"), &["announce", "nodePortBase", "loadBalancer"]);
                if let Some(media) = fields.get_mut("media").and_then(Value::as_object_mut) {
                    media.extend(is_told.then(|| ("announce".to_owned(), json!({ "from": "Static" }))));
                }
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

/// Whether clients of pods that are reached by their own addresses are told others: only then does a template know of it.
fn tells_at_pods(media: &Value) -> bool {
    let exposure = media.get("exposure").and_then(Value::as_str);
    let from = media.pointer("/announce/from").and_then(Value::as_str);
    let by_own = exposure.is_none_or(|exposure| matches!(exposure, "PodIP" | "HostNetwork"));
    by_own && from.is_some_and(|from| !matches!(from, "Auto" | "HostIP"))
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
            available = (!makes_the_same(&kept, template)).then_some(wanted);
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

/// The template that a child was given.
#[must_use]
pub fn given_template(live: &ObjectMeta) -> Option<Value> {
    annotation(live, TEMPLATE)
}

/// Whether a live object's template was built from what a manifest says now.
#[must_use]
pub fn is_built_from(live: &ObjectMeta, (spec, kind): (&SfuClusterSpec, PodKind)) -> bool {
    let default = kind.of(&SfuClusterSpec::default());
    let from = built_from(live).map(|from| kind.part_of(from));
    from.is_some_and(|from| is_same(&from, &kind.of(spec), &default))
}

fn annotation(metadata: &ObjectMeta, name: &str) -> Option<Value> {
    serde_json::from_str(metadata.annotations.as_ref()?.get(name)?).ok()
}

/// Whether two manifests say the same. A field that only `now` knows is one of a newer release: it says nothing new while
/// it has its default. Quantities are compared by value.
fn is_same(before: &Value, now: &Value, default: &Value) -> bool {
    is_same_at([""; 2], before, now, default)
}

/// The same of what is in a field; `path` is the name of the field that this one is in, and its own.
fn is_same_at([parent, name]: [&str; 2], before: &Value, now: &Value, default: &Value) -> bool {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            let all_before = before.iter().all(|(key, value)| {
                let default = default.get(key).unwrap_or(&Value::Null);
                now.get(key)
                    .is_some_and(|now| is_same_at([name, key], value, now, default))
            });
            all_before
                && now
                    .iter()
                    .filter(|(key, _)| !before.contains_key(*key))
                    .all(|(key, value)| default.get(key) == Some(value))
        }
        (Value::Array(before), Value::Array(now)) => {
            let same = |(before, now)| is_same_at([parent, name], before, now, &Value::Null);
            before.len() == now.len() && before.iter().zip(now).all(same)
        }
        (Value::String(before), Value::String(now)) if is_quantity(parent, name) => quantity::is_same(before, now),
        _ => before == now,
    }
}

/// Whether a field holds a quantity: of all that a manifest or a pod template says, these do.
fn is_quantity(parent: &str, name: &str) -> bool {
    matches!(
        (parent, name),
        ("limits" | "requests", _) | ("storage", "size") | ("resourceFieldRef", "divisor") | ("emptyDir", "sizeLimit")
    )
}

/// Whether two templates make the same pods.
fn makes_the_same(kept: &PodTemplateSpec, built: &PodTemplateSpec) -> bool {
    let value = |template| serde_json::to_value(template).unwrap_or_default();
    is_same(&value(kept), &value(built), &Value::Null)
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
    fn a_quantity_that_is_written_otherwise_is_no_change() {
        let limited = |memory: &str| {
            let resources = json!({ "limits": { "memory": memory }, "requests": { "cpu": "500m" } });
            let divisor = json!({ "resourceFieldRef": { "resource": "limits.memory", "divisor": memory } });
            spec(json!({
                "resources": resources, "env": [{ "name": "A", "valueFrom": divisor }],
                "web": { "resources": resources },
                "redis": { "managed": { "resources": resources, "storage": { "size": memory } } },
            }))
        };
        let built = |image: &str, memory: &str| {
            let mut built = json!(template(image, "--same"));
            built["spec"]["containers"][0]["resources"] = json!({ "limits": { "memory": memory } });
            serde_json::from_value::<PodTemplateSpec>(built).unwrap()
        };
        let (old, live) = (built("node:1", "1Gi"), limited("1Gi"));
        for kind in [PodKind::Nodes, PodKind::Redis, PodKind::Web] {
            let mut metadata = ObjectMeta::default();
            keep(&mut metadata, &mut old.clone(), None, (&live, kind));
            let kept = |image: &str, memory: &str| {
                let mut now = built(image, memory);
                let available = keep(
                    &mut ObjectMeta::default(),
                    &mut now,
                    Some(&metadata),
                    (&limited(memory), kind),
                );
                (now, available)
            };
            assert_eq!(kept("node:1", "1024Mi"), (old.clone(), None), "{kind:?}");
            assert_eq!(
                kept("node:2", "1024Mi"),
                (old.clone(), Some("node:2".to_owned())),
                "{kind:?}"
            );
            assert_eq!(kept("node:1", "1025Mi"), (built("node:1", "1025Mi"), None), "{kind:?}");
        }
    }

    #[test]
    fn only_quantities_are_compared_by_value() {
        let same = |before: Value, now: Value| is_same(&before, &now, &Value::Null);
        for field in ["nodeSelector", "podLabels", "podAnnotations"] {
            let says = |text: &str| json!({ field: { "limits": text, "size": text } });
            assert!(!same(says("1000m"), says("1")), "{field}");
        }
        let env = |text: &str| json!({ "env": [{ "name": "limits", "value": text }] });
        assert!(!same(env("1000m"), env("1")) && same(env("1"), env("1")));
        assert!(!same(json!([1]), json!([1, 2])) && !same(json!([1, 2]), json!([1])));
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
