//! regex-lite under the name `regex`: the agent's libraries check names with it, which needs neither tables of Unicode nor fast engines.

pub use regex_lite::{Captures, Error, Match, Regex};

/// Options of a [`Regex`]: those that the libraries of this workspace set.
#[derive(Debug)]
pub struct RegexBuilder(regex_lite::RegexBuilder);

impl RegexBuilder {
    /// Begins with the default options.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(regex_lite::RegexBuilder::new(pattern))
    }

    /// Compiles the pattern.
    ///
    /// # Errors
    ///
    /// The pattern is not one of regex-lite's.
    pub fn build(&self) -> Result<Regex, Error> {
        self.0.build()
    }

    /// The most bytes that a compiled pattern may take.
    pub fn size_limit(&mut self, bytes: usize) -> &mut Self {
        self.0.size_limit(bytes);
        self
    }

    /// Changes nothing: regex-lite builds no DFA that could grow.
    pub fn dfa_size_limit(&mut self, _bytes: usize) -> &mut Self {
        self
    }
}
