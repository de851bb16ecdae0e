//! The project's own tasks.

mod schemas;

fn main() -> anyhow::Result<()> {
    schemas::write()
}
