//! What is kept of an API, in files that only the agent may read: whole before and after a power cut.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use manifest_types::digest::Digest;
use serde::{Serialize, de::DeserializeOwned};

/// The directory of what is known of one API: a device may have been another's before, and may be again.
pub fn directory(of: &Path, endpoint: &str) -> PathBuf {
    of.join(Digest::of(endpoint.as_bytes()).short())
}

/// Keeps a value: it is there, whole, when this returns.
pub fn save(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    make(folder)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&serde_json::to_vec_pretty(value).map_err(io::Error::other)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

/// Makes a folder that stays: each above it that is new is in its own folder for good.
fn make(folder: &Path) -> io::Result<()> {
    let new: Vec<_> = folder.ancestors().take_while(|path| !path.exists()).collect();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for path in new {
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
    }
    Ok(())
}

/// Reads it again; nothing if it was never kept. What cannot be read is an error: it is not as if it were not there. It is told without what stands there, which may be a key.
pub fn load<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| unreadable(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn unreadable(error: &serde_json::Error) -> io::Error {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a value has the wrong type",
        _ => "it is no JSON",
    };
    io::Error::other(format!("{what}, line {}, column {}", error.line(), error.column()))
}

/// Forgets it.
pub fn forget(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => {
            File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_by_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = directory(folder.path(), "https://api.example").join("a.json");
        assert_eq!(load::<Vec<u8>>(&path).unwrap(), None);
        save(&path, &vec![1, 2]).unwrap();
        save(&path, &vec![3]).unwrap();
        assert_eq!(load::<Vec<u8>>(&path).unwrap(), Some(vec![3]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "{").unwrap();
        assert!(load::<Vec<u8>>(&path).is_err(), "it is not as if it were not there");
        fs::write(&path, "[1, \"s3cret\"]").unwrap();
        let error = load::<Vec<u8>>(&path).unwrap_err().to_string();
        assert_eq!(error, "a value has the wrong type, line 1, column 12");
        assert!(forget(&path).unwrap() && !forget(&path).unwrap());
    }
}
