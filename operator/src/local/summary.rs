//! The block that is shown once everything is up: where things are, and what to try next. Pure.

use super::client_keys::ClientKeys;
use super::layout::{Layout, NodePlan};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

#[derive(Debug)]
pub struct Summary<'a> {
    /// Nodes and front door.
    pub layout: &'a Layout,
    /// Process ids by name.
    pub pids: &'a BTreeMap<String, i32>,
    /// Redis, without a password.
    pub redis: &'a str,
    /// Directory of the logs.
    pub logs: &'a Path,
    /// Manifest that is followed.
    pub file: Option<&'a Path>,
}

#[must_use]
pub fn text(summary: &Summary<'_>) -> String {
    let nodes = &summary.layout.nodes;
    let page = &summary.layout.web.page;
    let pid = |name: &str| {
        summary
            .pids
            .get(name)
            .map_or_else(String::new, |pid| format!("  pid {pid}"))
    };
    let mut out = "\n".to_owned();
    let mut line = |label: &str, text: &str| {
        let _ = writeln!(out, "  {label:<10}{text}");
    };
    line("Page", &format!("{page}{}", pid("web")));
    for (at, node) in nodes.iter().enumerate() {
        line(
            if at == 0 { "Nodes" } else { "" },
            &format!("{}{}", ports(node), pid(&node.program.name)),
        );
    }
    line("Redis", &format!("{}{}", summary.redis, pid("redis")));
    line("Logs", &summary.logs.display().to_string());

    let first = nodes.first().map_or("sfu-1", |node| node.program.name.as_str());
    let last = nodes.last().map_or("sfu-1", |node| node.program.name.as_str());
    let victim = nodes
        .get(1)
        .or(nodes.first())
        .map_or("sfu-1", |node| node.program.name.as_str());
    let kill = summary
        .pids
        .get(victim)
        .map_or_else(|| "PID".to_owned(), i32::to_string);
    let change = match summary.file {
        Some(file) => format!("edit `replicas` in {} and save", file.display()),
        None => "run again with -f cluster.yaml, then edit `replicas` in it".to_owned(),
    };
    let hints = [
        (
            format!("Publish on {first}, in a browser"),
            format!("{page}/?publish=demo&node={first}"),
        ),
        (format!("Watch it on {last}"), format!("{page}/?watch=demo&node={last}")),
        (
            "Publish with OBS (Settings, Stream, Service: WHIP)".to_owned(),
            format!(
                "Server {page}/whip/from-obs{}",
                summary
                    .layout
                    .client_keys
                    .as_ref()
                    .map_or("", |_| "   Bearer Token as above")
            ),
        ),
        (
            "Publish with FFmpeg 9 (8.0 cannot connect)".to_owned(),
            ffmpeg(&format!("{page}/whip/from-ffmpeg")),
        ),
        (
            format!("Kill {victim} and see the mesh heal"),
            format!("kill -9 {kill}"),
        ),
        ("Ask the cluster".to_owned(), format!("curl -s {page}/api/v1/cluster")),
        ("Change the number of nodes".to_owned(), change),
        ("End everything".to_owned(), "Ctrl-C".to_owned()),
    ];
    let _ = writeln!(out, "\n  What to try next");
    let token = summary.layout.client_keys.as_ref().map(token_hint);
    for (what, how) in token.into_iter().chain(hints) {
        let _ = writeln!(out, "    {what}:\n      {how}");
    }
    let _ = writeln!(out);
    out
}

fn ports(node: &NodePlan) -> String {
    let media = (node.media_port, node.media_port + node.workers - 1);
    let media = if media.0 == media.1 {
        media.0.to_string()
    } else {
        format!("{}-{}", media.0, media.1)
    };
    format!(
        "{:<7} http://{}  admin {}  health {}  media {media}",
        node.program.name,
        node.client,
        node.admin.port(),
        node.health.port()
    )
}

fn token_hint(keys: &ClientKeys) -> (String, String) {
    let what = "Get a token first: nobody may publish or watch without (FFmpeg: -authorization TOKEN)".to_owned();
    let how = match keys {
        ClientKeys::Secret(path) => {
            format!(
                "sfu-operator token --secret-file {} --publish '*' --play '*' --observe",
                path.display()
            )
        }
        ClientKeys::Jwks(path) => format!("from whoever holds the private keys of {}", path.display()),
    };
    (what, how)
}

/// H264 baseline without B-frames and stereo Opus: what every browser can play. A key frame a second, since this muxer makes
/// none when asked. README and docs/whip-whep.md give the same command, and the whole-system tests take it from there.
fn ffmpeg(url: &str) -> String {
    format!(
        "ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -re -f lavfi -i sine=frequency=440 \
         -c:v libx264 -profile:v baseline -preset ultrafast -tune zerolatency -bf 0 -g 30 -pix_fmt yuv420p -b:v 1500k \
         -c:a libopus -ac 2 -ar 48000 -f whip {url}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../../README.md");
    const CLIENTS: &str = include_str!("../../../docs/whip-whep.md");

    /// One line, without the signs that continue it.
    fn in_one_line(text: &str) -> String {
        text.split_whitespace()
            .filter(|word| *word != "\\")
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_documents_give_the_command_for_ffmpeg_that_the_summary_shows_and_no_other() {
        let command = ffmpeg("http://127.0.0.1:2020/whip/from-ffmpeg");
        for (name, text) in [("README.md", README), ("docs/whip-whep.md", CLIENTS)] {
            let text = in_one_line(text);
            assert!(text.contains(&command), "{name} lacks: {command}");
            assert_eq!(text.matches("ffmpeg -re").count(), 1, "{name}");
        }
    }
}
