//! From a command line to what it asks for, and from its failure to an exit code.

use crate::cli::{Command, CrdsArgs};
use crate::controller::{self, RunError};
use crate::crds::{self, CrdsError};
use crate::local::{self, LocalError};
use crate::terminal::Terminal;
use crate::token::{self, TokenError};
use crate::{crd_page, manifests};
use std::time::SystemTime;

/// Why a command did not do what it is for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Local(#[from] LocalError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Crds(#[from] CrdsError),
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl Failure {
    /// 2 for a wrong command line or manifest, 1 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Local(error) => error.exit_code(),
            Self::Token(error) => error.exit_code(),
            Self::Run(_) | Self::Crds(_) => 1,
        }
    }
}

/// Does what a command line asks for; for `local` and `run` until the user ends it.
///
/// # Errors
/// What kept it.
pub fn run(command: &Command, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        Command::Local(args) => local::main(args, terminal)?,
        Command::Run(args) => controller::main(args)?,
        Command::Manifests(args) => terminal.plain(&manifests::yaml(args)?),
        Command::Crds(args) => print_crds(args, terminal)?,
        Command::Token(args) => {
            let token = token::make(args, SystemTime::now())?;
            terminal.plain(&format!("{token}\n"));
        }
    }
    Ok(())
}

fn print_crds(args: &CrdsArgs, terminal: &Terminal) -> Result<(), CrdsError> {
    if args.markdown {
        terminal.plain(&crd_page::markdown());
        return Ok(());
    }
    match &args.out {
        Some(directory) => crds::write(directory).map(|path| terminal.plain(&format!("{}\n", path.display()))),
        None => crds::yaml().map(|text| terminal.plain(&text)),
    }
}
