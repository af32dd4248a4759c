//! `sfu-web`: reads the command line, sets logging up, and serves until SIGTERM or Ctrl-C.

use clap::Parser as _;
use sfu_web::options::Options;
use sfumato_admin_api::program::log;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    log::start(&options.log, options.log_format, options.log_fields.clone());
    match sfu_web::server::run(options, told_to_stop()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            log::ended("sfu-web", &format!("{error}{cause}"));
            ExitCode::FAILURE
        }
    }
}

async fn told_to_stop() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot listen for SIGTERM; only Ctrl-C ends this process in order");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
