//! `sfu-bench`: benchmarks of the mesh, and synthetic peers for the command line.

mod cli;
mod peers;
mod returning;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use cli::{Cli, Command, Figures};
use sfu_bench::output;
use sfu_bench::runs::{self, RunError};
use sfumato_admin_api::program::log::{self, LogFormat};
use sfumato_admin_api::program::log_fields::LogFields;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(message) = cli.check() {
        Cli::command().error(ErrorKind::ValueValidation, message).exit();
    }
    log::start(&cli.log, LogFormat::Human, LogFields::default());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start: {error}")),
    };
    match runtime.block_on(carry_out(cli)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(why: &str) -> ExitCode {
    output::progress(&format!("error: {why}"));
    ExitCode::FAILURE
}

async fn carry_out(cli: Cli) -> Result<ExitCode, String> {
    match cli.command {
        Command::Mesh(b) => finish(runs::mesh::run(&b.args, &b.system), &b.figures).await,
        Command::Delay(b) => finish(runs::delay::run(&b.args, &b.system), &b.figures).await,
        Command::Failover(b) => finish(runs::failover::run(&b.args, &b.system), &b.figures).await,
        Command::FirstFrame(b) => finish(runs::first_frame::run(&b.args, &b.system), &b.figures).await,
        Command::Joins(b) => finish(runs::joins::run(&b.args, &b.system), &b.figures).await,
        Command::Viewers(b) => finish(runs::viewers::run(&b.args, &b.system), &b.figures).await,
        Command::Soak(b) => finish(runs::soak::run(&b.args, &b.system), &b.figures).await,
        Command::Descriptions(b) => finish(runs::descriptions::run(&b.args, &b.system), &b.figures).await,
        Command::Memory(b) => finish(runs::memory::run(&b.args, &b.system), &b.figures).await,
        Command::Publish(args) => peers::publish(&args).await,
        Command::Race(args) => peers::race(&args).await,
        Command::Churn(args) => peers::churn(&args).await,
        Command::Watch(args) => match &args.again {
            Some(again) => returning::watch(&args, again).await,
            None => peers::watch(&args).await,
        },
    }
}

async fn finish(
    run: impl Future<Output = Result<Vec<output::Report>, RunError>>,
    figures: &Figures,
) -> Result<ExitCode, String> {
    let reports = tokio::select! {
        measured = run => measured.map_err(|e| e.to_string())?,
        // Leaving drops the run, and with it every process that it has started.
        () = peers::interrupted() => return Err("interrupted".to_owned()),
    };
    for report in &reports {
        output::line(&report.text()).map_err(|e| e.to_string())?;
    }
    if let Some(path) = &figures.json {
        output::write_json(path, &reports).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    if let Some(path) = &figures.markdown {
        output::append_markdown(path, &reports).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
