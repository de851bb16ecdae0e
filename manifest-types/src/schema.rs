//! The JSON Schemas (draft 2020-12) of the manifest and the status, generated from the types.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::{
    kinds::{self, KINDS},
    manifest::ManifestText,
    status::AgentStatus,
};

/// The schema of `AgentManifest`: closed, so that a misspelt member is found while it is written.
pub fn agent_manifest() -> Value {
    let mut generator = generator();
    let specs = kinds::schemas(&mut generator);
    let mut schema = root::<ManifestText>(generator);
    let resource = &mut schema["$defs"]["Resource"];
    resource["properties"]["kind"] = json!({ "description": "What kind of thing it is.", "enum": KINDS });
    resource["properties"]["spec"] =
        json!({ "description": "What is wanted; its members depend on the kind.", "type": "object" });
    let by_kind = specs.into_iter().map(|(kind, spec)| {
        json!({
            "if": { "properties": { "kind": { "const": kind } }, "required": ["kind"] },
            "then": { "properties": { "spec": spec } }
        })
    });
    resource["allOf"] = by_kind.collect();
    schema
}

/// The schema of `AgentStatus`: open, so that it holds for newer agents, too.
pub fn agent_status() -> Value {
    root::<AgentStatus>(generator())
}

/// A schema as it stands in a file.
pub fn to_text(schema: &Value) -> String {
    let text = serde_json::to_string_pretty(schema).expect("a schema is plain JSON");
    text + "\n"
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

fn root<T: JsonSchema>(generator: SchemaGenerator) -> Value {
    generator.into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests;
