//! `sfu-operator local` refuses to start in one sentence: ports in use, Redis that is missing, manifests and options that are wrong.
//! Nothing that it had started is left, shown by the processes' ids.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::{TcpListener, UdpSocket};
use support::Setup;

#[test]
fn a_port_in_use_is_one_sentence_and_nothing_is_started() {
    let setup = Setup::new();
    let port = setup.client_port(1);
    let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (code, message) = setup.fails();
    assert_eq!(code, 1);
    assert!(
        message.starts_with(&format!("error: TCP port {port} is in use by ")),
        "{message}"
    );
    assert!(message.contains("and sfu-2 needs it for WHIP and WHEP"), "{message}");
}

#[test]
fn each_port_in_use_is_named_with_the_option_that_chooses_another() {
    for option in [
        "--web-port",
        "--redis-port",
        "--client-port-base",
        "--admin-port-base",
        "--health-port-base",
        "--media-port-base",
    ] {
        let setup = Setup::new();
        let port = setup.port(option);
        // Media is first looked for by UDP.
        let _taken = if option == "--media-port-base" {
            Err(UdpSocket::bind(("127.0.0.1", port)).unwrap())
        } else {
            Ok(TcpListener::bind(("127.0.0.1", port)).unwrap())
        };
        let (code, message) = setup.fails();
        assert_eq!(code, 1, "{option}: {message}");
        assert!(
            message.contains(&format!("port {port} is in use")) && message.contains(option),
            "{option}: {message}"
        );
    }
}

#[test]
fn a_missing_redis_is_one_sentence_and_nothing_is_started() {
    let (code, message) = Setup::new().without_path().fails();
    assert_eq!(code, 1);
    assert!(
        message.starts_with("error: redis-server is not on the PATH: install it") && message.contains("--redis-url"),
        "{message}"
    );

    let setup = Setup::new();
    let url = format!("redis://user:secret@127.0.0.1:{}", setup.redis_port());
    let (code, message) = setup.with(&["--redis-url", &url]).fails();
    assert_eq!(code, 1);
    assert!(message.starts_with("error: Redis at 127.0.0.1:"), "{message}");
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn a_redis_that_dies_at_once_ends_the_start_with_its_last_line() {
    let (code, message) = Setup::new().with(&["--redis-bin", "/bin/false"]).fails();
    assert_eq!(code, 1);
    assert!(
        message.contains("did not come up") && message.contains("exit code 1"),
        "{message}"
    );
}

#[test]
fn a_bad_manifest_is_a_usage_error_with_the_path_of_the_field() {
    for (spec, expected) in [
        ("{ replicas: 0 }", "spec.replicas: must be between 1 and 32, and is 0"),
        ("{ replicas: 33 }", "spec.replicas: must be between 1 and 32, and is 33"),
        (
            "{ replica: 3 }",
            "spec.replica: unknown field; did you mean `replicas`?",
        ),
        (
            "{ mesh: { beatInterval: 500 } }",
            "spec.mesh.beatInterval: `500` has no unit",
        ),
        ("{ replicas: three }", "spec.replicas: string \"three\" was given"),
        (
            "{ replicas: 3, colour: blue }",
            "spec.colour: unknown field; known here: ",
        ),
        (
            "{ mesh: { beatIntervall: 1s } }",
            "spec.mesh.beatIntervall: unknown field; did you mean `beatInterval`?",
        ),
        (
            "{ mesh: { linkGrace: 10 parsecs } }",
            "spec.mesh.linkGrace: `10 parsecs`",
        ),
        ("{ media: { port: 70000 } }", "spec.media.port: "),
    ] {
        refused(Setup::new().manifest(spec), expected);
    }
    for (text, expected) in [
        (
            "apiVersion: sfumato.dev/v1alpha1\nkind: FooCluster\nmetadata: { name: a }\nspec: {}",
            "kind: ",
        ),
        ("spec: [", "cluster.yaml: "),
        ("", "cluster.yaml: "),
    ] {
        refused(Setup::new().manifest_text(text), expected);
    }
    let (code, message) = Setup::new().with(&["-f", "/no/such/file.yaml"]).fails();
    assert_eq!(
        (code, message.contains("cannot read /no/such/file.yaml")),
        (2, true),
        "{message}"
    );
}

#[test]
fn a_wrong_option_is_a_usage_error() {
    for options in [
        &["--nodes", "0"][..],
        &["--nodes", "33"],
        &["--nodes", "many"],
        &["--no-such-option"],
        &["--redis-url", "http://x"],
    ] {
        assert_eq!(Setup::new().with(options).fails().0, 2, "{options:?}");
    }
}

/// The start fails with exit code 2 and one sentence that has these words.
fn refused(setup: Setup, expected: &str) {
    let (code, message) = setup.fails();
    assert_eq!(code, 2, "{message}");
    assert_eq!(message.trim_end().lines().count(), 1, "one sentence: {message}");
    assert!(message.contains(expected), "{message}");
}
