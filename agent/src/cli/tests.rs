use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, String> {
    Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())
}

fn run_args(line: &str) -> RunArgs {
    match parse(line).unwrap().command {
        Command::Run(args) => *args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn the_socket_may_be_named_before_or_after_the_command() {
    let socket = Some(PathBuf::from("/s"));
    for line in ["holdfast --api-socket /s status", "holdfast status --api-socket /s"] {
        assert_eq!(parse(line).unwrap().api_socket, socket, "{line}");
    }
    for line in ["holdfast --api-socket /s run", "holdfast run --api-socket /s"] {
        assert_eq!(run_args(line).api_socket, socket, "{line}");
    }
    // Not even a default: the configuration file must have its say.
    assert_eq!(run_args("holdfast run").api_socket, None);
}

#[test]
fn a_retry_names_one_or_all() {
    assert!(parse("holdfast retry web").is_ok());
    assert!(parse("holdfast retry --all").is_ok());
    assert!(parse("holdfast retry").is_err());
    assert!(parse("holdfast retry web --all").is_err());
    assert!(parse("holdfast retry No_name").unwrap_err().contains("not a resource id"));
}

#[test]
fn a_pause_has_an_end() {
    let time = |line: &str| -> Result<u64, String> {
        match parse(line)?.command {
            Command::Ask(Request::Pause { time, .. }) => Ok(time.as_secs()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(time("holdfast pause"), Ok(3600));
    assert_eq!(time("holdfast pause web --for 2d"), Ok(172_800));
    assert!(time("holdfast pause --for ever").unwrap_err().contains("90s, 30m, 1h or 2d"));
}

#[test]
fn the_help_shows_each_command_with_examples() {
    let mut command = Cli::command().term_width(100);
    insta::assert_snapshot!("help", command.render_help());
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(!help.is_empty(), "{}", subcommand.get_name());
    }
}

/// Every setting that the packaged example names can be set, and as it stands the example changes nothing.
#[test]
fn the_packaged_configuration_is_one() {
    let text = include_str!("../../packaging/holdfast.toml");
    let as_it_is: RunArgs = toml::from_str(text).unwrap();
    assert_eq!(as_it_is, RunArgs::default());
    let setting = |line: &str| {
        line.strip_prefix('#')
            .filter(|rest| rest.contains(" = ") && !rest.starts_with(' '))
            .map(str::to_owned)
    };
    let settings: Vec<_> = text.lines().filter_map(setting).collect();
    let all: RunArgs = toml::from_str(&settings.join("\n")).unwrap();
    let told = toml::Table::try_from(&all).unwrap();
    assert_eq!(told.len(), settings.len());
    let flags = Cli::command();
    let run = flags.find_subcommand("run").unwrap();
    let flags = run.get_arguments().filter_map(|argument| argument.get_long());
    for flag in
        flags.filter(|flag| !["config", "print-config", "help", "no-color", "output", "color"].contains(flag))
    {
        assert!(told.contains_key(flag), "--{flag} is not in the example");
    }
}
