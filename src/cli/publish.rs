//! `shoalmq cli publish`: an entry from the command line, or one for each line of the standard input.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use super::session::Session;
use super::{Args, CliError, perform};

const USAGE: &str = "usage: shoalmq cli publish CHANNEL BODY|- [OPTION OF TPUB]...";

/// Publishes, and prints the id of each entry. Fails when any is refused.
pub(super) async fn run(args: Args) -> Result<ExitCode, CliError> {
    let format = args.format();
    let mut session = Session::new(args.target());
    let words: Vec<Vec<u8>> = args.command.into_iter().map(OsString::into_vec).collect();
    let [_, channel, body, options @ ..] = &words[..] else {
        eprintln!("{USAGE}");
        return Ok(ExitCode::FAILURE);
    };
    let command = |body: &[u8]| {
        let head = [b"TPUB".to_vec(), channel.clone(), body.to_vec()];
        [&head[..], options].concat()
    };
    let mut code = ExitCode::SUCCESS;
    if body != b"-" {
        if !perform(&mut session, &command(body), format).await? {
            code = ExitCode::FAILURE;
        }
        return Ok(code);
    }
    for line in io::BufRead::split(io::stdin().lock(), b'\n') {
        if !perform(&mut session, &command(&line?), format).await? {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}
