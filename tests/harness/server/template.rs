//! Data folders initialised once per server version and copied for each test.
//!
//! `mysqld --initialize` takes seconds and a copy a tenth of one.

use std::fs::{create_dir_all, remove_dir_all, remove_file, rename};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{ACCOUNT, PASSWORD, ServerKind, feed};
use crate::eventually::eventually;
use crate::leftovers;
use crate::process::Child;
use crate::world::{cache_dir, lock};

const GRANTS: &str = include_str!("../../../manifests/account/grants.sql");
/// Changes with the steps below, so that an older template is not used.
const RECIPE: u32 = 1;

/// The template for this very server version and these grants, made when missing.
pub(super) fn folder(kind: ServerKind) -> PathBuf {
    let version = kind
        .server(Path::new("/"))
        .arg("--version")
        .output()
        .expect("ask for a version");
    let mut hasher = DefaultHasher::new();
    (&version.stdout, GRANTS, ACCOUNT, PASSWORD, RECIPE).hash(&mut hasher);
    let templates = cache_dir().join("templates");
    let folder = templates.join(format!("{}-{:016x}", kind.name(), hasher.finish()));
    if folder.is_dir() {
        return folder;
    }
    let turn = templates.join(format!("{}.lock", kind.name()));
    let _lock = eventually(
        "a turn to make a template",
        Duration::from_secs(300),
        || lock(&turn),
    );
    if !folder.is_dir() {
        make(kind, &folder);
    }
    folder
}

/// Copies a data folder, sparse and by reference where the file system can.
pub(crate) fn copy(template: &Path, data: &Path) {
    let status = Command::new("cp")
        .args(["-a", "--reflink=auto", "--sparse=always"])
        .args([template, data])
        .status()
        .expect("run cp");
    assert!(status.success(), "copy the template data folder");
}

fn make(kind: ServerKind, folder: &Path) {
    let partial = folder.with_file_name(format!("{}.partial", kind.name()));
    // Left behind when the maker was killed.
    let _ = remove_dir_all(&partial);
    create_dir_all(&partial).expect("make the template folder");
    if kind.is_mariadb() {
        initialise_mariadb(kind, &partial);
    } else {
        let output = kind
            .server(&partial)
            .arg("--initialize-insecure")
            .output()
            .expect("run mysqld");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    make_account(kind, &partial);
    // Each copy makes its own server identity.
    let _ = remove_file(partial.join("auto.cnf"));
    rename(&partial, folder).expect("finish the template");
}

/// What `mariadb-install-db` does, without its shell script, which knows no rootfs folder.
fn initialise_mariadb(kind: ServerKind, data: &Path) {
    let mut script = b"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n".to_vec();
    for name in [
        "system_tables",
        "performance_tables",
        "system_tables_data",
        "sys_schema",
    ] {
        script.extend(kind.system_script(name));
    }
    let mut bootstrap = kind.server(data);
    bootstrap.args([
        "--bootstrap",
        "--log-warnings=0",
        "--enforce-storage-engine=",
    ]);
    bootstrap.args(["--max-allowed-packet=8M", "--net-buffer-length=16K"]);
    feed(bootstrap, &script).unwrap_or_else(|error| panic!("bootstrap: {error}"));
}

fn make_account(kind: ServerKind, data: &Path) {
    let home = tempfile::Builder::new()
        .prefix("pf-")
        .tempdir()
        .expect("make a temp folder");
    let _owner = leftovers::own(home.path());
    // Processes are found in the folders of a world.
    let place = home.path().join("server");
    create_dir_all(&place).expect("make a folder in the world");
    let socket = format!("--socket={}", place.join("socket").display());
    let mut command = kind.server(data);
    command
        .arg(&socket)
        .arg(format!("--pid-file={}", place.join("pid").display()));
    command.arg("--skip-networking").current_dir(&place);
    let mut server = Child::start(kind.name(), &mut command, &place.join("log"));
    let sql = |text: &str| {
        let mut client = kind.client();
        client.args(["--no-defaults", "--user=root", &socket, "--comments"]);
        feed(client, text.as_bytes())
    };
    eventually("the new server to answer", Duration::from_secs(120), || {
        server.assert_alive();
        sql("SELECT 1").ok()
    });
    let account = format!("CREATE USER '{ACCOUNT}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n");
    sql(&(account + GRANTS)).unwrap_or_else(|error| panic!("make the account: {error}"));
    server.stop();
}
