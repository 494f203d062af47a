//! The data team's dumps: a small open-data set in which every row carries the version of its dump.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// The dump of one version with so many drugs, as mariadb-dump writes it, gzipped.
pub(crate) fn dump(version: u32, drugs: u32) -> Vec<u8> {
    zipped(&text(version, drugs))
}

/// The same without its last tenth: somebody's disk was full.
pub(crate) fn truncated(version: u32, drugs: u32) -> Vec<u8> {
    let text = text(version, drugs);
    zipped(&text[..text.len() / 10 * 9])
}

fn text(version: u32, drugs: u32) -> String {
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
