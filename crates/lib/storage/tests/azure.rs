//! Azure Blob Storage: the promises of every scheme, against a real server, and who is let in.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

use std::time::Duration;

use pilotfish_harness::{Azurite, World};
use pilotfish_storage::conformance::{self, Fixture};
use pilotfish_storage::serving::{Abilities, HttpServer};
use pilotfish_storage::{
    Address, Checksum, Error, Object, Options, Page, PathStyle, StorageArgs, Timeouts, open,
    read_small,
};

type Env<'a> = &'a [(&'a str, &'a str)];

fn options(endpoint: Option<&str>, env: Env<'_>) -> Options {
    let args = StorageArgs {
        endpoint: endpoint.map(str::to_owned),
        region: None,
        path_style: PathStyle::Auto,
        anonymous: false,
        header: Vec::new(),
        bearer_token_file: None,
        ca_file: None,
    };
    let timeouts = Timeouts {
        connect: Duration::from_secs(5),
        read: Duration::from_secs(20),
    };
    let get = |name: &str| {
        let found = env.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    args.into_options(get, timeouts).unwrap()
}

async fn head(url: &str, options: &Options) -> Result<Option<Object>, Error> {
    let address = Address::parse(url).unwrap();
    open(&address, options)
        .await?
        .head(address.key(), None)
        .await
}

async fn list(url: &str, options: &Options, after: Option<&str>) -> Result<Page, Error> {
    let address = Address::parse(url).unwrap();
    open(&address, options)
        .await?
        .list(address.key(), after)
        .await
}

struct Blobs<'a> {
    azurite: &'a Azurite,
    container: &'static str,
    options: Options,
}

impl Fixture for Blobs<'_> {
    fn address(&self, name: &str) -> String {
        format!("az://{}/folder/{name}", self.container)
    }
    fn put(&self, name: &str, bytes: &[u8]) {
        let key = format!("folder/{}", name.replace(' ', "%20"));
        self.azurite.put(self.container, &key, bytes);
    }
    fn remove(&self, name: &str) {
        self.azurite
            .delete(self.container, &format!("folder/{name}"));
    }
    fn options(&self) -> Options {
        self.options.clone()
    }
    fn lists(&self) -> bool {
        true
    }
    fn ranges(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn azure_conforms_by_key_and_by_sas_token() {
    let world = World::new();
    let azurite = Azurite::start(&world);
    let sas = format!("?{}", azurite.sas("rl"));
    let ways: [(&str, Env<'_>); 2] = [
        ("by-key", &azurite.env()),
        ("by-sas", &[("AZURE_STORAGE_SAS_TOKEN", &sas)]),
    ];
    for (container, env) in ways {
        let options = options(Some(azurite.endpoint()), env);
        conformance::run(&Blobs {
            azurite: &azurite,
            container,
            options,
        })
        .await;
    }
}

#[tokio::test]
async fn odd_names_and_the_md5_that_azure_keeps_come_through() {
    let world = World::new();
    let azurite = Azurite::start(&world);
    let options = options(Some(azurite.endpoint()), &azurite.env());
    azurite.put(
        "box",
        "a%2Bb%20%26%20%23%25c%3D1/d%C3%BC%2Cx.sql",
        "SELECT 1;",
    );
    let url = "az://box/a+b & #%c=1/dü,x.sql";
    let object = head(url, &options).await.unwrap().unwrap();
    let md5 = Checksum::Md5("71568061b2970a4b7c5160fe75356e10".into());
    assert_eq!(object.checksums, [md5]);
    let listed = list("az://box/a+b & #%c=1/", &options, None).await.unwrap();
    assert_eq!(listed.objects[0].key, object.key);
    assert_eq!(listed.objects[0].version, object.version);
    let storage = open(&Address::parse(url).unwrap(), &options).await.unwrap();
    let read = read_small(&*storage, &object.key, 100).await.unwrap();
    assert_eq!(read, b"SELECT 1;");
    // A path that means another blob is asked of nobody.
    let folder = head("az://box/a/../d.sql", &options).await.unwrap_err();
    assert!(matches!(folder, Error::Refused { .. }), "{folder}");
}

#[tokio::test]
async fn a_long_listing_comes_in_pages() {
    let world = World::new();
    let azurite = Azurite::start(&world);
    for number in 0..1_003 {
        azurite.put("box", &format!("d/{number:04}.sql"), "x");
    }
    let options = options(Some(azurite.endpoint()), &azurite.env());
    let first = list("az://box/d/", &options, None).await.unwrap();
    let next = first.next.expect("a second page");
    let second = list("az://box/d/", &options, Some(&next)).await.unwrap();
    assert_eq!((first.objects.len(), second.objects.len()), (1_000, 3));
    assert_eq!(second.objects[2].key, "d/1002.sql");
    assert_eq!(second.next, None);
}

#[tokio::test]
async fn who_is_not_let_in_and_what_is_not_there_is_told_apart() {
    let world = World::new();
    let azurite = Azurite::start(&world);
    azurite.put("box", "d.sql", "x");
    let [name, (_, key)] = azurite.env();
    let own = |env: Env<'_>| options(Some(azurite.endpoint()), env);
    let guess = own(&[name, ("AZURE_STORAGE_ACCOUNT_KEY", "czNjcjN0IGd1ZXNz")]);
    let short = azurite.sas("l");
    let short = own(&[("AZURE_STORAGE_SAS_TOKEN", &short)]);
    let nothing = own(&[]);
    for (options, words) in [
        (&guess, "AuthorizationFailure (403)"),
        (&short, "AuthorizationPermissionMismatch (403): give"),
        (&nothing, "no usable credentials"),
    ] {
        let denied = head("az://box/d.sql", options).await.unwrap_err();
        assert!(matches!(denied, Error::Denied { .. }), "{denied:?}");
        assert!(denied.to_string().contains(words), "{denied}");
        let said = format!("{denied} {denied:?} {options:?}");
        for secret in [key, "czNjcjN0IGd1ZXNz", "sig="] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    let good = own(&azurite.env());
    let absent = head("az://box/absent.sql", &good).await.unwrap_err();
    assert!(matches!(absent, Error::NotFound { .. }), "{absent:?}");
    for absent in [
        head("az://absent/d.sql", &good).await.map(drop),
        list("az://absent/", &good, None).await.map(drop),
    ] {
        assert!(
            matches!(absent, Err(Error::NoContainer { .. })),
            "{absent:?}"
        );
    }
    // An account is a host's name.
    let env = [
        ("AZURE_STORAGE_ACCOUNT_NAME", "nobody"),
        ("AZURE_STORAGE_ACCOUNT_KEY", key),
    ];
    let elsewhere = options(None, &env);
    let other = head("az://someone.blob.core.windows.net/box/d.sql", &elsewhere);
    let other = other.await.unwrap_err();
    assert!(
        matches!(&other, Error::Config(words) if words.contains("of the account nobody")),
        "{other:?}"
    );
    let unnamed = head("az://box/d.sql", &options(None, &[]))
        .await
        .unwrap_err();
    assert!(
        unnamed.to_string().contains("in which account?"),
        "{unnamed}"
    );
}

const LISTING: &[u8] = b"<EnumerationResults><Blobs><Blob><Name>d.sql</Name></Blob></Blobs>\
    <NextMarker/></EnumerationResults>";
const LIST: &str = "/me/box?restype=container&comp=list&include=metadata&maxresults=1000&prefix=";

#[tokio::test]
async fn a_workload_identity_is_exchanged_for_one_token() {
    let (entra, store) = (
        HttpServer::start(Abilities::GOOD),
        HttpServer::start(Abilities::GOOD),
    );
    store.put(LIST, LISTING);
    store.require("authorization", "Bearer t0ken");
    entra.answer_calls(&[]);
    let refused = "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS700016: not found\\r\\nTrace\"}";
    entra.answer_call_with(401, refused.as_bytes());
    entra.answer_call_with(200, b"{\"access_token\":\"t0ken\",\"expires_in\":3599}");
    let world = World::new();
    let file = world.write("identity", "projected+t0ken\n");
    let env = [
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
        ("AZURE_AUTHORITY_HOST", &entra.url("/")),
    ];
    let options = options(Some(&store.url("/me")), &env);
    let address = Address::parse("az://box/").unwrap();
    let storage = open(&address, &options).await.unwrap();
    let denied = storage.list("", None).await.unwrap_err();
    assert!(matches!(denied, Error::Denied { .. }), "{denied:?}");
    assert!(
        denied.to_string().contains("AADSTS700016: not found (401)"),
        "{denied}"
    );
    for _ in 0..2 {
        assert_eq!(storage.list("", None).await.unwrap().objects.len(), 1);
    }
    let calls = entra.requests();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert_eq!(calls[1].path, "/tenant/oauth2/v2.0/token");
    for part in [
        "grant_type=client_credentials",
        "scope=https%3A%2F%2Fstorage.azure.com%2F.default",
        "client_id=client",
        "client_assertion=projected%2Bt0ken",
        "client-assertion-type%3Ajwt-bearer",
    ] {
        assert!(
            calls[1].body.contains(part),
            "no `{part}` in {}",
            calls[1].body
        );
    }
}

#[tokio::test]
async fn a_machine_has_an_identity_of_its_own_in_the_cloud_only() {
    let metadata = HttpServer::start(Abilities::GOOD);
    let path = "/metadata/identity/oauth2/token?api-version=2018-02-01\
                &resource=https%3A%2F%2Fstorage.azure.com%2F&client_id=client";
    metadata.put(
        path,
        b"{\"access_token\":\"t0ken\",\"expires_in\":\"86400\"}",
    );
    metadata.require("metadata", "true");
    let proxy = HttpServer::start(Abilities::GOOD);
    let there = "http://me.blob.core.windows.net";
    proxy.put(&format!("{there}{}", LIST.replace("/me/", "/")), LISTING);
    proxy.require("authorization", "Bearer t0ken");
    let env = [
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &metadata.url("")),
        // What reaches the cloud in this test; the metadata service is asked without it.
        ("http_proxy", &proxy.url("")),
    ];
    let listed = list("az://box/", &options(Some(there), &env), None).await;
    assert_eq!(listed.unwrap().objects.len(), 1);
    assert_eq!(metadata.requests().len(), 1);
    let own = options(Some("http://127.0.0.1:1/me"), &env);
    let denied = list("az://box/", &own, None).await.unwrap_err();
    assert!(matches!(denied, Error::Denied { .. }), "{denied:?}");
    assert_eq!(
        metadata.requests().len(),
        1,
        "asked for a store of one's own"
    );
}
