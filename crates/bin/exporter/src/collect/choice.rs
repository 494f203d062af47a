//! Which collectors run, and what their flags say.

use std::collections::BTreeMap;

use pilotfish_engine::EngineName;

use super::{Collector, Setting, of};

/// Everything that flags say of collectors.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choices {
    /// By prefix and name, as `collect.info_schema.tables`.
    switches: BTreeMap<String, bool>,
    settings: BTreeMap<String, String>,
    /// No collector runs that is not turned on.
    defaults_off: bool,
    /// Flags that have no effect any more.
    dead: Vec<&'static str>,
}

/// What the flags of one collector say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own<'a> {
    all: &'a Choices,
    engine: EngineName,
    collector: &'static Collector,
}

impl<'a> Own<'a> {
    /// What a flag says, else its default.
    pub(super) fn text(self, name: &str) -> &'a str {
        let flag = format!("{}.{}.{name}", prefix(self.engine), self.collector.name);
        let default = || {
            let mut settings = self.collector.settings.iter();
            let setting = settings.find(|setting| setting.name == name);
            setting.map_or("", |setting| setting.default)
        };
        self.all
            .settings
            .get(&flag)
            .map_or_else(default, String::as_str)
    }

    pub(super) fn number(self, name: &str) -> u64 {
        // Checked where the flag was read.
        self.text(name).parse().unwrap_or(0)
    }

    pub(super) fn switch(self, name: &str) -> bool {
        self.text(name) == "true"
    }
}

/// How the flags of an engine's collectors begin, without the dashes.
pub(crate) fn prefix(engine: EngineName) -> &'static str {
    match engine {
        EngineName::MariaDb | EngineName::MySql => "collect",
        EngineName::Postgres => "collector",
    }
}

impl Choices {
    pub(crate) fn turn(&mut self, flag: String, on: bool) {
        self.switches.insert(flag, on);
    }

    pub(crate) fn set(&mut self, flag: String, value: String) {
        self.settings.insert(flag, value);
    }

    pub(crate) fn without_defaults(&mut self) {
        self.defaults_off = true;
    }

    pub(crate) fn note_dead(&mut self, flag: &'static str) {
        self.dead.push(flag);
    }

    pub(crate) fn dead(&self) -> &[&'static str] {
        &self.dead
    }

    pub(super) fn is_on(&self, engine: EngineName, collector: &Collector) -> bool {
        let flag = format!("{}.{}", prefix(engine), collector.name);
        let by_default = collector.by_default && !self.defaults_off;
        self.switches.get(&flag).copied().unwrap_or(by_default)
    }

    /// The part of one collector.
    pub(super) fn own(&self, engine: EngineName, collector: &'static Collector) -> Own<'_> {
        Own {
            all: self,
            engine,
            collector,
        }
    }

    /// Flags of collectors of another engine than the one that answers: they do nothing here.
    pub(crate) fn foreign(&self, engine: EngineName) -> Vec<&str> {
        let start = format!("{}.", prefix(engine));
        let flags = self.switches.keys().chain(self.settings.keys());
        flags
            .filter(|flag| !flag.starts_with(&start))
            .map(String::as_str)
            .collect()
    }
}

/// Every flag of every collector: prefix, collector and, for flags of its own, the setting.
pub(crate) fn flags() -> impl Iterator<Item = (&'static str, &'static Collector, Option<Setting>)> {
    let engines = [EngineName::MariaDb, EngineName::Postgres];
    engines.into_iter().flat_map(|engine| {
        of(engine).iter().flat_map(move |collector| {
            let own = collector.settings.iter().copied().map(Some);
            std::iter::once(None)
                .chain(own)
                .map(move |setting| (prefix(engine), *collector, setting))
        })
    })
}
