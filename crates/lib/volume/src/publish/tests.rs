use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::prune::GONE;
use super::*;
use crate::current;
use crate::release::{FileEntry, release_name};

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Stages files as a fetch would and writes the manifest for them.
fn staged(publisher: &Publisher, at: u64, files: &[(&str, &str)]) -> (Staging, Manifest) {
    let staging = publisher.stage("test").unwrap();
    let mut entries = Vec::new();
    for (name, text) in files {
        let path = staging.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o4700)).unwrap();
        let (size, sha256) = (text.len() as u64, digest(text.as_bytes()));
        entries.push(FileEntry {
            name: (*name).to_owned(),
            size,
            sha256,
        });
    }
    let sha256 = digest(format!("{files:?}").as_bytes());
    let manifest = Manifest {
        release: release_name(at, &sha256),
        source_url: "file:///dump".into(),
        version: None,
        size: 1,
        sha256,
        fetched_at: at,
        unpacked: false,
        files: entries,
    };
    (staging, manifest)
}

fn publish(publisher: &Publisher, at: u64, files: &[(&str, &str)]) -> Release {
    let (staging, manifest) = staged(publisher, at, files);
    publisher.publish(staging, &manifest).unwrap()
}

fn names(root: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_release_is_read_through_its_top_level_names() {
    let root = tempfile::tempdir().unwrap();
    let publisher = Publisher::open(root.path(), "test").unwrap();
    publish(&publisher, 10, &[("a.sql", "one"), ("sub/b.sql", "two")]);
    assert_eq!(
        fs::read_to_string(root.path().join("a.sql")).unwrap(),
        "one"
    );
    assert_eq!(
        fs::read_to_string(root.path().join("sub/b.sql")).unwrap(),
        "two"
    );
    let mode = |name: &str| {
        fs::metadata(root.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(
        (mode("a.sql"), mode("sub"), mode("sub/b.sql")),
        (0o644, 0o755, 0o644)
    );

    let second = publish(&publisher, 20, &[("c.sql", "three")]);
    assert_eq!(current(root.path()).unwrap(), Some(second.clone()));
    drop(publisher);
    let old = ["..19700101T000010Z", "..19700101T000020Z"];
    let found = names(root.path());
    assert!(
        found[0].starts_with(old[0]) && found[1].starts_with(old[1]),
        "{found:?}"
    );
    assert_eq!(found[2..], ["..data", "c.sql"]);
    assert_eq!(
        fs::read(second.path.join(MANIFEST)).unwrap().first(),
        Some(&b'{')
    );
}

#[test]
fn killed_at_any_step_readers_see_the_old_release_or_the_new_one_and_the_next_run_succeeds() {
    let steps = [
        Step::Synced,
        Step::Named,
        Step::Drafted,
        Step::Linked,
        Step::Swapped,
        Step::Unlinked,
    ];
    for killed_after in steps {
        let root = tempfile::tempdir().unwrap();
        let publisher = Publisher::open(root.path(), "first").unwrap();
        let old = publish(&publisher, 10, &[("a.sql", "old"), ("gone.sql", "old")]);
        let (staging, manifest) = staged(&publisher, 20, &[("a.sql", "new"), ("b.sql", "new")]);
        let killed = publisher.publish_in_steps(staging, &manifest, |step| {
            if step == killed_after {
                return Err(Error::LeaseLost {
                    root: root.path().to_owned(),
                });
            }
            Ok(())
        });
        // What fails after the swap is no failure of the publication: the release is live.
        let swapped = matches!(killed_after, Step::Swapped | Step::Unlinked);
        assert_eq!(killed.is_ok(), swapped, "{killed_after:?}");
        drop(publisher);

        let live = current(root.path()).unwrap().unwrap();
        let text = fs::read_to_string(root.path().join("a.sql")).unwrap();
        assert_eq!(
            text,
            if swapped { "new" } else { "old" },
            "{killed_after:?}"
        );
        assert_eq!(live.path == old.path, !swapped, "{killed_after:?}");

        let next = Publisher::open(root.path(), "second").unwrap();
        let visible: Vec<_> = names(root.path())
            .into_iter()
            .filter(|name| !name.starts_with('.'))
            .collect();
        let expected = if swapped {
            ["a.sql", "b.sql"]
        } else {
            ["a.sql", "gone.sql"]
        };
        assert_eq!(visible, expected, "{killed_after:?}");
        next.sweep_partials(None).unwrap();
        next.sweep(1, Duration::ZERO).unwrap();
        assert_eq!(releases(root.path()).unwrap().len(), 1, "{killed_after:?}");
        publish(&next, 30, &[("a.sql", "newest")]);
        assert_eq!(
            fs::read_to_string(root.path().join("a.sql")).unwrap(),
            "newest"
        );
    }
}

#[test]
fn without_symlinks_a_pointer_file_leads_to_the_release() {
    let root = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::open(root.path(), "test").unwrap();
    publisher.symlink = |_, _| Err(io::Error::from(io::ErrorKind::Unsupported));
    publish(&publisher, 10, &[("a.sql", "one")]);
    let second = publish(&publisher, 20, &[("a.sql", "two")]);
    assert!(root.path().join(DATA).is_file());
    let live = current(root.path()).unwrap().unwrap();
    assert_eq!(live, second);
    assert_eq!(fs::read_to_string(live.path.join("a.sql")).unwrap(), "two");
    assert!(!root.path().join("a.sql").exists());
    drop(publisher);
    Publisher::open(root.path(), "again").unwrap();
}

#[test]
fn the_newest_and_the_recently_replaced_releases_stay() {
    let root = tempfile::tempdir().unwrap();
    let publisher = Publisher::open(root.path(), "test").unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for age in [9000, 8000, 7000, 60, 0] {
        publish(&publisher, now - age, &[("a.sql", &age.to_string())]);
    }
    let left = |publisher: &Publisher, keep, keep_for| {
        publisher
            .sweep(keep, Duration::from_secs(keep_for))
            .unwrap();
        releases(root.path()).unwrap().len()
    };
    // The one of 7000 seconds ago was replaced a minute ago.
    assert_eq!(left(&publisher, 2, 3600), 3);
    assert_eq!(left(&publisher, 2, 0), 2);
    assert_eq!(left(&publisher, 0, 0), 1);
    assert_eq!(fs::read_to_string(root.path().join("a.sql")).unwrap(), "0");
}

#[test]
fn a_persons_own_file_is_not_replaced() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.sql"), "mine").unwrap();
    let publisher = Publisher::open(root.path(), "test").unwrap();
    let (staging, manifest) = staged(&publisher, 10, &[("a.sql", "theirs")]);
    assert!(matches!(
        publisher.publish(staging, &manifest),
        Err(Error::Occupied { .. })
    ));
    assert_eq!(
        fs::read_to_string(root.path().join("a.sql")).unwrap(),
        "mine"
    );
    assert_eq!(current(root.path()).unwrap(), None);
}

#[test]
fn a_config_map_volume_is_read_the_same_way() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("..2026_11_21_10_19_00.123456789");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.sql"), "x").unwrap();
    symlink(folder.file_name().unwrap(), root.path().join(DATA)).unwrap();
    let release = current(root.path()).unwrap().unwrap();
    assert_eq!(
        (release.path.as_path(), release.manifest),
        (folder.as_path(), None)
    );
}

#[test]
fn a_link_out_of_the_volume_is_refused() {
    let root = tempfile::tempdir().unwrap();
    symlink("../elsewhere", root.path().join(DATA)).unwrap();
    assert!(matches!(current(root.path()), Err(Error::Foreign { .. })));
}

#[test]
fn fingerprints_tell_releases_and_plain_files_apart() {
    use crate::{Fingerprint, fingerprint};
    let root = tempfile::tempdir().unwrap();
    assert_eq!(
        fingerprint(&root.path().join("absent")).unwrap(),
        Fingerprint::Empty
    );
    assert_eq!(fingerprint(root.path()).unwrap(), Fingerprint::Empty);
    let plain = root.path().join("plain.sql");
    fs::write(&plain, "1").unwrap();
    let before = fingerprint(root.path()).unwrap();
    assert!(matches!(&before, Fingerprint::Files(files) if files.len() == 1));
    fs::write(root.path().join("next"), "2").unwrap();
    fs::rename(root.path().join("next"), &plain).unwrap();
    assert_ne!(fingerprint(root.path()).unwrap(), before);
    // As `cp -p` does it: in place, with the old size and time.
    let before = fingerprint(root.path()).unwrap();
    let modified = fs::metadata(&plain).unwrap().modified().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::write(&plain, "3").unwrap();
    let file = fs::File::options().write(true).open(&plain).unwrap();
    file.set_modified(modified).unwrap();
    assert_ne!(fingerprint(root.path()).unwrap(), before);
    let publisher = Publisher::open(root.path(), "test").unwrap();
    let release = publish(&publisher, 10, &[("a.sql", "one")]);
    let folder = release
        .path
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    assert_eq!(
        fingerprint(root.path()).unwrap(),
        Fingerprint::Release(folder)
    );
}

#[test]
fn a_damaged_release_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let publisher = Publisher::open(root.path(), "test").unwrap();
    let first = publish(&publisher, 10, &[("a.sql", "one")]);
    drop(publisher);
    fs::write(first.path.join(MANIFEST), "{").unwrap();
    assert_eq!(current_if_whole(root.path()).unwrap(), None);
    let publisher = Publisher::open(root.path(), "test").unwrap();
    let second = publish(&publisher, 20, &[("a.sql", "two")]);
    drop(publisher);
    fs::remove_dir_all(&second.path).unwrap();
    assert_eq!(current_if_whole(root.path()).unwrap(), None);
    let publisher = Publisher::open(root.path(), "test").unwrap();
    let third = publish(&publisher, 30, &[("b.sql", "three")]);
    assert_eq!(current_if_whole(root.path()).unwrap(), Some(third));
    let names = names(root.path());
    assert!(names.contains(&"b.sql".to_owned()) && !names.contains(&"a.sql".to_owned()));
}

/// Somebody else's lease in the place of the publisher's own.
fn take_over(root: &Path) {
    let other = r#"{"holder":"pod-b","nonce":"n","boot":"b"}"#;
    fs::write(root.join("..lease"), other).unwrap();
}

#[test]
fn a_publisher_that_lost_its_lease_publishes_and_removes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let publisher = Publisher::open(root.path(), "slow").unwrap();
    let old = publish(&publisher, 10, &[("a.sql", "old")]);
    // In the last moment before the swap.
    let (staging, manifest) = staged(&publisher, 20, &[("a.sql", "new")]);
    let late = publisher.publish_in_steps(staging, &manifest, |step| {
        if step == Step::Linked {
            take_over(root.path());
        }
        Ok(())
    });
    assert!(matches!(late, Err(Error::LeaseLost { .. })), "{late:?}");
    assert_eq!(current(root.path()).unwrap(), Some(old.clone()));
    // Before it: the staging folder of this name is the other one's by now.
    let (staging, manifest) = staged(&publisher, 30, &[("a.sql", "newer")]);
    let folder = staging.path().to_owned();
    let lost = publisher.publish(staging, &manifest);
    assert!(matches!(lost, Err(Error::LeaseLost { .. })), "{lost:?}");
    assert!(folder.join("a.sql").exists() && !folder.join(MANIFEST).exists());
    let swept = publisher.sweep(1, Duration::ZERO);
    assert!(matches!(swept, Err(Error::LeaseLost { .. })), "{swept:?}");
    assert_eq!(current(root.path()).unwrap(), Some(old));
}

#[test]
fn a_name_that_finds_no_room_fails_before_the_swap() {
    let root = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::open(root.path(), "test").unwrap();
    let old = publish(&publisher, 10, &[("a.sql", "old")]);
    publisher.symlink = |target, link| match link.ends_with("c.sql") {
        true => Err(io::Error::from(io::ErrorKind::StorageFull)),
        false => symlink(target, link),
    };
    let (staging, manifest) = staged(&publisher, 20, &[("b.sql", "new"), ("c.sql", "new")]);
    let full = publisher.publish(staging, &manifest);
    assert!(matches!(full, Err(Error::Io { .. })), "{full:?}");
    assert_eq!(current(root.path()).unwrap(), Some(old));
    let visible = names(root.path()).into_iter();
    let visible: Vec<_> = visible.filter(|name| !name.starts_with('.')).collect();
    assert_eq!(visible, ["a.sql"]);
    publisher.symlink = make_symlink;
    publish(&publisher, 30, &[("b.sql", "new"), ("c.sql", "new")]);
    assert_eq!(name_without_link(root.path()).unwrap(), None);
    let link = root.path().join("c.sql");
    fs::remove_file(&link).unwrap();
    assert_eq!(name_without_link(root.path()).unwrap(), Some(link));
    drop(publisher);
    Publisher::open(root.path(), "next").unwrap();
    assert_eq!(name_without_link(root.path()).unwrap(), None);
}

#[test]
fn a_release_is_removed_in_one_step_and_what_is_left_of_it_by_the_next_run() {
    let root = tempfile::tempdir().unwrap();
    let publisher = Publisher::open(root.path(), "test").unwrap();
    let files: Vec<_> = (0..200).map(|at| format!("{at}.sql")).collect();
    let files: Vec<_> = files.iter().map(|name| (name.as_str(), "x")).collect();
    let old = publish(&publisher, 10, &files);
    publish(&publisher, 20, &[("a.sql", "new")]);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            // In this order: a folder that is there after its file was not is half a release.
            while old.path.exists() {
                for (name, _) in &files {
                    let half = !old.path.join(name).exists() && old.path.exists();
                    assert!(!half, "{name} is gone, its release is not");
                }
            }
        });
        publisher.sweep(1, Duration::ZERO).unwrap();
        reader.join().unwrap();
    });
    drop(publisher);
    let left = root
        .path()
        .join(format!("{GONE}19700101T000010Z-0123456789ab"));
    fs::create_dir(&left).unwrap();
    fs::write(left.join("a.sql"), "half").unwrap();
    assert_eq!(releases(root.path()).unwrap().len(), 1);
    Publisher::open(root.path(), "next").unwrap();
    assert!(!left.exists());
}

#[test]
fn a_release_that_lacks_a_file_or_bytes_of_one_counts_as_none() {
    let root = tempfile::tempdir().unwrap();
    let publisher = Publisher::open(root.path(), "test").unwrap();
    let release = publish(&publisher, 10, &[("a.sql", "one"), ("sub/b.sql", "two")]);
    assert_eq!(publisher.live().unwrap(), Some(release.clone()));
    let file = release.path.join("sub/b.sql");
    fs::write(&file, "tw").unwrap();
    assert_eq!(publisher.live().unwrap(), None);
    fs::remove_file(&file).unwrap();
    assert_eq!(publisher.live().unwrap(), None);
    // The next one sorts behind it, whatever the clock says.
    assert_eq!(publisher.time_of_next(5).unwrap(), 11);
    assert_eq!(publisher.time_of_next(50).unwrap(), 50);
}
