//! What is read of a dump before anything is made.

use std::collections::BTreeSet;

use pilotfish_dump::{Source, Summary};
use pilotfish_engine::load::Release;
use pilotfish_failure::{Context as _, Failure, Kind};
use pilotfish_sql::Dialect;

use crate::difference::Fresh;
use crate::feed::{Feed, survey};
use crate::steps::Opened;
use crate::{Owner, Phase, checks, plan};

/// What a dump says, before any of it is staged.
pub(crate) struct Surveyed {
    pub(crate) summary: Summary,
    /// The rows that are not live, where that was looked at.
    pub(crate) fresh: Option<Fresh>,
}

impl Opened<'_> {
    /// Reads a dump ahead where that can save work, or where nothing may be written before the plan.
    pub(crate) async fn survey(
        &mut self,
        live: Option<&Release>,
    ) -> Result<Option<Surveyed>, Failure> {
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
        let needed = live.is_some() || plan_first || !self.options.selects_all();
        if !needed && !self.has_to_look().await? {
            return Ok(None);
        }
        self.progress.enter(Phase::Surveying);
        let mut dump_options = self.dump_options.clone();
        dump_options.skim = !needed;
        dump_options.marks = false;
        let comparison = match live {
            Some(live) => self.comparison(live).await?,
            None => None,
        };
        if let Some(comparison) = &comparison {
            dump_options.keys = comparison.marked.clone();
        }
        let (summary, fresh) = survey(
            &self.pinned.source,
            dump_options,
            self.router(self.selection()),
            comparison,
            self.progress,
            self.cancel,
        )
        .await?;
        if needed {
            checks::identity(&self.pinned, &summary, self.options)?;
        }
        self.read_with_keys(&summary).await?;
        self.refuse_accounts(&summary).await?;
        if let Some(table) = summary
            .unmade
            .first()
            .filter(|_| !self.options.swap.is_aside())
        {
            return Err(Failure::new(
                Kind::BadData,
                format!("the dump has rows for {table} and does not make it: without a swap they would go among rows of others"),
            )
            .with_hint("dump it with its definition, or swap"));
        }
        if !needed {
            // A dump that nobody has read whole has no digests yet: this asks for collisions only.
            let nothing = Release::default();
            plan::decide(self.target.as_mut(), &nothing, &summary, self.options).await?;
            return Ok(None);
        }
        Ok(Some(Surveyed { summary, fresh }))
    }

    /// A dump that names its keys behind its rows is read by those that the survey saw there: else its rows had no marks.
    async fn read_with_keys(&mut self, summary: &Summary) -> Result<(), Failure> {
        let behind = matches!(self.dump_options.dialect, Dialect::Postgres { .. });
        if !behind || !self.dump_options.marks || self.options.dry_run {
            return Ok(());
        }
        let keys = summary.tables.iter();
        let keys = keys.map(|(name, table)| (name.clone(), table.key.clone()));
        let options = pilotfish_dump::Options {
            keys: keys.collect(),
            ..self.dump_options.clone()
        };
        self.feed = Some(Feed::open(&self.pinned.source, options).await?);
        Ok(())
    }

    /// Whether a first load may fail by what the dump names, so that it is looked at before hours of staging: by who
    /// shall own what, or by what stands in the database already; or whether its keys are to be known before its rows.
    async fn has_to_look(&mut self) -> Result<bool, Failure> {
        if !self.target.stages_whole() {
            return Ok(false);
        }
        let others = self.target.has_others().await;
        let others = others.context("look at the live database")?;
        Ok(others || self.options.owner == Owner::Keep || self.dump_options.marks)
    }

    /// Refuses roles that are not there, and owners to whom the account may give nothing.
    async fn refuse_accounts(&mut self, summary: &Summary) -> Result<(), Failure> {
        if self.options.owner == Owner::Drop {
            return Ok(());
        }
        const LOOK: &str = "look for the roles that the dump names";
        let list = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(", ");
        let missing = self.target.missing_accounts(&summary.roles.named).await;
        let missing = missing.context(LOOK)?;
        if !missing.is_empty() {
            return Err(Failure::new(
                Kind::Config,
                format!(
                    "the dump names roles that the server does not have: {}",
                    list(missing)
                ),
            )
            .with_hint("create them, or leave owners and rights out with --owner drop"));
        }
        let strange = self.target.strange_owners(&summary.roles.owners).await;
        let strange = strange.context(LOOK)?;
        if strange.is_empty() {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Config,
            format!(
                "the account is no member of the roles that own what the dump has: {}",
                list(strange)
            ),
        )
        .with_hint(
            "GRANT each of them TO the account, or have it own everything with --owner drop",
        ))
    }
}
