use std::collections::HashMap;

use clap::Parser as _;

use super::*;

#[derive(clap::Parser)]
struct Tool {
    #[command(flatten)]
    server: ServerArgs,
}

fn settings(flags: &[&str], env: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let arguments = std::iter::once("tool").chain(flags.iter().copied());
    let env: HashMap<_, _> = env
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Tool::try_parse_from(arguments)
        .unwrap()
        .server
        .into_settings(|name| env.get(name).cloned())
}

#[test]
fn nothing_but_the_images_variables() {
    let found = settings(
        &[],
        &[
            ("MARIADB_ROOT_PASSWORD", "s3cret"),
            ("MARIADB_DATABASE", "shop"),
        ],
    )
    .unwrap();
    assert_eq!(
        found.route,
        Route::Tcp {
            host: "127.0.0.1".into(),
            port: 3306
        }
    );
    assert_eq!(found.user, Text::Value("root".into()));
    assert_eq!(found.database, Some(Text::Value("shop".into())));
    assert_eq!(found.tls_mode(), TlsMode::Disable);
    assert!(!format!("{found:?}").contains("s3cret"));
}

#[test]
fn root_before_the_user_of_one_database() {
    let env = [("MYSQL_USER", "app"), ("MYSQL_PASSWORD", "a")];
    assert_eq!(settings(&[], &env).unwrap().user, Text::Value("app".into()));
    let env = [env[0], env[1], ("MYSQL_ROOT_PASSWORD_FILE", "/secret")];
    assert_eq!(
        settings(&[], &env).unwrap().user,
        Text::Value("root".into())
    );
    let env = [("MYSQL_ALLOW_EMPTY_PASSWORD", "yes")];
    assert_eq!(
        settings(&[], &env).unwrap().user,
        Text::Value("root".into())
    );
}

#[test]
fn flags_before_variables() {
    let env = [("MARIADB_ROOT_PASSWORD", "x")];
    let found = settings(
        &["--user=pilotfish", "--password-file=/p", "--port=3307"],
        &env,
    )
    .unwrap();
    assert_eq!(found.user, Text::Value("pilotfish".into()));
    assert_eq!(
        found.route,
        Route::Tcp {
            host: "127.0.0.1".into(),
            port: 3307
        }
    );
}

#[test]
fn all_mistakes_at_once() {
    let env = [
        ("MYSQL_ROOT_PASSWORD", "x"),
        ("MYSQL_ROOT_PASSWORD_FILE", "/x"),
    ];
    let flags = [
        "--url=mysql://u@h",
        "--user=v",
        "--tls-cert=/c",
        "--tls-ca=/a",
        "--tls-mode=prefer",
    ];
    let mistakes = settings(&flags, &env).unwrap_err();
    assert_eq!(mistakes.len(), 4, "{mistakes:#?}");
    assert!(settings(&[], &[]).unwrap_err()[0].starts_with("no account"));
    assert!(settings(&["--url=mysql://a@b", "--url=mysql://a@c"], &[]).is_err());
    assert!(settings(&["--socket=/s", "--user=root", "--tls-mode=require"], &[]).is_err());
}

#[test]
fn tls_mode_follows_the_route() {
    let mode = |flags: &[&str]| settings(flags, &[]).unwrap().tls_mode();
    assert_eq!(mode(&["--url=mysql://a@db"]), TlsMode::Prefer);
    assert_eq!(mode(&["--url=mysql://a@[::1]"]), TlsMode::Disable);
    assert_eq!(
        mode(&["--url=mysql://a@db", "--tls-ca=/ca"]),
        TlsMode::VerifyFull
    );
    assert_eq!(
        mode(&["--url=mysql://a@localhost", "--tls-mode=require"]),
        TlsMode::Require
    );
}

#[test]
fn several_targets_share_the_rest() {
    let arguments = [
        "tool",
        "--url",
        "mysql://one",
        "--url",
        "mysql://two:3307",
        "--user",
        "u",
    ];
    let targets = Tool::try_parse_from(arguments)
        .unwrap()
        .server
        .into_targets(|_| None)
        .unwrap();
    let names: Vec<_> = targets.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["one:3306", "two:3307"]);
}

#[test]
fn postgres_is_known_by_its_address_or_its_variables() {
    let postgres = |flags: &[&str], env: &[(&str, &str)]| {
        let found = settings(flags, env).unwrap();
        assert_eq!(
            found.engine,
            Some(EngineName::Postgres),
            "{flags:?} {env:?}"
        );
        found
    };
    let found = postgres(&["--url=postgres://me:secret@db/app"], &[]);
    assert_eq!(found.route.to_string(), "db:5432");
    let account = [("PILOTFISH_USER", "me")];
    for flags in [
        &["--user=me", "--engine=postgresql"][..],
        &["--user=me", "--port=5432"],
        &["--user=me", "--socket=/run/postgresql"],
        &["--user=me", "--socket=/tmp/.s.PGSQL.5433"],
    ] {
        postgres(flags, &account);
    }
    let found = postgres(&[], &[("POSTGRES_PASSWORD", "s3cret")]);
    assert_eq!(found.user, Text::Value("postgres".into()));
    assert_eq!(found.database, Some(Text::Value("postgres".into())));
    let found = postgres(
        &[],
        &[("POSTGRES_USER", "shop"), ("POSTGRES_PASSWORD_FILE", "/p")],
    );
    assert_eq!(found.database, Some(Text::Value("shop".into())));
    let found = postgres(
        &[],
        &[
            ("PGHOST", "/run/postgresql"),
            ("PGPORT", "5433"),
            ("PGUSER", "me"),
            ("PGDATABASE", "app"),
            // For other routes: libpq does not look at it here either.
            ("PGSSLMODE", "require"),
        ],
    );
    assert_eq!(found.tls_mode(), TlsMode::Disable);
    assert_eq!(found.route.to_string(), "/run/postgresql/.s.PGSQL.5433");
    let found = postgres(
        &["--host=db"],
        &[
            ("PGHOST", "elsewhere"),
            ("PGUSER", "me"),
            ("PGSSLMODE", "verify-full"),
        ],
    );
    assert_eq!(found.route.to_string(), "db:5432");
    assert_eq!(found.tls_mode(), TlsMode::VerifyFull);
}

#[test]
fn mistakes_about_postgres_are_named() {
    let mistakes = settings(&["--engine=mysql", "--url=postgres://me@db"], &[]).unwrap_err();
    assert!(mistakes[0].contains("contradict"), "{mistakes:?}");
    let mistakes = settings(&["--engine=postgres"], &[]).unwrap_err();
    assert!(mistakes[0].contains("POSTGRES_PASSWORD"), "{mistakes:?}");
    let env = [("PGUSER", "me"), ("PGPORT", "many"), ("PGSSLMODE", "some")];
    let mistakes = settings(&[], &env).unwrap_err();
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
}
