//! `install DIR`: the program puts a copy of itself into a folder that the containers of a pod share, so that
//! `kubectl exec` finds it inside a stock image, whatever else that has or lacks.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use pilotfish_failure::{Context as _, Failure};

/// The folder, where the command line is `install DIR`.
pub(crate) fn wanted(words: &[OsString]) -> Option<&Path> {
    match words {
        [_, verb, folder] if verb == "install" => Some(Path::new(folder)),
        _ => None,
    }
}

/// Puts a copy of the running program into `folder`, in one step; returns where it is.
pub(crate) fn into(folder: &Path, program: &str) -> Result<PathBuf, Failure> {
    let place = folder.join(program);
    copy(folder, &place).context(format!("install {}", place.display()))?;
    Ok(place)
}

fn copy(folder: &Path, place: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut own = File::open(std::env::current_exe()?)?;
    let mut draft = tempfile::Builder::new()
        .prefix(".install-")
        .permissions(Permissions::from_mode(0o755))
        .tempfile_in(folder)?;
    io::copy(&mut own, &mut draft)?;
    draft.as_file().sync_all()?;
    // Whatever the umask took away: the other container has another user.
    draft
        .as_file()
        .set_permissions(Permissions::from_mode(0o755))?;
    draft.persist(place).map(drop).map_err(|error| error.error)
}
