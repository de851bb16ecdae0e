//! Types that are a text in a document: read by `FromStr`, written by `Display`.

/// Reads a type from a text; with `or number`, from a whole number, too, as if it were written as a text.
/// Its errors tell the rule and never the text: that may be a secret in the wrong place.
macro_rules! read_as_text {
    ($type:ident, $expecting:literal) => {
        $crate::text::read_as_text!(@ $type, $expecting, {});
    };
    ($type:ident or number, $expecting:literal) => {
        $crate::text::read_as_text!(@ $type, $expecting, {
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$type, E> {
                number.to_string().parse().map_err(E::custom)
            }
        });
    };
    (@ $type:ident, $expecting:literal, { $($more:item)* }) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct TextVisitor;
                impl serde::de::Visitor<'_> for TextVisitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    $($more)*
                }
                deserializer.deserialize_any(TextVisitor)
            }
        }
    };
}

/// Writes a type as a text.
macro_rules! write_as_text {
    ($type:ident) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

/// The schema of a type, by hand: what its text must be like.
macro_rules! schema_as {
    ($type:ident, $schema:tt) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

pub(crate) use {read_as_text, schema_as, write_as_text};
