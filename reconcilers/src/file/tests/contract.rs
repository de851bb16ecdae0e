//! The contract, for each type of file.

use std::{fs, marker::PhantomData, os::unix::fs::symlink};

use manifest_types::kinds::file::FileSpec;
use serde_json::{Value, json};

use super::rig::{Rig, picture, spec};
use crate::{
    contract::{Fixture, Picture},
    file::FileReconciler,
};

/// What differs between the types.
trait Flavour {
    fn first() -> Value;
    fn second() -> Value;
    fn put_same(rig: &Rig);
    fn put_other(rig: &Rig);
    fn disturb(rig: &Rig);
}

struct On<F>(Rig, PhantomData<F>);

impl<F: Flavour> On<F> {
    fn spec(path: &str, mut value: Value) -> FileSpec {
        value["path"] = path.into();
        spec(value)
    }
}

impl<F: Flavour> Fixture for On<F> {
    type Reconciler = FileReconciler;
    const TAKES_OVER: bool = true;

    async fn new() -> Self {
        let rig = Rig::new();
        fs::create_dir(rig.real("/etc")).unwrap();
        rig.write("/etc/file", "in the way");
        Self(rig, PhantomData)
    }

    fn reconciler(&self) -> &FileReconciler {
        &self.0.files
    }

    fn first(&self) -> FileSpec {
        Self::spec("/etc/it", F::first())
    }

    fn second(&self) -> FileSpec {
        Self::spec("/etc/it", F::second())
    }

    fn elsewhere(&self) -> FileSpec {
        Self::spec("/etc/moved", F::first())
    }

    fn impossible(&self) -> FileSpec {
        Self::spec("/etc/file/it", F::first())
    }

    async fn put_same(&self) {
        F::put_same(&self.0);
    }

    async fn put_other(&self) {
        F::put_other(&self.0);
    }

    async fn disturb(&self) {
        F::disturb(&self.0);
    }

    async fn seen_by_others(&self) -> Picture {
        picture(&self.0.host.root, false)
    }

    async fn in_all(&self) -> Picture {
        picture(self.0.temp.path(), true)
    }
}

mod files {
    use super::*;

    struct Files;

    impl Flavour for Files {
        fn first() -> Value {
            json!({ "content": { "inline": "first" }, "mode": "0640" })
        }

        fn second() -> Value {
            json!({ "content": { "base64": "c2Vjb25k" } })
        }

        fn put_same(rig: &Rig) {
            rig.write("/etc/it", "first");
            rig.chmod("/etc/it", 0o640);
        }

        fn put_other(rig: &Rig) {
            rig.write("/etc/it", "an original");
            rig.chmod("/etc/it", 0o600);
        }

        fn disturb(rig: &Rig) {
            rig.write("/etc/it", "drift");
        }
    }

    crate::promises!(On<Files>);
}

mod modes {
    use super::*;

    struct Modes;

    impl Flavour for Modes {
        fn first() -> Value {
            json!({ "content": { "inline": "text" }, "mode": "0640" })
        }

        fn second() -> Value {
            json!({ "content": { "inline": "text" }, "mode": "4755" })
        }

        fn put_same(rig: &Rig) {
            rig.write("/etc/it", "text");
            rig.chmod("/etc/it", 0o640);
        }

        fn put_other(rig: &Rig) {
            rig.write("/etc/it", "text");
            rig.chmod("/etc/it", 0o600);
        }

        fn disturb(rig: &Rig) {
            rig.chmod("/etc/it", 0o777);
        }
    }

    crate::promises!(On<Modes>);
}

mod links {
    use super::*;

    struct Links;

    impl Flavour for Links {
        fn first() -> Value {
            json!({ "type": "Symlink", "target": "/somewhere" })
        }

        fn second() -> Value {
            json!({ "type": "Symlink", "target": "../else" })
        }

        fn put_same(rig: &Rig) {
            symlink("/somewhere", rig.real("/etc/it")).unwrap();
        }

        fn put_other(rig: &Rig) {
            fs::create_dir(rig.real("/etc/it")).unwrap();
            rig.chmod("/etc/it", 0o700);
        }

        fn disturb(rig: &Rig) {
            fs::remove_file(rig.real("/etc/it")).unwrap();
            rig.write("/etc/it", "a file");
        }
    }

    crate::promises!(On<Links>);
}

mod directories {
    use super::*;

    struct Directories;

    impl Flavour for Directories {
        fn first() -> Value {
            json!({ "type": "Directory" })
        }

        fn second() -> Value {
            json!({ "type": "Directory", "mode": "2750" })
        }

        fn put_same(rig: &Rig) {
            fs::create_dir(rig.real("/etc/it")).unwrap();
            rig.chmod("/etc/it", 0o755);
        }

        fn put_other(rig: &Rig) {
            symlink("file", rig.real("/etc/it")).unwrap();
        }

        fn disturb(rig: &Rig) {
            fs::remove_dir(rig.real("/etc/it")).unwrap();
            rig.write("/etc/it", "a file");
        }
    }

    crate::promises!(On<Directories>);
}
