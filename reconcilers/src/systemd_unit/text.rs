//! The files of a unit as they are written: the text of the spec below a line that says whose it is. Pure.

use manifest_types::{
    digest::Digest,
    kinds::{
        file::{FileContent, FileSpec, FileType, Mode},
        systemd_unit::{SystemdUnitSpec, UnitText},
    },
    name::AgentId,
};

/// Whose a unit is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The agent. Which of its resources, the ledger says: one that gets another id changes no file.
    pub agent: AgentId,
}

/// One file of a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitFile {
    /// The field of the spec.
    pub field: String,
    /// What is to be at its path.
    pub spec: FileSpec,
    /// The digest of the text without the line on top: what others wrote just so is as good.
    pub bare: Option<Digest>,
}

impl Mark {
    /// A text as it is written to a unit's file.
    pub fn write(&self, text: &UnitText) -> String {
        format!("# Held by holdfast (agent {}): a change here is taken back.\n{}", self.agent, text.as_str())
    }
}

/// The files that a spec wants, below the directory of its scope's units.
pub fn files(directory: &str, mark: &Mark, spec: &SystemdUnitSpec) -> Vec<UnitFile> {
    let own = spec.content.iter().map(|text| ("content".to_owned(), spec.name.to_string(), text));
    let drop_ins = spec
        .drop_ins
        .iter()
        .map(|(name, text)| (format!("dropIns.{name}"), format!("{}.d/{name}", spec.name), text));
    let texts = own.chain(drop_ins).filter_map(|(field, file, text)| {
        let content = FileContent::Inline(mark.write(text));
        let spec = plain(directory, &file, FileType::File, Some(content), None)?;
        Some(UnitFile { field, spec, bare: Some(Digest::of(text.as_str().as_bytes())) })
    });
    let mask = (spec.masked == Some(true))
        .then(|| plain(directory, spec.name.as_str(), FileType::Symlink, None, Some("/dev/null".into())))
        .flatten()
        .map(|spec| UnitFile { field: "masked".into(), spec, bare: None });
    texts.chain(mask).collect()
}

/// The directory that a unit's drop-ins are in.
pub fn drop_in_directory(directory: &str, unit: &str) -> Option<FileSpec> {
    plain(directory, &format!("{unit}.d"), FileType::Directory, None, None)
}

/// `None` where the directory is no absolute path, or the whole too long.
fn plain(
    directory: &str,
    file: &str,
    file_type: FileType,
    content: Option<FileContent>,
    target: Option<String>,
) -> Option<FileSpec> {
    let mode = match file_type {
        FileType::File => Some(Mode(0o644)),
        FileType::Directory => Some(Mode(0o755)),
        FileType::Symlink => None,
    };
    Some(FileSpec {
        file_type,
        path: format!("{directory}/{file}").parse().ok()?,
        mode,
        owner: None,
        group: None,
        content,
        target,
        create_parents: false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_spec_is_written_to_the_files_of_its_unit() {
        let mark = Mark { agent: "pump-17".parse().unwrap() };
        let spec: SystemdUnitSpec = serde_json::from_value(json!({
            "name": "pump.service", "content": "[Service]\nExecStart=/pump\n", "dropIns": { "10-nice.conf": "[Service]\nNice=5\n" }
        }))
        .unwrap();
        let files = files("/etc/systemd/system", &mark, &spec);
        let paths: Vec<_> = files.iter().map(|file| (file.field.as_str(), file.spec.path.as_str())).collect();
        assert_eq!(
            paths,
            [
                ("content", "/etc/systemd/system/pump.service"),
                ("dropIns.10-nice.conf", "/etc/systemd/system/pump.service.d/10-nice.conf")
            ]
        );
        let text = files[0].spec.content.as_ref().and_then(FileContent::bytes).unwrap();
        assert_eq!(
            std::str::from_utf8(text).unwrap(),
            "# Held by holdfast (agent pump-17): a change here is taken back.\n[Service]\nExecStart=/pump\n"
        );
        assert_eq!(files[0].bare, Some(Digest::of(b"[Service]\nExecStart=/pump\n")));
        let masked = serde_json::from_value(json!({ "name": "pump.service", "masked": true })).unwrap();
        let files = super::files("/etc/systemd/system", &mark, &masked);
        assert_eq!((files.len(), files[0].spec.target.as_deref()), (1, Some("/dev/null")));
    }
}
