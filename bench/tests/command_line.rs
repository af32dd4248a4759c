//! What is wrong with a command line is said with what is wanted, and the exit code is 2.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

/// What the program says of a command line that it refuses, with the exit code for that.
fn refused(args: &[&str]) -> String {
    let program = Command::new(env!("CARGO_BIN_EXE_sfu-bench"))
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
    let race = [
        "race",
        "--watch",
        "http://127.0.0.1:2020",
        "--node",
        "http://127.0.0.1:3001",
    ];
    for (args, option, example) in [
        (&["mesh", "--nodes", "abc"][..], "--nodes", "from 2 to 32, such as 3"),
        (&["mesh", "--web-port", "x"], "--web-port", "such as 12020"),
        (&["delay", "--frame-bytes", "0"], "--frame-bytes", "such as 5000"),
        (&["viewers", "--viewers", "0"], "--viewers", "such as 60"),
        (
            &["publish", "http://127.0.0.1/whip/a", "--seconds", "soon"],
            "--seconds",
            "such as 60",
        ),
        (
            &["watch", "http://127.0.0.1/whep/a", "--bind", "here"],
            "--bind",
            "such as 192.168.1.20",
        ),
        (
            &["publish", "https://127.0.0.1/whip/a"],
            "only http",
            "http://127.0.0.1:2020/whip/NAME",
        ),
        (&["watch", "demo"], "demo", "http://127.0.0.1:2020/whip/NAME"),
        (
            &["churn", "--publish", "here", "--watch", "there"],
            "--publish",
            "such as http://127.0.0.1:3001",
        ),
        (&race, "two nodes", "--node http://127.0.0.1:3001"),
        (&["memory", "--log", "quiet"], "--log", "such as info,sfu_node=debug"),
        (&[], "Usage", "publish"),
    ] {
        let said = refused(args);
        assert!(said.contains(option) && said.contains(example), "{args:?}: {said}");
    }
}
