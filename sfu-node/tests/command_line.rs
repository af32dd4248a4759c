//! What is wrong with a command line is said with what is wanted, and the exit code is 2; other failures give 1.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

/// What the program says of a command line that it refuses, with the exit code for that.
fn refused(args: &[&str]) -> String {
    let program = Command::new(env!("CARGO_BIN_EXE_sfu-node"))
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
    let address = "such as 127.0.0.1:3001";
    for (args, option, example) in [
        (&["--name", "Node 1"][..], "--name", "use 1 to 63"),
        (&["--cluster", "a b"], "--cluster", "such as default/live/0"),
        (&["--pod-uid", "_"], "--pod-uid", "such as 5c7c1f3a"),
        (&["--workers", "many"], "--workers", "from 1 to 64, such as 2"),
        (&["--lanes", "65"], "--lanes", "from 1 to 64, such as 2"),
        (&["--listen", "3001"], "--listen", address),
        (&["--admin-listen", "localhost:4001"], "--admin-listen", address),
        (&["--health-listen", ""], "--health-listen", address),
        (&["--advertise-ip", "0.0.0.0"], "--advertise-ip", "such as 192.168.1.20"),
        (&["--media-ip", "laptop"], "--media-ip", "such as 192.168.1.20"),
        (
            &["--client-url", "10.0.0.5:3001"],
            "--client-url",
            "such as http://10.0.0.5:3001",
        ),
        (&["--media-port", "80"], "--media-port", "such as 20000"),
        (&["--pipe-ports", "24000"], "--pipe-ports", "such as 24000-24099"),
        (
            &["--beat-interval", "500"],
            "--beat-interval",
            "from 50ms to 10s, such as 500ms",
        ),
        (
            &["--fan-out-idle-timeout", "2h"],
            "--fan-out-idle-timeout",
            "such as 30s",
        ),
        (
            &["--key-overlap", "a while"],
            "--key-overlap",
            "from 0s to 1day, such as 10m",
        ),
        (&["--drain-deadline", "soon"], "--drain-deadline", "such as 5m"),
        (&["--max-sessions=-1"], "--max-sessions", "such as 2000"),
        (&["--ice-server", "example.org"], "--ice-server", "stun:HOST:PORT"),
        (&["--fan-out", "never"], "--fan-out", "on-demand, eager"),
        (&["--log", "nonsense"], "--log", "such as info,sfu_node=debug"),
        (&["--log-format", "xml"], "--log-format", "human or json"),
        (
            &["--insecure-admin", "--redis-url", "localhost"],
            "--redis-url",
            "such as redis://127.0.0.1:6379",
        ),
        (
            &[
                "--insecure-admin",
                "--redis-url",
                "redis://localhost",
                "--redis-ca",
                "ca.pem",
            ],
            "--redis-ca",
            "such as rediss://redis:6379",
        ),
        (
            &["--insecure-admin", "--pipe-ports", "24000-24005"],
            "--pipe-ports",
            "a range of 20 or more",
        ),
        (
            &["--insecure-admin", "--admin-listen", "0.0.0.0:4001"],
            "--insecure-admin",
            "on loopback",
        ),
        (
            &["--admin-token-file", "t", "--secure-listen", "127.0.0.1:3443"],
            "--admin-tls-cert",
            "required",
        ),
        (&["--secure-listen", "3443"], "--secure-listen", address),
        (&[], "--admin-token-file", "required"),
    ] {
        let said = refused(args);
        assert!(said.contains(option) && said.contains(example), "{args:?}: {said}");
    }
}

#[test]
fn a_password_in_a_wrong_url_of_redis_is_not_shown() {
    let said = refused(&["--insecure-admin", "--redis-url", "redis://:hunter2@[::1"]);
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_password_on_the_command_line_is_warned_of_without_showing_it_and_one_in_the_environment_is_not() {
    let url = "redis://:hunter2@127.0.0.1:1";
    let run = |command: &mut Command| {
        // It ends at once: the token file is missing.
        let output = command.args(["--admin-token-file", "/nonexistent"]).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let program = || Command::new(env!("CARGO_BIN_EXE_sfu-node"));
    let told = run(program().env_clear().args(["--redis-url", url]));
    assert!(told.contains("use --redis-url-file or SFUMATO_REDIS_URL"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    let quiet = run(program().env_clear().env("SFUMATO_REDIS_URL", url));
    assert!(!quiet.contains("--redis-url-file"), "{quiet}");
    let plain = run(program().env_clear().args(["--redis-url", "redis://127.0.0.1:1"]));
    assert!(!plain.contains("--redis-url-file"), "{plain}");
}

#[test]
fn a_failure_that_is_no_fault_of_the_command_line_gives_exit_code_1() {
    let program = Command::new(env!("CARGO_BIN_EXE_sfu-node"))
        .args(["--admin-token-file", "/nonexistent"])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(program.status.code(), Some(1), "{program:?}");
}

#[test]
fn a_verbose_version_names_the_libraries_that_the_worker_is_linked_with() {
    let program = Command::new(env!("CARGO_BIN_EXE_sfu-node"))
        .args(["--version", "--verbose"])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(program.stdout).unwrap();
    assert!(program.status.success(), "{said}");
    let first_words: Vec<&str> = said.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(first_words, ["sfu-node", "OpenSSL", "libsrtp", "libuv"], "{said}");
}
