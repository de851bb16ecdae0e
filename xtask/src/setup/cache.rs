//! Where parts are kept, one folder each: made beside, checked, then renamed into place.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result, bail};

use crate::process::workspace;

/// The folder of all parts.
pub(super) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The user's cache, or where that cannot be written, a folder below `target`.
    pub(super) fn open() -> Result<Self> {
        let user =
            super::given("XDG_CACHE_HOME").or_else(|| super::given("HOME").map(|home| home.join(".cache")));
        let places = [user.map(|cache| cache.join("holdfast")), Some(workspace().join("target/tools"))];
        let root = places.into_iter().flatten().find(|place| writable(place));
        Ok(Self { root: root.context("neither the user's cache nor target/tools can be written")? })
    }

    /// The folder of the part `name`; where it is missing or does not work, `make` makes it in a folder that is then put there.
    pub(super) fn part(
        &self,
        name: &str,
        works: impl Fn(&Path) -> bool,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let place = self.root.join(name);
        if works(&place) {
            return Ok(place);
        }
        eprintln!("{name} is missing: bringing it to {}", place.display());
        let beside = self.root.join(format!(".{name}.{}", process::id()));
        remove(&beside)?;
        let made = make(&beside).and_then(|()| match works(&beside) {
            true => Ok(()),
            false => bail!("{name} was made, but does not work"),
        });
        if let Err(error) = made {
            remove(&beside)?;
            return Err(error);
        }
        remove(&place)?;
        if let Err(error) = fs::rename(&beside, &place) {
            remove(&beside)?;
            // Another process may have put it there first.
            if !works(&place) {
                return Err(error)
                    .with_context(|| format!("cannot rename {} to {}", beside.display(), place.display()));
            }
        }
        Ok(place)
    }
}

fn writable(place: &Path) -> bool {
    let probe = place.join(format!(".probe.{}", process::id()));
    fs::create_dir_all(place).is_ok() && fs::write(&probe, "").is_ok() && fs::remove_file(&probe).is_ok()
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(name: &str) -> Cache {
        let root = workspace().join("target").join(format!("test-cache-{name}-{}", process::id()));
        remove(&root).unwrap();
        fs::create_dir_all(&root).unwrap();
        Cache { root }
    }

    fn whole(place: &Path) -> bool {
        place.join("end").exists()
    }

    fn make(place: &Path) -> Result<()> {
        fs::create_dir(place)?;
        fs::write(place.join("start"), "")?;
        Ok(fs::write(place.join("end"), "")?)
    }

    #[test]
    fn a_part_is_made_once() {
        let cache = cache("once");
        let place = cache.part("oven", whole, make).unwrap();
        assert!(place.join("start").exists());
        assert_eq!(cache.part("oven", whole, |_| bail!("made twice")).unwrap(), place);
        assert_eq!(fs::read_dir(&cache.root).unwrap().count(), 1, "nothing is left beside");
        remove(&cache.root).unwrap();
    }

    #[test]
    fn a_half_written_part_is_made_anew() {
        let cache = cache("half");
        fs::create_dir(cache.root.join("oven")).unwrap();
        fs::write(cache.root.join("oven/start"), "half").unwrap();
        let place = cache.part("oven", whole, make).unwrap();
        assert_eq!(fs::read_to_string(place.join("start")).unwrap(), "");
        remove(&cache.root).unwrap();
    }

    #[test]
    fn what_does_not_work_is_not_put_in_place() {
        let cache = cache("broken");
        let broken = |place: &Path| Ok(fs::create_dir(place)?);
        assert!(cache.part("oven", whole, broken).unwrap_err().to_string().contains("does not work"));
        assert!(cache.part("oven", whole, |_| bail!("no bricks")).is_err());
        assert_eq!(fs::read_dir(&cache.root).unwrap().count(), 0);
        remove(&cache.root).unwrap();
    }
}
