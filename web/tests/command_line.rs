//! What is wrong with a command line is said with what is wanted, and the exit code is 2; other failures give 1.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

/// What the program says of a command line that it refuses, with the exit code for that.
fn refused(args: &[&str]) -> String {
    let program = Command::new(env!("CARGO_BIN_EXE_sfu-web"))
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
        (&["--listen", "2020"][..], "--listen", "such as 127.0.0.1:3001"),
        (&["--seed", "sfu-1"], "--seed", "such as http://127.0.0.1:4001"),
        (&["--log", "warning"], "--log", "such as info,sfu_node=debug"),
        (&["--log-format", "xml"], "--log-format", "human or json"),
        (
            &["--admin-token-file", "t", "--insecure-admin"],
            "--insecure-admin",
            "cannot be used with",
        ),
        (&[], "--admin-token-file", "required"),
        (&["--insecure-admin", "--tls-cert", "c"], "--tls-key", "required"),
        (&["--no-such-option"], "--no-such-option", "Usage"),
    ] {
        let said = refused(args);
        assert!(said.contains(option) && said.contains(example), "{args:?}: {said}");
    }
}

#[test]
fn a_failure_that_is_no_fault_of_the_command_line_gives_exit_code_1() {
    let program = Command::new(env!("CARGO_BIN_EXE_sfu-web"))
        .args(["--admin-token-file", "/nonexistent"])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(program.status.code(), Some(1), "{program:?}");
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_with_the_option() {
    let program = Command::new(env!("CARGO_BIN_EXE_sfu-web"))
        .args([
            "--insecure-admin",
            "--tls-cert=/nonexistent/tls.crt",
            "--tls-key=/nonexistent/tls.key",
        ])
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&program.stderr);
    assert_eq!(program.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot serve HTTPS: /nonexistent/tls.crt: ") && said.contains("check --tls-cert"),
        "{said}"
    );
}
