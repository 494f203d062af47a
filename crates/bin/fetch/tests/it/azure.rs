//! Dumps in Azure Blob Storage, from a real server of it.

use pilotfish_harness::{Azurite, Tool, World};

use crate::{assert_untouched, dump, fetch, logged, manifest, published, sha256};

fn fetch_azure(world: &World, azurite: &Azurite, url: &str) -> Tool {
    fetch(world, url).args(["--endpoint", azurite.endpoint()])
}

#[test]
fn a_blob_and_the_newest_of_a_container_are_published() {
    let world = World::new();
    let azurite = Azurite::start(&world);
    let (old, new) = (dump(300_000, 1), dump(300_000, 2));
    azurite.put("dumps", "daily/2026-11-21.sql", &old);
    let run = |args: &[&str]| {
        fetch_azure(&world, &azurite, args[0])
            .envs(azurite.env())
            .args(&args[1..])
            .run()
            .success()
    };
    let parts = ["az://dumps/daily/2026-11-21.sql", "--part-size", "64KiB"];
    assert_eq!(run(&parts).json()["received_bytes"], old.len() as u64);
    assert_eq!(published(&world, "2026-11-21.sql"), old);
    assert_eq!(run(&parts).json()["outcome"], "nothing_to_do");

    // Stored last, whatever its name; the proof beside it. Azure keeps times to a second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    azurite.put("dumps", "daily/2026-11-20.sql", &new);
    azurite.put("dumps", "daily/2026-11-20.sql.sha256", sha256(&new));
    let newest = [
        "az://dumps/daily/",
        "--match",
        "*.sql",
        "--checksum-from",
        "auto",
    ];
    run(&newest);
    assert_eq!(published(&world, "2026-11-20.sql"), new);
    let release = manifest(&world);
    assert_eq!(release.source_url, "az://dumps/daily/2026-11-20.sql");
    assert_eq!(release.sha256, sha256(&new));
}

#[test]
fn a_wrong_key_is_denied_and_a_missing_blob_named() {
    let world = World::new();
    let azurite = Azurite::start(&world);
    azurite.put("dumps", "dump.sql", dump(1000, 1));
    let [name, _] = azurite.env();
    let run = |url: &str, key: &str| {
        fetch_azure(&world, &azurite, url)
            .env(name.0, name.1)
            .env("AZURE_STORAGE_ACCOUNT_KEY", key)
            .run()
    };
    let [_, (_, right)] = azurite.env();
    let wrong = "czNjcjN0IGd1ZXNz";
    let denied = run("az://dumps/dump.sql", wrong).fails_with(77, "denied");
    assert!(denied.stderr.contains("AuthorizationFailure"), "{denied}");
    assert!(!format!("{denied}").contains(wrong), "{denied}");
    run("az://dumps/dump.sql", "no base64!").fails_with(78, "AZURE_STORAGE_ACCOUNT_KEY");
    run("az://dumps/absent.sql", right)
        .fails_with(69, "az://dumps/absent.sql: there is no such object");
    run("az://dumpz/dump.sql", right).fails_with(69, "there is no such container");
    run("az://dumps/dump.sql?sig=s3cr3t", right).fails_with(78, "AZURE_STORAGE_SAS_TOKEN");
    assert_untouched(&world);
    // With a release on the volume, a source that is away is no failure.
    run("az://dumps/dump.sql", right).success();
    let away = run("az://dumps/absent.sql", right).success();
    assert_eq!(away.json()["outcome"], "source_away");
    let line = "nothing came from the source: the release on the volume stays in use";
    assert_eq!(
        logged(&away.stderr, line)["source"],
        "az://dumps/absent.sql"
    );
}

#[test]
fn the_md5_that_azure_keeps_is_proof() {
    let world = World::new();
    let azurite = Azurite::start(&world);
    let content = dump(200_000, 3);
    azurite.put("dumps", "dump.sql", &content);
    // Of no bytes at all.
    azurite.set_md5("dumps", "dump.sql", "1B2M2Y8AsgTpgAmY7PhCfg==");
    let sas = azurite.sas("rl");
    let run = || {
        fetch_azure(&world, &azurite, "az://dumps/dump.sql")
            .env("AZURE_STORAGE_SAS_TOKEN", &sas)
            .run()
    };
    let corrupt = run().fails_with(65, "its MD5 is");
    assert!(!corrupt.stderr.contains("sig="), "{corrupt}");
    assert_untouched(&world);
    azurite.put("dumps", "dump.sql", &content);
    run().success();
    assert_eq!(published(&world, "dump.sql"), content);
}
