//! A schema that holds every kind of object, with values at their edges, per flavour.

use crate::postgres::{Postgres, PostgresKind};
use crate::server::{Server, ServerKind};

const DEFINERS: &str = include_str!("../fixtures/every_object/definers.sql");
const TABLES: &str = include_str!("../fixtures/every_object/tables.sql");
const MARIADB: &str = include_str!("../fixtures/every_object/mariadb.sql");
const MYSQL: &str = include_str!("../fixtures/every_object/mysql.sql");
const PROGRAMS: &str = include_str!("../fixtures/every_object/programs.sql");
const POSTGRES_ROLES: &str = include_str!("../fixtures/every_object/postgres_roles.sql");
const POSTGRES: &str = include_str!("../fixtures/every_object/postgres.sql");
const POSTGRES_18: &str = include_str!("../fixtures/every_object/postgres_18.sql");
const POSTGRES_LARGE_OBJECTS: &str =
    include_str!("../fixtures/every_object/postgres_large_objects.sql");
const POSTGRES_ALIAS: &str = include_str!("../fixtures/every_object/postgres_alias.sql");

/// Makes the database `app` with one of everything. Some bodies name it, so its name is fixed.
///
/// # Panics
/// When the server refuses.
pub fn create(server: &Server) {
    create_definers(server);
    let own = if server.kind().is_mariadb() {
        MARIADB
    } else {
        MYSQL
    };
    server.sql(&format!(
        "CREATE DATABASE app DEFAULT CHARACTER SET utf8mb4;\nUSE app;\n{TABLES}{own}{PROGRAMS}"
    ));
}

/// Makes the part of it that every server understands, with a collation that all of them have: utf8mb4's own
/// one is another one on each.
///
/// # Panics
/// When the server refuses.
pub fn create_portable(server: &Server) {
    create_definers(server);
    let default = match server.kind() {
        ServerKind::MariaDb1011 => "",
        ServerKind::MariaDb118 => {
            "SET character_set_collations = 'utf8mb4=utf8mb4_general_ci,utf8mb3=utf8mb3_general_ci';\n"
        }
        ServerKind::MySql97 => "SET default_collation_for_utf8mb4 = utf8mb4_general_ci;\n",
    };
    let tables = TABLES.replace(
        "SET NAMES utf8mb4;",
        "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci;",
    );
    server.sql(&format!(
        "{default}CREATE DATABASE app DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;\nUSE app;\n{tables}{PROGRAMS}"
    ));
}

/// Makes the account that the schema names as DEFINER: for a server that a dump is loaded into.
///
/// # Panics
/// When the server refuses.
pub fn create_definers(server: &Server) {
    server.sql(DEFINERS);
}

/// Fills an empty database of a PostgreSQL with one of everything that its version has.
///
/// # Panics
/// When the server refuses.
pub fn create_on_postgres(server: &Postgres, database: &str) {
    create_roles(server);
    server.sql(database, POSTGRES);
    match server.kind() {
        PostgresKind::Postgres15 => {}
        PostgresKind::Postgres18 => {
            server.sql(database, POSTGRES_18);
        }
    }
}

/// Puts large objects and a table that names them into a database of a PostgreSQL.
///
/// # Panics
/// When the server refuses.
pub fn create_large_objects(server: &Postgres, database: &str) {
    create_roles(server);
    server.sql(database, POSTGRES_LARGE_OBJECTS);
}

/// Fills an empty database of a PostgreSQL with a schema whose name is also an alias in one of its views.
///
/// # Panics
/// When the server refuses.
pub fn create_alias(server: &Postgres, database: &str) {
    server.sql(database, POSTGRES_ALIAS);
}

/// Makes the roles that own its objects: for a PostgreSQL that a dump is loaded into.
///
/// # Panics
/// When the server refuses.
pub fn create_roles(server: &Postgres) {
    server.sql("postgres", POSTGRES_ROLES);
}
