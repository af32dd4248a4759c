#![allow(clippy::unwrap_used)]
use super::*;
use crate::crd::mesh::FanOut;

fn manifest(spec: &str) -> String {
    format!("apiVersion: sfumato.dev/v1alpha1\nkind: SfuCluster\nmetadata: {{ name: live }}\nspec: {spec}\n")
}

/// The message for a manifest with this spec, without the file's name.
fn refusal(spec: &str) -> String {
    let error = parse("f.yaml", &manifest(spec)).expect_err(spec).to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error.strip_prefix("f.yaml: ").unwrap().to_owned()
}

#[test]
fn an_empty_spec_means_all_defaults() {
    let cluster = parse("f.yaml", &manifest("{}")).unwrap();
    assert_eq!(cluster.spec, crate::crd::SfuClusterSpec::default());
    assert_eq!(cluster.spec.replicas, 3);
}

#[test]
fn every_honoured_field_is_read() {
    let spec = "{ replicas: 5, workersPerNode: 2, media: { port: 21000, tcp: false }, web: { service: { port: 8080 } }, \
                mesh: { lanes: 1, portBase: 25000, encryption: false, fanOut: Eager, fanOutIdleTimeout: 1m, \
                beatInterval: 250ms, linkGrace: 5s } }";
    let spec = parse("f.yaml", &manifest(spec)).unwrap().spec;
    assert_eq!(
        (spec.replicas, spec.workers_per_node, spec.web.service.port),
        (5, Some(2), 8080)
    );
    assert_eq!((spec.media.port, spec.media.tcp), (21_000, false));
    assert_eq!(
        (spec.mesh.lanes, spec.mesh.port_base, spec.mesh.encryption),
        (Some(1), 25_000, false)
    );
    assert_eq!(spec.mesh.fan_out, FanOut::Eager);
    assert_eq!(spec.mesh.fan_out_idle_timeout.0.as_secs(), 60);
}

#[test]
fn replicas_outside_1_to_32_are_refused() {
    assert_eq!(
        refusal("{ replicas: 0 }"),
        "spec.replicas: must be between 1 and 32, and is 0"
    );
    assert_eq!(
        refusal("{ replicas: 33 }"),
        "spec.replicas: must be between 1 and 32, and is 33"
    );
    assert_eq!(
        refusal("{ replicas: -1 }"),
        "spec.replicas: must be between 1 and 32, and is -1"
    );
}

#[test]
fn an_unknown_field_is_refused_with_its_path_and_a_hint() {
    assert_eq!(
        refusal("{ mesh: { beatIntervall: 1s } }"),
        "spec.mesh.beatIntervall: unknown field; did you mean `beatInterval`?"
    );
    assert_eq!(
        refusal("{ mesh: { fanout: Eager } }"),
        "spec.mesh.fanout: unknown field; did you mean `fanOut`?"
    );
    assert!(
        refusal("{ web: { colour: blue } }")
            .starts_with("spec.web.colour: unknown field; known here: image, pods, replicas, resources, service")
    );
    let top = parse(
        "f.yaml",
        "apiVersion: sfumato.dev/v1alpha1\nkind: SfuCluster\nmetadata: {name: a}\nspecs: {}",
    );
    assert_eq!(
        top.unwrap_err().to_string(),
        "f.yaml: specs: unknown field; did you mean `spec`?"
    );
}

#[test]
fn a_wrong_or_missing_unit_is_refused_with_its_path() {
    let advice = "write a duration such as \"500ms\", \"30s\" or \"2m\"";
    assert_eq!(
        refusal("{ mesh: { beatInterval: 500 } }"),
        format!("spec.mesh.beatInterval: `500` has no unit: {advice}")
    );
    assert_eq!(
        refusal("{ mesh: { linkGrace: 10 sec } }"),
        format!("spec.mesh.linkGrace: `10 sec` has a unit other than ms, s, m and h: {advice}")
    );
    assert_eq!(
        refusal("{ mesh: { fanOutIdleTimeout: \"30\" } }"),
        format!("spec.mesh.fanOutIdleTimeout: `30` has no unit: {advice}")
    );
}

#[test]
fn a_wrong_type_is_refused_with_its_path() {
    assert_eq!(
        refusal("{ replicas: three }"),
        "spec.replicas: string \"three\" was given, and wanted is i32"
    );
    assert!(refusal("{ media: { tcp: 3 } }").starts_with("spec.media.tcp: integer `3` was given"));
    assert!(refusal("{ mesh: 3 }").starts_with("spec.mesh: integer `3` was given"));
    assert_eq!(refusal("[]"), "spec: is a list, and an object is wanted");
    assert_eq!(
        refusal("{ web: { service: [80] } }"),
        "spec.web.service: is a list, and an object is wanted"
    );
}

#[test]
fn a_choice_names_what_can_be_chosen() {
    assert_eq!(
        refusal("{ mesh: { fanOut: Sometimes } }"),
        "spec.mesh.fanOut: must be OnDemand or Eager, and is `Sometimes`"
    );
}

#[test]
fn rules_across_fields_are_refused_with_a_path() {
    let message = refusal("{ media: { port: 20000 }, mesh: { portBase: 20200 } }");
    assert!(
        message.starts_with("spec.mesh.portBase: media.port and mesh.portBase are too close"),
        "{message}"
    );
    assert_eq!(
        refusal("{ mesh: { beatInterval: 1ms } }"),
        "spec.mesh.beatInterval: must be a duration with its unit between 100ms and 5s, such as `500ms`"
    );
}

#[test]
fn the_object_around_the_spec_is_checked_as_well() {
    let error = |text: &str| parse("f.yaml", text).unwrap_err().to_string();
    assert!(error("").contains("holds 0 documents"), "{}", error(""));
    assert!(error("apiVersion: v1\nkind: Pod").contains("apiVersion: is `v1`, and `sfumato.dev/v1alpha1` is wanted"));
    assert!(error("apiVersion: sfumato.dev/v1alpha1").contains("kind: is missing: write `SfuCluster`"));
    let head = "apiVersion: sfumato.dev/v1alpha1\nkind: SfuCluster\n";
    assert!(error(head).contains("metadata.name: is missing"));
    assert!(error(&format!("{head}metadata: {{name: Live}}")).contains("metadata.name: \"Live\" is not allowed"));
    assert!(error(&format!("{head}metadata: {{name: a, lables: {{}}}}")).contains("did you mean `labels`"));
    assert!(error(&format!("{head}metadata: {{name: a}}")).contains("missing field `spec`"));
    let two = format!("{}---\n{}", manifest("{}"), manifest("{}"));
    assert!(error(&two).contains("holds 2 documents"), "{}", error(&two));
}

#[test]
fn text_that_is_not_yaml_is_one_line_with_a_position() {
    let error = parse("f.yaml", "spec: [1,\nkind: }").unwrap_err();
    assert!(matches!(error, ManifestError::Yaml { .. }), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    assert!(error.to_string().contains("line"), "{error}");
}

#[test]
fn what_kubectl_prints_can_be_read_back() {
    let text = "apiVersion: sfumato.dev/v1alpha1\nkind: SfuCluster\nmetadata:\n  name: live\n  uid: 1-2\n  \
                creationTimestamp: \"2026-11-22T10:00:00Z\"\nspec:\n  replicas: 1\nstatus:\n  replicas: 1\n";
    assert_eq!(parse("f.yaml", text).unwrap().spec.replicas, 1);
}

#[test]
fn every_example_is_in_order() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut read = 0;
    let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    // Folders are for other programs, and there are objects of other kinds.
    for path in files.filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&path).unwrap();
        for object in text
            .split("\n---\n")
            .filter(|object| object.contains("kind: SfuCluster"))
        {
            parse(&path.display().to_string(), object).unwrap();
            read += 1;
        }
    }
    assert!(read >= 3, "there are examples");
}
