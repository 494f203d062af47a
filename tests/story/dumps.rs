//! The data team's dumps: a small open-data set in which every row carries the version of its dump.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// The dump of one version with so many drugs, as the engine's own program writes it, gzipped.
pub(crate) fn dump(engine: &str, version: u32, drugs: u32) -> Vec<u8> {
    zipped(&text(engine, version, drugs))
}

/// The same without its last tenth: somebody's disk was full.
pub(crate) fn truncated(engine: &str, version: u32, drugs: u32) -> Vec<u8> {
    let text = text(engine, version, drugs);
    zipped(&text[..text.len() / 10 * 9])
}

fn text(engine: &str, version: u32, drugs: u32) -> String {
    match engine {
        "postgres" => of_postgres(version, drugs),
        _ => of_mariadb(version, drugs),
    }
}

fn of_postgres(version: u32, drugs: u32) -> String {
    let mut text = String::from(
        "--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\n\
         SET standard_conforming_strings = on;\nSELECT pg_catalog.set_config('search_path', '', false);\n",
    );
    let tables = [("makers", (drugs / 100).max(1)), ("drugs", drugs)];
    for (name, rows) in tables {
        let _ = write!(
            text,
            "CREATE TABLE public.{name} (id integer NOT NULL, version integer NOT NULL, name character varying(100) NOT NULL);\n\
             COPY public.{name} (id, version, name) FROM stdin;\n"
        );
        for row in 0..rows {
            let _ = writeln!(
                text,
                "{row}\t{version}\t{name} number {row}, as the register had it in edition {version}"
            );
        }
        text.push_str("\\.\n");
    }
    for (name, _) in tables {
        let _ = write!(
            text,
            "ALTER TABLE ONLY public.{name} ADD CONSTRAINT {name}_pkey PRIMARY KEY (id);\n\
             CREATE INDEX {name}_name ON public.{name} USING btree (name);\n"
        );
    }
    text.push_str("--\n-- PostgreSQL database dump complete\n--\n\n");
    text
}

fn of_mariadb(version: u32, drugs: u32) -> String {
    let mut text = String::from(
        "-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB\n/*!40101 SET NAMES utf8mb4 */;\n\
         /*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;\n",
    );
    table(&mut text, "makers", version, (drugs / 100).max(1));
    table(&mut text, "drugs", version, drugs);
    text.push_str(
        "/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;\n-- Dump completed on 2026-01-01  0:00:00\n",
    );
    text
}

fn table(text: &mut String, name: &str, version: u32, rows: u32) {
    let _ = write!(
        text,
        "DROP TABLE IF EXISTS `{name}`;\nCREATE TABLE `{name}` (\n  `id` int(11) NOT NULL,\n  `version` int(11) NOT NULL,\n  \
         `name` varchar(100) NOT NULL,\n  PRIMARY KEY (`id`),\n  KEY `name` (`name`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\n\
         LOCK TABLES `{name}` WRITE;\n"
    );
    for first in (0..rows).step_by(1000) {
        let _ = write!(text, "INSERT INTO `{name}` VALUES ");
        for row in first..rows.min(first + 1000) {
            let comma = if row == first { "" } else { "," };
            let _ = write!(
                text,
                "{comma}({row},{version},'{name} number {row}, as the register had it in edition {version}')"
            );
        }
        text.push_str(";\n");
    }
    text.push_str("UNLOCK TABLES;\n");
}

fn zipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(text.as_bytes())
        .and_then(|()| encoder.finish())
        .expect("compress into memory")
}
