//! Options about who may publish and play.

use clap::Args;
use sfumato_admin_api::program::option_values::duration;
use std::path::PathBuf;
use std::time::Duration;

/// Longest overlap: a day, in which every issuer of tokens can read a new secret.
const MAX_KEY_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

/// Who may publish and play. Without a secret or key set, everybody may.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Authentication (without the first two options, everybody may publish and play)")]
pub struct AccessOptions {
    /// File with the secret that tokens are signed with (HS256): at least 32 characters on a line, the first line is current,
    /// further ones are accepted too. Read again when it changes. A line that is removed from several is rejected at once
    #[arg(
        long,
        env = "SFUMATO_AUTH_SECRET_FILE",
        value_name = "FILE",
        conflicts_with = "auth_jwks_file"
    )]
    pub auth_secret_file: Option<PathBuf>,
    /// File with a JSON Web Key Set, for tokens signed by RS256, ES256 or EdDSA; the token names its key by `kid`. Read
    /// again when it changes: exactly the listed keys are valid
    #[arg(long, env = "SFUMATO_AUTH_JWKS_FILE", value_name = "FILE")]
    pub auth_jwks_file: Option<PathBuf>,
    /// Issuer that every token must name (`iss`) [default: any]
    #[arg(long, env = "SFUMATO_AUTH_ISSUER", value_name = "NAME")]
    pub auth_issuer: Option<String>,
    /// Audience that every token must be for (`aud`) [default: tokens must name none]
    #[arg(long, env = "SFUMATO_AUTH_AUDIENCE", value_name = "NAME")]
    pub auth_audience: Option<String>,
    /// How long a key stays valid when another one replaces it in a file that holds a single one: --auth-secret-file,
    /// --admin-token-file, and a key without `kid` in --auth-jwks-file. A file with several keys states itself which are valid
    #[arg(
        long,
        env = "SFUMATO_KEY_OVERLAP",
        value_name = "TIME",
        default_value = "10m",
        value_parser = duration(Duration::ZERO..=MAX_KEY_OVERLAP, "10m")
    )]
    pub key_overlap: Duration,
}

impl AccessOptions {
    /// Checks what concerns more than one option; the message names the flags.
    pub fn check(&self) -> Result<(), String> {
        let has_keys = self.auth_secret_file.is_some() || self.auth_jwks_file.is_some();
        if !has_keys && (self.auth_issuer.is_some() || self.auth_audience.is_some()) {
            return Err(
                "--auth-issuer and --auth-audience check tokens, and no token is asked for: give --auth-secret-file or --auth-jwks-file"
                    .to_owned(),
            );
        }
        Ok(())
    }
}
