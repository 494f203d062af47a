//! What is read of a dump before anything is made.

use pilotfish_dump::{Source, Summary};
use pilotfish_engine::load::Release;
use pilotfish_failure::{Context as _, Failure, Kind};

use crate::feed::survey;
use crate::steps::Opened;
use crate::{Owner, Phase, checks};

impl Opened<'_> {
    /// Reads a dump ahead where that can save work, or where nothing may be written before the plan.
    pub(crate) async fn survey(
        &mut self,
        live: Option<&Release>,
    ) -> Result<Option<Summary>, Failure> {
        let plan_first = self.options.dry_run || !self.options.swap.is_aside();
        if !matches!(self.pinned.source, Source::Path(_)) {
            if plan_first {
                return Err(Failure::new(
                    Kind::Usage,
                    "--dry-run and --swap none read the dump before they plan: give a file, not a stream",
                ));
            }
            return Ok(None);
        }
        // Who shall own what must be there before anything is made.
        let names_accounts = self.target.stages_whole() && self.options.owner == Owner::Keep;
        let needed = live.is_some() || plan_first || !self.options.selects_all();
        if !needed && !names_accounts {
            return Ok(None);
        }
        self.progress.enter(Phase::Surveying);
        let mut dump_options = self.dump_options.clone();
        dump_options.skim = !needed;
        let summary = survey(
            &self.pinned.source,
            dump_options,
            self.router(self.selection()),
            self.progress,
            self.cancel,
        )
        .await?;
        if !needed {
            self.refuse_missing_accounts(&summary).await?;
            return Ok(None);
        }
        checks::identity(&self.pinned, &summary, self.options)?;
        self.refuse_missing_accounts(&summary).await?;
        Ok(Some(summary))
    }

    async fn refuse_missing_accounts(&mut self, summary: &Summary) -> Result<(), Failure> {
        if self.options.owner == Owner::Drop {
            return Ok(());
        }
        let missing = self.target.missing_accounts(&summary.roles).await;
        let missing = missing.context("look for the roles that the dump names")?;
        if missing.is_empty() {
            return Ok(());
        }
        let names = missing.into_iter().collect::<Vec<_>>().join(", ");
        Err(Failure::new(
            Kind::Config,
            format!("the dump names roles that the server does not have: {names}"),
        )
        .with_hint("create them, or leave owners and rights out with --owner drop"))
    }
}
