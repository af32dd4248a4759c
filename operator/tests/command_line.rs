//! What is wrong with a command line is said with what is wanted, and the exit code is 2; other failures give 1.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

/// What the program says of a command line that it refuses, with the exit code for that.
fn refused(args: &[&str]) -> String {
    let program = Command::new(env!("CARGO_BIN_EXE_sfu-operator"))
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(program.stderr).unwrap();
    assert_eq!(program.status.code(), Some(2), "{args:?}: {said}");
    said
}

#[test]
fn a_wrong_command_line_is_refused_with_the_option_what_is_wanted_and_an_example() {
    for (args, option, example) in [
        (&["local", "-n", "abc"][..], "--nodes", "from 1 to 32, such as 3"),
        (&["local", "-n", "33"], "--nodes", "from 1 to 32, such as 3"),
        (&["local", "--workers", "0"], "--workers", "from 1 to 64, such as 2"),
        (&["local", "--web-port", "70000"], "--web-port", "such as 2020"),
        (&["local", "--redis-port", "x"], "--redis-port", "such as 6377"),
        (
            &["local", "--media-port-base", "80"],
            "--media-port-base",
            "such as 20000",
        ),
        (&["local", "--media-ip", "laptop"], "--media-ip", "such as 192.168.1.20"),
        (&["local", "--drain-deadline", "10"], "--drain-deadline", "such as 10s"),
        (&["local", "--log", "infoo"], "--log", "such as info,sfu_node=debug"),
        (&["local", "--log-format", "xml"], "--log-format", "human or json"),
        (
            &["local", "--redis-url", "localhost"],
            "--redis-url",
            "such as redis://127.0.0.1:6379",
        ),
        (&["local", "--listen", "here"], "--listen", "such as 192.168.1.20"),
        (
            &["local", "--public-address", "https://live.example.net"],
            "--public-address",
            "such as 203.0.113.7 or live.example.net",
        ),
        (&["local", "--tls-cert", "c"], "--tls-key", "required"),
        (&["local", "--tls-key", "k"], "--tls-cert", "required"),
        (
            &["local", "--trusted-proxy", "nginx"],
            "--trusted-proxy",
            "such as 10.0.0.0/8",
        ),
        (
            &["local", "--open", "--auth-secret-file", "s"],
            "--auth-secret-file",
            "leave one of them out",
        ),
        (
            &["local", "--open", "--auth-jwks-file", "k"],
            "--auth-jwks-file",
            "leave one of them out",
        ),
        (&["run", "--listen", "8080"], "--listen", "such as 127.0.0.1:3001"),
        (
            &["run", "--log", "info,kube=loud"],
            "--log",
            "such as info,sfu_node=debug",
        ),
        (&["run", "--node-access", "ssh"], "--node-access", "direct, proxy"),
        (&["run", "--leader-elect", "maybe"], "--leader-elect", "true, false"),
        (
            &["manifests", "--replicas", "0"],
            "--replicas",
            "from 1 to 10, such as 2",
        ),
        (
            &["token", "--secret-file", "s", "--play", "*", "--expires", "foo"],
            "--expires",
            "such as 90s, 1h or 7days",
        ),
        (
            &["token", "--secret-file", "s", "--play", "*", "--expires", "9999years"],
            "--expires",
            "at most 10years",
        ),
        (
            &["token", "--secret-file", "s", "--play", "a b"],
            "--play",
            "use 1 to 128 of",
        ),
        (&["token", "--secret-file", "s"], "--publish", "such as --play demo"),
        (&["token", "--play", "*"], "--secret-file", "required"),
        (&["crds", "--markdown", "--out", "x"], "--out", "cannot be used with"),
        (&["locale"], "locale", "local"),
        (&[], "Usage", "local"),
    ] {
        let said = refused(args);
        assert!(said.contains(option) && said.contains(example), "{args:?}: {said}");
    }
}

#[test]
fn a_variable_that_switches_open_off_contradicts_nothing() {
    let start = |open: &str| {
        let program = Command::new(env!("CARGO_BIN_EXE_sfu-operator"))
            .args(["local", "--auth-secret-file", "s", "--node-bin", "/nonexistent"])
            .env_clear()
            .env("SFUMATO_OPEN", open)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (program.status.code(), String::from_utf8(program.stderr).unwrap())
    };
    let (code, said) = start("false");
    assert!(code == Some(1) && said.contains("/nonexistent"), "{said}");
    let (code, said) = start("true");
    assert!(code == Some(2) && said.contains("leave one of them out"), "{said}");
}

#[test]
fn a_failure_that_is_no_fault_of_the_command_line_gives_exit_code_1() {
    for args in [
        &["token", "--secret-file", "/nonexistent", "--play", "*"][..],
        &["crds", "--out", "/nonexistent"],
        &["local", "--node-bin", "/nonexistent"],
    ] {
        let program = Command::new(env!("CARGO_BIN_EXE_sfu-operator"))
            .args(args)
            .env_clear()
            .output()
            .unwrap();
        assert_eq!(program.status.code(), Some(1), "{args:?}: {program:?}");
    }
}
