//! The dump's session settings, read from one session and made in others.

use std::collections::BTreeMap;

use tokio_postgres::GenericClient;

use crate::Error;
use crate::load::SessionState;
use crate::postgres::cell;

/// Whose rights a session has is not carried on: rows and keys are the loader's own work. The encoding of texts is
/// the driver's.
const NOT_CARRIED: [&str; 3] = ["client_encoding", "role", "session_authorization"];

/// The settings that a session was given, as `set_config` takes them.
pub(super) async fn settings(client: &impl GenericClient) -> Result<SessionState, Error> {
    let rows = client
        .query(
            "SELECT name, setting FROM pg_catalog.pg_settings WHERE source = 'session'",
            &[],
        )
        .await?;
    let mut settings = BTreeMap::new();
    for row in rows {
        let (name, value): (String, String) = (cell(&row, 0)?, cell(&row, 1)?);
        if !NOT_CARRIED.contains(&name.as_str()) {
            settings.insert(name, value);
        }
    }
    Ok(SessionState(settings))
}

/// Gives a session these settings.
pub(super) async fn apply(
    client: &impl GenericClient,
    settings: &SessionState,
) -> Result<(), Error> {
    let (names, values): (Vec<&String>, Vec<&String>) = settings.0.iter().unzip();
    client
        .execute(
            "SELECT pg_catalog.set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS s (name, value)",
            &[&names, &values],
        )
        .await?;
    Ok(())
}
