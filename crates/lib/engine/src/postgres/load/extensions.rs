//! Extensions: one per database, so that a stage shares them with what is live.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::GenericClient;

use crate::Error;
use crate::postgres::cell;

/// Everything with a name of its own in a schema that an extension brought (`pg_depend`, type `e`).
const MEMBERS: &str = "\
    SELECT n.nspname, m.name FROM pg_catalog.pg_depend d \
    JOIN (SELECT 'pg_class'::regclass AS class, oid, relnamespace AS space, relname AS name FROM pg_class \
    UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace, typname FROM pg_type \
    UNION ALL SELECT 'pg_proc'::regclass, oid, pronamespace, proname FROM pg_proc \
    UNION ALL SELECT 'pg_operator'::regclass, oid, oprnamespace, oprname FROM pg_operator \
    UNION ALL SELECT 'pg_opclass'::regclass, oid, opcnamespace, opcname FROM pg_opclass \
    UNION ALL SELECT 'pg_opfamily'::regclass, oid, opfnamespace, opfname FROM pg_opfamily \
    UNION ALL SELECT 'pg_collation'::regclass, oid, collnamespace, collname FROM pg_collation \
    UNION ALL SELECT 'pg_conversion'::regclass, oid, connamespace, conname FROM pg_conversion \
    UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgnamespace, cfgname FROM pg_ts_config \
    UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictnamespace, dictname FROM pg_ts_dict \
    UNION ALL SELECT 'pg_ts_parser'::regclass, oid, prsnamespace, prsname FROM pg_ts_parser \
    UNION ALL SELECT 'pg_ts_template'::regclass, oid, tmplnamespace, tmplname FROM pg_ts_template) m \
    ON m.class = d.classid AND m.oid = d.objid \
    JOIN pg_catalog.pg_namespace n ON n.oid = m.space \
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' \
    AND n.nspname <> 'pg_catalog' AND n.nspname <> 'information_schema'";

/// The server lets nobody move an extension who does not own all that it brought, and the trusted ones bring things of a
/// superuser.
const INSTALLED: &str = "SELECT e.extname, n.nspname, e.extrelocatable AND (SELECT rolsuper FROM pg_catalog.pg_roles \
    WHERE rolname = current_user) FROM pg_catalog.pg_extension e \
    JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace";

/// The extensions of a database.
#[derive(Debug, Default, Clone)]
pub(super) struct Extensions {
    installed: BTreeMap<String, Extension>,
    /// Schema and name of what they brought.
    members: BTreeSet<(String, String)>,
}

/// One extension.
#[derive(Debug, Clone)]
struct Extension {
    schema: String,
    relocatable: bool,
}

impl Extensions {
    pub(super) async fn of(client: &impl GenericClient) -> Result<Self, Error> {
        let mut extensions = Self::default();
        for row in client.query(INSTALLED, &[]).await? {
            let extension = Extension {
                schema: cell(&row, 1)?,
                relocatable: cell(&row, 2)?,
            };
            extensions.installed.insert(cell(&row, 0)?, extension);
        }
        for row in client.query(MEMBERS, &[]).await? {
            extensions.members.insert((cell(&row, 0)?, cell(&row, 1)?));
        }
        Ok(extensions)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.installed.contains_key(name)
    }

    /// Whether an extension brought something of this name.
    pub(super) fn brought(&self, schema: &str, object: &str) -> bool {
        let key = (schema.to_owned(), object.to_owned());
        self.members.contains(&key)
    }

    /// Those that live in `schema`.
    pub(super) fn in_schema<'a>(&'a self, schema: &'a str) -> impl Iterator<Item = &'a String> {
        let installed = self.installed.iter();
        installed.filter_map(move |(name, extension)| (extension.schema == schema).then_some(name))
    }

    /// One in `schema` that cannot leave it when that is swapped.
    pub(super) fn rooted_in(&self, schema: &str) -> Option<&String> {
        let mut installed = self.installed.iter();
        let rooted = |extension: &Extension| extension.schema == schema && !extension.relocatable;
        installed.find_map(|(name, extension)| rooted(extension).then_some(name))
    }
}

/// Whether an extension, once it is made in a schema, stays there.
pub(super) async fn is_rooted(client: &impl GenericClient, name: &str) -> Result<bool, Error> {
    const ROOTED: &str = "SELECT NOT v.relocatable AND v.schema IS NULL FROM pg_catalog.pg_available_extensions e \
        JOIN pg_catalog.pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version \
        WHERE e.name = $1";
    let row = client.query_opt(ROOTED, &[&name]).await?;
    row.map_or(Ok(false), |row| cell(&row, 0))
}
