//! What is opened is what was named, not where a link leads.

use std::{fs, os::unix::fs::symlink};

use tempfile::TempDir;

use super::*;

#[test]
fn a_link_is_not_opened() {
    let temp = TempDir::new().unwrap();
    fs::write(temp.path().join("secret"), "secret").unwrap();
    symlink("secret", temp.path().join("link")).unwrap();
    let directory = Directory::own(temp.path()).unwrap();
    let open = |name: &str| Place { directory: Arc::clone(&directory), name: name.into() }.open_read();
    assert!(open("secret").is_ok());
    assert!(matches!(open("link"), Err(FileError::ChangedMeanwhile(_))));
    assert!(matches!(open("gone"), Err(FileError::ChangedMeanwhile(_))));
}

#[test]
fn a_link_is_trusted_where_nobody_else_could_have_made_or_can_change_it() {
    let own = nix::sys::stat::stat("/").unwrap();
    let of = |uid, mode| {
        let mut stat = own;
        (stat.st_uid, stat.st_mode) = (uid, mode);
        stat
    };
    let me = geteuid().as_raw();
    for (holder, link, expected) in [
        (of(me, 0o755), of(me, 0o777), true),
        (of(0, 0o755), of(0, 0o777), true),
        (of(0, 0o755), of(12345, 0o777), false),
        (of(12345, 0o755), of(0, 0o777), false),
        (of(0, 0o1777), of(0, 0o777), false),
        (of(0, 0o775), of(0, 0o777), false),
        (of(0, 0o757), of(0, 0o777), false),
    ] {
        let owners = (holder.st_uid, link.st_uid, holder.st_mode);
        assert_eq!(is_trusted(&holder, &link), expected, "{owners:?}");
    }
}

#[test]
fn a_target_is_gone_through_part_by_part() {
    let spliced = |target: &str| {
        let mut todo = VecDeque::from([OsString::from("rest")]);
        splice(&mut todo, target.into());
        todo.into_iter().map(|part| part.into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(spliced("a//b/./../c/"), ["a", "b", "..", "c", "rest"]);
    assert_eq!(spliced("/"), ["rest"]);
}
