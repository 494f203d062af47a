//! Which database a dump goes into.

use pilotfish_failure::{Failure, Kind};

use crate::Options;

/// The one that the flags name, else the dump, else the server's settings.
///
/// # Errors
/// `BadData` for the server's own databases and the ledger's, `Config` where nobody names one.
pub(crate) fn choose(options: &Options, dump: Option<&str>) -> Result<String, Failure> {
    let named = options
        .into
        .as_deref()
        .or(dump)
        .or(options.default_database.as_deref());
    if let Some(own) = named.filter(|name| is_system(name)) {
        return Err(Failure::new(
            Kind::BadData,
            format!(
                "the database {own} belongs to the server or to the ledger: a load never fills it"
            ),
        )
        .with_hint("dump one database of your own, or give --into DB"));
    }
    named.map(str::to_owned).ok_or_else(|| {
        Failure::new(
            Kind::Config,
            "which database to load is not said, neither by the dump nor by the server's settings",
        )
        .with_hint("give --into DB")
    })
}

/// Databases that hold accounts, the server's own views or the ledger and its schemas.
fn is_system(database: &str) -> bool {
    let name = database.to_ascii_lowercase();
    let own = [
        "mysql",
        "sys",
        "performance_schema",
        "information_schema",
        "pilotfish",
    ];
    own.contains(&name.as_str()) || name.starts_with("pilotfish_")
}
