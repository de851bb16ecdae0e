//! What the system refuses: a full disk, a read-only file system, a directory of somebody else.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::{Uid, geteuid, setfsuid},
};

use super::rig::{Rig, spec, text_file};
use crate::{error::Fault, file::error::FileError};

/// A small file system of its own, until dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf) -> Self {
        fs::create_dir(&at).unwrap();
        match mount(Some("tmpfs"), &at, Some("tmpfs"), MsFlags::empty(), Some("size=64k")) {
            Ok(()) => Self(at),
            Err(error) => panic!("this test mounts a tmpfs ({error}): run it as root, with CAP_SYS_ADMIN"),
        }
    }

    fn make_read_only(&self) {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, &self.0, None::<&str>, flags, None::<&str>).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_leaves_what_was_there() {
    let rig = Rig::new();
    let _small = Small::mount(rig.real("/small"));
    let row = rig.apply(&text_file("/small/it", "before")).await;
    let large = text_file("/small/it", &"x".repeat(100 * 1024));
    let failure = rig.put_with(&super::rig::context(), &row, &large).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.can_retry), ("InsufficientStorage", true));
    assert_eq!(rig.read("/small/it"), "before");
    assert!(rig.leftovers().is_empty());
    rig.put(&row).await.unwrap();
    rig.take(&row).await.unwrap();
}

#[tokio::test]
async fn a_full_state_directory_keeps_an_original_from_being_overwritten() {
    let mut rig = Rig::new();
    let _small = Small::mount(rig.temp.path().join("small"));
    rig.host.state_dir = rig.temp.path().join("small/state");
    let rig = rig.restarted();
    let original = "x".repeat(100 * 1024);
    rig.write("/it", &original);
    let row = rig.intend(&text_file("/it", "ours")).await;
    assert_eq!(rig.put(&row).await.unwrap_err().reason, "InsufficientStorage");
    assert_eq!(rig.read("/it"), original);
    assert!(rig.leftovers().is_empty() && rig.originals().is_empty());
}

#[tokio::test]
async fn a_read_only_file_system_is_told() {
    let rig = Rig::new();
    let small = Small::mount(rig.real("/small"));
    let row = rig.apply(&text_file("/small/it", "text")).await;
    small.make_read_only();
    rig.put(&row).await.expect("what is on target needs no write");
    let new = text_file("/small/it", "new");
    assert_eq!(
        rig.put_with(&super::rig::context(), &row, &new).await.unwrap_err().reason,
        "ReadOnlyFileSystem"
    );
    assert_eq!(rig.take(&row).await.unwrap_err().reason, "ReadOnlyFileSystem");
    assert_eq!(rig.read("/small/it"), "text");
}

#[test]
fn a_directory_that_may_not_be_written_is_told() {
    let rig = Rig::new();
    fs::create_dir(rig.real("/dir")).unwrap();
    rig.chmod("/dir", 0o555);
    fs::set_permissions(rig.temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Root may write anywhere, so the threads that work are to the file system somebody else.
    let mut nobody = tokio::runtime::Builder::new_current_thread();
    if geteuid().is_root() {
        nobody.on_thread_start(|| _ = setfsuid(Uid::from_raw(65534)));
    }
    nobody.build().unwrap().block_on(async {
        let row = rig.intend(&spec(serde_json::json!({ "path": "/dir/it", "type": "Directory" }))).await;
        assert_eq!(rig.put(&row).await.unwrap_err().reason, "PermissionDenied");
    });
    assert!(rig.leftovers().is_empty());
}

#[test]
fn the_kernels_answers_have_stable_reasons() {
    for (errno, reason) in [
        (Errno::ENOSPC, "InsufficientStorage"),
        (Errno::EDQUOT, "InsufficientStorage"),
        (Errno::EROFS, "ReadOnlyFileSystem"),
        (Errno::EACCES, "PermissionDenied"),
        (Errno::EPERM, "PermissionDenied"),
        (Errno::EIO, "Io"),
    ] {
        assert_eq!(FileError::system("write", "/it")(errno).reason(), reason);
    }
}
