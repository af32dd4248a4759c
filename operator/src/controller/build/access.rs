//! What nodes get from Secrets that the manifest names: keys for tokens, a CA for Redis, passwords for TURN. What may
//! change without a restart is a file; a variable is as it was at the container's start.

use super::pods::{env, env_secret, mount, secret_volume};
use super::wish::Wish;
use crate::cluster::node_arguments::Argument;
use crate::crd::SfuClusterSpec;
use crate::crd::auth::TokenKeys;
use crate::crd::ice::IceServerSpec;
use crate::crd::redis::{ExternalRedis, SecretKeyRef};
use k8s_openapi::api::core::v1::{EnvVar, Volume, VolumeMount};

/// Where the keys for tokens are mounted.
const AUTH_DIR: &str = "/etc/sfumato/auth";
/// Where the URL of Redis is mounted.
const REDIS_URL_DIR: &str = "/etc/sfumato/redis-url";
/// Where the CA for Redis is mounted.
const REDIS_CA_DIR: &str = "/etc/sfumato/redis-ca";

/// What tokens are checked with: the option that names the file, and the file.
pub fn keys(spec: &SfuClusterSpec) -> Option<Argument> {
    let keys = spec.auth.keys()?;
    let option = match keys {
        TokenKeys::Secret(_) => "auth-secret-file",
        TokenKeys::Jwks(_) => "auth-jwks-file",
    };
    Some((option, format!("{AUTH_DIR}/{}", keys.reference().key)))
}

/// What the certificate of Redis is checked with, where the manifest names something.
pub fn redis_ca_file(spec: &SfuClusterSpec) -> Option<Argument> {
    redis_ca(spec).map(|ca| ("redis-ca", format!("{REDIS_CA_DIR}/{}", ca.key)))
}

/// The file with the URL of a Redis that exists already.
pub fn redis_url_file(external: &ExternalRedis) -> String {
    format!("{REDIS_URL_DIR}/{}", external.url_secret_ref.key)
}

/// The STUN and TURN servers as one variable, after the passwords that it is put together from.
pub fn ice_environment(servers: &[IceServerSpec]) -> Vec<EnvVar> {
    let mut passwords = Vec::new();
    let mut texts = Vec::new();
    for (index, server) in servers.iter().enumerate() {
        let login = server.username.as_ref().zip(server.credential_secret_ref.as_ref());
        let login = login.map(|(username, from)| {
            let name = format!("SFUMATO_ICE_CREDENTIAL_{index}");
            passwords.push(env_secret(&name, from.name.clone(), &from.key));
            format!(" username={username} credential=$({name})")
        });
        let shared = server.shared_secret_ref.as_ref().map(|from| {
            let name = format!("SFUMATO_ICE_SECRET_{index}");
            passwords.push(env_secret(&name, from.name.clone(), &from.key));
            let ttl = server.credential_ttl.map(|ttl| format!(" ttl={}s", ttl.0.as_secs()));
            format!(" secret=$({name}){}", ttl.unwrap_or_default())
        });
        let login = login.or(shared).unwrap_or_default();
        texts.extend(server.urls.iter().map(|url| format!("{url}{login}")));
    }
    if !texts.is_empty() {
        passwords.push(env("SFUMATO_ICE_SERVERS", texts.join(",")));
    }
    passwords
}

pub fn volumes(wish: &Wish) -> (Vec<Volume>, Vec<VolumeMount>) {
    let auth = wish.spec.auth.keys().map(|keys| ("auth", AUTH_DIR, keys.reference()));
    let url = wish.spec.redis.external.as_ref().map(|it| &it.url_secret_ref);
    let url = url.map(|url| ("redis-url", REDIS_URL_DIR, url));
    let ca = redis_ca(&wish.spec).map(|ca| ("redis-ca", REDIS_CA_DIR, ca));
    let file = |(name, path, from): (&str, &str, &SecretKeyRef)| {
        let volume = secret_volume(name, from.name.clone(), &[from.key.as_str()]);
        (volume, mount(name, path, true))
    };
    [auth, url, ca].into_iter().flatten().map(file).unzip()
}

fn redis_ca(spec: &SfuClusterSpec) -> Option<&SecretKeyRef> {
    spec.redis.external.as_ref()?.ca_secret_ref.as_ref()
}
