//! The framer and the row converter alone: text in memory, and with decompressors in front.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pilotfish_harness::{PostgresKind, ServerKind, tpch};

use crate::figures::Figures;

pub(crate) fn run(scale: &str) {
    eprintln!("== frame: TPC-H at scale {scale}");
    let dumps = [
        ("mysqldump", tpch::dump(ServerKind::MySql97, scale)),
        ("mariadb", tpch::dump(ServerKind::MariaDb1011, scale)),
        (
            "copy",
            tpch::for_postgres(PostgresKind::Postgres15, scale).plain(),
        ),
    ];
    let program = std::env::current_exe().expect("where this program is");
    let program = program.with_file_name("examples").join("frame");
    let mut figures = Figures::default();
    for (name, plain) in dumps {
        let bytes = std::fs::metadata(&plain)
            .expect("the dump's size")
            .len()
            .to_string();
        for (suffix, file) in [
            (String::new(), plain.clone()),
            (".gzip".to_owned(), compressed(&plain, "gzip", "gz")),
            (".zstd".to_owned(), compressed(&plain, "zstd", "zst")),
        ] {
            // Read from memory.
            std::io::copy(
                &mut File::open(&file).expect("open the dump"),
                &mut std::io::sink(),
            )
            .expect("read the dump");
            let mut command = Command::new(&program);
            let output = command
                .arg(format!("{name}{suffix}"))
                .arg(&file)
                .arg(&bytes)
                .stderr(Stdio::inherit())
                .output();
            let output = output.expect("run the example");
            assert!(output.status.success(), "{name}{suffix} cannot be read");
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let mut words = line.split(' ');
                if let (Some(figure), Some(value), Some(unit)) =
                    (words.next(), words.next(), words.next())
                {
                    figures.add(figure, value.parse().expect("a figure is a number"), unit);
                }
            }
        }
    }
    figures.write("frame");
}

/// The dump once more, compressed at the program's own level; kept beside it.
fn compressed(plain: &Path, program: &str, suffix: &str) -> PathBuf {
    let path = PathBuf::from(format!("{}.{suffix}", plain.display()));
    if !path.exists() {
        let partial = path.with_extension("partial");
        let output = File::create(&partial).expect("make the compressed dump");
        let status = Command::new(program)
            .arg("-c")
            .arg(plain)
            .stdout(output)
            .stderr(Stdio::null())
            .status();
        assert!(
            status.expect("run the compressor").success(),
            "{program} failed"
        );
        std::fs::rename(partial, &path).expect("finish the compressed dump");
    }
    path
}
