//! How long a node takes to answer the descriptions that cost the most: whoever may publish can send them, over and over.

use super::RunError;
use super::system::{Cluster, SystemOptions};
use crate::output::{Machine, Report, Row, progress};
use crate::peer::{Publisher, PublisherOptions};
use clap::Args;
use reqwest::StatusCode;
use sfumato_admin_api::files::http_client;
use sfumato_admin_api::program::option_values::whole_number;
use std::time::Instant;

/// Longest body that a node reads, in bytes.
const BODY: usize = 64 * 1024;
/// How a node answers a description that it does not take.
const REFUSED: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// Options of `descriptions`.
#[derive(Debug, Clone, Args)]
pub struct DescriptionsArgs {
    /// How often each is sent; more would be over the node's limit of requests
    #[arg(long, default_value_t = 30, value_parser = whole_number::<u32>(1..=30, 30))]
    pub samples: u32,
}

/// Measures.
///
/// # Errors
/// When the node cannot be started, or answers otherwise.
pub async fn run(args: &DescriptionsArgs, system: &SystemOptions) -> Result<Vec<Report>, RunError> {
    let cluster = Cluster::start(system, 1, 1).await?;
    let measured = all(args, &cluster).await;
    cluster.stop_after(&measured).await;
    Ok(vec![Report {
        benchmark: "descriptions",
        title: "Descriptions that cost the most".to_owned(),
        method: "From a request to the whole answer over one connection, one after another in turn: offers by POST, and fragments by PATCH of \
                 a session. All offers are refused (422), each after it was read, so what a row takes beyond the small one is what its length \
                 costs to carry and to read."
            .to_owned(),
        machine: Machine::this(),
        rows: measured?,
    }])
}

async fn all(args: &DescriptionsArgs, cluster: &Cluster) -> Result<Vec<Row>, RunError> {
    let client = http_client(None, |options| options);
    let url = format!("{}/whip/costly", cluster.options.client_url(0));
    let post = || client.post(&url).header("Content-Type", "application/sdp");
    let mut rows = in_turn(args.samples, &bodies(), post, |status| status == REFUSED).await?;
    rows.extend(fragments(args, cluster, &client).await?);
    Ok(rows)
}

/// The same for fragments (RFC 8840) to a session that there is. A fragment with other credentials restarts its ICE.
async fn fragments(args: &DescriptionsArgs, cluster: &Cluster, client: &reqwest::Client) -> Result<Vec<Row>, RunError> {
    let url = format!("{}/whip/patched", cluster.options.client_url(0));
    let publisher = Publisher::start(&url, PublisherOptions::light()).await?;
    let section = format!("{CREDENTIALS}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n");
    let candidate = |n: usize| format!("a=candidate:{n} 1 udp 1 192.0.2.1 9 typ host\r\n");
    let over = filled(&section, usize::MAX, candidate);
    let bodies = [
        ("PATCH: a small one", section.clone()),
        ("PATCH: as many candidates as may be", filled(&section, 512, candidate)),
        ("PATCH: candidates, over the bound", over),
        ("PATCH: empty lines", filled(&section, usize::MAX, |_| "\n".to_owned())),
    ];
    let patch = || {
        let patch = client.patch(publisher.location()).header("If-Match", "*");
        patch.header("Content-Type", "application/trickle-ice-sdpfrag")
    };
    let is_expected = |status: StatusCode| status.is_success() || [REFUSED, StatusCode::BAD_REQUEST].contains(&status);
    let rows = in_turn(args.samples, &bodies, patch, is_expected).await;
    publisher.leave().await;
    rows
}

/// Sends each of these bodies so often, one after another in turn, and times each until its whole answer.
async fn in_turn(
    times: u32,
    bodies: &[(&'static str, String)],
    request: impl Fn() -> reqwest::RequestBuilder,
    is_expected: impl Fn(StatusCode) -> bool,
) -> Result<Vec<Row>, RunError> {
    let mut samples = vec![Vec::new(); bodies.len()];
    for round in 0..times {
        if round % 10 == 0 {
            progress(&format!("descriptions: round {} of {times}", round + 1));
        }
        for ((what, body), samples) in bodies.iter().zip(&mut samples) {
            let begun = Instant::now();
            let answer = request().body(body.clone()).send().await?;
            let status = answer.status();
            let said = answer.text().await?;
            samples.push(begun.elapsed().as_secs_f64() * 1_000.0);
            if !is_expected(status) {
                let status = status.as_u16();
                return Err(RunError::Answer { what, status, said });
            }
        }
    }
    let rows = bodies.iter().zip(samples);
    Ok(rows
        .map(|((what, _), samples)| Row::new(*what, "ms", samples))
        .collect())
}

const CREDENTIALS: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef012345\r\n";

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:0123456789abcdef012345\r\na=fingerprint:sha-1 \
    00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13\r\n";

/// A codec that a node does not have: all of a description is read before that is said.
const CODEC: &str = "H265/90000";

/// As much of each thing as a description may hold, which is read to its end, and one that is over a bound.
fn bodies() -> Vec<(&'static str, String)> {
    let video = format!("{HEAD}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=rtpmap:96 {CODEC}\r\n");
    let all_formats = |codec: &str| {
        let formats: Vec<String> = (0..128).map(|format| format.to_string()).collect();
        let maps: String = (0..128)
            .map(|format| format!("a=rtpmap:{format} {codec}\r\n"))
            .collect();
        format!(
            "{HEAD}m=video 9 UDP/TLS/RTP/SAVPF {}\r\na=mid:0\r\n{maps}",
            formats.join(" ")
        )
    };
    // No node has this packetization mode.
    let parameters = |n: usize| format!("a=fmtp:{n} packetization-mode=7{}\r\n", ";p=1".repeat(30));
    let sections = |lines: &str| {
        let of = |n: usize| format!("m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:{n}\r\na=rtpmap:96 {CODEC}\r\n{lines}");
        filled(HEAD, 16, of)
    };
    let rtx = format!("{HEAD}a=rtpmap:97 rtx/90000\r\nm=video 9 UDP/TLS/RTP/SAVPF 96");
    vec![
        ("a small one", video.clone()),
        (
            "a payload type again and again, over the bound",
            filled(&rtx, usize::MAX, |_| " 97".to_owned()),
        ),
        (
            "parameters of all payload types",
            filled(&all_formats("H264/90000"), 128, parameters),
        ),
        (
            "wildcard feedback for all payload types",
            filled(&all_formats(CODEC), 768, |_| "a=rtcp-fb:* nack\r\n".to_owned()),
        ),
        ("short attributes", filled(&video, 1_000, |_| "a=x\n".to_owned())),
        ("short attributes of 16 sections", sections(&"a=x\n".repeat(110))),
        ("sources of 16 sections", sections(&"a=ssrc:1 cname:x\r\n".repeat(100))),
        (
            "candidates of 16 sections",
            sections(&"a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n".repeat(80)),
        ),
    ]
}

/// As much of `more(0)`, `more(1)`, ... as a body may hold, at most `count`.
fn filled(before: &str, count: usize, more: impl Fn(usize) -> String) -> String {
    let mut text = before.to_owned();
    for number in 0..count {
        let more = more(number);
        if text.len() + more.len() > BODY {
            break;
        }
        text += &more;
    }
    text
}
