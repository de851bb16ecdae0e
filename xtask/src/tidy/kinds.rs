//! The kind is the unit of change: each one in the table is complete.

use super::tree::{Tree, Violation, file};

const TABLE: &str = "manifest-types/src/kinds.rs";
const SCHEMA: &str = "schemas/agent-manifest.schema.json";

/// Every kind has a reconciler, an example and a schema.
pub(super) fn complete(tree: &Tree) -> Vec<Violation> {
    let kinds = listed(tree.text(TABLE).unwrap_or_default());
    if kinds.is_empty() {
        return vec![file(TABLE, "lists no kinds, or in a way that tidy cannot read")];
    }
    let mut found = Vec::new();
    for kind in kinds {
        let reconciler = format!("reconcilers/src/{}.rs", snake(kind));
        if tree.text(&reconciler).is_none() {
            found.push(file(TABLE, format!("{kind} has no reconciler: {reconciler}")));
        }
        let line = format!("kind: {kind}");
        let mut examples = tree.texts().filter(|(path, _)| path.starts_with("examples/"));
        if !examples.any(|(_, text)| text.lines().any(|found| found.trim_start_matches([' ', '-']) == line)) {
            found.push(file(TABLE, format!("{kind} has no example in examples/")));
        }
        if !tree.text(SCHEMA).is_some_and(|text| text.contains(&format!("\"const\": \"{kind}\""))) {
            found.push(file(TABLE, format!("{kind} is not in {SCHEMA}")));
        }
    }
    found
}

/// The rows of the table: `Name => …`.
fn listed(text: &str) -> Vec<&str> {
    let table = text.lines().skip_while(|line| !line.starts_with("kinds! {")).take_while(|line| *line != "}");
    table.filter_map(|line| line.trim().split_once(" => ").map(|(kind, _)| kind)).collect()
}

/// `ContainerNetwork` → `container_network`.
fn snake(kind: &str) -> String {
    let mut snake = String::new();
    for c in kind.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::found;

    const KINDS: &str = "macro_rules! kinds {\n  ($a => $b) => {}\n}\nkinds! {\n    /// A file.\n    File => a, b;\n    NetworkConfig => c, d;\n}\n";

    #[test]
    fn what_a_kind_lacks_is_found() {
        let files = [
            (TABLE, KINDS),
            ("reconcilers/src/file.rs", ""),
            ("examples/a.yaml", "resources:\n  - id: a\n    kind: File\n  - kind: NetworkConfigs\n"),
            (SCHEMA, "{ \"const\": \"File\" }"),
        ];
        assert_eq!(
            found(complete, &files),
            [
                "manifest-types/src/kinds.rs: NetworkConfig has no reconciler: reconcilers/src/network_config.rs",
                "manifest-types/src/kinds.rs: NetworkConfig has no example in examples/",
                "manifest-types/src/kinds.rs: NetworkConfig is not in schemas/agent-manifest.schema.json",
            ]
        );
    }

    #[test]
    fn a_table_that_cannot_be_read_is_found() {
        assert_eq!(found(complete, &[(TABLE, "kinds!{}")]).len(), 1);
    }
}
