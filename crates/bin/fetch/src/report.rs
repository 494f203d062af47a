//! How a round ended, for machines and for people.

use pilotfish_failure::{Failure, Kind};
use pilotfish_storage::Address;
use pilotfish_volume::{Manifest, utc};
use serde::Serialize;

/// How a round ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// A release was published.
    Published,
    /// The volume has what the source has.
    NothingToDo,
    /// The newest object was refused, and an older one is live.
    Fallback,
    /// The source is away, and the volume has a release.
    SourceAway,
    /// Nothing was brought, and `--best-effort` lets that pass.
    LetPass,
}

impl Outcome {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::NothingToDo => "nothing_to_do",
            Self::Fallback => "fallback",
            Self::SourceAway => "source_away",
            Self::LetPass => "let_pass",
        }
    }
}

/// The result of a round: fields are added, never changed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    /// The live release's manifest.
    pub(crate) release: Option<Manifest>,
    /// Bytes received in this round.
    pub(crate) received_bytes: u64,
    pub(crate) seconds: f64,
    /// Why the newest object, or the source, could not be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// What to look at, if somebody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl Report {
    /// The report of a run that brought nothing, beside a release that is good enough.
    pub(crate) fn source_away(live: Manifest, failure: &Failure) -> Self {
        Self {
            outcome: Outcome::SourceAway,
            release: Some(live),
            received_bytes: 0,
            seconds: 0.0,
            problem: Some(failure.to_string()),
            hint: failure.hint().map(str::to_owned),
        }
    }

    /// The report of a run that brought nothing, which is let pass.
    pub(crate) fn let_pass(failure: &Failure) -> Self {
        Self {
            outcome: Outcome::LetPass,
            release: None,
            received_bytes: 0,
            seconds: 0.0,
            problem: Some(failure.to_string()),
            hint: failure.hint().map(str::to_owned),
        }
    }

    /// Tells a person what became of a run whose end nothing else has told.
    pub(crate) fn tell(&self, source: &Address) {
        let Some(Manifest {
            release,
            sha256,
            fetched_at,
            ..
        }) = &self.release
        else {
            return;
        };
        let since = utc(*fetched_at);
        match self.outcome {
            Outcome::NothingToDo => {
                tracing::info!(
                    %source,
                    release,
                    sha256,
                    since,
                    "nothing new: the volume has this release already"
                );
            }
            Outcome::Fallback => {
                tracing::warn!(
                    %source,
                    release,
                    sha256,
                    since,
                    problem = self.problem,
                    "the newest object was refused: an older one is in use"
                );
            }
            Outcome::Published | Outcome::SourceAway | Outcome::LetPass => {}
        }
    }
}

/// Warns that nothing came or that it was refused, and says what readers of the volume have instead.
pub(crate) fn warn_of(failure: &Failure, source: &Address, live: &Manifest, failures: Option<u32>) {
    let (release, sha256, since) = (&live.release, &live.sha256, utc(live.fetched_at));
    let what = match failure.kind() {
        Kind::BadData => "what the source has is refused",
        _ => "nothing came from the source",
    };
    tracing::warn!(
        %source, error = %failure, hint = failure.hint(), failures, release, sha256, since,
        "{what}: the release on the volume stays in use"
    );
}
