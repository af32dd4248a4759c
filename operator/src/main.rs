//! `sfu-operator`: carries out `SfuCluster` manifests.
//!
//! `sfu-operator run` does it on Kubernetes, `sfu-operator local` with processes on this machine; `sfu-operator crds` and
//! `sfu-operator manifests` give out what Kubernetes needs; `sfu-operator token` makes tokens for tests and small setups.
//! Exit codes: 0 for success, 2 for a wrong command line or manifest, 1 for everything else.

mod cli;
mod controller;
mod crd;
mod crd_page;
mod crds;
mod local;
mod manifest;
mod manifests;
mod platform;
mod terminal;
mod token;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;
use std::time::SystemTime;
use terminal::Terminal;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.log_format());
    let (outcome, code) = match cli.command {
        Command::Local(args) => match local::main(&args, &terminal) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => (error.to_string(), error.exit_code()),
        },
        Command::Token(args) => match token::make(&args, SystemTime::now()) {
            Ok(token) => {
                terminal.plain(&format!("{token}\n"));
                return ExitCode::SUCCESS;
            }
            Err(error) => (error.to_string(), error.exit_code()),
        },
        Command::Run(args) => match controller::main(&args) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => (error.to_string(), 1),
        },
        Command::Manifests(args) => match manifests::yaml(&args) {
            Ok(text) => {
                terminal.plain(&text);
                return ExitCode::SUCCESS;
            }
            Err(error) => (error.to_string(), 1),
        },
        Command::Crds(args) => match print_crds(&args, &terminal) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => (error.to_string(), 1),
        },
    };
    terminal.error(&outcome);
    ExitCode::from(code)
}

fn print_crds(args: &cli::CrdsArgs, terminal: &Terminal) -> Result<(), crds::CrdsError> {
    if args.markdown {
        terminal.plain(&crd_page::markdown());
        return Ok(());
    }
    match &args.out {
        Some(directory) => crds::write(directory).map(|path| terminal.plain(&format!("{}\n", path.display()))),
        None => crds::yaml().map(|text| terminal.plain(&text)),
    }
}
