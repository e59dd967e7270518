use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Cli(Args),
}

fn parse(line: &str) -> Result<Args, clap::Error> {
    let words = ["shoalmq", "cli"]
        .into_iter()
        .chain(line.split_whitespace());
    let Program {
        command: Command::Cli(args),
    } = Program::try_parse_from(words)?;
    Ok(args)
}

fn parsed(line: &str) -> Args {
    parse(line).expect("a valid command line")
}

#[test]
fn options_end_where_the_command_starts() {
    let args = parsed("-h example -p 7 -3 -r -1 -i 0.5 QPEEK q -5 -p --raw");
    assert_eq!(
        (args.node.host.as_str(), args.node.port, args.resp3),
        ("example", 7, true)
    );
    assert_eq!(
        (args.repeat, args.interval),
        (-1, Duration::from_millis(500))
    );
    assert_eq!(args.command, ["QPEEK", "q", "-5", "-p", "--raw"]);
    assert!(!args.raw);
}

#[test]
fn nonsense_on_the_command_line_is_refused() {
    for line in [
        "--raw --json PING",
        "-x",
        "-p 70000 PING",
        "-i -1 PING",
        "-i x PING",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn the_address_of_a_host_is_fit_to_be_resolved() {
    assert_eq!(parsed("PING").target().address, "127.0.0.1:7711");
    assert_eq!(parsed("-h ::1 PING").target().address, "[::1]:7711");
    assert_eq!(parsed("-h [::1] -p 1 PING").target().address, "[::1]:1");
}

#[test]
fn the_format_is_as_asked_for() {
    assert_eq!(parsed("--json PING").format(), Format::Json);
    assert_eq!(parsed("--raw PING").format(), Format::Raw);
    assert_eq!(parsed("--no-raw PING").format(), Format::Human);
}

#[test]
fn a_password_goes_with_its_user() {
    for option in ["-a", "--password", "--pass"] {
        assert_password_of_user(option);
    }
}

fn assert_password_of_user(option: &str) {
    let target = parsed(&format!("{option} secret --user ann PING")).target();
    let credentials = session::Credentials {
        user: Some("ann".to_owned()),
        password: "secret".to_owned(),
    };
    assert_eq!(target.credentials, Some(credentials));
}
