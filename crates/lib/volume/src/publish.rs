//! Putting a release on a volume.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::lease::Lease;
use crate::release::{
    MANIFEST, Manifest, Release, live_folder, missing, named_at, releases, vanished,
};
use crate::{DATA, Error, current_if_whole};

mod prune;

pub use prune::Swept;

const PARTIAL: &str = "..partial-";
/// The new `..data` before it is renamed over the old one; the kubelet's own name for it.
const DATA_DRAFT: &str = "..data_tmp";

/// The one process that may change a volume now.
#[derive(Debug)]
pub struct Publisher {
    root: PathBuf,
    lease: Lease,
    symlink: fn(&Path, &Path) -> io::Result<()>,
}

/// A folder beside the releases in which the next one is prepared.
#[derive(Debug)]
pub struct Staging {
    scratch: PathBuf,
    release: PathBuf,
}

impl Staging {
    /// The folder that becomes the release.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.release
    }

    /// A folder on the same file system for what is needed only until the release is published.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }
}

/// The steps of a publication that a kill can fall between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Synced,
    Named,
    Drafted,
    Linked,
    Swapped,
    Unlinked,
}

impl Publisher {
    /// Takes the volume's lease and finishes what a killed publisher left half-way.
    ///
    /// `holder` names this process in other publishers' messages: the pod's name.
    ///
    /// # Errors
    /// [`Error::Busy`] when another publisher is at work.
    pub fn open(root: &Path, holder: &str) -> Result<Self, Error> {
        fs::create_dir_all(root).map_err(Error::io("create", root))?;
        let lease = Lease::take(root, holder)?;
        let publisher = Self {
            root: root.to_owned(),
            lease,
            symlink: make_symlink,
        };
        remove(&root.join(DATA_DRAFT))?;
        publisher.lease.sweep()?;
        publisher.sweep_gone();
        if let Some(release) = current_if_whole(root)? {
            publisher.link_names(&release.path, &root.join(DATA))?;
        }
        publisher.unlink_names()?;
        Ok(publisher)
    }

    /// The release that is live under this publisher's lease; a damaged one is none.
    ///
    /// # Errors
    /// Those of [`current_if_whole`].
    pub fn live(&self) -> Result<Option<Release>, Error> {
        current_if_whole(&self.root)
    }

    /// When a release that comes now is fetched, in Unix seconds, so that its name sorts behind every
    /// other one: also when the clock went back, or two share a second.
    ///
    /// # Errors
    /// [`Error::Io`] when the volume cannot be listed.
    pub fn time_of_next(&self, now: u64) -> Result<u64, Error> {
        let names = releases(&self.root)?;
        let last = names.iter().filter_map(|it| named_at(it.name())).max();
        Ok(now.max(last.map_or(0, |last| last.saturating_add(1))))
    }

    /// Says that this publisher is alive: call it every [`crate::LEASE_RENEWAL`].
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when it was silent for too long and another one took over.
    pub fn renew(&self) -> Result<(), Error> {
        self.lease.renew()
    }

    /// Opens the staging folder of this name, with what an earlier run left in its scratch folder.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be made.
    pub fn stage(&self, name: &str) -> Result<Staging, Error> {
        let scratch = self.root.join(format!("{PARTIAL}{name}"));
        let release = scratch.join("release");
        remove(&release)?;
        fs::create_dir_all(&release).map_err(Error::io("create", &release))?;
        Ok(Staging { scratch, release })
    }

    /// Removes every staging folder but the one of this name.
    ///
    /// # Errors
    /// [`Error::Io`] when the volume cannot be listed or a folder not removed.
    pub fn sweep_partials(&self, except: Option<&str>) -> Result<(), Error> {
        for entry in fs::read_dir(&self.root).map_err(Error::io("list", &self.root))? {
            let entry = entry.map_err(Error::io("list", &self.root))?;
            let name = entry.file_name();
            let partial = name.to_str().and_then(|name| name.strip_prefix(PARTIAL));
            if partial.is_some_and(|name| Some(name) != except) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Makes the staged folder the live release: modes set, everything on disk, then one rename.
    ///
    /// # Errors
    /// [`Error::LeaseLost`], [`Error::Occupied`], [`Error::Staged`] when the folder is not what the
    /// manifest says, [`Error::Io`]. The live release is then the one it was: what fails after the
    /// swap is a warning, and done by the next [`Publisher::open`].
    pub fn publish(&self, staging: Staging, manifest: &Manifest) -> Result<Release, Error> {
        self.publish_in_steps(staging, manifest, |_| Ok(()))
    }

    /// `after` hears of each step; its error ends the publication there, as a kill would.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a staging folder is published once"
    )]
    fn publish_in_steps(
        &self,
        staging: Staging,
        manifest: &Manifest,
        mut after: impl FnMut(Step) -> Result<(), Error>,
    ) -> Result<Release, Error> {
        // Whoever took over may be at work in this very folder.
        self.lease.check()?;
        let folder = self.give_name(staging.path(), manifest, &mut after)?;
        let path = self.root.join(&folder);
        let draft = self.root.join(DATA_DRAFT);
        self.draft_data(&draft, &folder)?;
        after(Step::Drafted)?;
        // Before the swap: a disk may have no room for one more name.
        if let Err(error) = self.link_names(&path, &draft) {
            let _ = self.unlink_names();
            return Err(error);
        }
        after(Step::Linked)?;

        self.lease.check()?;
        let data = self.root.join(DATA);
        fs::rename(&draft, &data).map_err(Error::io("rename", &data))?;
        let tidied = sync(&self.root)
            .and_then(|()| after(Step::Swapped))
            .and_then(|()| self.unlink_names())
            .and_then(|()| sync(&self.root))
            .and_then(|()| after(Step::Unlinked))
            .and_then(|()| remove(staging.scratch()));
        if let Err(error) = tidied {
            tracing::warn!(%error, "the release is live; what is left to tidy is done by the next run");
        }
        Ok(Release {
            path,
            manifest: Some(manifest.clone()),
        })
    }

    /// Gives the staged folder, whole and on disk, the release's name; nothing leads to it yet.
    fn give_name(
        &self,
        staged: &Path,
        manifest: &Manifest,
        after: &mut impl FnMut(Step) -> Result<(), Error>,
    ) -> Result<String, Error> {
        check_staged(staged, manifest)?;
        for name in top_level(staged)? {
            self.check_unoccupied(&name)?;
        }
        write_manifest(staged, manifest)?;
        settle(staged)?;
        after(Step::Synced)?;

        let folder = format!("..{}", manifest.release);
        let path = self.root.join(&folder);
        if live_folder(&self.root)?.as_deref() == Some(&folder) {
            let problem = format!("release {} is live already", manifest.release);
            return Err(Error::Staged { path, problem });
        }
        self.remove_release(&path)?;
        fs::rename(staged, &path).map_err(Error::io("rename", staged))?;
        sync(&self.root)?;
        after(Step::Named)?;
        Ok(folder)
    }

    /// Makes the next `..data`: a symlink, or where there are none a file that holds the name.
    fn draft_data(&self, draft: &Path, folder: &str) -> Result<(), Error> {
        remove(draft)?;
        match (self.symlink)(Path::new(folder), draft) {
            Ok(()) => Ok(()),
            Err(error) if no_symlinks(&error) => fs::write(draft, folder)
                .and_then(|()| File::open(draft)?.sync_all())
                .map_err(Error::io("write", draft)),
            Err(error) => Err(Error::io("link", draft)(error)),
        }
    }

    /// Each top-level name of the release leads through `..data`, or will once `data` has that name;
    /// those of the former stay for now.
    fn link_names(&self, release: &Path, data: &Path) -> Result<(), Error> {
        if !is_symlink(data) {
            return Ok(());
        }
        for name in top_level(release)? {
            let (link, target) = (self.root.join(&name), Path::new(DATA).join(&name));
            match fs::read_link(&link) {
                Ok(found) if found == target => continue,
                Ok(_) => return Err(Error::Occupied { path: link }),
                Err(error) if missing(&error) => {}
                Err(_) => return Err(Error::Occupied { path: link }),
            }
            (self.symlink)(&target, &link).map_err(Error::io("link", &link))?;
        }
        Ok(())
    }

    /// Removes links through `..data` that lead to nothing.
    fn unlink_names(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.root).map_err(Error::io("list", &self.root))? {
            let path = entry.map_err(Error::io("list", &self.root))?.path();
            let leads_through_data = path.file_name().is_some_and(|name| {
                fs::read_link(&path).is_ok_and(|to| to == Path::new(DATA).join(name))
            });
            if leads_through_data && fs::metadata(&path).is_err_and(|error| vanished(&error)) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// A name that a person's own file has is not taken from them.
    fn check_unoccupied(&self, name: &str) -> Result<(), Error> {
        let path = self.root.join(name);
        match fs::symlink_metadata(&path) {
            Err(error) if missing(&error) => Ok(()),
            Err(error) => Err(Error::io("open", &path)(error)),
            Ok(_) => match fs::read_link(&path) {
                Ok(target) if target == Path::new(DATA).join(name) => Ok(()),
                _ => Err(Error::Occupied { path }),
            },
        }
    }
}

/// The first top-level name of the live release that leads nowhere: readers of the names miss a file
/// until a [`Publisher::open`] succeeds.
///
/// # Errors
/// Those of [`current_if_whole`], and [`Error::Io`].
pub fn name_without_link(root: &Path) -> Result<Option<PathBuf>, Error> {
    let Some(release) = current_if_whole(root)?.filter(|_| is_symlink(&root.join(DATA))) else {
        return Ok(None);
    };
    let names = top_level(&release.path)?.into_iter();
    let mut names = names.map(|name| root.join(name));
    Ok(names.find(|link| fs::metadata(link).is_err()))
}

fn is_symlink(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

fn make_symlink(target: &Path, link: &Path) -> io::Result<()> {
    symlink(target, link)
}

/// The symlink call's ways of saying that this file system has none.
fn no_symlinks(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
    )
}

/// The names a release shows at the volume's top.
fn top_level(release: &Path) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(release).map_err(Error::io("list", release))? {
        let entry = entry.map_err(Error::io("list", release))?;
        match entry.file_name().into_string() {
            Ok(name) if name == MANIFEST => {}
            Ok(name) => {
                names.insert(name);
            }
            Err(_) => {
                let problem = "its name is not UTF-8".to_owned();
                return Err(Error::Staged {
                    path: entry.path(),
                    problem,
                });
            }
        }
    }
    Ok(names)
}

/// The manifest and the folder must agree, or readers would trust a wrong list.
fn check_staged(staged: &Path, manifest: &Manifest) -> Result<(), Error> {
    for file in &manifest.files {
        let path = staged.join(&file.name);
        let found = fs::symlink_metadata(&path).map_err(Error::io("open", &path))?;
        if !found.is_file() || found.len() != file.size {
            let problem = format!(
                "it has {} bytes where the manifest has {}",
                found.len(),
                file.size
            );
            return Err(Error::Staged { path, problem });
        }
    }
    Ok(())
}

fn write_manifest(staged: &Path, manifest: &Manifest) -> Result<(), Error> {
    let path = staged.join(MANIFEST);
    let text = serde_json::to_vec_pretty(manifest).map_err(|source| Error::Manifest {
        path: path.clone(),
        source,
    })?;
    fs::write(&path, text).map_err(Error::io("write", &path))
}

/// Files 0644, folders 0755 whatever the umask or an archive says, and all of it on disk.
fn settle(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        let kind = fs::symlink_metadata(&path)
            .map_err(Error::io("open", &path))?
            .file_type();
        if kind.is_dir() {
            settle(&path)?;
        } else if kind.is_file() {
            set_mode(&path, 0o644)?;
            sync(&path)?;
        } else {
            let problem = "it is neither a file nor a folder".to_owned();
            return Err(Error::Staged { path, problem });
        }
    }
    set_mode(folder, 0o755)?;
    sync(folder)
}

/// Sets a mode. File systems that keep no modes (SMB, FAT) refuse, and that is fine with readers.
fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    match fs::set_permissions(path, Permissions::from_mode(mode)) {
        Err(error) if !no_symlinks(&error) => Err(Error::io("set the mode of", path)(error)),
        _ => Ok(()),
    }
}

/// Puts a file or a folder's names on disk.
fn sync(path: &Path) -> Result<(), Error> {
    match File::open(path).and_then(|file| file.sync_all()) {
        // Some FUSE file systems cannot sync a folder and say EINVAL.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput && path.is_dir() => Ok(()),
        synced => synced.map_err(Error::io("sync", path)),
    }
}

/// Removes whatever has this name, if anything.
fn remove(path: &Path) -> Result<(), Error> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if !missing(&error) => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
