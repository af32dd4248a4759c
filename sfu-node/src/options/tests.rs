use super::*;

const REDIS: &str = "redis://:secret@127.0.0.1:6377";
const TURN: &str = "turn:turn.example.net:3478 username=user credential=secret";

/// What is told of these options when the process shows these arguments.
fn told(options: &[&str], shown: &[&str]) -> String {
    let needed = ["sfu-node", "--name", "sfu-1", "--admin-token-file", "token"];
    let parsed = Options::try_parse_from(needed.iter().chain(options)).unwrap();
    parsed.shown_secrets(shown.iter().map(OsString::from)).join("\n")
}

#[test]
fn a_secret_is_told_of_where_arguments_show_it() {
    for (options, word) in [
        (["--redis-url", REDIS], "SFUMATO_REDIS_URL"),
        (["--ice-server", TURN], "SFUMATO_ICE_SERVERS"),
    ] {
        assert!(told(&options, &options).contains(word), "{options:?}");
        let joined = [format!("{}={}", options[0], options[1])];
        assert!(told(&options, &[joined[0].as_str()]).contains(word), "{joined:?}");
        // It came by the environment.
        assert_eq!(told(&options, &["sfu-node"]), "", "{options:?}");
    }
}

#[test]
fn what_is_no_secret_is_not_told_of() {
    for options in [
        ["--redis-url", "redis://127.0.0.1:6377"],
        ["--ice-server", "stun:stun.example.net"],
    ] {
        assert_eq!(told(&options, &options), "");
    }
}
