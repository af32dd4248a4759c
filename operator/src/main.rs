//! `sfu-operator`: the program; what it does is in the library.

use clap::Parser;
use sfu_operator::cli::Cli;
use sfu_operator::commands;
use sfu_operator::terminal::Terminal;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.log_format());
    match commands::run(&cli.command, &terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal.error(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}
