//! The driver: carries out the planner's steps through [`NodeAdmin`], some at a time, a deadline on every call.
//!
//! The three calls of a pair run one after another, each with what the one before answered. A call that fails ends its
//! step, since what a node holds is only known from its next report; the other steps go on.

use crate::backoff::Connected;
use crate::plan::{CloseStep, PairStep, Step};
use futures::StreamExt;
use sfumato_admin_api::client::{AdminError, CALL_DEADLINE, NodeAdmin};
use sfumato_admin_api::types::{CloseLinks, EndAction, LaneRequest, LinkEnd, LinkId, NodeName, Peer, PutLinks};
use std::fmt;
use std::time::Duration;

/// Most steps that run at once. A node with 31 peers gets at most this many calls at a time.
pub const MAX_CONCURRENT_PAIRS: usize = 32;
/// Most calls that a step makes, whatever the number of lanes.
pub const MAX_CALLS_A_PAIR: u32 = 3;

/// Bounds of a drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriveOptions {
    /// Most steps at once.
    pub concurrency: usize,
    /// Deadline of each call, also when the [`NodeAdmin`] has none of its own.
    pub call_deadline: Duration,
}

impl Default for DriveOptions {
    fn default() -> Self {
        Self {
            concurrency: MAX_CONCURRENT_PAIRS,
            call_deadline: CALL_DEADLINE,
        }
    }
}

/// Which call of a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// The first of a pair: ends at the node with the smaller name.
    CreateAtA,
    /// The second: ends at the other node, connected to the first's.
    CreateAndConnectAtB,
    /// The third: the first node's ends connected to the second's.
    ConnectAtA,
    /// The one of a [`CloseStep`], or one of up to two of a pair that has only something to close.
    Close,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateAtA => "creating links (1 of 3)",
            Self::CreateAndConnectAtB => "creating and connecting links (2 of 3)",
            Self::ConnectAtA => "connecting links (3 of 3)",
            Self::Close => "closing links",
        })
    }
}

/// Why a step did not come to its end. The next plan starts from what the nodes report then.
#[derive(Debug, thiserror::Error)]
#[error("{call} at {node}: {source}")]
pub struct StepError {
    /// What was attempted.
    pub call: Call,
    /// At which node.
    pub node: NodeName,
    /// What went wrong.
    #[source]
    pub source: AdminError,
}

/// How a step went.
#[derive(Debug)]
#[must_use]
pub struct Outcome {
    pub step: Step,
    /// Calls that were made, at most [`MAX_CALLS_A_PAIR`].
    pub calls: u32,
    /// The lanes that are connected now (none for a [`CloseStep`]), or why not. Not yet established: only reports tell.
    pub result: Result<Vec<Connected>, StepError>,
}

/// Carries out all steps and returns how each went, in the order in which they ended.
pub async fn drive(steps: Vec<Step>, admin: &dyn NodeAdmin, options: &DriveOptions) -> Vec<Outcome> {
    futures::stream::iter(steps)
        .map(|step| drive_step(step, admin, options.call_deadline))
        .buffer_unordered(options.concurrency.max(1))
        .collect()
        .await
}

/// Carries out one step.
pub async fn drive_step(step: Step, admin: &dyn NodeAdmin, call_deadline: Duration) -> Outcome {
    let mut driver = Driver {
        admin,
        call_deadline,
        calls: 0,
    };
    let result = match &step {
        Step::Pair(pair) => driver.pair(pair).await,
        Step::Close(CloseStep { node, admin_url, ends }) => {
            let links = ends.iter().map(|end| end.id.clone()).collect();
            driver.close(node, admin_url, links).await.map(|()| Vec::new())
        }
    };
    Outcome {
        calls: driver.calls,
        step,
        result,
    }
}

struct Driver<'a> {
    admin: &'a dyn NodeAdmin,
    call_deadline: Duration,
    calls: u32,
}

impl Driver<'_> {
    async fn pair(&mut self, step: &PairStep) -> Result<Vec<Connected>, StepError> {
        let PairStep { a, b, lanes, .. } = step;
        if lanes.is_empty() {
            for side in [a, b] {
                self.close(&side.node, &side.admin_url, side.close.clone()).await?;
            }
            return Ok(Vec::new());
        }
        let create = lanes
            .iter()
            .map(|l| LaneRequest {
                lane: l.lane,
                end: l.a.clone(),
                remote: None,
            })
            .collect();
        let at_a = self.put(Call::CreateAtA, step, create).await?;

        let connect_b = lanes
            .iter()
            .zip(&at_a)
            .map(|(l, remote)| LaneRequest {
                lane: l.lane,
                end: l.b.clone(),
                remote: Some(remote.clone()),
            })
            .collect();
        let at_b = self.put(Call::CreateAndConnectAtB, step, connect_b).await?;

        let connect_a = at_a
            .iter()
            .zip(&at_b)
            .map(|(own, remote)| LaneRequest {
                lane: own.lane,
                end: EndAction::Keep(own.id.clone()),
                remote: Some(remote.clone()),
            })
            .collect();
        self.put(Call::ConnectAtA, step, connect_a).await?;
        Ok(at_a
            .into_iter()
            .zip(at_b)
            .map(|(a, b)| Connected {
                lane: a.lane,
                a: a.id,
                b: b.id,
            })
            .collect())
    }

    async fn put(&mut self, call: Call, step: &PairStep, lanes: Vec<LaneRequest>) -> Result<Vec<LinkEnd>, StepError> {
        let (at, peer) = match call {
            Call::CreateAndConnectAtB => (&step.b, &step.a),
            Call::CreateAtA | Call::ConnectAtA | Call::Close => (&step.a, &step.b),
        };
        let request = PutLinks {
            incarnation: at.node.incarnation.clone(),
            peer: peer.node.clone(),
            lanes,
            encrypted: step.encrypted,
            // Each node's first call closes what it is to give up.
            close: if call == Call::ConnectAtA {
                Vec::new()
            } else {
                at.close.clone()
            },
        };
        let calling = self.admin.put_links(&at.admin_url, &peer.node.name, &request);
        let ends = self.bounded(call, &at.node.name, &at.admin_url, calling).await?.links;
        check(&request, &ends).map_err(|detail| StepError {
            call,
            node: at.node.name.clone(),
            source: AdminError::BadAnswer {
                call: format!("{call} at {}", at.admin_url),
                detail,
            },
        })?;
        Ok(ends)
    }

    async fn close(&mut self, at: &Peer, url: &str, links: Vec<LinkId>) -> Result<(), StepError> {
        if links.is_empty() {
            return Ok(());
        }
        let request = CloseLinks {
            incarnation: at.incarnation.clone(),
            links,
        };
        self.bounded(Call::Close, &at.name, url, self.admin.close_links(url, &request))
            .await
    }

    async fn bounded<T>(
        &mut self,
        call: Call,
        node: &NodeName,
        url: &str,
        calling: impl Future<Output = Result<T, AdminError>>,
    ) -> Result<T, StepError> {
        self.calls += 1;
        let after = self.call_deadline;
        tokio::time::timeout(after, calling)
            .await
            .unwrap_or_else(|_| {
                Err(AdminError::Timeout {
                    call: format!("{call} at {url}"),
                    after,
                })
            })
            .map_err(|source| StepError {
                call,
                node: node.clone(),
                source,
            })
    }
}

/// The next call would be made of these ends, so an answer that does not fit the request must not get that far.
fn check(request: &PutLinks, ends: &[LinkEnd]) -> Result<(), String> {
    if ends.len() != request.lanes.len() {
        return Err(format!(
            "{} lanes were asked for and {} came",
            request.lanes.len(),
            ends.len()
        ));
    }
    for (asked, end) in request.lanes.iter().zip(ends) {
        if asked.lane != end.lane {
            return Err(format!("lane {} was asked for and lane {} came", asked.lane, end.lane));
        }
        if let EndAction::Keep(kept) = &asked.end
            && *kept != end.id
        {
            return Err(format!(
                "lane {}: link {kept} was to be kept and {} came",
                asked.lane, end.id
            ));
        }
    }
    Ok(())
}
