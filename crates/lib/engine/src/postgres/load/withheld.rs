//! Rights that default privileges give on a table as soon as it is made, taken until the whole dump is there: the policies
//! that guard its rows come after these, and a stage is full for hours.

use tokio_postgres::GenericClient;

use crate::Error;
use crate::postgres::cell;

/// SQLSTATE of a table that a later statement of the dump has dropped or renamed.
const GONE: &str = "42P01";

/// Rights on staged tables, as the statements that give them back.
#[derive(Debug, Default)]
pub(super) struct Withheld {
    /// Nobody has default privileges here, so that there is nothing to take.
    nothing: bool,
    grants: Vec<String>,
}

impl Withheld {
    /// Asks whether there are default privileges at all.
    pub(super) async fn of(client: &impl GenericClient) -> Result<Self, Error> {
        const NONE: &str =
            "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_default_acl WHERE defaclobjtype = 'r')";
        Ok(Self {
            nothing: cell(&client.query_one(NONE, &[]).await?, 0)?,
            grants: Vec::new(),
        })
    }

    /// Takes what others may do with a new table, by its quoted name.
    pub(super) async fn take(
        &mut self,
        client: &impl GenericClient,
        table: &str,
    ) -> Result<(), Error> {
        const GIVEN: &str = "SELECT format('%s ON %s', a.privilege_type, c.oid::regclass), \
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, \
            CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END \
            FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a \
            WHERE c.oid = $1::text::regclass AND a.grantee <> c.relowner";
        if self.nothing {
            return Ok(());
        }
        let mut taken = Vec::new();
        for row in client.query(GIVEN, &[&table]).await? {
            let (what, who, more): (String, String, String) =
                (cell(&row, 0)?, cell(&row, 1)?, cell(&row, 2)?);
            taken.push(format!("REVOKE {what} FROM {who} CASCADE"));
            self.grants.push(format!("GRANT {what} TO {who}{more}"));
        }
        Ok(client.batch_execute(&taken.join("; ")).await?)
    }

    /// Gives all of it back.
    pub(super) async fn give_back(&mut self, client: &impl GenericClient) -> Result<(), Error> {
        for grant in std::mem::take(&mut self.grants) {
            match client.batch_execute(&grant).await.map_err(Error::from) {
                Err(error) if error.code().is_some_and(|code| code.is(GONE)) => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }
}
