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
    let keys = summary.layout.client_keys.as_ref();
    let with_tokens = |words: &'static str| keys.map_or("", |_| words);
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
                with_tokens("   Bearer Token: a publisher's")
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
        (
            "Ask the cluster".to_owned(),
            format!(
                "curl -s{} {page}/api/v1/cluster",
                with_tokens(" -H 'Authorization: Bearer TOKEN'")
            ),
        ),
        ("Change the number of nodes".to_owned(), change),
        ("End everything".to_owned(), "Ctrl-C".to_owned()),
    ];
    let _ = writeln!(out, "\n  What to try next");
    let tokens = keys.map(token_hints).unwrap_or_default();
    for (what, how) in tokens.into_iter().chain(hints) {
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

/// How to get the tokens without which nobody gets in: one for each that allows no more than its holder needs.
fn token_hints(keys: &ClientKeys) -> Vec<(String, String)> {
    let path = match keys {
        ClientKeys::Secret(path) => quoted(path),
        ClientKeys::Jwks(path) => {
            let how = format!("from whoever holds the private keys of {}", path.display());
            return vec![("Get a token first: nobody may publish or watch without".to_owned(), how)];
        }
    };
    [
        (
            "Make tokens first: nobody gets in without. For publishers (FFmpeg: -authorization TOKEN)",
            "--publish '*' --expires 1day",
        ),
        ("For viewers", "--play '*' --expires 1day"),
        (
            "For you, who may do and see everything for an hour",
            "--publish '*' --play '*' --observe",
        ),
    ]
    .map(|(what, rights)| {
        let how = format!("sfu-operator token --secret-file {path} {rights}");
        (what.to_owned(), how)
    })
    .into()
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if !path.is_empty() && path.chars().all(is_plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
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
    use crate::local::child::Program;
    use crate::local::layout::WebPlan;
    use std::net::SocketAddr;
    use std::path::PathBuf;

    const README: &str = include_str!("../../../README.md");
    const CLIENTS: &str = include_str!("../../../docs/whip-whep.md");

    /// What is shown of a cluster without nodes whose tokens are checked with these keys.
    fn shown(client_keys: Option<ClientKeys>) -> String {
        let listen = SocketAddr::from(([127, 0, 0, 1], 2020));
        let web = WebPlan {
            listen,
            health: None,
            probe: listen,
            page: "https://live.example.net".to_owned(),
            program: Program {
                name: "web".to_owned(),
                bin: PathBuf::new(),
                args: Vec::new(),
                shown: true,
            },
        };
        let layout = Layout {
            nodes: Vec::new(),
            web,
            client_keys,
        };
        text(&Summary {
            layout: &layout,
            pids: &BTreeMap::new(),
            redis: "127.0.0.1:6377",
            logs: Path::new("/s/logs"),
            file: None,
        })
    }

    #[test]
    fn with_a_secret_publishers_viewers_and_whoever_runs_it_have_tokens_of_their_own() {
        let said = shown(Some(ClientKeys::Secret("/s/auth-secret".into())));
        for rights in [
            "--publish '*' --expires 1day",
            "--play '*' --expires 1day",
            "--publish '*' --play '*' --observe",
        ] {
            let command = format!("      sfu-operator token --secret-file /s/auth-secret {rights}\n");
            assert!(said.contains(&command), "{said}");
        }
        for words in [
            "Server https://live.example.net/whip/from-obs   Bearer Token: a publisher's\n",
            "https://live.example.net/?watch=demo",
            "curl -s -H 'Authorization: Bearer TOKEN' https://live.example.net/api/v1/cluster\n",
        ] {
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn without_a_secret_no_command_makes_tokens() {
        let open = shown(None);
        assert!(
            !open.contains("sfu-operator token") && !open.contains("Bearer"),
            "{open}"
        );
        assert!(
            open.contains("curl -s https://live.example.net/api/v1/cluster\n"),
            "{open}"
        );
        let jwks = shown(Some(ClientKeys::Jwks("/s/keys.json".into())));
        assert!(!jwks.contains("sfu-operator token"), "{jwks}");
        assert!(jwks.contains("the private keys of /s/keys.json"), "{jwks}");
    }

    #[test]
    fn a_path_stays_one_word_of_a_shell() {
        for (path, word) in [
            ("/var/lib/sfumato/auth-secret", "/var/lib/sfumato/auth-secret"),
            ("/a b", "'/a b'"),
            ("/it's", r"'/it'\''s'"),
            ("/$(x)", "'/$(x)'"),
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }

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
