//! MySQL 8.0 and later.

use crate::load::Load;
use crate::mysql_family::{Family, Variant};
use crate::{Engine, EngineName, Probe, Settings};

static VARIANT: Variant = Variant {
    engine: EngineName::MySql,
    name: "mysql",
    replica_status: "SHOW REPLICA STATUS",
    replica_right: "REPLICATION CLIENT",
};

struct MySql {
    family: Family,
}

pub(crate) fn open(settings: &Settings) -> Box<dyn Engine> {
    Box::new(MySql {
        family: Family {
            settings: settings.clone(),
            variant: &VARIANT,
        },
    })
}

impl Engine for MySql {
    fn name(&self) -> &'static str {
        VARIANT.name
    }

    fn probe(&self) -> &dyn Probe {
        &self.family
    }

    fn load(&self) -> Option<&dyn Load> {
        Some(&self.family)
    }
}
