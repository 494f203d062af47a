//! What every storage must do, whatever its scheme.
//!
//! A test brings a [`Fixture`] that can put objects, and calls [`run`].

use futures_util::StreamExt;

use crate::{Address, Error, Object, Options, Storage, open};

/// A place that tests can write to, and whose objects a [`Storage`] reads.
pub trait Fixture {
    /// Address of the object that [`Fixture::put`] makes under this name, in a folder of its own.
    fn address(&self, name: &str) -> String;
    /// Makes or replaces an object. Versions must differ even within one second.
    fn put(&self, name: &str, bytes: &[u8]);
    /// Removes an object.
    fn remove(&self, name: &str);
    /// Settings that reach the place.
    fn options(&self) -> Options;
    /// Whether folders can be listed.
    fn lists(&self) -> bool;
    /// Whether parts can be read.
    fn ranges(&self) -> bool;
}

/// Runs the whole suite.
///
/// # Panics
/// At the first broken promise.
#[allow(clippy::missing_panics_doc, clippy::panic, clippy::unwrap_used)]
pub async fn run(fixture: &impl Fixture) {
    describes_and_reads(fixture).await;
    tells_versions_apart(fixture).await;
    reads_ranges(fixture).await;
    never_mixes_versions(fixture).await;
    says_what_is_missing(fixture).await;
    empty_objects_are_objects(fixture).await;
    lists(fixture).await;
}

/// 600 KiB that repeat nowhere: several chunks for every client.
fn pattern(seed: u32) -> Vec<u8> {
    (0..150_000_u32)
        .flat_map(|n| (n.wrapping_mul(2_654_435_761) ^ seed).to_le_bytes())
        .collect()
}

async fn storage(fixture: &impl Fixture, name: &str) -> (std::sync::Arc<dyn Storage>, String) {
    let address = Address::parse(&fixture.address(name)).expect_in_test();
    let storage = open(&address, &fixture.options()).await.expect_in_test();
    (storage, address.key().to_owned())
}

async fn head(storage: &dyn Storage, key: &str) -> Object {
    storage
        .head(key, None)
        .await
        .expect_in_test()
        .expect_in_test()
}

async fn bytes(
    storage: &dyn Storage,
    object: &Object,
    range: Option<std::ops::Range<u64>>,
) -> Result<Vec<u8>, Error> {
    let mut stream = storage.read(object, range).await?;
    let mut all = Vec::new();
    while let Some(chunk) = stream.next().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all)
}

async fn describes_and_reads(fixture: &impl Fixture) {
    let content = pattern(1);
    fixture.put("whole object.bin", &content);
    let (storage, key) = storage(fixture, "whole object.bin").await;
    let object = head(&*storage, &key).await;
    assert_eq!(object.size, Some(content.len() as u64));
    assert!(
        object.version.label().is_some(),
        "no mark of the version: {object:?}"
    );
    assert_eq!(object.ranges, fixture.ranges());
    assert!(
        bytes(&*storage, &object, None).await.expect_in_test() == content,
        "other bytes"
    );
}

async fn tells_versions_apart(fixture: &impl Fixture) {
    fixture.put("version.bin", b"one");
    let (storage, key) = storage(fixture, "version.bin").await;
    let first = head(&*storage, &key).await;
    let known = Some(&first.version);
    assert_eq!(
        storage.head(&key, known).await.expect_in_test(),
        None,
        "an unchanged object"
    );
    fixture.put("version.bin", b"three");
    let second = storage
        .head(&key, known)
        .await
        .expect_in_test()
        .expect_in_test();
    assert_ne!(first.version, second.version);
    assert_eq!(second.size, Some(5));
}

async fn reads_ranges(fixture: &impl Fixture) {
    if !fixture.ranges() {
        return;
    }
    let content = pattern(2);
    fixture.put("range.bin", &content);
    let (storage, key) = storage(fixture, "range.bin").await;
    let object = head(&*storage, &key).await;
    let size = content.len() as u64;
    for range in [
        0..1,
        0..size,
        5..5,
        300_000..300_007,
        size - 1..size,
        1..size,
    ] {
        let part = bytes(&*storage, &object, Some(range.clone()))
            .await
            .expect_in_test();
        let (start, end) = (range.start as usize, range.end as usize);
        assert!(
            part == content[start..end],
            "other bytes in {range:?}: {} of them",
            part.len()
        );
    }
}

async fn never_mixes_versions(fixture: &impl Fixture) {
    fixture.put("mixed.bin", &pattern(3));
    let (storage, key) = storage(fixture, "mixed.bin").await;
    let object = head(&*storage, &key).await;
    // The same size: only the mark tells them apart.
    fixture.put("mixed.bin", &pattern(4));
    let range = fixture.ranges().then_some(1000..2000);
    match bytes(&*storage, &object, range).await {
        Err(Error::Changed { .. }) => {}
        Err(error) => unexpected(&error),
        // A versioned store still has the old one.
        Ok(old) => assert!(
            pattern(3).windows(old.len()).any(|part| part == old),
            "a mix"
        ),
    }
}

async fn says_what_is_missing(fixture: &impl Fixture) {
    let (storage, key) = storage(fixture, "absent.bin").await;
    match storage.head(&key, None).await {
        Err(Error::NotFound { object }) => assert!(object.contains("absent.bin"), "{object}"),
        Err(error) => unexpected(&error),
        Ok(found) => assert_eq!(found, None, "an object that is not there"),
    }
    fixture.put("absent.bin", b"here");
    let object = head(&*storage, &key).await;
    fixture.remove("absent.bin");
    assert!(
        bytes(&*storage, &object, None).await.is_err(),
        "read a removed object"
    );
}

async fn empty_objects_are_objects(fixture: &impl Fixture) {
    fixture.put("empty.bin", b"");
    let (storage, key) = storage(fixture, "empty.bin").await;
    let object = head(&*storage, &key).await;
    assert_eq!(object.size, Some(0));
    assert_eq!(bytes(&*storage, &object, None).await.expect_in_test(), b"");
}

async fn lists(fixture: &impl Fixture) {
    let (storage, key) = storage(fixture, "list/a.sql").await;
    let folder = key.trim_end_matches("a.sql");
    if !fixture.lists() {
        assert!(matches!(
            storage.list(folder, None).await,
            Err(Error::Config(_))
        ));
        return;
    }
    fixture.put("list/a.sql", b"a");
    fixture.put("list/deep/b.sql", b"bb");
    fixture.put("listless.sql", b"no");
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = storage
            .list(folder, after.as_deref())
            .await
            .expect_in_test();
        found.extend(page.objects.into_iter().map(|object| {
            assert!(object.modified.is_some(), "no time: {object:?}");
            (
                object.key.trim_start_matches(folder).to_owned(),
                object.size,
            )
        }));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    found.retain(|(_, size)| *size != Some(0));
    found.sort();
    assert_eq!(
        found,
        [
            ("a.sql".to_owned(), Some(1)),
            ("deep/b.sql".to_owned(), Some(2))
        ]
    );
}

#[allow(clippy::panic, reason = "a conformance suite fails by panicking")]
fn unexpected(error: &Error) -> ! {
    panic!("another error was promised: {error:?}")
}

/// `expect` for a suite that is no `#[test]` itself.
trait ExpectInTest<T> {
    fn expect_in_test(self) -> T;
}

impl<T> ExpectInTest<T> for Result<T, Error> {
    #[allow(clippy::panic, reason = "a conformance suite fails by panicking")]
    fn expect_in_test(self) -> T {
        self.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl<T> ExpectInTest<T> for Option<T> {
    #[allow(clippy::panic, reason = "a conformance suite fails by panicking")]
    fn expect_in_test(self) -> T {
        self.unwrap_or_else(|| panic!("nothing was found"))
    }
}
