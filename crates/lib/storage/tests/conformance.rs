//! Every scheme keeps the promises of `Storage`, against real places; and what only one of them has.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use pilotfish_harness::{S3, World};
use pilotfish_storage::conformance::{self, Fixture};
use pilotfish_storage::faulty::{Faults, Faulty};
use pilotfish_storage::serving::{Abilities, HttpServer};
use pilotfish_storage::{Address, Error, Options, PathStyle, Storage, StorageArgs, Timeouts, open};

fn args() -> StorageArgs {
    StorageArgs {
        endpoint: None,
        region: None,
        path_style: PathStyle::Auto,
        anonymous: false,
        header: Vec::new(),
        bearer_token_file: None,
        ca_file: None,
    }
}

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    read: Duration::from_secs(20),
};

fn options(args: StorageArgs) -> Options {
    args.into_options(|_| None, TIMEOUTS).unwrap()
}

/// Makes a file look as if its writer had been done for this long.
fn age(path: &std::path::Path, age: Duration) {
    let file = std::fs::File::options().append(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - age)
        .unwrap();
}

struct Folder(World);

impl Fixture for Folder {
    fn address(&self, name: &str) -> String {
        format!("file://{}", self.0.join(name).display())
    }
    fn put(&self, name: &str, bytes: &[u8]) {
        // Published by a rename, as writers of dumps should.
        let draft = self.0.write("draft", bytes);
        age(&draft, Duration::from_secs(60));
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::rename(draft, path).unwrap();
    }
    fn remove(&self, name: &str) {
        std::fs::remove_file(self.0.join(name)).unwrap();
    }
    fn options(&self) -> Options {
        options(args())
    }
    fn lists(&self) -> bool {
        true
    }
    fn ranges(&self) -> bool {
        true
    }
}

struct Web(HttpServer, bool);

impl Fixture for Web {
    fn address(&self, name: &str) -> String {
        self.0.url(&format!("/{}", name.replace(' ', "%20")))
    }
    fn put(&self, name: &str, bytes: &[u8]) {
        self.0.put(&format!("/{}", name.replace(' ', "%20")), bytes);
    }
    fn remove(&self, name: &str) {
        self.0.remove(&format!("/{name}"));
    }
    fn options(&self) -> Options {
        options(args())
    }
    fn lists(&self) -> bool {
        false
    }
    fn ranges(&self) -> bool {
        self.1
    }
}

struct Bucket(S3);

impl Fixture for Bucket {
    fn address(&self, name: &str) -> String {
        format!("s3://conformance/folder/{name}")
    }
    fn put(&self, name: &str, bytes: &[u8]) {
        self.0.put(
            "conformance",
            &format!("folder/{}", name.replace(' ', "%20")),
            bytes,
        );
    }
    fn remove(&self, name: &str) {
        self.0.delete("conformance", &format!("folder/{name}"));
    }
    fn options(&self) -> Options {
        let env = self.0.env();
        let get = |name: &str| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        StorageArgs {
            endpoint: Some(self.0.endpoint().to_owned()),
            ..args()
        }
        .into_options(get, TIMEOUTS)
        .unwrap()
    }
    fn lists(&self) -> bool {
        true
    }
    fn ranges(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn files_conform() {
    conformance::run(&Folder(World::new())).await;
}

#[tokio::test]
async fn a_file_that_is_being_written_is_not_there_yet() {
    let world = World::new();
    let path = world.write("d.sql", b"half a");
    let address = Address::parse(&format!("file://{}", path.display())).unwrap();
    let storage = open(&address, &options(args())).await.unwrap();
    let early = storage.head(address.key(), None).await.unwrap_err();
    assert!(
        matches!(&early, Error::Unreachable { retry_after: Some(left), .. } if *left <= Duration::from_secs(2)),
        "{early:?}"
    );
    assert!(early.is_transient() && early.to_string().contains("file:///"));
    age(&path, Duration::from_secs(3));
    storage.head(address.key(), None).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_nobody_may_look_into_hides_no_other_file() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let world = World::new();
    world.write("dumps/d.sql", b"x");
    let lost = world.write("dumps/lost+found/x", b"x");
    let folder = lost.parent().unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o000)).unwrap();
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let address = Address::parse(&format!("file://{}/", world.join("dumps").display())).unwrap();
    let storage = open(&address, &options(args())).await.unwrap();
    let page = storage.list(address.key(), None).await;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    // Nothing is closed to root.
    assert_eq!(page.unwrap().objects.len(), if root { 2 } else { 1 });
    let absent = format!("{}absent/", address.key());
    assert!(matches!(
        storage.list(&absent, None).await,
        Err(Error::NotFound { .. })
    ));
}

#[tokio::test]
async fn parts_are_asked_for_only_of_a_version_with_a_mark_of_its_own() {
    let server = HttpServer::start(Abilities {
        etags: false,
        ..Abilities::GOOD
    });
    let address = Address::parse(&server.url("/d.sql")).unwrap();
    let storage = open(&address, &options(args())).await.unwrap();
    for (age, ranges) in [(Duration::ZERO, false), (Duration::from_secs(60), true)] {
        let stored = std::time::SystemTime::now() - age;
        server.put_at("/d.sql", b"some bytes", stored);
        let object = storage.head(address.key(), None).await.unwrap().unwrap();
        assert_eq!(object.ranges, ranges, "{age:?} after it was stored");
        assert_eq!(object.is_settled(), ranges);
    }
}

#[tokio::test]
async fn a_good_web_server_conforms() {
    conformance::run(&Web(HttpServer::start(Abilities::GOOD), true)).await;
}

#[tokio::test]
async fn a_web_server_without_conditions_conforms() {
    let abilities = Abilities {
        conditions: false,
        ..Abilities::GOOD
    };
    conformance::run(&Web(HttpServer::start(abilities), true)).await;
}

#[tokio::test]
async fn a_plain_web_server_conforms() {
    conformance::run(&Web(HttpServer::start(Abilities::PLAIN), false)).await;
}

#[tokio::test]
async fn s3_conforms() {
    let world = World::new();
    conformance::run(&Bucket(S3::start(&world))).await;
}

#[tokio::test]
async fn a_wrong_account_is_denied_and_a_missing_bucket_named() {
    let world = World::new();
    let s3 = S3::start(&world);
    s3.put("bucket", "d.sql", "x");
    let own = |env: &[(&'static str, &'static str)]| {
        let args = StorageArgs {
            endpoint: Some(s3.endpoint().to_owned()),
            ..args()
        };
        let env = env.to_vec();
        let get = move |name: &str| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        args.into_options(get, TIMEOUTS).unwrap()
    };
    let wrong = [
        ("AWS_ACCESS_KEY_ID", "nobody"),
        ("AWS_SECRET_ACCESS_KEY", "guess"),
    ];
    let address = Address::parse("s3://bucket/d.sql").unwrap();
    let denied = open(&address, &own(&wrong))
        .await
        .unwrap()
        .head("d.sql", None)
        .await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
    let absent = Address::parse("s3://absent-bucket/").unwrap();
    let storage = open(&absent, &own(&s3.env())).await.unwrap();
    let refused = storage.list("", None).await;
    assert!(
        matches!(refused, Err(Error::NoBucket { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn credentials_follow_redirects_on_their_own_host_only() {
    let (ours, theirs) = (
        HttpServer::start(Abilities::GOOD),
        HttpServer::start(Abilities::GOOD),
    );
    ours.put("/d.sql", b"ours");
    theirs.put("/d.sql", b"theirs");
    ours.redirect("/near", "/d.sql");
    ours.redirect("/far", &theirs.url("/d.sql"));
    ours.redirect("/round", "/round");
    let world = World::new();
    let token = world.write("token", "t0ken\n");
    let options = options(StorageArgs {
        header: vec!["X-Api-Key: s3cret".into()],
        bearer_token_file: Some(token.clone()),
        ..args()
    });
    let read = async |path: &str| {
        let address = Address::parse(&ours.url(path)).unwrap();
        let storage = open(&address, &options).await.unwrap();
        pilotfish_storage::read_small(&*storage, address.key(), 100).await
    };
    assert_eq!(read("/near").await.unwrap(), b"ours");
    assert_eq!(read("/far").await.unwrap(), b"theirs");
    assert!(matches!(read("/round").await, Err(Error::Refused { .. })));
    for request in ours.requests() {
        assert_eq!(
            request.headers.get("x-api-key").map(String::as_str),
            Some("s3cret")
        );
        assert_eq!(
            request.headers.get("authorization").unwrap(),
            "Bearer t0ken"
        );
    }
    assert!(!theirs.requests().is_empty());
    for request in theirs.requests() {
        assert!(!request.headers.contains_key("x-api-key"), "{request:?}");
        assert!(
            !request.headers.contains_key("authorization"),
            "{request:?}"
        );
    }
    // Rotated without a restart.
    ours.require("authorization", "Bearer next");
    assert!(matches!(read("/d.sql").await, Err(Error::Denied { .. })));
    std::fs::write(&token, "next").unwrap();
    assert_eq!(read("/d.sql").await.unwrap(), b"ours");
}

#[tokio::test]
async fn a_proxy_from_the_environment_is_used_except_where_it_says_not() {
    let (proxy, server) = (
        HttpServer::start(Abilities::GOOD),
        HttpServer::start(Abilities::GOOD),
    );
    server.put("/d.sql", b"direct");
    // A proxy is asked for the whole address.
    proxy.put("http://dumps.example/d.sql", b"through the proxy");
    let address = proxy.url("");
    let get = move |name: &str| match name {
        "HTTP_PROXY" => Some(address.clone()),
        "NO_PROXY" => Some("127.0.0.1".to_owned()),
        _ => None,
    };
    let options = args().into_options(get, TIMEOUTS).unwrap();
    for (url, expected) in [
        (
            "http://dumps.example/d.sql".to_owned(),
            b"through the proxy".as_slice(),
        ),
        (server.url("/d.sql"), b"direct"),
    ] {
        let address = Address::parse(&url).unwrap();
        let storage = open(&address, &options).await.unwrap();
        let read = pilotfish_storage::read_small(&*storage, address.key(), 100).await;
        assert_eq!(read.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_bucket_is_part_of_the_host_or_of_the_path() {
    // A proxy is asked for the whole address: what it says of 202 to all but GET is enough here.
    let proxy = HttpServer::start(Abilities::GOOD);
    let address = Address::parse("s3://bucket/folder/d.sql").unwrap();
    for (path_style, asked) in [
        (PathStyle::Auto, "http://s3.example/bucket/folder/d.sql"),
        (PathStyle::Always, "http://s3.example/bucket/folder/d.sql"),
        (PathStyle::Never, "http://bucket.s3.example/folder/d.sql"),
    ] {
        let args = StorageArgs {
            endpoint: Some("http://s3.example".into()),
            path_style,
            anonymous: true,
            ..args()
        };
        let get = |name: &str| (name == "HTTP_PROXY").then(|| proxy.url(""));
        let options = args.into_options(get, TIMEOUTS).unwrap();
        let storage = open(&address, &options).await.unwrap();
        storage.head(address.key(), None).await.unwrap();
        assert_eq!(
            proxy.requests().last().unwrap().path,
            asked,
            "{path_style:?}"
        );
    }
}

#[tokio::test]
async fn faults_are_the_same_for_the_same_seed() {
    let server = HttpServer::start(Abilities::GOOD);
    let content = vec![7; 300_000];
    server.put("/d.sql", &content);
    let address = Address::parse(&server.url("/d.sql")).unwrap();
    let inner = open(&address, &options(args())).await.unwrap();
    let object = inner.head(address.key(), None).await.unwrap().unwrap();
    let faults = Faults {
        unavailable: 0.2,
        cut: 0.2,
        short: 0.2,
        corrupt: 0.2,
        ..Faults::default()
    };
    let mut runs = Vec::new();
    for _ in 0..2 {
        let faulty = Faulty::new(Arc::clone(&inner), faults, 42);
        let mut fates = Vec::new();
        for _ in 0..20 {
            let body = match faulty.read(&object, None).await {
                Err(_) => continue,
                Ok(stream) => stream.collect::<Vec<_>>().await,
            };
            let cut = body.iter().any(Result::is_err);
            let bytes: Vec<u8> = body.into_iter().flatten().flatten().collect();
            fates.push((
                cut,
                bytes.len() == content.len(),
                bytes.iter().all(|byte| *byte == 7),
            ));
        }
        runs.push(fates);
    }
    // A cut can fall anywhere inside a chunk, so only what became of each body is compared.
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].iter().any(|(cut, ..)| *cut));
    assert!(runs[0].iter().any(|(.., intact)| !*intact));
}
