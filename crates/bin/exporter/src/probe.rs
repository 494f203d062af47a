//! `/probe?target=host:port&auth_module=name`: one exporter for many servers, as both exporters have it.
//!
//! Whoever may ask names a server, and the exporter logs in there: so there are probes only where a file has accounts
//! that are meant for it. Their sessions end with the answer.

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::collect::Choices;
use crate::scrape::{Limits, Scraper};
use crate::target::{AuthModules, OptionFile, Source, Target};

/// The section of an option file that probes have by default.
const CLIENT: &str = "client";

/// Files with accounts for the servers that probes name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Probes {
    pub(crate) option_file: Option<OptionFile>,
    pub(crate) auth_modules: Option<AuthModules>,
}

/// Settings of the scrapes of a probe.
#[derive(Debug)]
pub(crate) struct Prober {
    pub(crate) probes: Probes,
    pub(crate) choices: Choices,
    pub(crate) limits: Limits,
    pub(crate) runtime: Handle,
    /// Probes at a time.
    pub(crate) turns: Semaphore,
}

impl Prober {
    /// The server that a request names.
    ///
    /// # Errors
    /// One sentence for whoever asks.
    pub(crate) async fn target(&self, query: &[(String, String)]) -> Result<Target, String> {
        let value = |wanted: &str| {
            let mut found = query
                .iter()
                .filter(|(key, value)| key == wanted && !value.is_empty());
            found.next().map(|(_, value)| value.as_str())
        };
        let place = value("target").ok_or("give the server: /probe?target=host:port")?;
        let module = value("auth_module");
        if let Some(modules) = &self.probes.auth_modules {
            let settings = modules.settings(place, module).await?;
            return Ok(Target::new(Source::Settings(Box::new(settings))));
        }
        let file = self.probes.option_file.as_ref().ok_or(
            "there are no probes: start it with --config.my-cnf or, for PostgreSQL, --config.file, which has accounts for them",
        )?;
        let file = OptionFile {
            place: Some(place.to_owned()),
            section: module.unwrap_or(CLIENT).to_owned(),
            ..file.clone()
        };
        // A section that is not there is no server that is away.
        let settings = file.read().await.map_err(|error| error.to_string())?;
        Ok(Target::new(Source::Settings(Box::new(settings))))
    }

    /// For one answer, on the runtime where all sessions live.
    pub(crate) fn scraper(&self, target: Target) -> Scraper {
        let limits = Limits {
            connections: 1,
            passing: true,
            ..self.limits.clone()
        };
        Scraper::new(target, self.choices.clone(), limits, self.runtime.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_is_logged_in_anywhere_without_a_file_for_it() {
        let limits = Limits {
            connections: 1,
            passing: true,
            lock_timeout: std::time::Duration::ZERO,
            caches: std::collections::BTreeMap::new(),
            databases: crate::scrape::Databases {
                every: std::time::Duration::ZERO,
                only: Vec::new(),
                except: Vec::new(),
            },
        };
        let prober = Prober {
            probes: Probes::default(),
            choices: Choices::default(),
            limits,
            runtime: Handle::current(),
            turns: Semaphore::new(1),
        };
        let query = [("target".to_owned(), "db:3306".to_owned())];
        assert!(
            prober
                .target(&query)
                .await
                .unwrap_err()
                .contains("--config.my-cnf")
        );
        assert!(
            prober
                .target(&[])
                .await
                .unwrap_err()
                .contains("target=host:port")
        );
    }
}
