//! Finds the programs that local mode starts.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MissingProgram {
    /// A program named by an option cannot be executed.
    #[error("{path} is not an executable file: correct {option}")]
    Named {
        /// What was named.
        path: PathBuf,
        /// The option that named it.
        option: &'static str,
    },
    /// A program of ours is not beside this one.
    #[error("{name} is not in {directory}: build it (make build), or name it with {option}")]
    Sibling {
        name: &'static str,
        directory: PathBuf,
        /// The option that names it.
        option: &'static str,
    },
    #[error(
        "redis-server is not on the PATH: install it (apt install redis-server), name it with --redis-bin, or use a Redis that runs with --redis-url"
    )]
    Redis,
}

/// The program that an option names, else the one beside this program.
///
/// # Errors
/// When it cannot be executed.
pub fn sibling(named: Option<&Path>, name: &'static str, option: &'static str) -> Result<PathBuf, MissingProgram> {
    if let Some(path) = named {
        return self::named(path, option);
    }
    let own = std::env::current_exe().unwrap_or_default();
    let directory = own.parent().unwrap_or(Path::new(".")).to_owned();
    let path = directory.join(name);
    if is_executable(&path) {
        Ok(path)
    } else {
        Err(MissingProgram::Sibling {
            name,
            directory,
            option,
        })
    }
}

/// The Redis that `--redis-bin` names, else the one on the PATH.
///
/// # Errors
/// When there is none.
pub fn redis(named: Option<&Path>) -> Result<PathBuf, MissingProgram> {
    if let Some(path) = named {
        return self::named(path, "--redis-bin");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|directory| directory.join("redis-server"));
    candidates
        .find(|candidate| is_executable(candidate))
        .ok_or(MissingProgram::Redis)
}

fn named(path: &Path, option: &'static str) -> Result<PathBuf, MissingProgram> {
    // Absolute, because a name without a slash would be looked up on the PATH.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if is_executable(&absolute) {
        Ok(absolute)
    } else {
        Err(MissingProgram::Named {
            path: path.to_owned(),
            option,
        })
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
