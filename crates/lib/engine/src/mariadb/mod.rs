//! MariaDB 10.6 and later.

use crate::load::Load;
use crate::mysql_family::{Family, Variant};
use crate::{Engine, EngineName, Probe, Settings};

static VARIANT: Variant = Variant {
    engine: EngineName::MariaDb,
    name: "mariadb",
    replica_status: "SHOW ALL REPLICAS STATUS",
    replica_right: "REPLICA MONITOR",
};

struct MariaDb {
    family: Family,
}

pub(crate) fn open(settings: &Settings) -> Box<dyn Engine> {
    Box::new(MariaDb {
        family: Family {
            settings: settings.clone(),
            variant: &VARIANT,
        },
    })
}

impl Engine for MariaDb {
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
