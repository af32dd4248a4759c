//! `sfu-operator token`: makes a token for a publisher or a viewer, signed with a shared secret.

use crate::cli::TokenArgs;
use sfumato_admin_api::server::client_token::{Audience, NumericDate, TokenClaims};
use sfumato_admin_api::server::token_signing::{SigningError, sign};
use std::time::SystemTime;

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It would allow nothing.
    #[error(
        "the token would allow nothing: name streams with --publish or --play, such as --play demo, or give --observe"
    )]
    Useless,
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl TokenError {
    /// 2 for a wrong command line, 1 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Useless => 2,
            Self::Signing(_) => 1,
        }
    }
}

/// Makes the token that the options describe, valid from `now` on.
///
/// # Errors
/// When the secret cannot be used, or the token would allow nothing.
pub fn make(args: &TokenArgs, now: SystemTime) -> Result<String, TokenError> {
    if args.publish.is_empty() && args.play.is_empty() && !args.observe {
        return Err(TokenError::Useless);
    }
    Ok(sign(&claims(args, now), &args.secret_file)?)
}

fn claims(args: &TokenArgs, now: SystemTime) -> TokenClaims {
    TokenClaims {
        publish: args.publish.clone(),
        play: args.play.clone(),
        takeover: args.takeover,
        observe: args.observe,
        exp: NumericDate::of(now + args.expires),
        nbf: None,
        sub: args.subject.clone(),
        iss: args.issuer.clone(),
        aud: args.audience.clone().map(Audience::One),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    use sfumato_admin_api::server::client_token::{Action, TokenRules, check, check_observer};
    use std::path::PathBuf;

    const SECRET: &str = "a secret of more than thirty-two characters";

    struct SecretFile(PathBuf);

    impl SecretFile {
        fn new(name: &str, text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("sfu-operator-{name}-{}", std::process::id()));
            std::fs::write(&path, text).unwrap();
            Self(path)
        }
    }

    impl Drop for SecretFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn args(file: &SecretFile, options: &[&str]) -> TokenArgs {
        let file = file.0.to_str().unwrap();
        let line = ["sfu-operator", "token", "--secret-file", file]
            .into_iter()
            .chain(options.iter().copied());
        match Cli::try_parse_from(line).unwrap().command {
            Command::Token(args) => args,
            other => unreachable!("the command is `token`, not {other:?}"),
        }
    }

    #[test]
    fn a_token_is_signed_by_the_first_line_and_allows_what_was_asked_for_until_it_expires() {
        let file = SecretFile::new("good", &format!("{SECRET}\nthe one before it\n"));
        let args = args(
            &file,
            &[
                "--publish",
                "demo",
                "--play",
                "a-*,b",
                "--takeover",
                "--observe",
                "--expires",
                "90s",
                "--subject",
                "ann",
                "--issuer",
                "us",
                "--audience",
                "live",
            ],
        );
        let now = SystemTime::now();
        let token = make(&args, now).unwrap();
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&["us"]);
        rules.set_audience(&["live"]);
        let claims: TokenClaims = decode(&token, &DecodingKey::from_secret(SECRET.as_bytes()), &rules)
            .unwrap()
            .claims;
        let rules = TokenRules {
            issuer: Some("us".into()),
            audience: Some("live".into()),
        };
        let ask = |action, stream: &str, at| check(&claims, &rules, action, &stream.parse().unwrap(), at);
        assert_eq!(claims.sub.as_deref(), Some("ann"));
        assert!(ask(Action::Publish, "demo", now).unwrap().takeover);
        assert_eq!(check_observer(&claims, &rules, now), Ok(()));
        assert!(ask(Action::Play, "a-1", now).is_ok());
        assert!(ask(Action::Play, "b", now).is_ok());
        assert!(ask(Action::Play, "demo", now).is_err());
        assert!(ask(Action::Play, "b", now + args.expires * 3).is_err());
    }

    #[test]
    fn a_short_secret_and_a_token_for_nothing_are_refused_with_what_to_do() {
        let short = SecretFile::new("short", "short\n");
        let error = make(&args(&short, &["--play", "*"]), SystemTime::now()).unwrap_err();
        assert!(error.to_string().contains("openssl rand -hex 32"), "{error}");
        let good = SecretFile::new("useless", SECRET);
        let error = make(&args(&good, &[]), SystemTime::now()).unwrap_err();
        assert!(error.to_string().contains("--publish or --play"), "{error}");
        assert!(make(&args(&good, &["--observe"]), SystemTime::now()).is_ok());
    }
}
