//! What the user wants: the manifest, or its defaults, with the command line's options laid over it.

use crate::cli::LocalArgs;
use crate::crd::auth::TokenKeys;
use crate::crd::ice::IceServerSpec;
use crate::crd::{SfuCluster, SfuClusterSpec};
use crate::local::client_keys::ClientKeys;
use crate::manifest::{self, ManifestError};
use std::path::{Path, PathBuf};

/// What the user wants cannot be made out.
#[derive(Debug, thiserror::Error)]
pub enum WishError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    /// The manifest is wrong, or does not go with the options.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Options that contradict each other.
    #[error("--open lets everybody in, and {option} asks for tokens: leave one of them out")]
    OpenWithKeys { option: &'static str },
    /// A field that cannot follow a change.
    #[error("{origin}: {path}: cannot change while the cluster runs (it is {now}): end the cluster and start it again")]
    Fixed {
        origin: String,
        path: &'static str,
        /// Its value at the start.
        now: String,
    },
}

/// Reads the manifest that the options name, and lays the options over it.
///
/// # Errors
/// When the file cannot be read, what it says is wrong, or options contradict each other.
pub fn read(args: &LocalArgs) -> Result<SfuCluster, WishError> {
    check_open(args)?;
    let Some(path) = &args.file else {
        return with_options(args, "command line", SfuCluster::new("live", SfuClusterSpec::default()));
    };
    let text = std::fs::read(path).map_err(|source| WishError::Read {
        path: path.clone(),
        source,
    })?;
    from_text(args, path, &text)
}

/// The same for a text that was read already.
///
/// # Errors
/// When what it says is wrong.
pub fn from_text(args: &LocalArgs, path: &Path, text: &[u8]) -> Result<SfuCluster, WishError> {
    let origin = path.display().to_string();
    let cluster = manifest::parse(&origin, &String::from_utf8_lossy(text))?;
    with_options(args, &origin, cluster)
}

/// Whether `new` may follow `old`: a cluster cannot change its name.
///
/// # Errors
/// The field that may not change.
pub fn check_change(path: &Path, old: &SfuCluster, new: &SfuCluster) -> Result<(), WishError> {
    let fixed = [
        ("metadata.name", &old.metadata.name, &new.metadata.name),
        ("metadata.namespace", &old.metadata.namespace, &new.metadata.namespace),
    ];
    match fixed.into_iter().find(|(_, old, new)| old != new) {
        None => Ok(()),
        Some((field, old, _)) => Err(WishError::Fixed {
            origin: path.display().to_string(),
            path: field,
            now: old.clone().unwrap_or_else(|| "absent".to_owned()),
        }),
    }
}

fn with_options(args: &LocalArgs, origin: &str, mut cluster: SfuCluster) -> Result<SfuCluster, WishError> {
    let spec = &mut cluster.spec;
    let set = |field: &mut i32, option: Option<i32>| *field = option.unwrap_or(*field);
    set(&mut spec.replicas, args.nodes);
    set(&mut spec.media.port, args.media_port_base);
    set(&mut spec.mesh.port_base, args.pipe_port_base);
    set(&mut spec.web.service.port, args.web_port);
    spec.workers_per_node = args.workers.or(spec.workers_per_node);
    // An option may break a rule across fields that the manifest alone kept.
    manifest::check_rules(&format!("{origin}, with the options given"), &cluster)?;
    check_secrets(args, origin, &cluster.spec)?;
    Ok(cluster)
}

/// Nobody can be let in without a token and asked for one.
fn check_open(args: &LocalArgs) -> Result<(), WishError> {
    let option = match ClientKeys::of(args) {
        Some(ClientKeys::Secret(_)) => "--auth-secret-file",
        Some(ClientKeys::Jwks(_)) => "--auth-jwks-file",
        None => return Ok(()),
    };
    if args.open {
        return Err(WishError::OpenWithKeys { option });
    }
    Ok(())
}

/// Local mode has no Secrets: what the manifest wants from one must be given otherwise, since it is about who may do what.
fn check_secrets(args: &LocalArgs, origin: &str, spec: &SfuClusterSpec) -> Result<(), ManifestError> {
    let refuse = |path: String, what: &str| {
        Err(ManifestError::Field {
            origin: origin.to_owned(),
            path,
            problem: format!("local mode has no Secrets: {what}"),
        })
    };
    match (spec.auth.keys(), ClientKeys::of(args)) {
        (None, _) | (Some(TokenKeys::Secret(_)), Some(ClientKeys::Secret(_))) => {}
        (Some(TokenKeys::Jwks(_)), Some(ClientKeys::Jwks(_))) => {}
        (Some(keys @ TokenKeys::Secret(_)), _) => {
            return refuse(
                keys.field().to_owned(),
                "give the file with the secret by --auth-secret-file",
            );
        }
        (Some(keys @ TokenKeys::Jwks(_)), _) => {
            return refuse(
                keys.field().to_owned(),
                "give the file with the keys by --auth-jwks-file",
            );
        }
    }
    let with_secret = |(index, server): (usize, &IceServerSpec)| {
        let password = server.credential_secret_ref.as_ref().map(|_| "credentialSecretRef");
        let shared = server.shared_secret_ref.as_ref().map(|_| "sharedSecretRef");
        Some((index, password.or(shared)?))
    };
    match spec.media.ice_servers.iter().enumerate().find_map(with_secret) {
        None => Ok(()),
        Some((index, field)) => refuse(
            format!("spec.media.iceServers[{index}].{field}"),
            "take this server out, and name it in the environment variable SFUMATO_ICE_SERVERS",
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::tests::local as args;

    const MANIFEST: &[u8] = b"{apiVersion: sfumato.dev/v1alpha1, kind: SfuCluster, metadata: {name: a}, \
        spec: {replicas: 5, workersPerNode: 2, media: {port: 21000}}}";

    #[test]
    fn options_win_over_the_manifest_and_leave_the_rest() {
        let args = args(&[
            "--nodes",
            "4",
            "--workers",
            "1",
            "--web-port",
            "2121",
            "--pipe-port-base",
            "26000",
        ]);
        let spec = from_text(&args, Path::new("f"), MANIFEST).unwrap().spec;
        assert_eq!(
            (spec.replicas, spec.workers_per_node, spec.web.service.port),
            (4, Some(1), 2121)
        );
        assert_eq!((spec.media.port, spec.mesh.port_base), (21_000, 26_000));
    }

    #[test]
    fn without_a_file_there_are_three_nodes() {
        let cluster = read(&args(&[])).unwrap();
        assert_eq!(
            (cluster.metadata.name.as_deref(), cluster.spec.replicas),
            (Some("live"), 3)
        );
    }

    #[test]
    fn an_option_that_breaks_a_rule_is_refused_with_the_field() {
        let error = from_text(&args(&["--pipe-port-base", "21100"]), Path::new("f"), MANIFEST).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("f, with the options given: spec.mesh.portBase: "),
            "{error}"
        );
    }

    #[test]
    fn a_cluster_keeps_its_name() {
        let old = read(&args(&[])).unwrap();
        let mut new = old.clone();
        new.spec.replicas = 1;
        check_change(Path::new("f"), &old, &new).unwrap();
        new.metadata.name = Some("other".into());
        let error = check_change(Path::new("f"), &old, &new).unwrap_err().to_string();
        assert!(
            error.starts_with("f: metadata.name: cannot change while the cluster runs (it is live)"),
            "{error}"
        );
    }

    #[test]
    fn what_the_manifest_wants_from_a_secret_must_come_from_a_file() {
        let said = |spec: &str, options: &[&str]| {
            let text = format!(
                "{{apiVersion: sfumato.dev/v1alpha1, kind: SfuCluster, metadata: {{name: a}}, spec: {{{spec}}}}}"
            );
            from_text(&args(options), Path::new("f"), text.as_bytes()).map_err(|error| error.to_string())
        };
        let secret = "auth: {mode: Jwt, secretRef: {name: s, key: k}, issuer: me}";
        let error = said(secret, &[]).unwrap_err();
        assert!(
            error.starts_with("f: spec.auth.secretRef: local mode has no Secrets"),
            "{error}"
        );
        assert!(
            said(secret, &["--auth-jwks-file", "keys"]).is_err(),
            "these are other keys"
        );
        said(secret, &["--auth-secret-file", "secret"]).unwrap();
        let keys = "auth: {mode: Jwt, jwksSecretRef: {name: s, key: k}}";
        assert!(said(keys, &[]).unwrap_err().contains("--auth-jwks-file"));
        let turn = "media: {iceServers: [{urls: ['stun:a']}, \
            {urls: ['turn:b'], username: u, credentialSecretRef: {name: s, key: k}}]}";
        let error = said(turn, &[]).unwrap_err();
        assert!(
            error.starts_with("f: spec.media.iceServers[1].credentialSecretRef: "),
            "{error}"
        );
        said("media: {iceServers: [{urls: ['stun:a']}]}", &[]).unwrap();
    }
}
