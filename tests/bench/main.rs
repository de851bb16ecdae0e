//! `cargo xtask bench`: ratios against a floor measured in the same run.

mod agent;
mod balena;
mod containers;
mod device;
mod floor;
mod pure;
mod row;
mod tap;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use row::Row;

/// The benchmarks, in the order of the table.
const NAMES: [&str; 17] = [
    "converge-file",
    "drift-file",
    "plan",
    "resync-file",
    "idle",
    "size",
    "write-amplification",
    "converge-containers",
    "drift-container",
    "resync-containers",
    "idle-containers",
    "converge-balena",
    "balena-idle",
    "drift-unit",
    "resync-units",
    "converge-unit",
    "rollback-network",
];

/// Measures, and prints a table. Times vary with the machine: compare ratios.
#[derive(Parser)]
struct Arguments {
    /// Which benchmark; all without one.
    #[arg(value_parser = NAMES)]
    name: Option<String>,
    /// Where the same is written as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// For how many seconds `idle`, `idle-containers` and `balena-idle` look.
    #[arg(long, default_value_t = 60)]
    idle_seconds: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let wanted = |name: &&&str| arguments.name.as_deref().is_none_or(|only| only == **name);
    let mut rows = Vec::new();
    for name in NAMES.iter().filter(wanted) {
        eprintln!("measuring {name} …");
        rows.extend(runtime.block_on(measure(name, arguments.idle_seconds)));
    }
    println!(
        "{:<34} {:>6} {:>10} {:>10} {:>10} {:>7} {:<9} {:<30} met?",
        "name", "count", "p50", "p99", "floor", "ratio", "unit", "aim"
    );
    rows.iter().for_each(|row| println!("{}", row.to_line()));
    if let Some(path) = arguments.json {
        let told = serde_json::Value::from(rows.iter().map(Row::to_json).collect::<Vec<_>>());
        if let Err(error) = std::fs::write(&path, format!("{told:#}\n")) {
            eprintln!("error: cannot write {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn measure(name: &str, idle_seconds: u64) -> Vec<Row> {
    match name {
        "converge-file" => agent::converge().await,
        "drift-file" => agent::drift().await,
        "plan" => pure::plan(),
        "resync-file" => pure::resync().await,
        "idle" => agent::idle(idle_seconds).await,
        "size" => vec![agent::size()],
        "converge-containers" => containers::converge().await,
        "drift-container" => containers::drift().await,
        "resync-containers" => containers::resync().await,
        "idle-containers" => containers::idle(idle_seconds).await,
        "converge-balena" => balena::converge().await,
        "balena-idle" => balena::idle(idle_seconds).await,
        "write-amplification" => agent::write_amplification().await,
        of_a_device => device::measure(of_a_device).await,
    }
}
