//! S3 accounts that are not in the environment: profiles and web identities.

use pilotfish_harness::{S3, World};
use pilotfish_storage::serving::{Abilities, HttpServer};

use crate::{assert_untouched, dump, fetch, published};

#[test]
fn a_profile_has_the_account() {
    let world = World::new();
    let s3 = S3::start(&world);
    let content = dump(300_000, 1);
    s3.put("dumps", "dump.sql", &content);
    let [(_, key), (_, secret), _] = s3.env();
    let profiles = format!(
        "[team]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n\
         [others]\naws_access_key_id = {key}\naws_secret_access_key = guess\n"
    );
    let profiles = world.write("credentials", profiles);
    let run = |profile: &str| {
        fetch(&world, "s3://dumps/dump.sql")
            .args(["--endpoint", s3.endpoint()])
            .env("AWS_SHARED_CREDENTIALS_FILE", &profiles)
            .env("AWS_PROFILE", profile)
            .run()
    };
    run("others").fails_with(77, "denied");
    let absent = run("absent").fails_with(77, "no usable credentials");
    assert!(!absent.stderr.contains(secret), "{absent}");
    assert_untouched(&world);
    run("team").success();
    assert_eq!(published(&world, "dump.sql"), content);
}

#[test]
fn a_machine_without_region_and_account_is_told_so() {
    let world = World::new();
    // Where a machine of the cloud has its metadata, nobody answers.
    let told = pilotfish_harness::tool!("fetch")
        .args(["s3://dumps/dump.sql", "--retries", "0", "--to"])
        .arg(crate::volume(&world))
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
        .env("AWS_CONFIG_FILE", world.join("absent"))
        .env("AWS_SHARED_CREDENTIALS_FILE", world.join("absent"))
        .run()
        .fails_with(77, "no usable credentials");
    assert!(!told.stderr.contains("aws_config"), "{told}");
    assert_untouched(&world);
}

#[test]
fn a_store_of_ones_own_has_no_account_in_the_clouds_metadata() {
    let world = World::new();
    let metadata = HttpServer::start(Abilities::GOOD);
    metadata.answer_calls(&[403; 20]);
    let told = pilotfish_harness::tool!("fetch")
        .args(["s3://dumps/dump.sql", "--retries", "0", "--to"])
        .arg(crate::volume(&world))
        .args(["--endpoint", "http://127.0.0.1:1"])
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url(""))
        .env("AWS_CONFIG_FILE", world.join("absent"))
        .env("AWS_SHARED_CREDENTIALS_FILE", world.join("absent"))
        .run()
        .fails_with(77, "no usable credentials");
    assert!(!told.stderr.contains("WARN"), "{told}");
    let asked = metadata.requests();
    assert!(
        asked.is_empty(),
        "the metadata service was asked: {asked:?}"
    );
}

#[test]
fn a_web_identity_is_shown_to_the_token_service() {
    let world = World::new();
    let sts = HttpServer::start(Abilities::GOOD);
    sts.answer_calls(&[403; 20]);
    let token = world.write("identity", "projected-t0ken");
    fetch(&world, "s3://dumps/dump.sql")
        .args(["--endpoint", "http://127.0.0.1:1", "--retries", "0"])
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", token)
        .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/dumps")
        .env("AWS_ENDPOINT_URL_STS", sts.url(""))
        .env("AWS_REGION", "us-east-1")
        .run()
        .fails_with(77, "no usable credentials");
    let calls = sts.requests();
    let call = calls.first().expect("a call of the token service");
    for part in [
        "Action=AssumeRoleWithWebIdentity",
        "WebIdentityToken=projected-t0ken",
        "role%2Fdumps",
    ] {
        assert!(call.body.contains(part), "no `{part}` in {}", call.body);
    }
}
