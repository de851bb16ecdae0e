//! `init`: makes the buckets.

use super::json;
use crate::{
    buckets::{self, Choice},
    cli::Output,
    error::Error,
    link::Link,
    terminal::Screen,
};

pub(super) async fn run(
    link: &Link,
    choice: Choice,
    output: Output,
    screen: &mut Screen,
) -> Result<(), Error> {
    let found = buckets::init(link, choice).await?;
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    let differs = found.iter().any(|found| !found.differences.is_empty());
    match output {
        Output::Json => screen.print(&json(&found))?,
        Output::Table if !differs => screen.print(&lines.join("\n"))?,
        Output::Table => {}
    }
    if differs { Err(Error::BucketDiffers { lines: lines.join("\n") }) } else { Ok(()) }
}
