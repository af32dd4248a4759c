//! `sfu-node`: one media node of a Sfumato cluster.

use clap::{CommandFactory, Parser};
use sfu_node::http;
use sfu_node::options::Options;
use sfumato_admin_api::program::log;
use std::process::ExitCode;
use std::time::Duration;

/// How long tasks may take to end.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(1);
/// How long the threads of media workers may take to end.
const WORKERS_END_WITHIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // `sfu-node openapi` prints the admin API; it is for this project's own documents, so it is no flag.
    if std::env::args_os().nth(1).is_some_and(|word| word == "openapi") {
        return print_openapi();
    }
    if asks_for_libraries() {
        return print_libraries();
    }
    let options = Options::parse();
    if let Err(message) = options.check() {
        Options::command()
            .error(clap::error::ErrorKind::ValueValidation, message)
            .exit();
    }
    let fields = options.log_fields.clone().of_node(options.name.as_str());
    log::start(&options.log, options.log_format, fields);
    for told in options.shown_secrets(std::env::args_os()) {
        tracing::warn!("{told}");
    }
    // For what takes rustls' default, as the Redis client does: several providers may be linked, so one must be chosen.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime could not start");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(sfu_node::run(options));
    runtime.shutdown_timeout(SHUTDOWN_DEADLINE);
    let in_order = sfu_node::workers_have_ended(WORKERS_END_WITHIN);
    match outcome {
        Ok(()) => {
            if !in_order {
                tracing::warn!("a media worker has not ended; the process ends without it");
            }
            ExitCode::SUCCESS
        }
        // The last line says why.
        Err(message) => {
            log::ended("sfu-node", &message);
            ExitCode::FAILURE
        }
    }
}

/// `--version --verbose`: `--version` alone stays one line, which scripts read.
fn asks_for_libraries() -> bool {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    words.len() == 2 && words.iter().any(|word| word == "--version") && words.iter().any(|word| word == "--verbose")
}

#[allow(clippy::print_stdout)] // its output is its purpose
fn print_libraries() -> ExitCode {
    println!("sfu-node {}", env!("CARGO_PKG_VERSION"));
    for (library, version) in sfu_node::libraries() {
        println!("{library} {version}");
    }
    ExitCode::SUCCESS
}

#[allow(clippy::print_stdout)] // its output is its purpose
fn print_openapi() -> ExitCode {
    match http::admin::openapi::yaml() {
        Ok(yaml) => {
            print!("{yaml}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sfu-node openapi: {error}");
            ExitCode::FAILURE
        }
    }
}
